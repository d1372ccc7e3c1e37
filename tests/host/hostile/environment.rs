//! Environments: whoever starts relift may have prepared what it inherits.

use super::{Ground, Input, ground, run};

/// An honest release: what is hostile is around the run.
fn release(on: &Ground) {
    on.forge().file("docs/news.txt", "news\n");
    // What an own PATH, hook or helper would run.
    on.host.must(
        "mkdir -p /srv/evil; for name in git systemctl systemd-analyze setpriv tar ssh sh env; do
             printf '#!/bin/sh\\n/usr/bin/touch /tmp/owned-by-%s\\n' $name > /srv/evil/$name; chmod 755 /srv/evil/$name
         done; install -d -o app -g app -m 755 /srv/tmp-of-app; mkdir -p /srv/empty.git",
    );
}

macro_rules! around {
    ($($name:literal: $by:literal),* $(,)?) => { &[$(Input::harmless($name, release).by($by)),*] };
}

pub const INPUTS: &[Input] = around![
    "GIT_DIR and GIT_WORK_TREE": "GIT_DIR=/srv/empty.git GIT_WORK_TREE=/srv/canary GIT_INDEX_FILE=/srv/canary/file exec",
    "GIT_CONFIG_COUNT with a monitor": "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.fsmonitor GIT_CONFIG_VALUE_0='touch /tmp/owned-monitor' exec",
    "GIT_CONFIG_PARAMETERS with a hooks path": "GIT_CONFIG_PARAMETERS=\"'core.hookspath'='/srv/evil' 'core.fsmonitor'='/srv/evil/git'\" exec",
    "GIT_SSH_COMMAND, GIT_ASKPASS, GIT_PROXY_COMMAND, GIT_EXTERNAL_DIFF": "GIT_SSH_COMMAND=/srv/evil/ssh GIT_SSH=/srv/evil/ssh GIT_ASKPASS=/srv/evil/sh GIT_PROXY_COMMAND=/srv/evil/sh GIT_EXTERNAL_DIFF=/srv/evil/sh GIT_PAGER=/srv/evil/sh GIT_EDITOR=/srv/evil/sh exec",
    "GIT_EXEC_PATH": "GIT_EXEC_PATH=/srv/evil exec",
    "GIT_TRACE to a file of root's": "GIT_TRACE=/srv/canary/file GIT_TRACE2_EVENT=/srv/canary/directory GIT_TRACE_PACKET=/etc/trace exec",
    "GIT_OBJECT_DIRECTORY and alternates elsewhere": "GIT_OBJECT_DIRECTORY=/srv/canary/directory GIT_ALTERNATE_OBJECT_DIRECTORIES=/srv/canary GIT_COMMON_DIR=/srv/canary GIT_NAMESPACE=x exec",
    "GIT_TEMPLATE_DIR and GIT_ATTR_SOURCE": "GIT_TEMPLATE_DIR=/srv/evil GIT_ATTR_SOURCE=HEAD GIT_REPLACE_REF_BASE=refs/x GIT_GRAFT_FILE=/srv/canary/file exec",
    "LD_PRELOAD and LD_LIBRARY_PATH that lead nowhere": "LD_PRELOAD= LD_LIBRARY_PATH=/srv/evil LD_BIND_NOW=1 exec",
    "SUDO_UID of another": "SUDO_UID=$(id -u other) SUDO_GID=1 SUDO_USER=other SUDO_COMMAND=x exec",
    "HOME and XDG_CONFIG_HOME of another": "HOME=/home/other XDG_CONFIG_HOME=/home/other/.config XDG_RUNTIME_DIR=/home/other DBUS_SESSION_BUS_ADDRESS=unix:path=/srv/x exec",
    "PATH with a false git and systemctl in front": "PATH=/srv/evil:.:$PATH exec /usr/bin/env",
    "an empty PATH": "relift() { PATH= /usr/bin/relift \"$@\"; };",
    "TMPDIR of a user": "TMPDIR=/srv/tmp-of-app TMP=/srv/tmp-of-app TEMP=. exec",
    "TMPDIR that is not there": "TMPDIR=/nowhere exec",
    "SSL_CERT_FILE, proxies": "SSL_CERT_FILE=/dev/zero SSL_CERT_DIR=/srv http_proxy=http://127.0.0.1:9 https_proxy=x ALL_PROXY=socks5://127.0.0.1:9 NO_PROXY='' exec",
    "TZ=:/etc/shadow": "TZ=:/etc/shadow exec",
    "an odd LANG, LC_ALL and TERM": "LANG=xx_YY.KOI8 LC_ALL=$(printf '\\377') LANGUAGE=../../x TERM=$(printf '\\033[2J') COLUMNS=0 LINES=-1 exec",
    "umask 000": "umask 000; exec",
    "umask 777": "umask 777; exec",
    "nothing open": "exec <&- >&- 2>/tmp/errors;",
    "standard error closed": "exec 2>&-;",
    "standard input a directory": "exec </srv;",
    "standard output a full device": "exec >/dev/full;",
    "a working directory that is gone": "mkdir /tmp/gone; cd /tmp/gone; rmdir /tmp/gone; exec",
    "a working directory of the owner's, with a false git": "cp /srv/evil/* /srv/tmp-of-app/; cd /srv/tmp-of-app; exec",
    "signals ignored": "trap '' CHLD PIPE HUP TERM INT QUIT USR1 USR2 ALRM; exec",
    "signals blocked": "exec python3 -c 'import os,signal,sys; signal.pthread_sigmask(signal.SIG_BLOCK, range(1,64)); os.execvp(sys.argv[1], sys.argv[1:])'",
    "SIGCHLD ignored and a pending alarm": "exec python3 -c 'import os,signal,sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); signal.signal(signal.SIGALRM, signal.SIG_IGN); signal.alarm(1); os.execvp(sys.argv[1], sys.argv[1:])'",
    "100 inherited descriptors": "exec python3 -c 'import os,sys; [os.set_inheritable(os.open(\"/srv/canary/secret\", os.O_RDWR), True) for _ in range(100)]; os.execvp(sys.argv[1], sys.argv[1:])'",
    "the lowest priority": "exec nice -n 19 choom -n 1000 --",
    "an environment of 1 MiB": "BIG=$(head -c 100000 /dev/zero | tr '\\0' x); for n in 1 2 3 4 5 6 7 8 9 10; do export BIG$n=$BIG; done; exec",
    "BASH_ENV, ENV, PYTHONPATH, PERL5OPT": "BASH_ENV=/srv/evil/sh ENV=/srv/evil/sh PYTHONPATH=/srv/evil PYTHONSTARTUP=/srv/evil/sh PERL5OPT=-d SHELLOPTS=xtrace PS4='$(touch /tmp/owned-ps4)' exec",
    "RUST_LOG, RUST_BACKTRACE, RUST_MIN_STACK": "RUST_LOG=trace RUST_BACKTRACE=full RUST_MIN_STACK=1 exec",
    "SYSTEMD_UNIT_PATH and NOTIFY_SOCKET": "SYSTEMD_UNIT_PATH=/srv/evil SYSTEMD_OFFLINE=1 SYSTEMCTL_FORCE_BUS=1 NOTIFY_SOCKET=/srv/canary/file LISTEN_PID=1 LISTEN_FDS=3 INVOCATION_ID=x JOURNAL_STREAM=1:1 exec",
    "a second of a processor": "ulimit -t 1; exec",
    "an empty argv[0]": "exec bash -c 'exec -a \"\" /usr/bin/relift \"${@:2}\"' x",
    "an argv[0] that is not UTF-8": "exec python3 -c 'import os,sys; os.execv(b\"/usr/bin/relift\", [b\"\\xff/../x\"] + sys.argv[2:])'",
    "LD_PRELOAD of a library that is there": "LD_PRELOAD=$(ls /usr/lib/*/libm.so.6 | head -n 1) exec",
];

/// Too little to work with: that is said before anything is changed.
pub const LIMITS: &[Input] = &[
    Input::refused("files of at most 512 bytes", release, 1, &["state: nothing was changed"]).by("ulimit -f 1; exec"),
    Input::refused("20 descriptors", release, 1, &["open files: at most 20", "state: nothing was changed"])
        .by("ulimit -n 20; exec"),
    Input::refused("no process more", release, 1, &["Resource temporarily unavailable", "state: nothing was changed"])
        .by("exec prlimit --nproc=1:1"),
];

#[test]
fn limits_that_leave_too_little_stop_a_run_before_any_change() {
    run("limits", LIMITS, ground::quick);
}

#[test]
fn an_environment_that_somebody_prepared_changes_nothing() {
    run("environment", INPUTS, ground::quick);
}
