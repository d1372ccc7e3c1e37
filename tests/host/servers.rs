//! The git servers that tests fetch from are real ones.

use crate::server::GitServer;

#[test]
fn a_host_installs_and_fetches_over_ssh() {
    let mut server = GitServer::ssh();
    let host = server.host_with_sample();
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
    let commit = server.release(|release| release.next("1.1.0"));
    let seen = host.sh_as("app", "git -C /opt/app ls-remote origin refs/heads/main").exits(0).stdout;
    assert!(seen.starts_with(&commit), "{seen}");
    server.unplug();
    let out =
        host.sh_as("app", "GIT_SSH_COMMAND='ssh -oConnectTimeout=2 -oBatchMode=yes' git -C /opt/app ls-remote origin");
    assert_eq!(out.code, 128, "{out}");
}

#[test]
fn a_stranger_is_not_admitted_over_ssh() {
    let server = GitServer::ssh();
    let host = server.host_with_sample();
    host.must("useradd --create-home --shell /bin/sh stranger");
    let ssh = "ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new";
    let out = host.sh_as("stranger", &format!("GIT_SSH_COMMAND='{ssh}' git ls-remote {}", server.url())).exits(128);
    assert!(out.stderr.contains("Permission denied (publickey"), "{out}");
}

#[test]
fn a_host_installs_and_fetches_over_smart_http() {
    let mut server = GitServer::http();
    let host = server.host_with_sample();
    let commit = server.release(|release| release.next("1.1.0").tag("v1.1.0"));
    // Only the smart protocol has a capability line.
    let line = format!("curl --silent '{}/info/refs?service=git-upload-pack' | head -c 34", server.url());
    assert!(host.must(&line).contains("# service=git-upload-pack"));
    host.sh_as("app", "git -C /opt/app fetch --quiet --tags --filter=blob:none origin main").exits(0);
    let fetched = host.sh_as("app", "git -C /opt/app rev-parse FETCH_HEAD 'v1.1.0^{commit}'").exits(0).stdout;
    assert_eq!(fetched, format!("{commit}\n{commit}\n"));
}

#[test]
fn the_http_server_can_be_private_fail_and_hang() {
    let server = GitServer::http();
    let host = server.host_with_sample();
    let ls = "GIT_TERMINAL_PROMPT=0 timeout 3 git -C /opt/app ls-remote origin";
    server.behave("private");
    assert!(host.sh_as("app", ls).exits(128).stderr.contains("could not read Username"));
    let url = server.url().replace("http://", "http://user:password@");
    host.sh_as("app", &format!("git ls-remote {url}")).exits(0);
    server.behave("error");
    assert!(host.sh_as("app", ls).exits(128).stderr.contains("500"));
    server.behave("hang");
    host.sh_as("app", ls).exits(124);
}
