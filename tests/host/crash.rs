//! Never between: a run that is killed ends at exactly the old or exactly the new release.

use relift::sample::{Release, Site};

use crate::harness::{Host, Out};
use crate::snapshot::Snapshot;

/// What [`rich`] takes away or changes, in the release before it.
pub fn poor(release: Release) -> Release {
    release
        .file("manager/old.txt", "old\n")
        .file("runner/plugins/one", "1\n")
        .file("runner/plugins/two", "2\n")
        .file("docs/guide.txt", "outside the cone\n")
}

/// A release that changes something of every kind: tree, sparse set, `.env`, steps, artifacts, units of both scopes.
pub fn rich(release: Release) -> Release {
    release
        .next("1.1.0")
        .env_key("manager", "GREETING", "hello", "What it says.")
        .env_key("runner", "COLOUR", "blue", "What it looks like.")
        .unit_line("manager", "Service", "Nice=5")
        .unit_line("runner", "Service", "Nice=6")
        .without("manager/old.txt")
        .file("manager/old.txt/now/a-directory", "x\n")
        .without("runner/plugins")
        .file("runner/plugins", "now a file\n")
        .file("manager/new/deep/file", "new\n")
        .program("runner/scripts/new.sh", "#!/bin/sh\n")
        .link("runner/link", "scripts/new.sh")
        .file("docs/outside.txt", "outside the cone\n")
}

/// A host whose checkout has what git does not track, everywhere where a switch could step on it.
pub fn rich_host() -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::boot();
    host.settle(site, poor);
    host.must("cd /opt/app && install -d -o app -g app manager/data && echo precious > manager/data/db && echo mine > notes.txt && chown app: manager/data/db notes.txt");
    host.release(rich);
    host
}

/// Runs relift and has it killed at a point of its journal.
pub fn killed(host: &Host, point: &str, arguments: &str) -> Out {
    host.sh(&format!("systemctl reset-failed; RELIFT_KILL_AT={point} exec relift {arguments}"))
}

/// Both services answer with this version, and stock git finds nothing changed.
#[track_caller]
pub fn assert_runs(host: &Host, version: &str, context: &str) {
    for component in ["manager", "runner"] {
        host.wait_for_answer(component, version, context);
    }
    let status = host.sh_as("app", "git -C /opt/app status --porcelain").exits(0).stdout;
    assert_eq!(status, "?? notes.txt\n", "{context}");
}

/// Recovers, and makes sure that the state is `before`, and that recovering again changes nothing.
#[track_caller]
pub fn assert_recovers(host: &Host, before: &Snapshot, context: &str) {
    let out = host.relift(&["recover", "app"]);
    assert_eq!(out.code, 0, "{context}: {out}");
    let difference = before.difference(&host.snapshot());
    assert!(difference.is_empty(), "{context}: not as before:\n{difference}\n{out}");
    assert_runs(host, "1.0.0", context);
    let again = host.relift(&["recover", "app"]).exits(0);
    assert_eq!(again.stdout, "app: no interrupted run\n", "{context}");
}
