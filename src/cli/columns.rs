//! Two texts side by side, as `diff --side-by-side` of diff(1) shows them: `|` for a line that differs, `<` for one that goes, `>` for
//! one that comes.

use crate::diff::{Compared, unended};

/// How wide it is where nothing says how wide the terminal is, as for diff(1).
const WIDTH: usize = 130;
/// The narrowest that is worth reading.
const NARROWEST: usize = 40;

/// The width of the terminal, `COLUMNS`, or 130 columns.
pub fn width() -> usize {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel fills in the structure that it is given.
    let is_terminal = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) } == 0;
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let columns = told.or_else(|| (is_terminal && size.ws_col > 0).then_some(usize::from(size.ws_col)));
    columns.unwrap_or(WIDTH).max(NARROWEST)
}

/// Both texts, line beside line; a line that is too long goes on below. The texts have to be harmless already.
pub fn side_by_side(old: &str, new: &str, width: usize, colour: bool) -> String {
    let half = (width - 3) / 2;
    let compared = Compared::of(old, new);
    let mut text = String::new();
    for part in compared.parts() {
        let (left, right) = (&compared.old[part.old], &compared.new[part.new]);
        for row in 0..left.len().max(right.len()) {
            let pair = (left.get(row).copied(), right.get(row).copied());
            let mark = match pair {
                _ if part.is_same => ' ',
                (Some(_), Some(_)) => '|',
                (Some(_), None) => '<',
                (None, _) => '>',
            };
            rows(&mut text, pair, mark, half, colour);
        }
    }
    text
}

/// One pair of lines, on as many rows as the longer one needs.
fn rows(text: &mut String, (old, new): (Option<&str>, Option<&str>), mark: char, half: usize, colour: bool) {
    let [old, new] = [old, new].map(|line| pieces(unended(line.unwrap_or_default()), half));
    let painted = |piece: &str, code: &str| match colour && mark != ' ' && !piece.trim().is_empty() {
        true => format!("{code}{piece}\x1b[0m"),
        false => piece.to_owned(),
    };
    for at in 0..old.len().max(new.len()) {
        let [left, right] = [&old, &new].map(|side| side.get(at).map_or("", String::as_str));
        let left = painted(&format!("{left:<half$}"), "\x1b[31m");
        let row = format!("{left} {mark} {}", painted(right, "\x1b[32m"));
        text.push_str(row.trim_end());
        text.push('\n');
    }
}

/// A line in pieces of at most so many characters; an empty one is one piece.
fn pieces(line: &str, width: usize) -> Vec<String> {
    let characters: Vec<char> = line.chars().collect();
    match characters.is_empty() {
        true => vec![String::new()],
        false => characters.chunks(width).map(|piece| piece.iter().collect()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_beside_what_they_become() {
        let old = "[Unit]\nDescription=App\n[Service]\nExecStart=/bin/app --a-rather-long-option\nNice=1\n";
        let new =
            "[Unit]\nDescription=The app\n[Service]\nExecStart=/bin/app --a-rather-long-option\nUMask=0027\nNice=1\n";
        insta::assert_snapshot!(side_by_side(old, new, 63, false), @r"
        [Unit]                           [Unit]
        Description=App                | Description=The app
        [Service]                        [Service]
        ExecStart=/bin/app --a-rather-   ExecStart=/bin/app --a-rather-
        long-option                      long-option
                                       > UMask=0027
        Nice=1                           Nice=1
        ");
    }

    #[test]
    fn what_is_missing_on_a_side_is_blank() {
        assert_eq!(side_by_side("", "a\n", 43, false), format!("{:20} > a\n", ""));
        assert_eq!(side_by_side("a\n", "", 43, false), format!("{:20} <\n", "a"));
        assert_eq!(side_by_side("a\n", "b\n", 43, true), format!("\x1b[31m{:20}\x1b[0m | \x1b[32mb\x1b[0m\n", "a"));
        assert_eq!(side_by_side("same\n", "same\n", 43, true), format!("{:20}   same\n", "same"));
    }
}
