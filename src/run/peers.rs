//! Asking what else talks to an install: when a plan is made, and again before a run changes anything.

use crate::error::{Error, Result, ended};
use crate::host::account::Account;
use crate::host::http::{self, Fault};
use crate::host::process::Command;
use crate::manifest::{Install, Peer, PeerProbe};
use crate::plan::peers::{judge, versions};
use crate::plan::{PeerPlan, Plan};
use crate::text::{harmless, redact};

/// Asks every peer whose component is part of the plan, all at the same time.
pub fn ask(install: &Install, plan: &Plan, owner: &Account, unattended: bool) -> Result<Vec<PeerPlan>> {
    let secrets = super::gates::declared_secrets(install)?;
    let will_be = |peer: &Peer| {
        let component = plan.components.iter().find(|component| component.name == peer.component)?;
        Some(component.to_version.clone().unwrap_or_default())
    };
    let concerned = install.peers.iter().filter_map(|peer| Some((peer, will_be(peer)?)));
    let concerned: Vec<(&Peer, String)> = concerned.collect();
    Ok(std::thread::scope(|scope| {
        let asked: Vec<_> = concerned
            .iter()
            .map(|(peer, ours)| {
                let secrets = &secrets;
                let root = &install.root;
                scope.spawn(move || {
                    let shown = |text: String| harmless(&redact(&text, secrets));
                    let said = said(peer, owner, root);
                    let said = said.map(|list| list.into_iter().map(shown).collect()).map_err(shown);
                    judge(peer, ours, said, unattended)
                })
            })
            .collect();
        asked.into_iter().map(|thread| ended(thread.join())).collect()
    }))
}

/// The approval may have taken a while, and peers go their own ways.
pub(super) fn again(install: &Install, plan: &Plan, owner: &Account) -> Result<()> {
    if plan.peers.is_empty() {
        return Ok(());
    }
    let must_answer = |name: &str| plan.peers.iter().any(|peer| peer.name == name && peer.must_answer);
    for mut peer in ask(install, plan, owner, false)? {
        peer.stops |= peer.fault.is_some() && must_answer(&peer.name);
        if let Some(blocker) = peer.blocker() {
            return Err(blocker.hint.into_iter().fold(Error::refused(blocker.what), Error::hint));
        }
    }
    Ok(())
}

/// The versions that a peer reports, or why it does not.
fn said(peer: &Peer, owner: &Account, root: &std::path::Path) -> std::result::Result<Vec<String>, String> {
    match &peer.probe {
        PeerProbe::Http { url, field } => {
            let response = http::get(&url.0, &[], peer.within).map_err(|fault| match fault {
                Fault::Unusable(why) => why.to_owned(),
                Fault::Unreachable(why) => why,
            })?;
            match (response.status, response.is_cut) {
                (200, false) => versions(&String::from_utf8_lossy(&response.body), field.as_deref()),
                (200, true) => Err(format!("the answer is longer than {} bytes", http::BODY)),
                (status, _) => Err(format!("answered {status}, wanted 200")),
            }
        }
        PeerProbe::Command { run } => {
            let command = Command::new(run).account(owner).cwd(root).timeout(peer.within);
            let command =
                owner.environment().into_iter().fold(command, |command, (key, value)| command.env(&key, value));
            let output = command.output().map_err(|error| error.to_string())?;
            match output.success() {
                true => versions(&String::from_utf8_lossy(&output.stdout), None),
                false => {
                    let last = output.stderr.last().map(|line| format!(": {line}")).unwrap_or_default();
                    Err(format!("{} {}{last}", run.join(" "), output.ending()))
                }
            }
        }
    }
}
