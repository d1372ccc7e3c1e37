//! Whether there is nothing new, told without a plan: what `relift check` mostly answers.

use std::collections::BTreeMap;

use super::globals::Globals;
use super::session::Session;
use crate::error::Result;
use crate::host::fs::Rooted;
use crate::ledger::{Activation, is_newest_ended};
use crate::manifest::{Component, Install, Layout};
use crate::plan::Intent;
use crate::source::git::{Mirror, Remote, Target, choose, head_at_a_glance};
use crate::source::releases;
use crate::trust::Assessment;

/// What the source offers, where exactly that is checked out and activated in every installed component, no run is open and
/// the remote knows nothing else. `None` says nothing at all: then a plan has to be made. Nothing is written, and the remote is
/// asked once at most; no other host is asked where its answer would not matter.
pub fn settled(session: &Session, globals: &Globals) -> Result<Option<(Target, Assessment)>> {
    // What the others offer takes more than a list of refs to tell.
    let Some(source) = session.install.source.git() else { return Ok(None) };
    let remote = Remote::of(&session.state, source, &session.owner);
    std::thread::scope(|scope| {
        // Whether the remote is to be asked is found out meanwhile.
        let asking = remote.clone().get_ready(scope, source.follow.clone());
        let Some(mirror) = Mirror::as_it_is(&session.state, &session.cache, remote) else { return Ok(None) };
        let Ok(target) = choose(source, &mirror.known(&source.follow)) else { return Ok(None) };
        let session = &session.at(globals, &mirror, &target.revision)?;
        if !is_here(session, &target.revision)? {
            return Ok(None);
        }
        let assess = || session.assess(&mirror, &target, Intent::Upgrade, (&target.revision, true));
        let (is_up_to_date, trusted) = mirror.is_up_to_date(&source.follow, asking, assess)?;
        Ok(if is_up_to_date { Some((target, trusted?)) } else { None })
    })
}

/// Whether a revision is checked out, and all that is installed runs it, and no run is open.
fn is_here(session: &Session, revision: &str) -> Result<bool> {
    let install = &session.install;
    let head = match install.layout {
        Layout::InPlace => head_at_a_glance(&install.root),
        Layout::Releases => releases::recorded(&session.state, &install.root),
    };
    Ok(head.is_some_and(|head| head == revision)
        && is_activated(install, &installed(install)?, &session.ledger().activated()?.components, revision)
        && is_newest_ended(&session.state)?)
}

/// Whether each component is installed, as the survey sees it.
fn installed(install: &Install) -> Result<Vec<bool>> {
    let root = Rooted::open(&install.root)?;
    let is_installed = |component: &Component| match install.layout {
        Layout::InPlace => root.exists(component.installed_if.as_ref().unwrap_or(&component.path).as_ref()),
        Layout::Releases => releases::has(component, &root),
    };
    install.components.iter().map(is_installed).collect()
}

/// Whether something is installed, and all of it runs `revision`. Pure.
fn is_activated(
    install: &Install,
    installed: &[bool],
    activated: &BTreeMap<String, Activation>,
    revision: &str,
) -> bool {
    let mut here = install.components.iter().zip(installed).filter(|(_, is_installed)| **is_installed).peekable();
    let runs_it = |name: &str| activated.get(name).is_some_and(|activation| activation.revision == revision);
    here.peek().is_some() && here.all(|(component, _)| runs_it(&component.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install() -> Install {
        let text = "schema = 1\n[install]\nroot = \"/opt/app\"\nowner = \"root\"\n[source.git]\nurl = \"https://git.example.org/a.git\"\nbranch = \"main\"\n\
                    [[component]]\nname = \"manager\"\npath = \"manager\"\n[[component]]\nname = \"runner\"\npath = \"runner\"\n";
        crate::manifest::parse("app", std::path::Path::new("app.toml"), text).unwrap()
    }

    #[test]
    fn a_component_of_another_revision_or_of_none_is_not_settled() {
        let entry = |name: &str, revision: &str| {
            let activation = Activation { revision: revision.into(), version: None, env: BTreeMap::new() };
            (name.to_owned(), activation)
        };
        let judge = |installed: [bool; 2], activated: &[(String, Activation)]| {
            is_activated(&install(), &installed, &activated.iter().cloned().collect(), "new")
        };
        let both = [entry("manager", "new"), entry("runner", "new")];
        assert!(judge([true, true], &both));
        assert!(judge([true, false], &both[..1]), "what is not installed does not count");
        assert!(!judge([true, true], &both[..1]), "one was never activated");
        assert!(!judge([true, true], &[entry("manager", "new"), entry("runner", "old")]));
        assert!(!judge([false, false], &both), "nothing is installed: the plan says why");
    }
}
