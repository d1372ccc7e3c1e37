//! A `.git` of another shape than git makes: what it leads to is root's, and root does not go there, nor wait.

use relift::sample::Site;

use crate::harness::{CANARY, Host};

/// A shape, how the owner makes it (a script in the checkout), and the exit status of `plan`.
pub struct Input {
    pub name: &'static str,
    pub plant: &'static str,
    pub exit: i32,
}

const fn input(name: &'static str, plant: &'static str, exit: i32) -> Input {
    Input { name, plant, exit }
}

pub const INPUTS: &[Input] = &[
    input("a gitfile that leads to root's repository", "rm -rf .git; echo 'gitdir: /root/other.git' > .git", 1),
    input("a link to root's repository", "rm -rf .git; ln -s /root/other.git .git", 1),
    input("a commondir that is root's", "echo /root/other.git > .git/commondir", 1),
    input("an object directory that is root's", "rm -rf .git/objects; ln -s /root/other.git/objects .git/objects", 1),
    input("alternates that are root's", "echo /root/other.git/objects > .git/objects/info/alternates", 0),
    input(
        "a branch that is a link to root's file",
        "rm -f .git/packed-refs; ln -sf /root/token .git/refs/heads/main",
        1,
    ),
    input("a HEAD that is a link to root's file", "ln -sf /root/token .git/HEAD", 1),
    input("a configuration that is a link to root's file", "ln -sf /root/token .git/config", 1),
    input("a configuration that includes root's file", "git config include.path /root/token", 1),
    input("an index that is a link to root's file", "ln -sf /root/token .git/index", 1),
    input("a reflog that is a link to root's file", "ln -sf /root/token .git/logs/HEAD", 0),
    input("a pipe for HEAD", "rm .git/HEAD; mkfifo .git/HEAD", 1),
    input("a pipe for the index", "rm .git/index; mkfifo .git/index", 1),
    input("a pipe for the configuration", "rm .git/config; mkfifo .git/config", 1),
    input("a pipe for packed-refs", "rm -f .git/packed-refs; mkfifo .git/packed-refs", 1),
    input("a pipe for the sparse patterns", "rm -f .git/info/sparse-checkout; mkfifo .git/info/sparse-checkout", 1),
    input("a pipe for the reflog", "rm -f .git/logs/HEAD; mkfifo .git/logs/HEAD", 0),
    input("a pipe for the attributes", "rm -f .git/info/attributes; mkfifo .git/info/attributes", 1),
    input("a pipe in the place of .git", "rm -rf .git; mkfifo .git", 1),
    input(
        "a pipe in the place of a hook",
        "mkdir -p .git/hooks; rm -f .git/hooks/post-checkout; mkfifo .git/hooks/post-checkout",
        0,
    ),
    input("a configuration of 20 MB", "yes '[a]x=y' | head -c 20000000 >> .git/config", 1),
    input(
        "a URL that is rewritten into a program",
        "git config protocol.ext.allow always; git config url.'ext::/srv/canary insteadOf '.insteadOf file:///srv/",
        1,
    ),
];

#[test]
fn a_git_directory_that_leads_to_what_is_roots_is_not_followed_and_keeps_nobody_waiting() {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::with_site(site);
    host.release(|release| release.next("1.1.0"));
    host.write("/srv/canary", "#!/bin/sh\nid -u >> /run/canary\n", 0o755, "root");
    host.must("install -m 666 /dev/null /run/canary");
    host.must("git clone -q --mirror /srv/git/app.git /root/other.git -c safe.directory='*' 2>/dev/null || { cp -r /srv/git/app.git /root/other.git; chown -R root: /root/other.git; }");
    host.write("/root/token", format!("{CANARY}-of-root\n"), 0o600, "root");
    host.must("chmod 700 /root; cp -a /opt/app/.git /srv/kept; chown app: /opt/app");
    host.relift(&["plan", "app"]).exits(0);
    let root = "find /root/other.git /root/token -printf '%p %U %G %m %s %T@\\n' | sort";
    let before = host.must(root);
    let mut wrong = Vec::new();
    for input in INPUTS {
        let out = host.sh_as("app", &format!("cd /opt/app && {}", input.plant));
        assert_eq!(out.code, 0, "{} cannot be planted: {out}", input.name);
        for verb in ["check", "status", "plan", "upgrade -n"] {
            let out = host.sh(&format!("timeout 20 relift {verb} app 2>&1"));
            if verb == "plan" && out.code != input.exit || out.code == 124 {
                wrong.push(format!("{}: {out}", input.name));
            }
            if out.stdout.contains(CANARY) {
                wrong.push(format!("{}: a secret of root's is told: {out}", input.name));
            }
        }
        host.must("cd /opt/app && rm -rf .git kept ../kept && cp -a /srv/kept .git");
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), INPUTS.len(), wrong.join("\n\n"));
    assert_eq!(host.must(root), before, "what is root's");
    assert_eq!(host.read("/run/canary"), "", "a program ran");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
}
