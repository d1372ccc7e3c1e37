//! The line of a monitoring plugin, as the Monitoring Plugins Development Guidelines have it: one line of words, `|` and figures,
//! then a line for each install; the exit status is the worst of all.

use super::status::{State, Status};

/// How bad it is: the exit status of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Level {
    /// Nothing to do.
    Ok = 0,
    /// Somebody should look at it some time.
    Warning = 1,
    /// Somebody has to look at it.
    Critical = 2,
    /// It cannot be told.
    Unknown = 3,
}

/// The longest text of one install, in characters: some agents pass on a kilobyte.
const LONGEST: usize = 300;

/// What is said of one install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Of which install.
    pub install: String,
    /// What it is, in a few words.
    pub what: String,
    /// Figures, as perfdata: name and value with unit and thresholds.
    pub figures: Vec<(&'static str, String)>,
}

/// What it is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judge {
    /// Now, seconds since the epoch.
    pub now: i64,
    /// When the host was booted.
    pub booted: i64,
    /// Whether something new is in order.
    pub ok_if_new: bool,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
            Level::Unknown => "UNKNOWN",
        }
    }

    /// What outweighs what: not to know is worse than a warning, and no reason to overlook what is critical.
    fn weight(self) -> u8 {
        match self {
            Level::Ok => 0,
            Level::Warning => 1,
            Level::Unknown => 2,
            Level::Critical => 3,
        }
    }
}

impl Finding {
    /// Nothing can be told of an install.
    pub fn unknown(install: &str, what: impl Into<String>) -> Finding {
        Finding { level: Level::Unknown, install: install.to_owned(), what: what.into(), figures: Vec::new() }
    }
}

impl Judge {
    /// Judges one install.
    pub fn one(&self, status: &Status) -> Finding {
        let (mut level, mut what) = self.state(status);
        if let Some(stale) = self.stale(status) {
            what = if level == Level::Critical { format!("{what}; {stale}") } else { format!("{stale}; {what}") };
            level = Level::Critical;
        }
        Finding { level, install: status.install.clone(), what, figures: self.figures(status) }
    }

    fn state(&self, status: &Status) -> (Level, String) {
        let last = status.runs.last.as_ref().map(|run| run.run.as_str()).unwrap_or_default();
        let open = status.open_run.as_deref().unwrap_or_default();
        let name = &status.install;
        let new = if self.ok_if_new { Level::Ok } else { Level::Warning };
        match status.state() {
            State::Interrupted => (Level::Critical, format!("the run {open} was interrupted: relift recover {name}")),
            State::NeedsOperator => {
                (Level::Critical, format!("the last run could not put everything back: relift show {last}"))
            }
            State::Failed => {
                let run = status.failure().map(|failed| failed.run.as_str()).unwrap_or_default();
                (Level::Critical, format!("{} failed here: relift show {run}", offered(status)))
            }
            State::Decision => {
                (Level::Warning, format!("{} waits for a decision: relift plan {name}", offered(status)))
            }
            State::Held => {
                (Level::Ok, format!("held{}", news(status).map(|new| format!("; {new}")).unwrap_or_default()))
            }
            State::Available => (new, news(status).unwrap_or_default()),
            State::Current if status.is_turned_down() => {
                (Level::Ok, format!("{} was taken back by an operator", offered(status)))
            }
            State::Current => (Level::Ok, format!("nothing new, {} runs", offered(status))),
            State::Unknown if status.stale.is_some() => {
                (Level::Ok, "not checked since the boot, or since an operator went back".to_owned())
            }
            State::Unknown => (
                Level::Unknown,
                format!("no check is remembered without [monitoring] in its manifest: relift check {name} --nagios"),
            ),
        }
    }

    /// Why the last answer is too old to go by.
    fn stale(&self, status: &Status) -> Option<String> {
        let bound = i64::try_from(status.stale?).unwrap_or(i64::MAX);
        let age = self.now - status.answered.unwrap_or(self.booted);
        if age <= bound {
            return None;
        }
        let asked = status.asked.filter(|asked| status.answered.is_none_or(|answered| *asked > answered));
        let but = if asked.is_some() { ", and the last check got no answer" } else { "" };
        Some(match status.answered {
            Some(_) => format!("not checked for {}{but}", span(age)),
            None => format!("not checked since the boot {} ago{but}", span(age)),
        })
    }

    fn figures(&self, status: &Status) -> Vec<(&'static str, String)> {
        let flag = |is: bool| u8::from(is).to_string();
        let age = status.answered.map(|answered| {
            let bound = status.stale.map(|stale| stale.to_string()).unwrap_or_default();
            ("check_age", format!("{}s;;{bound};0", (self.now - answered).max(0)))
        });
        let figures = [
            ("pending", flag(status.news().is_some())),
            ("held", flag(status.held.is_some())),
            ("open", flag(status.open_run.is_some())),
            ("failed", status.failed.len().to_string()),
        ];
        figures.into_iter().chain(age).collect()
    }
}

/// The plugin's output, and its exit status: the worst of the findings.
pub fn report(findings: &[Finding]) -> (String, Level) {
    let Some(worst) = findings.iter().map(|finding| finding.level).max_by_key(|level| level.weight()) else {
        return ("RELIFT UNKNOWN - no install is known\n".into(), Level::Unknown);
    };
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.level.weight()));
    let told = |finding: &&Finding| format!("{}: {}", clean(&finding.install), clean(&finding.what));
    let troubled: Vec<String> = sorted.iter().filter(|finding| finding.level != Level::Ok).map(told).collect();
    let summary = match (sorted.as_slice(), troubled.as_slice()) {
        ([only], _) => told(only),
        (all, []) => format!("{} installs, nothing to do", all.len()),
        (_, [only]) => only.clone(),
        (all, troubled) => format!(
            "{} of {} installs: {}",
            troubled.len(),
            all.len(),
            crate::text::shortened(&troubled.join("; "), LONGEST)
        ),
    };
    let figures = findings.iter().flat_map(|finding| {
        finding.figures.iter().map(|(name, value)| format!("'{}_{name}'={value}", clean(&finding.install)))
    });
    let figures: Vec<String> = figures.collect();
    let mut text = format!("RELIFT {} - {summary}", worst.word());
    if !figures.is_empty() {
        text.push_str(&format!(" | {}", figures.join(" ")));
    }
    text.push('\n');
    if sorted.len() > 1 {
        for finding in &sorted {
            text.push_str(&format!("{} {}\n", finding.level.word(), told(finding)));
        }
    }
    (text, worst)
}

/// Words of others: one line, and no `|`, which ends the words.
fn clean(text: &str) -> String {
    let text = crate::text::harmless(text).replace('|', "/").replace('\'', "");
    crate::text::shortened(&text, LONGEST)
}

fn offered(status: &Status) -> String {
    status.offer.as_ref().map_or("a release".into(), |offer| offer.target.clone())
}

fn news(status: &Status) -> Option<String> {
    let (target, news) = status.news()?;
    let moves = news.versions.iter().filter_map(|(component, (from, to))| {
        let (from, to) = (from.as_deref()?, to.as_deref()?);
        (from != to).then(|| format!("{component} {from} to {to}"))
    });
    let moves: Vec<String> = moves.collect();
    let moves = if moves.is_empty() { String::new() } else { format!(" ({})", moves.join(", ")) };
    Some(format!("{target} is new{moves}"))
}

fn span(seconds: i64) -> String {
    match seconds {
        ..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::tests_support::full;
    use super::*;

    const JUDGE: Judge = Judge { now: 1_790_000_200, booted: 1_789_000_000, ok_if_new: false };

    fn line(status: &Status) -> String {
        let (text, level) = report(&[JUDGE.one(status)]);
        format!("{} {text}", level as u8)
    }

    #[test]
    fn every_state_has_its_line_and_its_exit_status() {
        let failed = full();
        let new = Status { failed: Vec::new(), ..full() };
        let mut current = new.clone();
        current.offer.as_mut().unwrap().news = None;
        let turned_down = {
            let mut status = full();
            status.failed[0].by_operator = true;
            status
        };
        let states = [
            current.clone(),
            new.clone(),
            Status { decision: Some("c0ffee".into()), ..new.clone() },
            Status { held: Some(5), ..new.clone() },
            failed,
            turned_down,
            Status { open_run: Some("01JAB3VXQ8ZJ4M7K2N5P6R9T0W".into()), ..new.clone() },
            Status { answered: Some(1_789_000_000), ..current.clone() },
            Status { answered: None, asked: Some(1_790_000_000), ..current },
            Status { offer: None, answered: None, asked: None, stale: None, failed: Vec::new(), ..full() },
        ];
        insta::assert_snapshot!("monitor_nagios", states.iter().map(line).collect::<String>());
        let ok = Judge { ok_if_new: true, ..JUDGE };
        assert_eq!(ok.one(&new).level, Level::Ok);
    }

    #[test]
    fn of_several_installs_the_worst_counts_and_each_has_its_line() {
        let named = |name: &str, status: Status| JUDGE.one(&Status { install: name.into(), ..status });
        let new = Status { failed: Vec::new(), ..full() };
        let mut current = new.clone();
        current.offer.as_mut().unwrap().news = None;
        let findings = [named("fine", current.clone()), named("new", new.clone()), named("bad", full())];
        let (text, level) = report(&findings);
        assert_eq!(level, Level::Critical);
        insta::assert_snapshot!("monitor_nagios_several", text);
        assert_eq!(report(&[named("a", current), Finding::unknown("b", "gone")]).1, Level::Unknown);
        assert_eq!(report(&[Finding::unknown("b", "gone"), named("bad", full())]).1, Level::Critical);
        assert_eq!(report(&[named("new", new), Finding::unknown("b", "gone")]).1, Level::Unknown);
        assert_eq!(report(&[]).1, Level::Unknown);
    }

    #[test]
    fn words_of_others_add_no_figures_and_no_lines() {
        let mut status = Status { failed: Vec::new(), ..full() };
        let offer = status.offer.as_mut().unwrap();
        offer.target = "v1 | 'fake'=1\nRELIFT OK - fine\u{1b}[2J".into();
        let (text, _) = report(&[JUDGE.one(&status)]);
        assert_eq!((text.matches('|').count(), text.lines().count()), (1, 1), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("'fake'"), "{text}");
        status.offer.as_mut().unwrap().target = "x".repeat(5_000);
        assert!(report(&[JUDGE.one(&status)]).0.len() < 1_000);
    }
}
