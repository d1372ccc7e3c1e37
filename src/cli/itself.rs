//! What happens by itself: the policy's verdict for `plan`, `check` and `status`, and the way of `upgrade --unattended` past it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::globals::Globals;
use super::output;
use super::session::{Planned, Session};
use super::style::{WARN, paint};
use crate::error::{Error, Kind, Result};
use crate::host::clock;
use crate::host::systemd::{self, Inhibition};
use crate::ledger::{Attempts, FailedRelease, Hold};
use crate::manifest::Install;
use crate::report::{Event, Reporter};
use crate::source::git::Mirror;
use crate::unattended::policy::{self, Circumstances, Observer, Rule, Verdict};
use crate::unattended::{Happening, Outcome};

/// What is waited for in the process itself; whatever takes longer, the next timer comes for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A verdict with what it was made from.
pub struct Judged {
    verdict: Verdict,
    here: Circumstances,
}

impl Judged {
    /// What comes after *by itself:*.
    pub fn line(&self) -> String {
        policy::line(&self.verdict, &self.here.zone)
    }

    /// For a program.
    pub fn document(&self) -> Value {
        policy::document(&self.verdict)
    }
}

/// Whether a plan would be executed by itself; `None`: there is nothing to do, or nothing is ever done by itself.
pub fn of_plan(session: &Session, globals: &Globals, mirror: &Mirror, planned: &Planned) -> Result<Option<Judged>> {
    if !policy::is_asked(&session.install.policy) || (planned.plan.is_empty() && planned.plan.blockers.is_empty()) {
        return Ok(None);
    }
    let (here, _) = observer(session, globals).look()?;
    let here = with_release(session, mirror, planned, here)?;
    Ok(Some(Judged { verdict: policy::judge(&session.install.policy, &here), here }))
}

fn observer<'a>(session: &'a Session, globals: &'a Globals) -> Observer<'a> {
    Observer { install: &session.install, state: &session.state, root: &globals.root }
}

fn with_release(session: &Session, mirror: &Mirror, planned: &Planned, here: Circumstances) -> Result<Circumstances> {
    let (plan, survey) = (&planned.plan, &planned.survey);
    let mut release = policy::of_release(&session.install, &session.state, mirror, plan, here.now)?;
    if let Some(failed) = survey.failed_with(&plan.to.revision) {
        let hint = format!("to try it again by hand: relift upgrade {}", session.install.name);
        release
            .decisions
            .insert(0, (crate::plan::failed_before(&failed.revision, &failed.run, &failed.why), Some(hint)));
    }
    Ok(Circumstances { release: Some(release), ..here })
}

/// Whether a run may start at all: before anything is fetched. A run by hand is kept by a hold alone.
pub fn may_start(
    session: &Session,
    globals: &Globals,
    unattended: bool,
    reporter: &dyn Reporter,
    happening: &mut Happening,
) -> Result<()> {
    let ledger = session.ledger();
    if let Some(hold) = ledger.hold()? {
        let anew = hold.counted_anew(Timestamp::now().as_second(), clock::boot().as_ref());
        anew.map_or(Ok(()), |hold| ledger.set_hold(Some(&hold)))?;
    }
    if !unattended {
        return not_held(session).inspect_err(|_| happening.outcome = Outcome::Deferred);
    }
    loop {
        let (here, warnings) = observer(session, globals).look()?;
        warnings.into_iter().for_each(|text| reporter.tell(Event::Warning { text }));
        let verdict = policy::judge(&session.install.policy, &here);
        if policy::is_chance(&session.install.policy, &here) || here.last_chance.is_none_or(|last| last > here.now) {
            ledger.had_chance(here.now.as_second())?;
        }
        if !is_soon(&verdict, &here) {
            return passed(session, globals, &verdict, &here, reporter, happening);
        }
        wait(&verdict, &here, reporter);
    }
}

/// Whether a run of a plan may start by itself: the last word before it does. The `defer` command is asked when nothing else is
/// in the way.
pub fn may_go_on(
    session: &Session,
    globals: &Globals,
    (mirror, planned): (&Mirror, &Planned),
    reporter: &dyn Reporter,
    happening: &mut Happening,
) -> Result<()> {
    let policy = &session.install.policy;
    loop {
        let (here, _) = observer(session, globals).look()?;
        let mut here = with_release(session, mirror, planned, here)?;
        let mut verdict = policy::judge(policy, &here);
        if is_soon(&verdict, &here) {
            wait(&verdict, &here, reporter);
            continue;
        }
        if let (Verdict::Go { .. }, Some(defer)) = (&verdict, &policy.defer) {
            let hide = crate::run::declared_secrets(&session.install)?;
            let answer = policy::ask(&session.install.name, defer, &session.owner, &session.state, hide);
            if let policy::Answer::Fault(text) = &answer {
                reporter.tell(Event::Warning { text: text.clone() });
            }
            here.answer = Some(answer);
            verdict = policy::judge(policy, &here);
        }
        return passed(session, globals, &verdict, &here, reporter, happening);
    }
}

/// Lets a verdict through that says go; else the error that tells it.
fn passed(
    session: &Session,
    globals: &Globals,
    verdict: &Verdict,
    here: &Circumstances,
    reporter: &dyn Reporter,
    happening: &mut Happening,
) -> Result<()> {
    if let Verdict::Go { warnings } = verdict {
        // Before the release is known it is said once more.
        let warnings = warnings.iter().filter(|_| here.release.is_some());
        warnings.for_each(|text| reporter.tell(Event::Warning { text: text.clone() }));
    }
    let name = &session.install.name;
    let Some(error) = policy::refusal(name, verdict, &here.zone) else { return Ok(()) };
    let is_deferred = matches!(verdict, Verdict::Defer { .. });
    if is_deferred {
        happening.outcome = Outcome::Deferred;
    }
    if globals.json {
        let outcome = if is_deferred { "deferred" } else { "refused" };
        let verdict = policy::document(verdict);
        let end = json!({"event": "end", "install": name, "outcome": outcome, "verdict": verdict, "exit": Kind::Refused.exit() as u8});
        output::event(&end);
    }
    Err(error)
}

/// Whether it is only time that is waited for, and little of it.
fn is_soon(verdict: &Verdict, here: &Circumstances) -> bool {
    let is_time = |rule| matches!(rule, Rule::Window | Rule::Splay | Rule::Cooldown | Rule::Attempts);
    match verdict {
        Verdict::Defer { why, until: Some(until) } => {
            why.iter().all(|reason| is_time(reason.rule)) && until.duration_since(here.now).unsigned_abs() < PATIENCE
        }
        _ => false,
    }
}

fn wait(verdict: &Verdict, here: &Circumstances, reporter: &dyn Reporter) {
    let Verdict::Defer { until: Some(until), .. } = verdict else { return };
    // The clock may be put back meanwhile: this does not sleep for longer.
    let left = until.duration_since(here.now).unsigned_abs().min(PATIENCE) + Duration::from_millis(10);
    reporter.tell(Event::Waiting { what: "its turn".into(), left: left.as_secs() });
    std::thread::sleep(left);
}

fn not_held(session: &Session) -> Result<()> {
    let Some((hold, until)) = session.ledger().held(Timestamp::now().as_second())? else { return Ok(()) };
    let name = &session.install.name;
    let reason = hold.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let error = Error::refused(format!("{name} is held{reason}")).because(told(&hold, until));
    Err(error.hint(format!("relift unhold {name}")))
}

/// Since when, by whom and how long.
fn told(hold: &Hold, until: Option<i64>) -> String {
    let by = hold.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    let until = until.map(|until| format!(", until {}", super::status::when(until))).unwrap_or_default();
    format!("since {}{by}{until}", super::status::when(hold.since))
}

/// Takes note of how a run ended. What is not the release's fault is counted where nobody was there, and forgotten when it
/// worked. What cannot be written changes nothing about how the run ended.
pub fn note(
    session: &Session,
    tried: (&str, &str),
    unattended: bool,
    ended: &Result<crate::Exit>,
    reporter: &dyn Reporter,
) {
    if let Err(error) = count(session, tried, unattended, ended) {
        reporter.tell(Event::Warning { text: format!("how often this release was tried is not recorded: {error}") });
    }
}

fn count(
    session: &Session,
    (revision, configuration): (&str, &str),
    unattended: bool,
    ended: &Result<crate::Exit>,
) -> Result<()> {
    let ledger = session.ledger();
    let Err(error) = ended else { return ledger.forget_attempts() };
    let is_failure = matches!(error.kind, Kind::Failed | Kind::PutBack | Kind::Restored { .. } | Kind::NeedsOperator);
    let is_same = |failed: &FailedRelease| failed.revision == revision && failed.configuration == configuration;
    match unattended && is_failure && !ledger.failed()?.iter().any(is_same) {
        true => ledger.count_attempt(revision, Timestamp::now().as_second(), &error.to_string()).map(drop),
        false => Ok(()),
    }
}

/// Keeps the host from being shut down as long as a run goes on, where there is a logind.
pub fn keep_up(install: &str, what: &str, reporter: &dyn Reporter) -> Option<Inhibition> {
    systemd::inhibit(&format!("the {what} of {install} goes on")).unwrap_or_else(|error| {
        reporter.tell(Event::Warning { text: format!("a shutdown would not wait for this run: {error}") });
        None
    })
}

/// What `status` shows.
pub struct Outlook {
    judged: Option<Judged>,
    hold: Option<(Hold, Option<i64>)>,
    /// Tries that failed.
    pub attempts: Option<Attempts>,
    most: u32,
}

impl Outlook {
    /// Without the network.
    pub fn of(session: &Session, globals: &Globals) -> Result<Outlook> {
        let (policy, ledger) = (&session.install.policy, session.ledger());
        let now = Timestamp::now().as_second();
        let hold = ledger.held(now)?;
        let judged = match policy::is_asked(policy) {
            false => None,
            true => {
                let (here, _) = observer(session, globals).look()?;
                Some(Judged { verdict: policy::judge(policy, &here), here })
            }
        };
        Ok(Outlook { judged, hold, attempts: ledger.last_attempts()?, most: policy.attempts })
    }

    /// For a person.
    pub fn lines(&self, install: &Install) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some((hold, until)) = &self.hold {
            let reason = hold.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            lines.push(format!("{} {}{reason}", paint(WARN, "held"), told(hold, *until)));
        }
        if let Some(judged) = &self.judged {
            let reach = format!("{:?}", install.policy.unattended).to_lowercase();
            lines.push(format!("by itself ({reach}): {}", judged.line()));
        }
        if let Some(attempts) = &self.attempts {
            let (count, most) = (attempts.count, self.most);
            let revision = crate::plan::abbreviate(&attempts.revision);
            lines.push(format!(
                "{} {count} of {most} attempts at {revision} failed: {}",
                paint(WARN, "tried"),
                attempts.why
            ));
        }
        lines
    }

    /// The hold, for a program.
    pub fn hold(&self) -> Value {
        self.hold.as_ref().map_or(
            Value::Null,
            |(hold, until)| json!({"reason": hold.reason, "since": hold.since, "until": until, "by": hold.by}),
        )
    }

    /// The verdict, for a program.
    pub fn document(&self) -> Value {
        self.judged.as_ref().map_or(Value::Null, Judged::document)
    }
}
