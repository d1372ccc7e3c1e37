//! The file for node_exporter's textfile collector: one for each install, `relift_NAME.prom`, in the text format of Prometheus.

use std::fmt::Write;
use std::path::Path;

use super::status::{State, Status, put};
use super::tally::{OUTCOMES, word};
use crate::error::{Context, Result};
use crate::host::fs::Rooted;
use crate::run::record::Outcome;

/// Writes the file of an install; the directory must be there.
pub fn write(directory: &Path, status: &Status) -> Result<()> {
    let hint = |error: crate::Error| {
        error.hint(format!("make {} a directory, or correct `textfile` in [monitoring]", directory.display()))
    };
    put(directory, &file(&status.install), text(status).as_bytes()).map_err(hint)
}

/// Removes the files of installs that are gone; gives their names.
pub fn remove(directory: &Path, is_gone: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let what = || format!("{} cannot be read", directory.display());
    let mut gone = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(what)?.flatten() {
        let name = entry.file_name();
        let install = name.to_str().and_then(|name| name.strip_prefix("relift_")?.strip_suffix(".prom"));
        if let Some(install) = install.filter(|install| is_gone(install)) {
            Rooted::open(directory)?.remove(Path::new(&name))?;
            gone.push(install.to_owned());
        }
    }
    Ok(gone)
}

fn file(install: &str) -> String {
    format!("relift_{install}.prom")
}

/// The file's text. Names, help and types are the same for every install: the collector reads all files as one.
pub fn text(status: &Status) -> String {
    let mut page = Page { text: String::new(), install: &status.install };
    let time = |time: Option<i64>| time.unwrap_or(0).to_string();
    let flag = |is: bool| u8::from(is).to_string();

    page.family("relift_component_info", "gauge", "What is activated, by component.");
    for (component, version) in &status.versions {
        let version = version.as_deref().unwrap_or_default();
        page.sample(&[("component", component), ("version", version)], "1");
    }
    page.one("relift_pending", "Whether the source offers what is not activated.", flag(status.news().is_some()));
    page.family("relift_pending_info", "gauge", "What the source offers and is not activated, by component.");
    if let Some((target, news)) = status.news() {
        for (component, (from, to)) in &news.versions {
            let [from, to] = [from, to].map(|version| version.as_deref().unwrap_or_default());
            page.sample(&[("component", component), ("from", from), ("to", to), ("target", target)], "1");
        }
    }
    page.family("relift_state", "gauge", "The state of the install: 1 for the one that holds.");
    for state in State::ALL {
        page.sample(&[("state", state.word())], &flag(state == status.state()));
    }
    page.one("relift_held", "Whether upgrades are held.", flag(status.held.is_some()));
    page.one("relift_open_run", "Whether a run was interrupted and is still open.", flag(status.open_run.is_some()));
    page.one(
        "relift_decision_needed",
        "Whether what is offered waits for an operator's decision.",
        flag(status.decision.is_some()),
    );
    page.one("relift_failed_releases", "Releases that are remembered as failed here.", status.failed.len().to_string());
    page.one(
        "relift_last_check_timestamp_seconds",
        "When the source was last asked; 0: not since the boot.",
        time(status.asked),
    );
    page.one(
        "relift_last_check_success_timestamp_seconds",
        "When the source last answered; 0: not since the boot.",
        time(status.answered),
    );
    runs(&mut page, status);
    page.forget_empty();
    page.text
}

fn runs(page: &mut Page, status: &Status) {
    let tally = &status.runs;
    page.one(
        "relift_last_success_timestamp_seconds",
        "When the last run that was done ended; 0: there was none.",
        tally.success.unwrap_or(0).to_string(),
    );
    page.family("relift_runs_total", "counter", "Runs that have ended, by outcome.");
    for outcome in OUTCOMES {
        let count = tally.runs.get(word(outcome)).copied().unwrap_or(0);
        page.sample(&[("outcome", word(outcome))], &count.to_string());
    }
    let Some(last) = &tally.last else { return };
    let is_done = u8::from(last.outcome == Outcome::Done).to_string();
    page.one("relift_last_run_success", "Whether the last run was done.", is_done);
    page.one("relift_last_run_timestamp_seconds", "When the last run ended.", last.ended.to_string());
    page.family("relift_last_run_phase_seconds", "gauge", "How long each phase of the last run took.");
    for (phase, millis) in &last.phases {
        page.sample(&[("phase", phase)], &format!("{}.{:03}", millis / 1_000, millis % 1_000));
    }
    page.family(
        "relift_last_run_without_service_seconds",
        "gauge",
        "From the first restart of the last run to its gate; absent: nothing was restarted, or the gate was not reached.",
    );
    if let Some(seconds) = last.without_service {
        page.sample(&[], &seconds.to_string());
    }
}

struct Page<'a> {
    text: String,
    install: &'a str,
}

impl Page<'_> {
    /// A metric without a sample has no lines at all: its head is written with the first.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.forget_empty();
        push(&mut self.text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn one(&mut self, name: &str, help: &str, value: String) {
        self.family(name, "gauge", help);
        self.sample(&[], &value);
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: &str) {
        let head = self.text.rfind("# TYPE ").map_or("", |at| &self.text[at + 7..]);
        let name = head.split(' ').next().unwrap_or_default().to_owned();
        let all = [("install", self.install)].into_iter().chain(labels.iter().copied());
        let labels: Vec<String> = all.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        push(&mut self.text, format_args!("{name}{{{}}} {value}", labels.join(",")));
    }

    fn forget_empty(&mut self) {
        let last = self.text.lines().last().unwrap_or_default();
        if last.starts_with("# TYPE ")
            && let Some(at) = self.text.rfind("# HELP ")
        {
            self.text.truncate(at);
        }
    }
}

fn push(text: &mut String, line: std::fmt::Arguments) {
    // Writing to a String cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

/// A label's value, as the text format escapes it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::status::tests_support::full;
    use super::*;

    /// Reads the text format strictly: help, type, then the samples of each metric, nothing twice.
    fn parsed(text: &str) -> std::result::Result<BTreeMap<String, f64>, String> {
        assert!(text.ends_with('\n'));
        let (mut seen, mut samples, mut family, mut helped) = (BTreeSet::new(), BTreeMap::new(), None, None);
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').ok_or("help without words")?;
                if words.is_empty() || !seen.insert(name.to_owned()) {
                    return Err(format!("{name}: help is empty, or stands twice"));
                }
                helped = Some(name.to_owned());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').ok_or("a type without its kind")?;
                if helped.as_deref() != Some(name) || !["gauge", "counter"].contains(&kind) {
                    return Err(format!("{line}: not after its help"));
                }
                if (kind == "counter") != name.ends_with("_total") || !is_name(name) {
                    return Err(format!("{name}: no name of a {kind}"));
                }
                family = Some(name.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').ok_or("no value")?;
                let (name, labels) = series.split_once('{').ok_or("no labels")?;
                if family.as_deref() != Some(name) {
                    return Err(format!("{line}: without its type"));
                }
                let mut rest = labels.strip_suffix('}').ok_or("no end of the labels")?;
                let mut names = BTreeSet::new();
                while !rest.is_empty() {
                    let (label, after) = rest.split_once("=\"").ok_or("a label without a value")?;
                    let mut end = None;
                    let mut characters = after.char_indices();
                    while let Some((at, c)) = characters.next() {
                        match c {
                            '\\' => match characters.next() {
                                Some((_, '\\' | '"' | 'n')) => {}
                                other => return Err(format!("{line}: escapes {other:?}")),
                            },
                            '"' => {
                                end = Some(at);
                                break;
                            }
                            _ => {}
                        }
                    }
                    let end = end.ok_or("a value without an end")?;
                    if !is_name(label) || !names.insert(label) {
                        return Err(format!("{line}: label {label}"));
                    }
                    rest = after[end + 1..].strip_prefix(',').unwrap_or(&after[end + 1..]);
                }
                let value: f64 = value.parse().map_err(|_| format!("{line}: no number"))?;
                if samples.insert(series.to_owned(), value).is_some() {
                    return Err(format!("{series} stands twice"));
                }
            }
        }
        Ok(samples)
    }

    #[test]
    fn what_is_exposed_is_the_text_format_to_the_letter() {
        insta::assert_snapshot!("monitor_prometheus", text(&full()));
        let samples = parsed(&text(&full())).unwrap();
        assert_eq!(samples["relift_last_run_phase_seconds{install=\"app\",phase=\"prepare\"}"], 1.5);
        parsed(&text(&Status { install: "app".into(), ..Status::default() })).unwrap();
        let evil = "a\\\"b\nrelift_pending{install=\"x\"} 1";
        let mut status = full();
        status.versions.insert("evil".into(), Some(evil.to_owned()));
        let samples = parsed(&text(&status)).unwrap();
        assert_eq!(samples.len(), parsed(&text(&full())).unwrap().len() + 1, "a version starts no line of its own");
    }

    #[test]
    fn files_of_several_installs_agree_on_help_and_type() {
        let heads = |status: &Status| -> BTreeSet<String> {
            text(status).lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect()
        };
        let other = Status { install: "other".into(), ..Status::default() };
        assert!(heads(&other).is_subset(&heads(&full())));
        let series = |status: &Status| parsed(&text(status)).unwrap().into_keys().collect::<BTreeSet<_>>();
        assert!(series(&other).is_disjoint(&series(&full())));
    }

    #[test]
    fn a_file_is_written_whole_and_goes_with_its_install() {
        let place = tempfile::tempdir().unwrap();
        write(place.path(), &full()).unwrap();
        std::fs::write(place.path().join("other.prom"), "x 1\n").unwrap();
        let names = || -> BTreeSet<String> {
            let entries = std::fs::read_dir(place.path()).unwrap().flatten();
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
        };
        assert_eq!(names(), BTreeSet::from(["other.prom".to_owned(), "relift_app.prom".into()]));
        assert_eq!(remove(place.path(), |_| false).unwrap(), Vec::<String>::new());
        assert_eq!(remove(place.path(), |name| name == "app").unwrap(), ["app"]);
        assert_eq!(names(), BTreeSet::from(["other.prom".to_owned()]), "files of others stay");
        let error = write(&place.path().join("absent"), &full()).unwrap_err();
        assert!(error.hints[0].contains("textfile"), "{error:?}");
    }

    #[test]
    fn a_file_is_not_written_through_a_link_that_another_account_made() {
        let place = tempfile::tempdir().unwrap();
        let (theirs, target) = (place.path().join("theirs"), place.path().join("etc"));
        std::fs::create_dir(&theirs).unwrap();
        std::fs::create_dir(&target).unwrap();
        std::os::unix::fs::chown(&theirs, Some(65_534), Some(65_534)).expect("this test needs root");
        std::os::unix::fs::symlink(&target, theirs.join("collector")).unwrap();
        assert!(write(&theirs.join("collector"), &full()).is_err());
        assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
        let victim = target.join("victim");
        std::fs::write(&victim, "as it was").unwrap();
        std::os::unix::fs::symlink(&victim, theirs.join("relift_app.prom")).unwrap();
        write(&theirs, &full()).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "as it was", "the link is replaced");
    }
}
