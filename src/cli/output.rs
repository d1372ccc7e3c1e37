//! The only renderer: data to standard output, progress and log to standard error, each in the form that its reader wants.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::globals::Globals;
use super::screen;
use super::share::{Fate, Share};
use super::style::{BAD, BOLD, DIM, GOOD, WARN, paint};
use crate::host::journal::{Priority, Sink};
use crate::report::{Event, Reporter};
use crate::unattended::{Happening, Verb};

/// The longest text of an event that is shown, in characters.
const EVENT: usize = 1_000;

/// Prints data on standard output. A reader that went away (`| head`) is no error, and no reason for a run to stop: what was
/// begun goes on to its end, and the exit status tells what came of it.
pub fn data(text: &str) {
    print(&screen::shown(text));
}

/// Prints data that may be kept in a file: as [`data`], however long its lines are.
pub fn text(text: &str) {
    print(&screen::whole(text));
}

fn print(text: &str) {
    let mut stdout = anstream::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        LOST.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    }
}

static LOST: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// Why data did not reach standard output; not where its reader went away.
pub fn lost() -> Option<std::io::Error> {
    let lost = LOST.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    lost.filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe)
}

/// Prints a message on standard error; one that nobody can read is no error.
pub fn message(text: &str) {
    anstream::stderr().lock().write_all(screen::shown(text).as_bytes()).unwrap_or_default();
}

/// Prints one JSON document on standard output.
pub fn document(value: &impl serde::Serialize) {
    // Plain values always serialize.
    print(&screen::json(&format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default())));
}

/// Prints one JSON value on a line of its own, as events are.
pub fn event(value: &impl serde::Serialize) {
    print(&screen::json(&format!("{}\n", serde_json::to_string(value).unwrap_or_default())));
}

/// Whether somebody sits at a terminal who can be asked.
pub fn is_attended() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The reporter that the options and the streams ask for.
pub fn reporter(globals: &Globals) -> Box<dyn Reporter> {
    let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    if is_journal() && !globals.json {
        return Box::new(Harmless(Box::new(Journal::new(true))));
    }
    // Whoever started it, the journal has it; a dry run is no news, nor is what happens below another root.
    let is_noted = !globals.dry_run && globals.root == Path::new("/");
    let noted = |shown: Box<dyn Reporter>| -> Box<dyn Reporter> {
        match is_noted {
            true => Box::new(Both(shown, Harmless(Box::new(Journal::new(false))))),
            false => shown,
        }
    };
    let plain: Box<dyn Reporter> = match () {
        () if globals.json => return noted(Box::new(Json)),
        () if globals.quiet => Box::new(crate::report::Silent),
        () if std::io::stderr().is_terminal() && !globals.no_progress && !is_dumb => Box::new(Bars::new()),
        () => Box::new(Lines { verbose: globals.verbose > 0 }),
    };
    noted(Box::new(Harmless(plain)))
}

/// Tells two.
struct Both(Box<dyn Reporter>, Harmless);

impl Reporter for Both {
    fn tell(&self, event: Event) {
        self.1.tell(event.clone());
        self.0.tell(event);
    }
}

/// The reporter of a run that nobody asked for: where its output becomes a mail, as cron's does, nothing is told before there
/// is a run to tell of.
pub fn unattended_reporter(globals: &Globals) -> Box<dyn Reporter> {
    let becomes_a_mail = !globals.json && !is_journal() && !std::io::stderr().is_terminal();
    match becomes_a_mail {
        true => Box::new(Patient { is_begun: AtomicBool::new(false), next: reporter(globals) }),
        false => reporter(globals),
    }
}

/// Passes on what belongs to a run, and warnings.
struct Patient {
    is_begun: AtomicBool,
    next: Box<dyn Reporter>,
}

impl Reporter for Patient {
    fn tell(&self, event: Event) {
        if matches!(event, Event::Run { .. }) {
            self.is_begun.store(true, Ordering::Relaxed);
        }
        if self.is_begun.load(Ordering::Relaxed) || matches!(event, Event::Warning { .. }) {
            self.next.tell(event);
        }
    }
}

/// Texts of events on their way to a person: each is one line of words, whatever is in it. Bars are drawn by a library that
/// passes on what it is given.
struct Harmless(Box<dyn Reporter>);

impl Reporter for Harmless {
    fn tell(&self, event: Event) {
        let clean = |text: String| crate::text::shortened(&crate::text::harmless(&text), EVENT);
        self.0.tell(match event {
            Event::Run { install, run } => Event::Run { install: clean(install), run: clean(run) },
            Event::Start { what } => Event::Start { what: clean(what) },
            Event::Progress { what, done, total, unit } => Event::Progress { what: clean(what), done, total, unit },
            Event::Waiting { what, left } => Event::Waiting { what: clean(what), left },
            Event::Done { what } => Event::Done { what: clean(what) },
            Event::Failed { what } => Event::Failed { what: clean(what) },
            Event::Line { component, step, line } => {
                Event::Line { component: clean(component), step: clean(step), line: clean(line) }
            }
            Event::Warning { text } => Event::Warning { text: clean(text) },
            phase @ Event::Phase { .. } => phase,
        });
    }
}

/// Whether standard error is the journal, by the device and inode that systemd.exec(5) puts into `JOURNAL_STREAM`.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(meta) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream == format!("{}:{}", meta.dev(), meta.ino())
}

/// One event per line, for programs.
struct Json;

impl Reporter for Json {
    fn tell(&self, event: Event) {
        self::event(&event);
    }
}

/// A line per change of state, for pipes and logs.
struct Lines {
    verbose: bool,
}

impl Reporter for Lines {
    fn tell(&self, event: Event) {
        let line = match event {
            Event::Run { install, run } => format!("{install}: run {run}"),
            Event::Phase { phase } => format!("{}:", phase.word()),
            Event::Done { what } => format!("  done: {what}"),
            Event::Failed { what } => format!("  failed: {what}"),
            Event::Warning { text } => format!("  warning: {text}"),
            Event::Start { what } if self.verbose => format!("  start: {what}"),
            Event::Line { step, line, .. } if self.verbose => format!("  {step}: {line}"),
            Event::Start { .. } | Event::Line { .. } | Event::Progress { .. } | Event::Waiting { .. } => return,
        };
        message(&format!("{line}\n"));
    }
}

/// Bars and ticks, for a person at a terminal.
struct Bars {
    screen: MultiProgress,
    running: Mutex<HashMap<String, (ProgressBar, Instant)>>,
}

impl Bars {
    fn new() -> Bars {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(12));
        Bars { screen, running: Mutex::default() }
    }

    fn line(&self, line: String) {
        // Where the line cannot be drawn there is nobody to read it.
        self.screen.suspend(|| message(&format!("{line}\n")));
    }

    fn start(&self, what: &str) {
        let bar = self.screen.add(ProgressBar::new_spinner());
        bar.set_style(style("  {spinner} {wide_msg} {elapsed:>5}"));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        self.with(|running| running.insert(what.to_owned(), (bar, Instant::now())));
    }

    fn end(&self, what: &str, mark: String) {
        let started = self.with(|running| running.remove(what));
        let took = started.map(|(bar, started)| {
            bar.finish_and_clear();
            self.screen.remove(&bar);
            elapsed(started.elapsed())
        });
        self.line(format!("  {mark} {what}{}", took.map(|took| format!(" {}", paint(DIM, took))).unwrap_or_default()));
    }

    fn progress(&self, what: &str, done: u64, total: Option<u64>, unit: &str) {
        self.with(|running| {
            let Some((bar, _)) = running.get(what) else { return };
            bar.set_message(match total {
                _ if unit == "bytes" => format!("{what}: {}", indicatif::BinaryBytes(done)),
                Some(total) => format!("{what}: {done} of {total} {unit}"),
                None => format!("{what}: {done} {unit}"),
            });
        });
    }

    fn waiting(&self, what: &str, left: u64) {
        self.with(|running| {
            // Shown on the innermost thing that is under way.
            if let Some((bar, _)) = running.values().last() {
                bar.set_message(format!("{what}, {left} s left"));
            }
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, (ProgressBar, Instant)>) -> T) -> T {
        work(&mut self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Reporter for Bars {
    fn tell(&self, event: Event) {
        match event {
            Event::Run { install, run } => {
                self.line(format!("{} {}", paint(BOLD, install), paint(DIM, format!("run {run}"))))
            }
            Event::Phase { phase } => self.line(paint(BOLD, phase.word())),
            Event::Start { what } => self.start(&what),
            Event::Done { what } => self.end(&what, paint(GOOD, "✓")),
            Event::Failed { what } => self.end(&what, paint(BAD, "✗")),
            Event::Progress { what, done, total, unit } => self.progress(&what, done, total, unit),
            Event::Waiting { what, left } => self.waiting(&what, left),
            Event::Warning { text } => self.line(format!("  {} {text}", paint(WARN, "!"))),
            Event::Line { .. } => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn elapsed(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{}:{:02} min", seconds / 60, seconds % 60),
    }
}

/// Structured entries for journald.
struct Journal {
    sink: Option<Sink>,
    /// Whether systemd reads what is printed.
    is_ours: bool,
    about: Mutex<About>,
}

#[derive(Default, Clone)]
struct About {
    install: String,
    run: String,
    phase: &'static str,
    share: Share,
}

impl Journal {
    fn new(is_ours: bool) -> Journal {
        Journal { sink: Sink::open().ok(), is_ours, about: Mutex::default() }
    }

    fn send(&self, about: &About, priority: Priority, text: &str, is_of_step: bool) {
        let (component, step) = if is_of_step { (&*about.share.step.0, &*about.share.step.1) } else { ("", "") };
        let fields = [
            ("RELIFT_INSTALL", about.install.as_str()),
            ("RELIFT_RUN", &about.run),
            ("RELIFT_PHASE", about.phase),
            ("RELIFT_COMPONENT", component),
            ("RELIFT_STEP", step),
        ];
        let is_sent = self.sink.as_ref().is_some_and(|sink| sink.send(priority, text, &fields).is_ok());
        // A journal that cannot be reached is replaced by what systemd connected to standard error.
        if !is_sent && self.is_ours {
            message(&format!("{text}\n"));
        }
    }
}

impl Reporter for Journal {
    fn tell(&self, event: Event) {
        let mut about = self.about.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (priority, text) = match event {
            Event::Run { install, run } => {
                about.install.clone_from(&install);
                about.run.clone_from(&run);
                (Priority::Info, format!("{install}: run {run}"))
            }
            Event::Phase { phase } => {
                about.phase = phase.word();
                (Priority::Info, format!("{}: {}", about.install, about.phase))
            }
            Event::Done { what } => (Priority::Info, format!("done: {what}")),
            Event::Failed { what } => (Priority::Err, format!("failed: {what}")),
            Event::Warning { text } => (Priority::Warning, text),
            Event::Line { component, step, line } => {
                match about.share.of((component, step), Instant::now()) {
                    Fate::Taken => self.send(&about, Priority::Info, &line, true),
                    Fate::Cut => {
                        let text = format!("{} goes on to print: relift logs {}", about.share.step.1, about.run);
                        self.send(&about, Priority::Info, &text, false);
                    }
                    Fate::LeftOut => {}
                }
                return;
            }
            Event::Start { .. } | Event::Progress { .. } | Event::Waiting { .. } => return,
        };
        self.send(&about, priority, &text, false);
    }
}

/// Puts the end of a verb into the journal, where it had a run.
pub fn note_end(happening: &Happening) {
    let (Some(run), Ok(sink)) = (&happening.run, Sink::open()) else { return };
    if happening.verb == Verb::Check {
        return;
    }
    // Plain values always have a JSON form.
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let outcome = serde_json::to_value(happening.outcome).map(word).unwrap_or_default();
    let (priority, text) = match &happening.error {
        None => (Priority::Info, format!("{}: {outcome}", happening.install)),
        Some(error) => {
            let why: Vec<&str> = [&error.what].into_iter().chain(&error.causes).map(String::as_str).collect();
            (Priority::Err, format!("{}: {outcome}: {}", happening.install, why.join(": ")))
        }
    };
    let text = crate::text::shortened(&crate::text::harmless(&text), EVENT);
    let fields = [("RELIFT_INSTALL", &*happening.install), ("RELIFT_RUN", run), ("RELIFT_OUTCOME", &outcome)];
    // Who reads the journal reads the run's records as well.
    sink.send(priority, &text, &fields).unwrap_or_default();
}
