//! `[policy]`.

use std::time::Duration;

use super::super::document::Key;
use super::super::problem::{Fault, Looked};
use super::super::{Defer, EnvPolicy, Policy, Reach, Require, Schedule, raw, words};
use super::{Look, component};

/// How long a release must stay healthy where the manifest says nothing.
const SOAK: Duration = Duration::from_secs(30);
/// How many known-good releases are kept where the manifest says nothing.
const KEEP: usize = 5;
/// How often a release is tried where the manifest says nothing.
const ATTEMPTS: u32 = 3;
/// How long the `defer` command may take where the manifest says nothing.
const ASK: Duration = Duration::from_secs(10);
/// How long it may take at most: the install is locked meanwhile.
const LONGEST_ASK: Duration = Duration::from_secs(300);

pub(super) fn policy(look: &mut Look<'_>, key: &Key, raw: Option<&raw::Policy>) -> Option<Policy> {
    let default = raw::Policy::default();
    let raw = raw.unwrap_or(&default);
    let schedule = schedule(look, key, raw);
    let soak = look.take_or(&key.name("soak"), raw.soak.as_deref().map(words::duration), SOAK);
    let keep = look.take_or(&key.name("keep-known-good"), raw.keep_known_good.map(keep), KEEP);
    let cooldown = look.take_optional(&key.name("cooldown"), raw.cooldown.as_deref().map(words::age));
    let splay = look.take_optional(&key.name("splay"), raw.splay.as_deref().map(words::duration));
    let attempts = look.take_or(&key.name("attempts"), raw.attempts.map(attempts), ATTEMPTS);
    let require = require(look, &key.name("require"), raw.require.as_ref());
    let defer = match &raw.defer {
        Some(raw) => defer(look, &key.name("defer"), raw).map(Some),
        None => Some(None),
    };
    let unattended = match raw.unattended {
        None | Some(raw::Unattended::None) => Reach::None,
        Some(raw::Unattended::Patch) => Reach::Patch,
        Some(raw::Unattended::Minor) => Reach::Minor,
        Some(raw::Unattended::Major) => Reach::Major,
    };
    let env = match raw.env {
        None | Some(raw::EnvPolicy::AddNew) => EnvPolicy::AddNew,
        Some(raw::EnvPolicy::Report) => EnvPolicy::Report,
        Some(raw::EnvPolicy::Stop) => EnvPolicy::Stop,
    };
    Some(Policy {
        unattended,
        schedule: schedule?,
        window_fit: raw.window_fit,
        catch_up: raw.catch_up,
        cooldown: cooldown?,
        splay: splay?.filter(|splay| !splay.is_zero()),
        attempts: attempts?,
        defer_on_battery: !matches!(raw.on_battery, Some(raw::OnBattery::Ignore)),
        inhibit: inhibit(raw.inhibit.as_deref()),
        defer: defer?,
        soak: soak?,
        env,
        keep_known_good: keep?,
        allow_unverified: raw.allow_unverified,
        require: require?,
    })
}

fn require(look: &mut Look<'_>, key: &Key, raw: Option<&raw::Require>) -> Option<Require> {
    let Some(raw) = raw else { return Some(Require::default()) };
    let disk = look.take_optional(&key.name("disk"), raw.disk.as_deref().map(words::size));
    let memory = look.take_optional(&key.name("memory"), raw.memory.as_deref().map(words::size));
    Some(Require { disk: disk?, memory: memory? })
}

fn schedule(look: &mut Look<'_>, key: &Key, raw: &raw::Policy) -> Option<Schedule> {
    let mut schedule = Schedule::default();
    let at = key.name("window");
    let mut windows = match &raw.window {
        None => Some(()),
        Some(raw::OneOrMore::One(text)) => look.take(&at, schedule.add_window(text)),
        Some(raw::OneOrMore::More(list)) => list
            .iter()
            .enumerate()
            .map(|(index, text)| look.take(&at.index(index), schedule.add_window(text)))
            .fold(Some(()), Option::and),
    };
    if raw.window.is_some() && windows.is_some() && !schedule.has_window() {
        let fault = Fault::new("holds no window but what is taken out of one");
        look.fault(&at, fault.help("write one without `!`, such as \"00:00-24:00\", or leave `window` out"));
        windows = None;
    }
    let at = key.name("freeze");
    let days = raw.freeze.iter().enumerate();
    let days: Vec<Option<()>> =
        days.map(|(index, text)| look.take(&at.index(index), schedule.add_freeze(text))).collect();
    days.into_iter().fold(windows, Option::and).map(|()| schedule)
}

fn defer(look: &mut Look<'_>, key: &Key, raw: &raw::Defer) -> Option<Defer> {
    let run = look.take(&key.name("run"), words::argv(&raw.run).and_then(absolute));
    let timeout = look.take_or(&key.name("timeout"), raw.timeout.as_deref().map(ask), ASK);
    Some(Defer { run: run?, run_as: component::run_as(raw.run_as), timeout: timeout? })
}

/// There is no component whose directory a relative program would be found in.
fn absolute(run: Vec<String>) -> Looked<Vec<String>> {
    match run.first().is_some_and(|program| program.starts_with('/')) {
        true => Ok(run),
        false => Err(Fault::new("the program is not an absolute path")
            .help("write the whole path, such as [\"/usr/local/bin/is-busy\"]")),
    }
}

fn ask(text: &str) -> Looked<Duration> {
    let span = words::bound(text)?;
    match span <= LONGEST_ASK {
        true => Ok(span),
        false => Err(Fault::new(format!("`{text}` is more than 5 minutes"))
            .help("the install is locked meanwhile: let the command look at something that others keep")),
    }
}

fn inhibit(raw: Option<&[raw::Inhibit]>) -> Vec<String> {
    let word = |what: &raw::Inhibit| match what {
        raw::Inhibit::Shutdown => "shutdown".to_owned(),
        raw::Inhibit::Sleep => "sleep".to_owned(),
        raw::Inhibit::Idle => "idle".to_owned(),
    };
    raw.map_or_else(|| vec!["shutdown".to_owned()], |list| list.iter().map(word).collect())
}

fn attempts(number: i64) -> Looked<u32> {
    match u32::try_from(number) {
        Ok(number @ 1..=100) => Ok(number),
        _ => Err(Fault::new(format!("{number} attempts are not possible")).help("write a number from 1 to 100")),
    }
}

pub(super) fn keep(number: i64) -> Looked<usize> {
    match usize::try_from(number) {
        Ok(number @ 1..=1000) => Ok(number),
        _ => Err(Fault::new(format!("{number} cannot be kept"))
            .help("write a number from 1 to 1000: without one there is nothing to go back to")),
    }
}
