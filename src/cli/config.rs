//! `relift config check|schema|show`: manifests, without touching what they declare.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::globals::{ColorWhen, Globals};
use super::output;
use super::session::{Session, must_be_root};
use crate::error::{Context, Error, Exit, Result};
use crate::host::account::Account;
use crate::manifest::{self, Install, Problems};
use crate::source::git::choose;
use crate::trust;

/// Checks manifests, and shows what they come to.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with manifests.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Check manifests: every mistake with its line, and what would be right
    #[command(after_help = "Examples:\n  relift config check\n  relift config check app")]
    Check {
        /// An install's name, or a manifest's file; by default every manifest
        #[arg(value_name = "NAME|FILE")]
        which: Vec<String>,
    },
    /// Print the JSON Schema of a manifest, for editors
    Schema,
    /// Print a manifest with every default written out
    Show {
        /// The install; may be left out where there is only one
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

/// Does it; exit status 2 where a manifest is wrong.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    match &args.command {
        Command::Check { which } => check(which, globals),
        Command::Schema => print_json(&manifest::schema()),
        Command::Show { name } => show(name.as_deref(), globals),
    }
}

fn show(name: Option<&str>, globals: &Globals) -> Result<Exit> {
    let install = manifest::named(&globals.paths(), globals.config.as_deref(), name)?;
    let install = with_repository(install, globals)?;
    let effective = manifest::effective(&install)?;
    if globals.json {
        let manifest: toml::Table = effective.parse().context("the manifest cannot be written as JSON")?;
        return print_json(&json!({
            "version": 1,
            "name": install.name,
            "file": install.file.display().to_string(),
            "manifest": manifest,
            "from": install.layered.as_ref().map(|_| manifest::sources(&install)).transpose()?,
            "warnings": install.warnings,
        }));
    }
    if let Some(layered) = &install.layered {
        let files = format!("{} and {}", install.file.display(), layered.manifest.title());
        output::text(&format!("# {files}, with every default written out\n{}", manifest::shown(&install)?));
        return Ok(Exit::Done);
    }
    output::text(&format!("# {}, with every default written out\n{effective}", install.file.display()));
    Ok(Exit::Done)
}

/// With the repository's own manifest as an upgrade would read it now, without the network; where nothing was fetched yet, as it
/// was activated.
fn with_repository(install: Install, globals: &Globals) -> Result<Install> {
    let Some(source) = install.source.git().filter(|source| source.manifest).cloned() else { return Ok(install) };
    if must_be_root().is_err() {
        return Ok(install);
    }
    let session = Session::of(globals, install)?;
    let mirror = session.mirror()?;
    match mirror.known(&source.follow) {
        known if known.is_empty() => Ok(session.install),
        known => {
            let target = choose(&source, &known)?;
            Ok(session.at(globals, &mirror, &target.revision)?.install)
        }
    }
}

/// What was found in one manifest.
struct Checked {
    file: PathBuf,
    warnings: Vec<String>,
    problems: Option<Problems>,
    error: Option<Error>,
}

fn check(which: &[String], globals: &Globals) -> Result<Exit> {
    let files = files(which, globals)?;
    let checked: Vec<Checked> = files.into_iter().map(check_one).collect();
    let exit = checked.iter().map(exit_of).max_by_key(|exit| *exit as u8).unwrap_or(Exit::Done);
    if globals.json {
        print_json(&json!({ "version": 1, "manifests": checked.iter().map(as_json).collect::<Vec<_>>() }))?;
        return Ok(exit);
    }
    for one in &checked {
        output::data(&in_words(one, globals));
    }
    Ok(exit)
}

fn files(which: &[String], globals: &Globals) -> Result<Vec<PathBuf>> {
    let paths = globals.paths();
    if which.is_empty() {
        return match &globals.config {
            Some(file) => Ok(vec![file.clone()]),
            None => match manifest::files(&paths)? {
                files if files.is_empty() => {
                    Err(Error::usage(format!("no install is declared in {}", paths.manifests().display()))
                        .hint("write a manifest for a checkout: relift init PATH"))
                }
                files => Ok(files),
            },
        };
    }
    let is_file = |text: &str| text.contains('/') || (text.ends_with(".toml") && Path::new(text).exists());
    let one = |text: &String| match is_file(text) {
        true => Ok(PathBuf::from(text)),
        false => manifest::file_of(&paths, Some(text)),
    };
    which.iter().map(one).collect()
}

fn check_one(file: PathBuf) -> Checked {
    let (warnings, problems, error) = match manifest::read(&file) {
        Ok(Ok(install)) => {
            let (warnings, error) = on_this_host(install);
            (warnings, None, error)
        }
        Ok(Err(problems)) => (Vec::new(), Some(problems), None),
        Err(error) => (Vec::new(), None, Some(error)),
    };
    Checked { file, warnings, problems, error }
}

/// What only this host can tell: the calendar, the account, the checkout.
fn on_this_host(install: Install) -> (Vec<String>, Option<Error>) {
    let mut warnings = install.warnings.clone();
    let window = install.policy.schedule.check();
    if let Err(error) = Account::named(&install.owner) {
        warnings.push(format!("`install.owner`: {}", error.what));
    }
    if install.checkout().is_some() && !install.root.join(".git").exists() {
        warnings.push(format!("`install.root`: {} is no git checkout (yet)", install.root.display()));
    }
    let error = window.err().or(trust::check_files(&install).err());
    (warnings, error)
}

fn exit_of(checked: &Checked) -> Exit {
    match (&checked.problems, &checked.error) {
        (Some(_), _) => Exit::Refused,
        (None, Some(error)) => error.kind.exit(),
        (None, None) => Exit::Done,
    }
}

fn in_words(checked: &Checked, globals: &Globals) -> String {
    let file = checked.file.display();
    let mut text = String::new();
    if let Some(problems) = &checked.problems {
        text.push_str(&format!("{}\n\n", problems.render(globals.color == ColorWhen::Always)));
        let count = problems.list.len();
        text.push_str(&format!("{file}: {count} error{}\n", if count == 1 { "" } else { "s" }));
    } else if let Some(error) = &checked.error {
        text.push_str(&format!("{file}: {error}\n"));
        error.hints.iter().for_each(|hint| text.push_str(&format!("  hint: {hint}\n")));
    } else if !globals.quiet {
        text.push_str(&format!("{file}: ok\n"));
    }
    for warning in checked.warnings.iter().filter(|_| !globals.quiet) {
        text.push_str(&format!("  warning: {warning}\n"));
    }
    text
}

fn as_json(checked: &Checked) -> Value {
    let problems = checked.problems.as_ref().map(|problems| json!(problems.list)).unwrap_or_else(|| json!([]));
    json!({
        "file": checked.file.display().to_string(),
        "ok": checked.problems.is_none() && checked.error.is_none(),
        "errors": problems,
        "error": checked.error.as_ref().map(ToString::to_string),
        "warnings": checked.warnings,
    })
}

fn print_json(value: &Value) -> Result<Exit> {
    output::document(value);
    Ok(Exit::Done)
}
