//! Colours, and whether there are any.

use anstyle::{AnsiColor, Style};

use super::globals::{ColorWhen, Globals};

/// Headings and names.
pub const BOLD: Style = Style::new().bold();
/// What is less important.
pub const DIM: Style = Style::new().dimmed();
/// What is new, and what is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What changes, and what asks for a look.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// What fails.
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// Decides about colours for the whole process: `--color`, then NO_COLOR, CLICOLOR_FORCE and TERM=dumb, which
/// anstream knows.
pub fn choose(globals: &Globals) {
    let choice = match globals.color {
        ColorWhen::Auto => anstream::ColorChoice::Auto,
        ColorWhen::Always => anstream::ColorChoice::Always,
        ColorWhen::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// `text` in a style; the stream removes the style where there are no colours.
pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Whether a diff printed on standard output is coloured.
pub fn is_stdout_coloured() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}
