//! What is wrong with a manifest, and how it is shown: the file, line and column, the source line, the key, and
//! what would be right.

use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use crate::error::Error;
use crate::text::harmless;

/// What is wrong with one value. `what` never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// What is wrong, without a final stop.
    pub what: String,
    /// What would be right.
    pub help: Option<String>,
}

/// The result of looking at one value.
pub(super) type Looked<T> = Result<T, Fault>;

impl Fault {
    /// A fault that says `what` is wrong.
    pub fn new(what: impl Into<String>) -> Self {
        Fault { what: what.into(), help: None }
    }

    /// Adds what would be right.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A fault and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The key, `component[0].step[1].timeout`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub help: Option<String>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    #[serde(skip)]
    pub(super) span: Range<usize>,
}

impl Problem {
    /// Puts a fault at a place of the text.
    pub(super) fn at(key: String, span: Range<usize>, text: &str, fault: Fault) -> Problem {
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Problem {
            key,
            what: harmless(&fault.what),
            help: fault.help.map(|help| harmless(&help)),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span: start..span.end.clamp(start, text.len()),
        }
    }

    fn title(&self) -> String {
        match self.key.as_str() {
            "" => self.what.clone(),
            key => format!("`{}`: {}", harmless(key), self.what),
        }
    }
}

/// Everything that is wrong with one manifest.
#[derive(Debug, Clone)]
pub struct Problems {
    pub(super) file: String,
    /// The text as it may be shown: secrets are masked, byte for byte.
    pub(super) shown: String,
    /// In the order of the file.
    pub list: Vec<Problem>,
    /// It is the repository's, which is not the host's to correct.
    pub(super) is_upstream: bool,
}

impl Problems {
    pub(super) fn new(file: &Path, shown: String, mut list: Vec<Problem>) -> Problems {
        list.sort_by(|a, b| (a.span.start, a.span.end, &a.key).cmp(&(b.span.start, b.span.end, &b.key)));
        list.dedup();
        Problems { file: file.display().to_string(), shown, list, is_upstream: false }
    }

    /// Each problem with its source line, as compilers show them.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let shown = self.list.iter().map(|problem| self.render_one(problem, &renderer));
        shown.collect::<Vec<_>>().join("\n\n")
    }

    fn render_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let annotation = AnnotationKind::Primary.span(problem.span.clone());
        let snippet = Snippet::source(self.shown.as_str()).path(self.file.as_str()).annotation(annotation);
        let group = Level::ERROR.primary_title(problem.title()).element(snippet);
        let group = match &problem.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        };
        renderer.render(&[group])
    }

    /// The one error that carries them all, exit status 2.
    pub fn into_error(self) -> Error {
        let count = match self.list.len() {
            1 => "an error".to_owned(),
            count => format!("{count} errors"),
        };
        let line = self.list.first().map(|first| first.line).unwrap_or_default();
        let what = match self.is_upstream {
            true => format!("{}, line {line}: the repository's manifest has {count}", self.file),
            false => format!("the manifest {} has {count}", self.file),
        };
        let error = Error::usage(what).detail(self.render(false).lines().map(str::to_owned));
        if self.is_upstream {
            return error.hint(
                "ask upstream to correct it, stay at a release without it, or do without it: [source.git] manifest = false",
            );
        }
        error.hint(format!("correct it, then run: relift config check {}", self.file))
    }
}
