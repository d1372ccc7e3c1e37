//! What else talks to an install: whether its version goes with the one that a plan leads to. Pure.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::Blocker;
use crate::manifest::{Accepts, Peer};
use crate::text::harmless;

/// How many versions of a peer are told.
const TOLD: usize = 5;
/// How many versions one peer may report.
const MOST: usize = 10_000;

/// A peer as it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerPlan {
    /// Its name.
    pub name: String,
    /// The component whose version is ours, and that version.
    pub component: String,
    /// What it will be.
    pub ours: String,
    /// The versions that it reported, each once.
    pub theirs: Vec<String>,
    /// The ranges that go with ours.
    pub accepted: Vec<String>,
    /// Why they do not go together, or that it did not answer; nothing where all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Whether the run stops for it.
    pub stops: bool,
    /// Whether it has to answer.
    pub must_answer: bool,
}

/// Judges what a peer said; `Err`: why it said nothing. `ours`: the version that the component will have.
pub fn judge(peer: &Peer, ours: &str, said: Result<Vec<String>, String>, unattended: bool) -> PeerPlan {
    let must_answer = peer.must_answer.unwrap_or(unattended);
    let rows = rows(&peer.accepts, ours);
    let (theirs, fault, stops) = match (&rows, said) {
        (_, Err(why)) => (Vec::new(), Some(format!("does not tell its version: {why}")), must_answer),
        (rows, Ok(theirs)) => {
            let fault = misfit(rows, &peer.component, ours, &theirs);
            let stops = fault.is_some();
            (theirs, fault, stops)
        }
    };
    PeerPlan {
        name: peer.name.clone(),
        component: peer.component.clone(),
        ours: ours.to_owned(),
        theirs,
        accepted: rows.iter().map(|row| row.theirs.to_string()).collect(),
        fault,
        stops,
        must_answer,
    }
}

/// The rows that a version of ours has. As in Cargo, a range takes a pre-release only where it names one.
fn rows<'r>(accepts: &'r [Accepts], ours: &str) -> Vec<&'r Accepts> {
    let Ok(ours) = Version::parse(ours) else { return Vec::new() };
    accepts.iter().filter(|row| row.ours.matches(&ours)).collect()
}

fn misfit(rows: &[&Accepts], component: &str, ours: &str, theirs: &[String]) -> Option<String> {
    if Version::parse(ours).is_err() {
        return Some(format!("cannot be compared: the version of {component} is \"{}\"", harmless(ours)));
    }
    if theirs.is_empty() {
        return Some("reports no version".into());
    }
    if rows.is_empty() {
        return Some(format!("has no row of `accepts` for {component} {ours}"));
    }
    let wanted = rows.iter().map(|row| row.theirs.to_string()).collect::<Vec<_>>().join(" or ");
    let unfit = theirs.iter().find(|text| match read(text) {
        Some(version) => !rows.iter().any(|row| row.theirs.matches(&version)),
        None => true,
    })?;
    Some(match read(unfit) {
        Some(_) => format!("runs {unfit}, and {component} {ours} needs {wanted}"),
        None => format!("reports \"{}\", which is no version", harmless(&crate::text::shortened(unfit, 40))),
    })
}

fn read(text: &str) -> Option<Version> {
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

/// The versions in an answer: a field of JSON that is one or a list of them, or a line each.
pub fn versions(answer: &str, field: Option<&str>) -> Result<Vec<String>, String> {
    let found: Vec<String> = match field {
        None => answer.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect(),
        Some(field) => {
            let body: serde_json::Value = serde_json::from_str(answer).map_err(|_| "the answer is no JSON")?;
            let value = crate::health::descend(&body, field).ok_or(format!("the answer has no field {field}"))?;
            let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
            match value {
                serde_json::Value::Array(list) => list.iter().map(text).collect::<Option<Vec<_>>>(),
                one => text(one).map(|text| vec![text]),
            }
            .ok_or(format!("{field} is neither a text nor a list of texts"))?
        }
    };
    if found.len() > MOST {
        return Err(format!("it reports more than {MOST} versions"));
    }
    let mut seen = std::collections::BTreeSet::new();
    Ok(found.into_iter().filter(|text| seen.insert(text.clone())).collect())
}

impl PeerPlan {
    /// What is wrong, where something is.
    pub fn trouble(&self) -> Option<String> {
        self.fault.as_ref().map(|fault| format!("{} {fault}", self.name))
    }

    /// What stops the run for it.
    pub fn blocker(&self) -> Option<Blocker> {
        let what = self.trouble().filter(|_| self.stops)?;
        let hint = match self.theirs.is_empty() {
            true => format!(
                "see that it answers; where it need not: unreachable = \"warn\" in [[compatibility.peer]] {}",
                self.name
            ),
            false => format!("upgrade {} first, or to a release that goes with what runs", self.name),
        };
        Some(Blocker::refused(what, hint))
    }

    /// The versions that it reported, a few of them.
    pub fn told(&self) -> String {
        let shown: Vec<String> = self.theirs.iter().take(TOLD).map(|text| harmless(text)).collect();
        match self.theirs.len().saturating_sub(TOLD) {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::PeerProbe;

    fn peer(must_answer: Option<bool>) -> Peer {
        let row = |ours: &str, theirs: &str| Accepts { ours: ours.parse().unwrap(), theirs: theirs.parse().unwrap() };
        Peer {
            name: "runners".into(),
            component: "manager".into(),
            probe: PeerProbe::Command { run: vec!["true".into()] },
            accepts: vec![row(">=1.3, <2", ">=1.2"), row(">=1.3, <2", "=0.9.9"), row(">=2", ">=1.9")],
            must_answer,
            within: std::time::Duration::from_secs(1),
        }
    }

    #[test]
    fn a_peer_that_no_row_accepts_is_named_with_its_version_and_the_range() {
        let table = [
            ("1.3.0", "1.2.0 1.4.1", None),
            ("1.3.0", "0.9.9 v1.2.0", None),
            ("1.3.0", "1.2.0 1.1.9", Some("runners runs 1.1.9, and manager 1.3.0 needs >=1.2 or =0.9.9")),
            ("2.0.0", "1.8.0", Some("runners runs 1.8.0, and manager 2.0.0 needs >=1.9")),
            ("1.2.9", "1.2.0", Some("runners has no row of `accepts` for manager 1.2.9")),
            ("1.3.0", "latest", Some("runners reports \"latest\", which is no version")),
            ("1.3.0", "", Some("runners reports no version")),
            ("dev", "1.2.0", Some("runners cannot be compared: the version of manager is \"dev\"")),
        ];
        for (ours, theirs, fault) in table {
            let said = theirs.split_whitespace().map(str::to_owned).collect();
            let judged = judge(&peer(None), ours, Ok(said), false);
            assert_eq!(judged.trouble().as_deref(), fault, "{ours} with {theirs}");
            assert_eq!(judged.blocker().is_some(), fault.is_some());
        }
    }

    #[test]
    fn a_peer_that_does_not_answer_stops_an_unattended_run_unless_the_manifest_says() {
        for (declared, unattended, stops) in
            [(None, true, true), (None, false, false), (Some(true), false, true), (Some(false), true, false)]
        {
            let judged = judge(&peer(declared), "1.3.0", Err("connection refused".into()), unattended);
            assert_eq!(judged.blocker().is_some(), stops, "{declared:?} {unattended}");
            assert_eq!(judged.trouble().unwrap(), "runners does not tell its version: connection refused");
        }
    }

    #[test]
    fn versions_are_lines_or_a_field_of_json() {
        let of = |answer: &str, field: Option<&str>| versions(answer, field);
        assert_eq!(of(" 1.2.0\n\n1.3.0\n1.2.0\n", None).unwrap(), ["1.2.0", "1.3.0"]);
        assert_eq!(of(r#"{"a":{"v":"1.2.0"}}"#, Some("a.v")).unwrap(), ["1.2.0"]);
        assert_eq!(of(r#"{"v":["1.2.0","1.3.0"]}"#, Some("v")).unwrap(), ["1.2.0", "1.3.0"]);
        assert_eq!(of(r#"{"v":[]}"#, Some("v")).unwrap(), Vec::<String>::new());
        assert!(of(r#"{"v":[1]}"#, Some("v")).unwrap_err().contains("neither"));
        assert!(of("<html>", Some("v")).unwrap_err().contains("no JSON"));
        assert!(of(r#"{"v":"1"}"#, Some("w")).unwrap_err().contains("no field w"));
        let many: String = (0..=MOST).map(|number| format!("{number}\n")).collect();
        assert!(of(&many, None).unwrap_err().contains("more than"));
    }
}
