//! `relift doctor`: what would keep a run from working here, and whether what protects one works.

use serde_json::json;

use super::globals::Globals;
use super::output;
use super::session::must_be_root;
use super::style::{BAD, BOLD, DIM, GOOD, WARN, paint};
use crate::doctor::observe::examine;
use crate::doctor::{Finding, Level, Section, count};
use crate::error::{Exit, Result};
use crate::manifest;
use crate::text::{harmless, wrapped};

/// Arguments of `relift doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The install; by default all of them
    name: Option<String>,
}

/// How wide a page is: the narrowest terminal.
const WIDTH: usize = 80;
/// Where texts begin.
const INDENT: usize = 12;

/// Examines. Warnings alone are no failure.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    must_be_root()?;
    let paths = globals.paths();
    let mut installs = manifest::each(&paths, globals.config.as_deref())?;
    if let Some(name) = &args.name {
        installs.retain(|(known, _)| known == name);
        if installs.is_empty() {
            // Says which there are.
            manifest::named(&paths, globals.config.as_deref(), Some(name))?;
        }
    }
    let found = examine(&paths, &installs, globals.offline);
    let problems = count(&found, Level::Problem);
    match (globals.json, globals.quiet) {
        (true, _) => output::document(&json!({
            "format": 1,
            "problems": problems,
            "warnings": count(&found, Level::Warning),
            "findings": found,
        })),
        (_, true) => {
            let problems: Vec<Finding> = found.into_iter().filter(|finding| finding.level == Level::Problem).collect();
            output::data(&page(&problems));
        }
        _ => output::data(&format!("{}{}", page(&found), summary(&found))),
    }
    Ok(if problems == 0 { Exit::Done } else { Exit::Failed })
}

fn title(section: Section) -> &'static str {
    match section {
        Section::Tools => "Tools",
        Section::Files => "Owners and modes",
        Section::Room => "Disks",
        Section::Clock => "Clock and locale",
        Section::Services => "systemd",
        Section::Network => "Remotes",
        Section::Protection => "Protections, each tried",
    }
}

fn page(found: &[Finding]) -> String {
    let mut text = String::new();
    let mut section = None;
    for finding in found {
        if section != Some(finding.section) {
            let space = if section.is_some() { "\n" } else { "" };
            text.push_str(&format!("{space}{}\n", paint(BOLD, title(finding.section))));
            section = Some(finding.section);
        }
        text.push_str(&entry(finding));
    }
    text
}

fn entry(finding: &Finding) -> String {
    let (style, mark) = match finding.level {
        Level::Ok => (GOOD, "ok"),
        Level::Warning => (WARN, "warning"),
        Level::Problem => (BAD, "problem"),
    };
    let mark = format!("{}{}", paint(style, mark), " ".repeat(INDENT - 2 - mark.len()));
    let head = format!("{}: {}", finding.subject, finding.what);
    let mut text = format!("  {mark}{}\n", lines(&head, 0).join("\n"));
    for line in finding.means.iter().flat_map(|means| lines(means, INDENT)) {
        text.push_str(&format!("{}\n", paint(DIM, line)));
    }
    // A command stays on one line, to be copied.
    if let Some(mend) = &finding.mend {
        text.push_str(&format!("{}{} {}\n", " ".repeat(INDENT), paint(BOLD, "next:"), harmless(mend)));
    }
    text
}

/// A text in lines that fit behind the indent; the first is indented by `first`.
fn lines(text: &str, first: usize) -> Vec<String> {
    let indent = |at: usize| " ".repeat(if at == 0 { first } else { INDENT });
    let pieces = wrapped(&harmless(text), WIDTH - INDENT);
    pieces.iter().enumerate().map(|(at, piece)| format!("{}{piece}", indent(at))).collect()
}

fn summary(found: &[Finding]) -> String {
    let (problems, warnings) = (count(found, Level::Problem), count(found, Level::Warning));
    let many = |count: usize, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let fine = found.len() - problems - warnings;
    let text = format!("{}, {}, {fine} ok", many(problems, "problem"), many(warnings, "warning"));
    let style = if problems > 0 { BAD } else { GOOD };
    format!("\n{}\n", paint(style, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_aligned_and_fits_eighty_columns() {
        let found = [
            Finding::ok(Section::Tools, "git", "2.51.0 at /usr/bin/git"),
            Finding::problem(
                Section::Files,
                "/etc/relift",
                "may be written by every account, which is wrong for more than one reason",
            )
            .means("who can write it decides what root does, and that is said in a sentence that needs two lines")
            .mend("chmod go-w /etc/relift"),
        ];
        let text = anstream::adapter::strip_str(&page(&found)).to_string();
        insta::assert_snapshot!(text, @r"
        Tools
          ok        git: 2.51.0 at /usr/bin/git

        Owners and modes
          problem   /etc/relift: may be written by every account, which is wrong for
                    more than one reason
                    who can write it decides what root does, and that is said in a
                    sentence that needs two lines
                    next: chmod go-w /etc/relift
        ");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }
}
