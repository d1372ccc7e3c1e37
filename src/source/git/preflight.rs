//! The state of the checkout against what a switch needs: each trouble with its own words and the command that mends it.

use std::path::Path;

use super::checkout::Checkout;
use crate::manifest::{Follow, GitSource};
use crate::plan::Blocker;
use crate::source::{Direction, Offer};

/// What stops a switch of this checkout, whatever the target. Pure.
pub fn preflight(root: &Path, source: &GitSource, checkout: &Checkout, offer: Option<&Offer>) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    let git = format!("git -C {}", root.display());
    if let Some(operation) = checkout.operation {
        let word = operation.word();
        blockers.push(Blocker::impossible(
            format!("the checkout is in the middle of a {word}"),
            if word == "bisect" {
                format!("{git} bisect reset")
            } else {
                format!("{git} {word} --abort, or finish it")
            },
        ));
    }
    for lock in &checkout.locks {
        blockers.push(Blocker::impossible(
            format!("{} is there: a git command runs, or was killed", root.join(lock).display()),
            format!("when no git process runs in it (pgrep -a git): rm {}", root.join(lock).display()),
        ));
    }
    if checkout.is_shallow {
        blockers.push(Blocker::impossible(
            "the checkout is shallow: it lacks the history that going back and fast-forwarding need",
            format!("{git} fetch --unshallow"),
        ));
    }
    if checkout.has_sparse_patterns {
        blockers.push(Blocker::impossible(
            "the checkout is sparse by patterns, not by directories (cone mode)",
            format!("{git} sparse-checkout set --cone COMPONENT..., or `sparse = false` in [source.git]"),
        ));
    }
    blockers.extend(dirty(&git, source, checkout));
    blockers.extend(remote(&git, source, checkout));
    blockers.extend(branch(&git, source, checkout, offer));
    blockers
}

fn dirty(git: &str, source: &GitSource, checkout: &Checkout) -> Vec<Blocker> {
    let declared = |path: &str| source.discard.iter().any(|discard| discard.as_str() == path);
    let (conflicts, changed): (Vec<_>, Vec<_>) = checkout.dirty.iter().partition(|dirty| dirty.is_conflict);
    let names = |list: &[&str]| {
        let shown = list.iter().take(5).map(|path| crate::text::harmless(path)).collect::<Vec<_>>().join(", ");
        if list.len() > 5 { format!("{shown} and {} more", list.len() - 5) } else { shown }
    };
    let mut blockers = Vec::new();
    let conflicts: Vec<&str> = conflicts.iter().map(|dirty| dirty.path.as_str()).collect();
    if !conflicts.is_empty() {
        blockers
            .push(Blocker::impossible(format!("unresolved conflicts: {}", names(&conflicts)), format!("{git} status")));
    }
    let changed: Vec<&str> = changed.iter().map(|dirty| dirty.path.as_str()).filter(|path| !declared(path)).collect();
    if !changed.is_empty() {
        blockers.push(Blocker::impossible(
            format!("tracked files have local changes: {}", names(&changed)),
            format!("look at them: {git} diff; set them aside: {git} stash; or name them in `discard` of [source.git]"),
        ));
    }
    blockers
}

fn remote(git: &str, source: &GitSource, checkout: &Checkout) -> Option<Blocker> {
    let url = without_password(&source.url);
    if checkout.remotes.iter().any(|(_, known)| same_url(known, &url)) {
        return None;
    }
    Some(match checkout.remotes.iter().find(|(name, _)| name == "origin").or(checkout.remotes.first()) {
        None => Blocker::impossible("the checkout has no remote", format!("{git} remote add origin {url}")),
        Some((name, known)) => Blocker::impossible(
            format!("the checkout's remote {name} is {}, the manifest pins {url}", without_password(known)),
            format!(
                "when the manifest is right: {git} remote set-url {name} {url}; otherwise correct `url` in the manifest"
            ),
        ),
    })
}

fn branch(git: &str, source: &GitSource, checkout: &Checkout, offer: Option<&Offer>) -> Option<Blocker> {
    match (&source.follow, &checkout.branch) {
        (Follow::Branch(branch), None) => Some(Blocker::impossible(
            format!("the checkout is on no branch (detached HEAD), the manifest follows {branch}"),
            format!("{git} switch {branch}"),
        )),
        (Follow::Branch(branch), Some(on)) if on != branch => Some(Blocker::impossible(
            format!("the checkout is on the branch {on}, the manifest follows {branch}"),
            format!("{git} switch {branch}, or correct `branch` in the manifest"),
        )),
        _ if offer.is_some_and(|offer| offer.direction == Direction::Diverged) => Some(Blocker::impossible(
            "the checkout and the target have diverged: no fast-forward leads there",
            format!(
                "see both sides: {git} log --oneline --left-right HEAD...TARGET; local commits have to go upstream or elsewhere first"
            ),
        )),
        _ => None,
    }
}

fn same_url(one: &str, other: &str) -> bool {
    let plain = |url: &str| {
        let url = url.trim_end_matches('/').trim_end_matches(".git");
        without_password(url.strip_prefix("file://").unwrap_or(url))
    };
    plain(one) == plain(other)
}

/// A URL without the user information that may hold a token.
pub fn without_password(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => {
            let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
            let host = authority.rsplit('@').next().unwrap_or(authority);
            let slash = if rest.contains('/') { "/" } else { "" };
            format!("{scheme}://{host}{slash}{path}")
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::git::{Dirty, Operation};

    fn source() -> GitSource {
        GitSource {
            url: "https://git.example.org/app.git".into(),
            follow: Follow::Branch("main".into()),
            allow: None,
            discard: vec![crate::manifest::RelPath::parse("runner/uv.lock").unwrap()],
            sparse: true,
        }
    }

    fn sound() -> Checkout {
        Checkout {
            head: "a".repeat(40),
            branch: Some("main".into()),
            remotes: vec![("origin".into(), "https://git.example.org/app".into())],
            ..Checkout::default()
        }
    }

    fn found(change: impl FnOnce(&mut Checkout)) -> String {
        let mut checkout = sound();
        change(&mut checkout);
        let blockers = preflight(Path::new("/opt/app"), &source(), &checkout, None);
        blockers
            .iter()
            .map(|blocker| format!("{} -> {}", blocker.what, blocker.hint.clone().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn a_sound_checkout_has_no_blockers() {
        assert_eq!(found(|_| {}), "");
    }

    #[test]
    fn every_trouble_has_its_words_and_its_command() {
        let dirty = |path: &str| Dirty { path: path.into(), is_conflict: false };
        assert!(found(|c| c.operation = Some(Operation::Merge)).contains("merge --abort"));
        assert!(found(|c| c.locks = vec![".git/index.lock".into()]).contains("rm /opt/app/.git/index.lock"));
        assert!(found(|c| c.is_shallow = true).contains("fetch --unshallow"));
        assert!(found(|c| c.branch = None).contains("detached HEAD"));
        assert!(found(|c| c.branch = Some("dev".into())).contains("switch main"));
        assert!(found(|c| c.remotes.clear()).contains("remote add origin https://git.example.org/app.git"));
        assert!(
            found(|c| c.dirty = vec![dirty("manager/x.py")]).contains("tracked files have local changes: manager/x.py")
        );
    }

    #[test]
    fn a_declared_local_change_does_not_stop_a_run() {
        assert_eq!(found(|c| c.dirty = vec![Dirty { path: "runner/uv.lock".into(), is_conflict: false }]), "");
    }

    #[test]
    fn a_token_in_a_remote_url_is_never_shown() {
        let shown = found(|c| c.remotes = vec![("origin".into(), "https://user:t0ken@other.example.org/a.git".into())]);
        assert!(shown.contains("https://other.example.org/a.git"), "{shown}");
        assert!(!shown.contains("t0ken"));
    }
}
