//! `relift env`: the configuration files alone.

use clap::Subcommand;

use super::globals::Globals;
use super::output;
use super::plan::request;
use super::session::Session;
use super::style;
use crate::action::Action;
use crate::error::{Error, Exit, Result};
use crate::host::fs::Rooted;
use crate::plan::env::redacted_diff;

/// Arguments of `relift env`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what an upgrade would change in each `.env`, every value redacted
    #[command(after_help = "Examples:\n  relift env diff app")]
    Diff {
        /// The install; may be left out when there is only one
        name: Option<String>,
        /// A tag, version or commit instead of the candidate
        #[arg(long, value_name = "REV")]
        to: Option<String>,
    },
    /// Add the new keys to each `.env` now; nothing is restarted
    #[command(after_help = "Examples:\n  relift env merge app")]
    Merge {
        /// The install; may be left out when there is only one
        name: Option<String>,
        /// A tag, version or commit instead of the candidate
        #[arg(long, value_name = "REV")]
        to: Option<String>,
    },
}

/// Compares or merges.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let (name, to, is_merge) = match &args.verb {
        Verb::Diff { name, to } => (name, to, false),
        Verb::Merge { name, to } => (name, to, true),
    };
    let session = Session::open(globals, name.as_deref())?;
    let reporter = output::reporter(globals);
    let _lock = session.lock(globals, false, &*reporter)?;
    let mirror = session.mirror()?;
    let target = session.target(&mirror, to.as_deref(), globals.offline, &*reporter)?;
    let planned = session.plan(&mirror, &target, &request(globals, to.as_deref()))?;
    let root = Rooted::open(&session.install.root)?;
    let mut changes = 0;
    for action in &planned.plan.actions {
        let Action::EnvFile(file) = action else { continue };
        let bytes = |image: &Option<crate::host::fs::Image>| {
            image.as_ref().and_then(|image| planned.contents.bytes(image)).unwrap_or_default().to_vec()
        };
        let (before, after) = (bytes(&file.swap.before), bytes(&file.swap.after));
        changes += 1;
        let diff = redacted_diff(&before, &after, style::is_stdout_coloured());
        if !globals.quiet {
            output::data(&format!("{}\n{diff}", file.swap.path.display()));
        }
        if is_merge && !globals.dry_run {
            let present =
                root.read(&file.swap.path)?.filter(|content| Some(&content.image) == file.swap.before.as_ref());
            let present = present.ok_or_else(|| {
                Error::failed(format!("{} was changed meanwhile", file.swap.path.display())).hint("run this again")
            })?;
            root.replace(&file.swap.path, &present.with_bytes(after))?;
        }
    }
    if changes == 0 && !globals.quiet {
        output::data("every `.env` has what the release asks for\n");
    }
    let missing: Vec<_> =
        planned.plan.blockers.iter().filter(|blocker| blocker.what.contains(" needs a value ")).cloned().collect();
    match missing.is_empty() {
        true => Ok(Exit::Done),
        false => Err(super::session::refusal(&session.install.name, &missing)),
    }
}
