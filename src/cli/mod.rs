//! The command line: one file per verb. `output` is the only renderer, `error` the only error printer.

mod aftermath;
mod ask;
mod backup;
mod check;
mod columns;
pub mod complete;
pub mod config;
pub(crate) mod describe;
mod doctor;
mod env;
mod error;
pub mod globals;
mod history;
mod hold;
mod hook;
pub mod init;
pub mod internal;
mod itself;
mod late;
mod logs;
mod nagios;
mod notify;
pub mod output;
pub mod pages;
mod plan;
mod reconfigure;
mod recover;
mod rollback;
mod screen;
mod session;
mod settled;
mod share;
mod status;
mod style;
mod trust;
mod try_;
mod units;
mod upgrade;
mod wanted;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::{Error, Exit, Kind, Result};
use globals::Globals;
use late::Late;

/// Upgrades services installed from a git checkout: planned, journaled, proven, reversible
#[derive(Debug, Parser)]
#[command(name = "relift", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show a whole upgrade, and one that fails and comes back, on a throw-away copy of this host
    #[command(after_help = "Examples:\n  relift try")]
    Try(Late<try_::Args>),
    /// Write a manifest for an install that is there, from what it finds
    #[command(after_help = "Examples:\n  relift init /opt/app\n  relift init --stdout /opt/app | less")]
    Init(Late<init::Args>),
    /// Is anything new? One network round trip, changes nothing; exits 100 when there is
    #[command(
        after_help = "Examples:\n  relift check\n  relift check app --quiet\n  relift check app --nagios --ok-if-new"
    )]
    Check(Late<check::Args>),
    /// Show what an upgrade would do
    #[command(
        after_help = "Examples:\n  relift plan app\n  relift plan app --to 2.0.0\n  relift plan app --json | jq .components"
    )]
    Plan(Late<plan::Args>),
    /// Upgrade an install
    #[command(
        after_help = "Examples:\n  relift upgrade app\n  relift upgrade app --to manager-v1.7.1 --yes\n  relift upgrade app --dry-run"
    )]
    Upgrade(Late<upgrade::Args>),
    /// Go back to a known-good release
    #[command(
        after_help = "Examples:\n  relift rollback app\n  relift rollback app --to known-good/20260717T020312Z --offline"
    )]
    Rollback(Late<rollback::Args>),
    /// Restart what runs with replaced packages, and run the steps that the manifest names for them
    #[command(
        after_help = "Examples:\n  relift reconfigure app --dry-run\n  relift reconfigure app --step init --restart"
    )]
    Reconfigure(Late<reconfigure::Args>),
    /// Finish or undo an interrupted run
    #[command(after_help = "Examples:\n  relift recover app")]
    Recover(Late<recover::Args>),
    /// Show what is installed, known-good and held
    #[command(
        after_help = "With --nagios no network is used. Root looks itself; any other account, such as that of a monitoring agent, \
        reads what the last verb left in /run/relift-status, which is there for installs with [monitoring] in their manifest and \
        holds no secret. CRITICAL: what is offered failed here, a run is open or could not put everything back, or the source has \
        not answered for `stale` (2d). WARNING: something is new, or waits for a decision. UNKNOWN: it cannot be told. Held is OK.\n\n\
        Examples:\n  relift status\n  relift status app --json\n  relift status --nagios"
    )]
    Status(Late<status::Args>),
    /// List the runs of the past
    #[command(after_help = "Examples:\n  relift history app --lines 5")]
    History(Late<history::Args>),
    /// Show one run: its plan, what it did, and how it ended
    #[command(after_help = "Examples:\n  relift show 2JX03JMNRK\n  relift show 2JX03JMNRK --json")]
    Show(Late<history::ShowArgs>),
    /// Show what relift, the steps and the services said during a run
    #[command(
        after_help = "Examples:\n  relift logs 2JX03JMNRK\n  relift logs 2JX03JMNRK --only steps\n  relift logs 2JX03JMNRK --follow"
    )]
    Logs(Late<logs::Args>),
    /// List, verify, restore and take backups of an install's data
    Backup(Late<backup::Args>),
    /// Look for what would keep a run from working here, and try what protects one; changes nothing
    #[command(after_help = "Examples:\n  relift doctor\n  relift doctor app --quiet\n  relift doctor --offline --json")]
    Doctor(Late<doctor::Args>),
    /// Compare or merge `.env` files alone
    Env(Late<env::Args>),
    /// Compare unit files alone
    Units(Late<units::Args>),
    /// No upgrades until `unhold`
    #[command(after_help = "Examples:\n  relift hold app --reason \"exams until Friday\"")]
    Hold(Late<hold::Args>),
    /// Lift the hold
    #[command(after_help = "Examples:\n  relift unhold app")]
    Unhold(Late<hold::UnholdArgs>),
    /// Approve single revisions by hand, for upstreams that do not sign
    Trust(Late<trust::Args>),
    /// Send test messages, look at what waits to be delivered, deliver it
    Notify(Late<notify::Args>),
    /// Check a manifest, show it, or print its schema
    Config(Late<config::Args>),
    /// What package managers call after they changed something: asks for a reconfiguration, does none
    Hook(Late<hook::Args>),
    #[command(subcommand, hide = true)]
    Internal(internal::Internal),
}

/// Runs the command line; the value is the process's exit status.
pub fn main() -> u8 {
    crate::host::secrecy::keep_memory();
    crate::host::inherited::reset();
    if complete::answered() {
        return Exit::Done as u8;
    }
    if let Some(error) = crate::host::limits::too_little() {
        error::print(&error, false);
        return error.kind.exit() as u8;
    }
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(listed) = internal::list_refs(&words) {
        return told_to_parent(listed) as u8;
    }
    let cli = match shortly(&words).map_or_else(|| Cli::try_parse_from(&words), Ok) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    style::choose(&cli.globals);
    cli.end_when_broken();
    match cli.run() {
        Ok(exit) => cli.told(exit) as u8,
        Err(error) => {
            error::print(&error, cli.globals.json);
            error.kind.exit() as u8
        }
    }
}

/// A command line as it is mostly: right, and read with the verb alone that it names. The global options are declared for every
/// verb otherwise. `None` says nothing at all: then all verbs are needed, be it to tell what is wrong.
fn shortly(words: &[OsString]) -> Option<Cli> {
    let all = Cli::command();
    let verb = words.iter().skip(1).find_map(|word| all.find_subcommand(word))?;
    let command = clap::Command::new("relift").subcommand_required(true).args(all.get_arguments()).subcommand(verb);
    Cli::from_arg_matches(&command.try_get_matches_from(words).ok()?).ok()
}

impl Cli {
    /// Whether what it does is more than what it prints.
    fn acts(&self) -> bool {
        !matches!(
            self.verb,
            Verb::Check(_) | Verb::Plan(_) | Verb::Status(_) | Verb::History(_) | Verb::Show(_) | Verb::Logs(_)
        )
    }

    /// Ends the process where one of its threads panics: what is half done stays as a kill would leave it, and is no way to go on
    /// from. The release is built without unwinding.
    fn end_when_broken(&self) {
        let (error, is_json) = (self.broken(), self.globals.json);
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            tell(panic);
            error::print(&error, is_json);
            std::process::exit(error.kind.exit() as i32);
        }));
    }

    /// After a panic, which has told where it was: a thread that could not be started, or a fault of ours.
    fn broken(&self) -> Error {
        let error = Error::failed("relift broke off: it could not go on, as told above");
        match self.acts() {
            false => error,
            true => error.kind(Kind::NeedsOperator).hint("finish or undo what was begun: relift recover"),
        }
    }

    /// A verb that tells did nothing when what it told was lost. One that acts has acted, and its exit status says how.
    fn told(&self, exit: Exit) -> Exit {
        let Some(lost) = output::lost() else { return exit };
        let error = Error::failed("standard output could not be written").because(lost);
        if self.acts() {
            output::message(&format!("warning: {error}\n"));
            return exit;
        }
        error::print(&error, false);
        Exit::Failed
    }

    fn run(&self) -> Result<Exit> {
        let globals = &self.globals;
        match &self.verb {
            Verb::Try(args) => try_::run(args, globals),
            Verb::Init(args) => init::run(args, globals),
            Verb::Check(args) => check::run(args, globals),
            Verb::Plan(args) => plan::run(args, globals),
            Verb::Upgrade(args) => upgrade::run(args, globals),
            Verb::Rollback(args) => rollback::run(args, globals),
            Verb::Reconfigure(args) => reconfigure::run(args, globals),
            Verb::Recover(args) => recover::run(args, globals),
            Verb::Hook(args) => hook::run(args, globals),
            Verb::Status(args) => status::run(args, globals),
            Verb::History(args) => history::run(args, globals),
            Verb::Show(args) => history::show(args, globals),
            Verb::Logs(args) => logs::run(args, globals),
            Verb::Backup(args) => backup::run(args, globals),
            Verb::Doctor(args) => doctor::run(args, globals),
            Verb::Env(args) => env::run(args, globals),
            Verb::Units(args) => units::run(args, globals),
            Verb::Hold(args) => hold::run(args, globals),
            Verb::Unhold(args) => hold::unhold(args, globals),
            Verb::Trust(args) => trust::run(args, globals),
            Verb::Notify(args) => notify::run(args, globals),
            Verb::Config(args) => config::run(args, globals),
            Verb::Internal(verb) => Ok(told_to_parent(internal::run(verb, globals))),
        }
    }
}

/// What this program starts of itself tells an error in one line: its reader is a journal or a parent.
fn told_to_parent(ended: Result<()>) -> Exit {
    match ended {
        Ok(()) => Exit::Done,
        Err(error) => {
            output::message(&format!("{error}\n"));
            error.kind.exit()
        }
    }
}

/// `--help` and `--version` are data; anything else is a usage error.
fn usage(error: &clap::Error) -> u8 {
    let text = error.render().ansi().to_string();
    match error.use_stderr() {
        true => {
            output::message(&text);
            Exit::Refused as u8
        }
        false => {
            output::data(&text);
            Exit::Done as u8
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_read_with_its_verb_alone_as_with_all_of_them() {
        let read = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
            let shortly = shortly(&words).map(|cli| format!("{cli:?}"));
            (shortly, Cli::try_parse_from(&words).map(|cli| format!("{cli:?}")).ok())
        };
        for line in [
            "relift check",
            "relift -q check app --offline",
            "relift --root /x check upgrade plan --json",
            "relift history app --lines 3 --color never",
            "relift upgrade app --to 2.0.0 -y -n --only a --only b",
            "relift backup list app",
            "relift config show app",
            "relift internal pages /tmp",
            "relift --only check --lock-timeout 5s status -- app",
        ] {
            let (shortly, whole) = read(line);
            assert!(whole.is_some(), "{line}");
            // A verb that is the value of an option is no verb.
            assert!(shortly == whole || shortly.is_none() && line.contains("--only check"), "{line}: {shortly:?}");
        }
        for line in [
            "relift",
            "relift help check",
            "relift check --help",
            "relift --version check",
            "relift chek",
            "relift check --lines 3",
        ] {
            assert_eq!(read(line), (None, None), "{line}");
        }
    }
}
