//! The container probe: the containers of a Compose service run, are healthy, and are not started over and over.

use std::time::Duration;

use regex::Regex;
use serde_json::Value;

use super::probe::Outcome;
use crate::host::process::Command;
use crate::source::compose::project::{ids, inspect};

/// How often each container was started again when it was first seen, and for how long it has run.
struct Known {
    id: String,
    restarts: u64,
}

/// How many lines of a container's log are looked at.
const LINES: &str = "2000";

/// What is asked.
pub(super) struct Wanted {
    pub engine: String,
    pub project: String,
    pub service: String,
    pub wanted: Option<Regex>,
    pub unwanted: Option<Regex>,
}

/// What the probe is called.
pub(super) fn name(service: &str) -> String {
    format!("container {service}")
}

/// Asks what has the containers.
pub(super) fn ask(wanted: Wanted) -> Box<dyn FnMut(Duration) -> Outcome + Send> {
    let mut known: Vec<Known> = Vec::new();
    Box::new(move |_| {
        let told =
            ids(&wanted.engine, &wanted.project, Some(&wanted.service)).and_then(|ids| inspect(&wanted.engine, &ids));
        match told {
            Err(error) => Outcome::CouldNotRun(error.to_string()),
            Ok(told) => match judged(&told, &mut known) {
                Outcome::Passed => said(&wanted, &told),
                other => other,
            },
        }
    })
}

/// By the states alone.
fn judged(told: &[Value], known: &mut Vec<Known>) -> Outcome {
    if told.is_empty() {
        return Outcome::Failed("there is no container".into());
    }
    for container in told {
        let state = &container["State"];
        let text = |name: &str| state[name].as_str().unwrap_or_default();
        let id = container["Id"].as_str().unwrap_or_default();
        let restarts = container["RestartCount"].as_u64().unwrap_or_default();
        match known.iter().find(|known| known.id == id) {
            None => known.push(Known { id: id.to_owned(), restarts }),
            Some(known) if restarts > known.restarts + 1 => {
                return Outcome::Lost(format!("it is started over and over: {restarts} times"));
            }
            Some(_) => {}
        }
        let health = state.pointer("/Health/Status").and_then(Value::as_str);
        let code = state["ExitCode"].as_i64().unwrap_or_default();
        match (text("Status"), health) {
            ("running", None | Some("healthy")) => {}
            ("running", Some(health)) => {
                let log = state.pointer("/Health/Log").and_then(Value::as_array).and_then(|log| log.last());
                let said = log.and_then(|last| last["Output"].as_str()).unwrap_or_default().trim();
                let said = if said.is_empty() { String::new() } else { format!(": {said}") };
                return Outcome::Failed(format!("its health check says {health}{said}"));
            }
            ("restarting", _) => return Outcome::Failed(format!("it ended with {code} and is started again")),
            ("exited" | "dead", _) => return Outcome::Failed(format!("it ended with {code}")),
            (other, _) => return Outcome::Failed(format!("it is {other}")),
        }
    }
    Outcome::Passed
}

/// By what the containers wrote since they were started.
fn said(wanted: &Wanted, told: &[Value]) -> Outcome {
    if wanted.wanted.is_none() && wanted.unwanted.is_none() {
        return Outcome::Passed;
    }
    for container in told {
        let text = |pointer: &str| container.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let since = since(container).into_iter().flat_map(|time| ["--since", time]);
        let argv = [wanted.engine.as_str(), "logs", "--tail", LINES].into_iter().chain(since).chain([text("/Id")]);
        let output = match Command::new(argv).output() {
            Ok(output) => output,
            Err(error) => return Outcome::CouldNotRun(error.to_string()),
        };
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = out.lines().chain(output.stderr.iter().map(String::as_str)).collect();
        let find = |pattern: &Regex| lines.iter().find(|line| pattern.is_match(line));
        if let Some(line) = wanted.unwanted.as_ref().and_then(find) {
            return Outcome::Lost(format!("its log says: {line}"));
        }
        if wanted.wanted.as_ref().is_some_and(|pattern| find(pattern).is_none()) {
            return Outcome::Failed("no such line has come in its log".into());
        }
    }
    Outcome::Passed
}

/// Where its present life begins in its log: at the end of the one before, and from its first line on where there was none.
/// When it was started is noted after that, so that its first lines may be older.
fn since(container: &Value) -> Option<&str> {
    let ended = container.pointer("/State/FinishedAt").and_then(Value::as_str);
    ended.filter(|time| !time.is_empty() && !time.starts_with("0001-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(status: &str, health: Option<&str>, restarts: u64) -> Value {
        let health = health.map(|health| json!({ "Status": health, "Log": [{ "Output": "no answer\n" }] }));
        json!({ "Id": "a", "RestartCount": restarts, "State": { "Status": status, "ExitCode": 3, "Health": health } })
    }

    fn asked(told: Value) -> Outcome {
        judged(&[told], &mut Vec::new())
    }

    #[test]
    fn a_container_passes_when_it_runs_and_its_own_check_says_so() {
        assert_eq!(asked(container("running", None, 0)), Outcome::Passed);
        assert_eq!(asked(container("running", Some("healthy"), 0)), Outcome::Passed);
        assert_eq!(
            asked(container("running", Some("unhealthy"), 0)),
            Outcome::Failed("its health check says unhealthy: no answer".into())
        );
        assert!(matches!(asked(container("running", Some("starting"), 0)), Outcome::Failed(_)));
        assert_eq!(asked(container("exited", None, 0)), Outcome::Failed("it ended with 3".into()));
        assert!(matches!(judged(&[], &mut Vec::new()), Outcome::Failed(_)));
    }

    #[test]
    fn what_a_container_says_first_counts_and_what_it_said_in_an_earlier_life_does_not() {
        let state = |ended: &str| json!({ "State": { "StartedAt": "2026-01-02T00:00:00Z", "FinishedAt": ended } });
        assert_eq!(since(&state("0001-01-01T00:00:00Z")), None);
        assert_eq!(since(&state("2026-01-01T23:59:59.5Z")), Some("2026-01-01T23:59:59.5Z"));
    }

    #[test]
    fn a_container_that_is_started_over_and_over_is_lost_though_it_runs_just_now() {
        let mut known = Vec::new();
        assert_eq!(judged(&[container("running", None, 0)], &mut known), Outcome::Passed);
        assert_eq!(judged(&[container("running", None, 1)], &mut known), Outcome::Passed);
        assert!(matches!(judged(&[container("running", None, 2)], &mut known), Outcome::Lost(_)));
    }
}
