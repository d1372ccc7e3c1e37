//! `.env` files: what the account, or upstream's example, may put where a configuration is expected.

use super::{Ground, Input, ground, run};

const ENV: &str = "/opt/app/manager/.env";

/// A release with a new key in its example, so that the `.env` would be written.
fn release(on: &Ground) {
    let example = on.forge().read("manager/.env.example");
    on.forge().file("manager/.env.example", format!("{example}\n\n# New.\nNEW_KEY=new\n"));
}

/// The `.env` is replaced by what a shell script makes in its place.
fn instead(on: &Ground, script: &str) {
    on.host.must(&format!("rm {ENV}; {script}"));
    release(on);
}

/// The `.env` gets more lines.
fn with(on: &Ground, bytes: &[u8]) {
    let kept = on.host.must(&format!("cat {ENV}"));
    on.host.write(ENV, [kept.as_bytes(), b"\n", bytes].concat(), 0o640, "app:app");
    release(on);
}

/// The new example has more lines.
fn example(on: &Ground, bytes: &[u8]) {
    let text = on.forge().read("manager/.env.example");
    on.forge().file("manager/.env.example", [text.as_bytes(), b"\n\n", bytes].concat());
}

const REFUSED: &[&str] = &["manager/.env", "state: nothing was changed"];

pub const INPUTS: &[Input] = &[
    Input::refused(
        "a link to a secret of root's",
        |on| instead(on, "ln -s /srv/canary/secret /opt/app/manager/.env"),
        1,
        REFUSED,
    ),
    Input::refused(
        "a link that leads nowhere",
        |on| instead(on, "ln -s /nowhere /opt/app/manager/.env"),
        1,
        &["state: nothing was changed"],
    ),
    Input::refused("a FIFO", |on| instead(on, "mkfifo /opt/app/manager/.env"), 1, REFUSED),
    Input::refused(
        "a link to a FIFO",
        |on| instead(on, "mkfifo /tmp/fifo 2>/dev/null; ln -s /tmp/fifo /opt/app/manager/.env"),
        1,
        REFUSED,
    ),
    Input::refused(
        "a socket",
        |on| instead(on, "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/opt/app/manager/.env\")'"),
        1,
        REFUSED,
    ),
    Input::refused("a device", |on| instead(on, "mknod /opt/app/manager/.env c 1 5"), 1, REFUSED),
    Input::refused("a directory", |on| instead(on, "mkdir /opt/app/manager/.env"), 1, REFUSED),
    Input::refused(
        "bytes that are not UTF-8",
        |on| with(on, b"NAME=caf\xe9\n"),
        1,
        &["UTF-8", "state: nothing was changed"],
    ),
    Input::refused(
        "a line of 10 MB",
        |on| with(on, format!("LONG={}\n", "x".repeat(10_000_000)).as_bytes()),
        1,
        &["is longer than 128 KiB", "state: nothing was changed"],
    ),
    Input::harmless("1,000 keys", |on| {
        with(on, (0..1000).map(|at| format!("KEY_{at}={at}\n")).collect::<String>().as_bytes())
    }),
    Input::refused(
        "two other names for the same file",
        |on| {
            on.host.must(&format!("rm -f /srv/one /srv/two; ln {ENV} /srv/one; ln {ENV} /srv/two"));
            release(on);
        },
        1,
        &["more than one hard link", "state: nothing was changed"],
    ),
    Input::harmless("a setuid mode", |on| {
        on.host.must(&format!("chmod 6640 {ENV}"));
        release(on);
    }),
    Input::refused(
        "one that cannot be changed, by chattr",
        |on| {
            on.host.must(&format!("chattr +i {ENV}"));
            release(on);
        },
        3,
        &[],
    ),
    Input::harmless("line ends of two kinds", |on| with(on, b"CRLF=one\r\nLF=two\nCR=a\rb\n")),
    Input::harmless("a byte order mark", |on| {
        let kept = on.host.must(&format!("cat {ENV}"));
        on.host.write(ENV, [b"\xef\xbb\xbf# A mark.\n", kept.as_bytes(), b"\n"].concat(), 0o640, "app:app");
        release(on);
    }),
    Input::harmless("values of a shell's", |on| {
        with(on, b"A=$(touch /tmp/owned-a)\nB=`touch /tmp/owned-b`\nC=${IFS}touch\nD='; touch /tmp/owned-d'\n")
    }),
    Input::harmless("names that loaders and shells know", |on| {
        with(on, b"LD_PRELOAD_X=/srv/evil.so\nBASH_ENV=/srv/canary/file\nGIT_DIR=/srv/canary\nGIT_CONFIG_COUNT=1\nGIT_CONFIG_KEY_0=core.fsmonitor\nGIT_CONFIG_VALUE_0=touch /tmp/owned-m\nGIT_SSH_COMMAND=touch /tmp/owned-s\n")
    }),
    Input::harmless("an example with values of a shell's", |on| {
        example(on, b"# New.\nA=$(touch /tmp/owned-a)\nB=`touch /tmp/owned-b`\n")
    }),
    Input::harmless("an example with bidirectional marks and escapes in comments", |on| {
        example(on, "# \u{202e}New\u{1b}[2J\u{7}.\nMARKED=x\n".as_bytes())
    }),
    Input::refused(
        "an example of 9 MiB",
        |on| example(on, &vec![b'#'; 9 << 20]),
        1,
        &["at most 8 MiB are read", "state: nothing was changed"],
    ),
];

#[test]
fn a_hostile_env_is_refused_or_does_no_harm() {
    run(".env", INPUTS, ground::quick);
}
