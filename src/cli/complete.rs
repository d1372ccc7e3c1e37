//! Completion: a shell asks this program what may come next on a command line, and is answered without a word of error.
//!
//! The scripts that shells load (`relift internal pages`) do nothing but ask, by [`VARIABLE`] in the environment. So what is
//! offered is what this very program takes: verbs, options, installs, known-good releases, runs, backups.

use std::collections::BTreeSet;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use super::Cli;
use crate::host::paths::Paths;
use crate::ledger::Ledger;
use crate::run::runs::runs;

/// The variable that holds the shell's name while it asks.
pub const VARIABLE: &str = "_RELIFT_COMPLETE";
/// How much of a run's id is offered: as much as `history` shows.
const RUN_SHOWN: usize = 10;
/// How many runs and backups of an install are offered, the newest.
const NEWEST: usize = 30;

/// Answers the shell that asks; `false`: none does. Whatever goes wrong, somebody is in the middle of a command line: there
/// is nothing to choose from then, and nothing is said.
pub fn answered() -> bool {
    if std::env::var_os(VARIABLE).is_none() {
        return false;
    }
    std::panic::set_hook(Box::new(|_| std::process::exit(0)));
    CompleteEnv::with_factory(command).var(VARIABLE).try_complete(std::env::args_os(), None).unwrap_or_default();
    true
}

/// What a shell is to load, by the name of the file that it is looked for in.
pub fn scripts() -> Vec<(&'static str, String)> {
    let script = |shell| {
        let mut text = Vec::new();
        if let Some(shell) = Shells::builtins().completer(shell) {
            shell.write_registration(VARIABLE, "relift", "relift", "relift", &mut text).unwrap_or_default();
        }
        String::from_utf8_lossy(&text).trim_start().to_owned()
    };
    vec![("bash/relift", script("bash")), ("zsh/_relift", script("zsh")), ("fish/relift.fish", script("fish"))]
}

/// The command line with what may stand for its words on this host.
fn command() -> Command {
    let mut command = Cli::command();
    // What is offered for an argument is asked of one that is declared.
    command.build();
    offering(command)
}

fn offering(command: Command) -> Command {
    let is_rollback = command.get_name() == "rollback";
    command.mut_subcommands(offering).mut_args(|arg| {
        let offered = candidates(&arg, is_rollback);
        match offered {
            Some(offered) => arg.add(ArgValueCandidates::new(move || {
                let found = offered(&here()).into_iter();
                found.map(|(word, help)| CompletionCandidate::new(word).help(help.map(Into::into))).collect()
            })),
            None => arg,
        }
    })
}

type Offered = fn(&Here) -> Vec<(String, Option<String>)>;

/// By what an argument is called: verbs that take the same call it the same.
fn candidates(arg: &Arg, is_rollback: bool) -> Option<Offered> {
    match arg.get_id().as_str() {
        "name" | "names" | "which" | "words" if arg.is_positional() => {
            Some(|here| here.installs.iter().map(|name| (name.clone(), None)).collect())
        }
        "to" if is_rollback => Some(known_goods),
        "run" => Some(runs_of),
        "backup" => Some(backups_of),
        _ => None,
    }
}

/// What is known of this host: what the caller may not read is not there.
struct Here {
    paths: Paths,
    installs: Vec<String>,
    /// The installs that the command line names; all of them when it names none.
    meant: Vec<String>,
}

/// Looks at this host.
fn here() -> Here {
    let paths = Paths::below(Path::new("/"));
    let files = crate::manifest::files(&paths).unwrap_or_default();
    let stem = |path: &std::path::PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let installs: Vec<String> = files.iter().filter_map(stem).filter(|name| is_plain(name)).collect();
    let words: BTreeSet<String> =
        std::env::args_os().filter_map(|word| word.into_string().ok()).filter(|word| installs.contains(word)).collect();
    let meant = if words.is_empty() { installs.clone() } else { words.into_iter().collect() };
    Here { paths, installs, meant }
}

/// What a terminal shows as it is and a shell takes as one word.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@+/".contains(c))
}

fn known_goods(here: &Here) -> Vec<(String, Option<String>)> {
    let of = |name: &String| {
        let known = Ledger::below(&here.paths.state(name)).known_good().unwrap_or_default();
        known.into_iter().rev().filter(|one| is_plain(&one.tag)).map(|one| {
            let versions: BTreeSet<String> = one.versions.into_values().collect();
            (one.tag, Some(versions.into_iter().collect::<Vec<_>>().join(", ")))
        })
    };
    here.meant.iter().flat_map(of).collect()
}

fn runs_of(here: &Here) -> Vec<(String, Option<String>)> {
    ids(here, |name| here.paths.state(name).join("runs"))
}

/// Backups that are kept in the default place.
fn backups_of(here: &Here) -> Vec<(String, Option<String>)> {
    ids(here, |name| here.paths.state(name).join("backups"))
}

fn ids(here: &Here, place: impl Fn(&str) -> std::path::PathBuf) -> Vec<(String, Option<String>)> {
    let of = |name: &String| {
        let found = runs(&place(name)).unwrap_or_default();
        let id = |path: &std::path::PathBuf| {
            let id = path.file_name()?.to_str()?;
            Some((id.get(id.len().checked_sub(RUN_SHOWN)?..)?.to_owned(), Some(name.clone())))
        };
        found.iter().rev().take(NEWEST).filter_map(id).collect::<Vec<_>>()
    };
    here.meant.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_runs_are_offered_wherever_a_verb_takes_one() {
        let offers = |command: &Command, id: &str| {
            let arg = command.get_arguments().find(|arg| arg.get_id() == id);
            arg.is_some_and(|arg| arg.get::<ArgValueCandidates>().is_some())
        };
        let command = command();
        let verb = |name: &str| command.find_subcommand(name).expect("a verb").clone();
        for name in ["plan", "upgrade", "rollback", "recover", "history", "hold", "unhold", "doctor"] {
            assert!(offers(&verb(name), "name"), "{name}");
        }
        assert!(offers(&verb("check"), "names") && offers(&verb("status"), "names"));
        assert!(offers(&verb("show"), "run") && offers(&verb("logs"), "run"));
        assert!(offers(&verb("rollback"), "to") && !offers(&verb("upgrade"), "to"));
        let backup = verb("backup");
        let restore = backup.find_subcommand("restore").expect("a verb");
        assert!(offers(restore, "name") && offers(restore, "backup"));
        // A name that is to be given is not one that is there.
        assert!(!offers(&verb("init"), "name"));
    }

    #[test]
    fn what_is_no_word_of_a_shell_is_not_offered() {
        assert!(is_plain("app-2_b.c") && is_plain("known-good/20261121T081530Z"));
        for word in ["", "a b", "$(reboot)", "a;b", "`x`", "\u{1b}[2J", "a'b"] {
            assert!(!is_plain(word), "{word:?}");
        }
    }
}
