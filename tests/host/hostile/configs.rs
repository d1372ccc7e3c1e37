//! Commands in every place of the owner's that git, or what it starts, takes a command from: none is ever run by root.

use std::collections::BTreeMap;

use relift::sample::Site;

use crate::crash::killed;
use crate::harness::Host;

/// A place that holds a command, and how the owner puts one there: a script in the checkout, in which `$canary` is a command
/// that writes down who runs it and passes its standard input on.
pub struct Input {
    /// git's name for it.
    pub name: &'static str,
    /// What plants it.
    pub plant: &'static str,
}

const fn input(name: &'static str, plant: &'static str) -> Input {
    Input { name, plant }
}

/// Keys, files and programs.
pub const INPUTS: &[Input] = &[
    input("core.fsmonitor", "git config core.fsmonitor \"$canary\""),
    input(
        "core.hooksPath",
        "mkdir -p ~/hooks; for h in $hooks; do printf '#!/bin/sh\\n%s\\n' \"$canary\" > ~/hooks/$h; chmod 755 ~/hooks/$h; done; git config core.hooksPath ~/hooks",
    ),
    input(
        "hooks",
        "mkdir -p .git/hooks; for h in $hooks; do printf '#!/bin/sh\\n%s\\n' \"$canary\" > .git/hooks/$h; chmod 755 .git/hooks/$h; done",
    ),
    input("core.sshCommand", "git config core.sshCommand \"$canary\""),
    input("core.gitProxy", "git config core.gitProxy \"$canary\""),
    input("core.askPass", "git config core.askPass \"$canary\""),
    input("core.editor", "git config core.editor \"$canary\""),
    input("sequence.editor", "git config sequence.editor \"$canary\""),
    input("core.pager", "git config core.pager \"$canary\""),
    input(
        "pager.status",
        "for c in status diff log config remote ls-files rev-parse branch tag; do git config pager.$c \"$canary\"; done",
    ),
    input("interactive.diffFilter", "git config interactive.diffFilter \"$canary\""),
    input("core.alternateRefsCommand", "git config core.alternateRefsCommand \"$canary\""),
    input("diff.external", "git config diff.external \"$canary\""),
    input("diff.DRIVER.command", "git config diff.planted.command \"$canary\""),
    input("diff.DRIVER.textconv", "git config diff.planted.textconv \"$canary\""),
    input("merge.DRIVER.driver", "git config merge.planted.driver \"$canary\"; git config merge.default planted"),
    input("filter.DRIVER.clean", "git config filter.planted.clean \"$canary\""),
    input("filter.DRIVER.smudge", "git config filter.planted.smudge \"$canary\""),
    input("info/attributes", "echo '* filter=planted diff=planted merge=planted' > .git/info/attributes"),
    input(
        "core.attributesFile",
        "echo '*.md filter=planted diff=planted' > ~/attributes; git config core.attributesFile ~/attributes",
    ),
    input("gpg.program", "git config gpg.program \"$canary\""),
    input("gpg.ssh.program", "git config gpg.ssh.program \"$canary\"; git config gpg.format ssh"),
    input("gpg.ssh.defaultKeyCommand", "git config gpg.ssh.defaultKeyCommand \"$canary\""),
    input("credential.helper", "git config credential.helper \"!$canary\""),
    input("credential.URL.helper", "git config credential.http://127.0.0.1.helper \"!$canary\""),
    input(
        "alias",
        "for a in status merge reset fetch rev-parse remote-relift relift; do git config alias.$a \"!$canary\"; done",
    ),
    input("remote.NAME.uploadpack", "git config remote.origin.uploadpack \"$canary\""),
    input("remote.NAME.receivepack", "git config remote.origin.receivepack \"$canary\""),
    input("remote.source.uploadpack", "git config --global remote.source.uploadpack \"$canary\""),
    input("uploadpack.packObjectsHook", "git config --global uploadpack.packObjectsHook \"$canary\""),
    input(
        "protocol.ext.allow, url.*.insteadOf",
        "git config --global protocol.ext.allow always; git config --global url.\"ext::$canary \".insteadOf planted:",
    ),
    input(
        "submodule.NAME.update",
        "git config submodule.planted.update \"!$canary\"; git config submodule.recurse true",
    ),
    input("trailer.NAME.command", "git config trailer.planted.command \"$canary\""),
    input("gc.recentObjectsHook", "git config gc.recentObjectsHook \"$canary\""),
    input(
        "include.path",
        "git config --file ~/included core.fsmonitor \"$canary\"; git config include.path ~/included",
    ),
    input("includeIf", "git config includeIf.gitdir:/opt/.path ~/included"),
    input(
        "config.worktree",
        "git config extensions.worktreeConfig true; git config --worktree core.fsmonitor \"$canary\"; git config --worktree core.hooksPath ~/hooks",
    ),
    input(
        "init.templateDir",
        "mkdir -p ~/template; cp -r .git/hooks ~/template/; git config --global init.templateDir ~/template",
    ),
    input(
        "~/.gitconfig",
        "git config --global core.fsmonitor \"$canary\"; git config --global core.hooksPath ~/hooks; git config --global credential.helper \"!$canary\"; git config --global core.sshCommand \"$canary\"",
    ),
    input(
        "objects/info/alternates",
        "git init -q --bare ~/other.git; cp -r .git/hooks ~/other.git/; git --git-dir=$HOME/other.git config core.alternateRefsCommand \"$canary\"; echo ~/other.git/objects > .git/objects/info/alternates",
    ),
    input("~/.ssh/config", "mkdir -p -m 700 ~/.ssh; printf 'Host *\\n ProxyCommand %s\\n' \"$canary\" > ~/.ssh/config"),
    input("~/.profile", "for f in .profile .bashrc .bash_profile .shrc; do echo \"$canary </dev/null\" > ~/$f; done"),
    input(
        "~/.config/user-environment",
        "mkdir -p ~/.config/environment.d; printf 'GIT_SSH_COMMAND=%s\\n' \"$canary\" > ~/.config/environment.d/planted.conf",
    ),
    input(
        "programs in ~/.local/bin",
        "mkdir -p ~/.local/bin; for p in git tar sh env setpriv find mkdir mv ssh systemd-analyze; do printf '#!/bin/sh\\n/srv/canary %s-program </dev/null\\nPATH=/usr/local/bin:/usr/bin:/bin exec %s \"$@\"\\n' $p $p > ~/.local/bin/$p; chmod 755 ~/.local/bin/$p; done",
    ),
];

/// Writes down its name and who runs it, and passes on what it is given.
const PROGRAM: &str = "#!/bin/sh\necho \"$1 $(/usr/bin/id -u)\" >> /run/canaries/log\nexec /bin/cat\n";
const HOOKS: &str = "pre-commit post-checkout post-merge pre-merge-commit reference-transaction post-index-change \
    post-rewrite pre-auto-gc fsmonitor-watchman proc-receive pre-receive update post-update push-to-checkout";

/// A quick host on which every place of the table holds a command.
fn planted() -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    let host = Host::with_site(site);
    host.write("/srv/canary", PROGRAM, 0o755, "root");
    host.must("install -d -m 1777 /run/canaries; install -m 666 /dev/null /run/canaries/log");
    for (number, input) in INPUTS.iter().enumerate() {
        let script = format!(
            "set -e; export PATH=/usr/local/bin:/usr/bin:/bin; cd /opt/app; hooks='{HOOKS}'; canary='/srv/canary {number}'; {}",
            input.plant
        );
        let out = host.sh_as("app", &script);
        assert_eq!(out.code, 0, "{} cannot be planted: {out}", input.name);
    }
    // What planting itself ran does not count.
    host.must(": > /run/canaries/log");
    host
}

/// Which commands ran, and as whom.
fn ran(host: &Host) -> BTreeMap<String, Vec<String>> {
    let mut by_account: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in host.must("sort -u /run/canaries/log").lines() {
        let (name, uid) = line.split_once(' ').unwrap();
        let name = name.parse().map_or(name, |number: usize| INPUTS[number].name);
        by_account.entry(uid.to_owned()).or_default().push(name.to_owned());
    }
    by_account
}

#[test]
fn no_command_of_the_owners_is_ever_run_by_root() {
    const { assert!(INPUTS.len() >= 40) }
    let mut host = planted();
    // They do run where git is called as an administrator might: the canaries are no blanks.
    host.must("GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' git -C /opt/app status");
    assert!(ran(&host).contains_key("0"), "no canary ran: {:?}", ran(&host));
    host.must(": > /run/canaries/log; systemctl reset-failed");

    // Upstream names drivers for everything, and root's own git would know them.
    let own = ["filter.planted.smudge", "filter.planted.clean", "diff.planted.textconv", "merge.planted.driver"];
    own.iter().for_each(|key| drop(host.must(&format!("git config --global {key} '/srv/canary of-root'"))));
    host.release(|release| {
        let attributes = "* filter=planted diff=planted merge=planted ident export-subst\n*.txt text eol=crlf\n*.utf16 working-tree-encoding=UTF-16\n";
        let modules = "[submodule \"x\"]\n\tpath = x\n\turl = ext::/srv/canary submodule\n";
        release
            .next("1.1.0")
            .env_key("manager", "GREETING", "hello", "New.")
            .file(".gitattributes", attributes)
            .file("manager/.gitattributes", attributes)
            .file(".gitmodules", modules)
            .file(".mailmap", "A <a@example.org> <!/srv/canary mailmap>\n")
            .file("manager/some.txt", "$Format:%an$ $Id$\n")
    });
    host.relift(&["check"]).exits(100);
    host.relift(&["plan", "app"]).exits(0);
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"), "{out}");
    let gate = host.must("ls /var/lib/relift/app/runs/*/ | sed -n 's/-gate.json//p' | tail -n 1");
    host.release(|release| release.next("1.2.0").edit("manager/scripts/build.sh", |_| "exit 3\n".into()));
    host.must("systemctl reset-failed");
    host.relift(&["upgrade", "app", "--yes"]).exits(3);
    host.must("systemctl reset-failed");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    host.release(|release| {
        release.next("1.3.0").edit("manager/scripts/build.sh", |_| "mkdir -p build; cp VERSION build/version\n".into())
    });
    killed(&host, &format!("before-{gate}"), "upgrade app --yes").exits(137);
    host.must("systemctl reset-failed");
    host.relift(&["recover", "app"]).exits(0);
    host.relift(&["status", "app"]).exits(0);
    host.relift(&["init", "--stdout", "/opt/app"]);

    host.must("rm /root/.gitconfig");
    let mut by_account = ran(&host);
    let by_root = by_account.remove("0").unwrap_or_default();
    println!("{} places; as the owner ran: {by_account:?}", INPUTS.len());
    assert!(by_root.is_empty(), "root ran {by_root:?}");
}
