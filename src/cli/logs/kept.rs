//! What is kept with a run: its records, and the output of its steps by command.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{BufRead, BufReader, Read};
use std::iter::Peekable;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::journal::Steps;
use super::line::{Line, Origin};
use crate::cli::history;
use crate::run::journal::Journal;
use crate::run::record::Record;

/// How much of a line is shown, in bytes; the file has it all.
const LINE: u64 = 1 << 20;

/// Lines of several sources, each in its order, to be put between others by their time.
pub struct Kept<'a> {
    sources: Vec<Peekable<Box<dyn Iterator<Item = Line> + 'a>>>,
}

impl<'a> Kept<'a> {
    /// Of these; where two lines are of one time, the earlier source comes first.
    pub fn new(sources: Vec<Box<dyn Iterator<Item = Line> + 'a>>) -> Kept<'a> {
        Kept { sources: sources.into_iter().map(Iterator::peekable).collect() }
    }

    /// Gives out what is not after `micros`.
    pub fn until(&mut self, micros: u64, each: &mut dyn FnMut(Line)) {
        while let Some((first, at)) = self.earliest().filter(|(first, _)| *first <= micros) {
            debug_assert!(first <= micros);
            self.sources[at].next().into_iter().for_each(&mut *each);
        }
    }

    /// Gives out the rest.
    pub fn rest(mut self, each: &mut dyn FnMut(Line)) {
        self.until(u64::MAX, each);
    }

    fn earliest(&mut self) -> Option<(u64, usize)> {
        let heads = self.sources.iter_mut().enumerate();
        heads.filter_map(|(at, source)| Some((source.peek()?.micros, at))).min()
    }
}

/// What the run recorded, as lines of the engine.
pub fn records(run: &Journal) -> Vec<Line> {
    let Some(begin) = run.start() else { return Vec::new() };
    let records = run.records().iter().map(|record| Line {
        micros: time_of(run, record),
        boot: None,
        origin: Origin::Engine,
        text: crate::text::harmless(&history::words(&record.body, begin)),
    });
    records.collect()
}

/// When a record was written: its file tells it to the nanosecond, unless that is not the file that was written then.
fn time_of(run: &Journal, record: &Record) -> u64 {
    let path = run.directory().join(format!("{:05}-{}.json", record.sequence, record.body.word()));
    let meta = std::fs::metadata(path).ok().filter(|meta| (meta.mtime() - record.time).abs() <= 1);
    // At some time in its second; what a step printed before it comes first.
    meta.map_or(u64::try_from(record.time).unwrap_or(0) * 1_000_000 + 999_999, |meta| micros(&meta))
}

fn micros(meta: &Metadata) -> u64 {
    u64::try_from(meta.mtime()).unwrap_or(0) * 1_000_000 + u64::try_from(meta.mtime_nsec()).unwrap_or(0) / 1_000
}

/// The steps whose files have more lines than the journal.
pub fn steps_beyond(run: &Journal, known: &Steps) -> BTreeSet<String> {
    let mut counts = Steps::default();
    for (step, path) in files(run) {
        let count = File::open(&path).map_or(0, |file| count(BufReader::new(file)));
        counts.add(step, count);
    }
    counts.beyond(known)
}

/// The lines of the files of some steps, each at the time when its file was last written: before the record that says so.
pub fn lines<'a>(run: &Journal, wanted: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = Line> + 'a {
    files(run).into_iter().filter(move |(step, _)| wanted(step)).flat_map(|(step, path)| {
        let file = File::open(&path).ok();
        let time = file.as_ref().and_then(|file| file.metadata().ok());
        let micros = time.map_or(0, |meta| micros(&meta));
        let pieces = Pieces(file.map(BufReader::new));
        pieces.map(move |text| Line { micros, boot: None, origin: Origin::Step(step.clone()), text })
    })
}

/// The run's files of output, in the order of the commands, with the step that each is of.
fn files(run: &Journal) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(run.directory().join("log")).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let plan = run.start().map(|begin| &begin.plan);
    let components: Vec<&str> =
        plan.into_iter().flat_map(|plan| &plan.components).map(|component| component.name.as_str()).collect();
    paths.into_iter().map(|path| (step(&path, &components), path)).collect()
}

/// `02-manager-build.log` is of `manager/build`.
fn step(path: &Path, components: &[&str]) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let rest = stem.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    // One component's name may begin with another's.
    let named = components.iter().filter_map(|name| Some((*name, rest.strip_prefix(name)?.strip_prefix('-')?)));
    match named.max_by_key(|(name, _)| name.len()) {
        Some((component, step)) => format!("{component}/{step}"),
        None => crate::text::harmless(rest),
    }
}

/// Lines as they were told while the command ran: a carriage return ends one as well, and empty ones are none.
struct Pieces<R>(Option<R>);

impl<R: BufRead> Iterator for Pieces<R> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let reader = self.0.as_mut()?;
        loop {
            let mut piece = Vec::new();
            let (mut is_ended, mut is_over) = (false, false);
            while !is_ended {
                let Ok(buffer) = reader.fill_buf() else { return None };
                if buffer.is_empty() {
                    is_over = true;
                    break;
                }
                let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                let text = &buffer[..end.unwrap_or(buffer.len())];
                let room = usize::try_from(LINE).unwrap_or(usize::MAX).saturating_sub(piece.len()).min(text.len());
                piece.extend_from_slice(&text[..room]);
                let taken = end.map_or(buffer.len(), |at| at + 1);
                is_ended = end.is_some();
                reader.consume(taken);
            }
            if !piece.is_empty() {
                let text = String::from_utf8_lossy(&piece);
                return Some(crate::text::harmless(crate::text::uncoloured(&text).trim_end()));
            }
            if is_over {
                return None;
            }
        }
    }
}

fn count(reader: impl Read) -> u64 {
    Pieces(Some(BufReader::new(reader))).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(micros: u64, text: &str) -> Line {
        Line { micros, boot: None, origin: Origin::Engine, text: text.into() }
    }

    #[test]
    fn sources_are_put_together_by_time_and_none_is_put_out_of_its_own_order() {
        let one = vec![line(10, "a"), line(30, "b"), line(20, "b2"), line(50, "c")];
        let two = vec![line(15, "x"), line(30, "y")];
        let mut kept = Kept::new(vec![Box::new(one.into_iter()), Box::new(two.into_iter())]);
        let mut out = Vec::new();
        kept.until(12, &mut |line| out.push(line.text));
        out.push("journal".into());
        kept.rest(&mut |line| out.push(line.text));
        assert_eq!(out, ["a", "journal", "x", "b", "b2", "y", "c"]);
    }

    #[test]
    fn a_file_has_the_lines_that_were_told_while_it_was_written() {
        let pieces = |bytes: &[u8]| Pieces(Some(bytes)).collect::<Vec<_>>();
        assert_eq!(pieces(b"one\n\x1b[31mtwo\rthree\n\n\xffend"), ["one", "two", "three", "\u{fffd}end"]);
        assert_eq!(pieces(b""), Vec::<String>::new());
        let long = vec![b'x'; (LINE as usize) + 10];
        assert_eq!(
            pieces(&[&long[..], b"\nnext"].concat()).iter().map(String::len).collect::<Vec<_>>(),
            [LINE as usize, 4]
        );
        assert_eq!(count(&b"a\nb\r\nc"[..]), 3);
    }

    #[test]
    fn a_file_tells_its_component_and_its_step() {
        let of = |name: &str| step(Path::new(name), &["app", "app-web"]);
        assert_eq!(of("/x/02-app-build.log"), "app/build");
        assert_eq!(of("/x/11-app-web-db-migrate.log"), "app-web/db-migrate");
        assert_eq!(of("/x/03-gone-build.log"), "gone-build");
    }
}
