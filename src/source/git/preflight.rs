//! The state of the checkout against what a switch needs: each trouble with its own words and the command that mends it.

use std::path::Path;

use super::checkout::{Checkout, Dirty, by_hand};
use crate::error::Error;
use crate::manifest::{Follow, GitSource};
use crate::plan::Blocker;
use crate::source::{Direction, Offer};
use crate::text::word;

/// What stops a switch of this checkout, whatever the target. Pure.
pub fn preflight(
    owner: &str,
    root: &Path,
    source: &GitSource,
    checkout: &Checkout,
    offer: Option<&Offer>,
) -> Vec<Blocker> {
    let git = by_hand(owner, root);
    if let Some(operation) = checkout.operation {
        // Conflicts, a detached HEAD and the rest are its doing, and go with it.
        let doing = operation.word();
        return vec![Blocker::impossible(
            format!("the checkout is in the middle of a {doing}"),
            if doing == "bisect" {
                format!("{git} bisect reset")
            } else {
                format!("give it up: {git} {doing} --abort; or finish it")
            },
        )];
    }
    let mut blockers = Vec::new();
    for lock in &checkout.locks {
        blockers.push(Blocker::impossible(
            format!("{} is there: a git command runs, or was killed", root.join(lock).display()),
            format!(
                "when no git process runs in it (pgrep -a git): rm {}",
                word(&root.join(lock).display().to_string())
            ),
        ));
    }
    if checkout.is_shallow {
        blockers.push(Blocker::impossible(
            "the checkout is shallow: it lacks the history that going back and fast-forwarding need",
            format!("{git} fetch --unshallow {}", word(&remote_name(source, checkout))),
        ));
    }
    if checkout.has_sparse_patterns {
        blockers.push(Blocker::impossible(
            "the checkout is sparse by patterns, not by directories (cone mode)",
            format!("{git} sparse-checkout set --cone COMPONENT...; or back to the whole tree: {git} sparse-checkout disable"),
        ));
    }
    blockers.extend(dirty(&git, source, checkout));
    blockers.extend(hidden(&git, checkout));
    blockers.extend(remote(&git, source, checkout));
    blockers.extend(branch(&git, source, checkout, offer));
    blockers
}

fn dirty(git: &str, source: &GitSource, checkout: &Checkout) -> Vec<Blocker> {
    // What is staged could not be put back as staged: a discarded change is one of the file alone.
    let declared =
        |dirty: &Dirty| !dirty.is_staged && source.discard.iter().any(|discard| discard.as_str() == dirty.path);
    let (conflicts, changed): (Vec<_>, Vec<_>) = checkout.dirty.iter().partition(|dirty| dirty.is_conflict);
    let mut blockers = Vec::new();
    let conflicts: Vec<&str> = conflicts.iter().map(|dirty| dirty.path.as_str()).collect();
    if !conflicts.is_empty() {
        blockers
            .push(Blocker::impossible(format!("unresolved conflicts: {}", names(&conflicts)), format!("{git} status")));
    }
    let changed: Vec<&str> =
        changed.into_iter().filter(|dirty| !declared(dirty)).map(|dirty| dirty.path.as_str()).collect();
    if !changed.is_empty() {
        blockers.push(Blocker::impossible(
            format!("tracked files have local changes: {}", names(&changed)),
            format!(
                "look at them: {git} diff HEAD; set them aside: {git} stash; or name them in `discard` of [source.git]"
            ),
        ));
    }
    blockers
}

fn hidden(git: &str, checkout: &Checkout) -> Option<Blocker> {
    let hidden: Vec<&str> = checkout.hidden.iter().map(String::as_str).collect();
    (!hidden.is_empty()).then(|| {
        Blocker::impossible(
            format!("git was told not to look for changes of {}", names(&hidden)),
            format!(
                "let it look: {git} update-index --no-skip-worktree PATH; {git} update-index --no-assume-unchanged PATH"
            ),
        )
    })
}

fn names(list: &[&str]) -> String {
    let shown = list.iter().take(5).map(|path| crate::text::harmless(path)).collect::<Vec<_>>().join(", ");
    if list.len() > 5 { format!("{shown} and {} more", list.len() - 5) } else { shown }
}

/// The remote of the checkout that is the manifest's; else its first.
pub fn remote_name(source: &GitSource, checkout: &Checkout) -> String {
    let own = checkout.remotes.iter().find(|(_, url)| same_url(url, &source.url));
    own.or(checkout.remotes.first()).map_or_else(|| "origin".to_owned(), |(name, _)| name.clone())
}

/// The error for a checkout whose commit upstream does not have; what is there is saved before the branch goes back.
pub fn unknown_commit(owner: &str, root: &Path, source: &GitSource, checkout: &Checkout) -> Error {
    let git = by_hand(owner, root);
    let at = crate::plan::abbreviate(&checkout.head);
    let error = Error::failed(format!("the checkout is at {at}, which upstream does not have"))
        .because("there are local commits, or upstream rewrote its history");
    let Follow::Branch(branch) = &source.follow else {
        return error.hint(format!("see it: {git} log --oneline -5; go to a release: {git} checkout TAG"));
    };
    let upstream = word(&format!("{}/{branch}", remote_name(source, checkout)));
    error.hint(format!("see what is only here: {git} log --oneline {upstream}..HEAD")).hint(format!(
        "keep it on a branch: {git} branch local-work; then go back to upstream's: {git} reset --keep {upstream}"
    ))
}

fn remote(git: &str, source: &GitSource, checkout: &Checkout) -> Option<Blocker> {
    let url = without_password(&source.url);
    if checkout.remotes.iter().any(|(_, known)| same_url(known, &url)) {
        return None;
    }
    Some(match checkout.remotes.iter().find(|(name, _)| name == "origin").or(checkout.remotes.first()) {
        None => Blocker::impossible("the checkout has no remote", format!("{git} remote add origin {}", word(&url))),
        Some((name, known)) => Blocker::impossible(
            format!("the checkout's remote {name} is {}, the manifest pins {url}", without_password(known)),
            format!(
                "when the manifest is right: {git} remote set-url {} {}; otherwise correct `url` in the manifest",
                word(name),
                word(&url)
            ),
        ),
    })
}

fn branch(git: &str, source: &GitSource, checkout: &Checkout, offer: Option<&Offer>) -> Option<Blocker> {
    match (&source.follow, &checkout.branch) {
        (Follow::Branch(branch), None) => Some(Blocker::impossible(
            format!("the checkout is on no branch (detached HEAD), the manifest follows {branch}"),
            format!("{git} switch {}", word(branch)),
        )),
        (Follow::Branch(branch), Some(on)) if on != branch => Some(Blocker::impossible(
            format!("the checkout is on the branch {on}, the manifest follows {branch}"),
            format!("{git} switch {}, or correct `branch` in the manifest", word(branch)),
        )),
        // On no branch there is nothing to fast-forward: one release's tag is left for another's.
        (Follow::Tags(_), None) => None,
        _ if offer.is_some_and(|offer| offer.direction == Direction::Diverged) => Some(Blocker::impossible(
            "the checkout and the target have diverged: no fast-forward leads there",
            diverged(git, source, checkout),
        )),
        _ => None,
    }
}

fn diverged(git: &str, source: &GitSource, checkout: &Checkout) -> String {
    let remote = word(&remote_name(source, checkout));
    let Follow::Branch(branch) = &source.follow else {
        return format!("leave the branch: {git} fetch --tags {remote}; {git} checkout TAG");
    };
    let upstream = word(&format!("{}/{branch}", remote_name(source, checkout)));
    format!(
        "see both sides: {git} fetch {remote}; {git} log --oneline --left-right HEAD...{upstream}; keep this one and take upstream's: {git} branch local-work; {git} reset --keep {upstream}"
    )
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
    use crate::source::git::Operation;

    fn source() -> GitSource {
        GitSource {
            discard: vec![crate::manifest::RelPath::parse("runner/uv.lock").unwrap()],
            ..GitSource::following("https://git.example.org/app.git", Follow::Branch("main".into()))
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
        let blockers = preflight("app", Path::new("/opt/app"), &source(), &checkout, None);
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
        let dirty = |path: &str| Dirty { path: path.into(), is_conflict: false, is_staged: false };
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
        let dirty = |is_staged| Dirty { path: "runner/uv.lock".into(), is_conflict: false, is_staged };
        assert_eq!(found(|c| c.dirty = vec![dirty(false)]), "");
        assert!(found(|c| c.dirty = vec![dirty(true)]).contains("local changes: runner/uv.lock"));
    }

    #[test]
    fn a_token_in_a_remote_url_is_never_shown() {
        let shown = found(|c| c.remotes = vec![("origin".into(), "https://user:t0ken@other.example.org/a.git".into())]);
        assert!(shown.contains("https://other.example.org/a.git"), "{shown}");
        assert!(!shown.contains("t0ken"));
    }
}
