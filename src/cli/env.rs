//! `relift env`: the configuration files alone.

use clap::Subcommand;

use super::globals::Globals;
use super::output;
use super::style;
use super::wanted::Wanted;
use crate::action::Action;
use crate::error::{Error, Exit, Result};
use crate::host::fs::Rooted;
use crate::plan::env::{placeholders, redacted_diff};
use crate::plan::{EnvPlan, Plan};

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
    Diff(Wanted),
    /// Add the new keys to each `.env` now; nothing is restarted
    #[command(after_help = "Examples:\n  relift env merge app")]
    Merge(Wanted),
}

/// Compares or merges.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let (wanted, is_merge) = match &args.verb {
        Verb::Diff(wanted) => (wanted, false),
        Verb::Merge(wanted) => (wanted, true),
    };
    let looked = wanted.plan(globals)?;
    let (session, planned) = (&looked.session, &looked.planned);
    if globals.json {
        output::document(&document(&planned.plan));
    }
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
        if !globals.quiet && !globals.json {
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
    if changes == 0 && !globals.quiet && !globals.json {
        output::data("every `.env` has what the release asks for\n");
    }
    match needed(&planned.plan).as_slice() {
        [] => Ok(Exit::Done),
        needed => {
            let name = &session.install.name;
            Err(Error::refused(format!("{name} needs values of yours: {}", needed.join(", ")))
                .hint(format!("set them in the file, or run on a terminal to be asked: relift upgrade {name}")))
        }
    }
}

/// New keys whose default is a placeholder: `KEY in FILE`.
fn needed(plan: &Plan) -> Vec<String> {
    let files = plan.components.iter().flat_map(|component| &component.env);
    let keys = |env: &EnvPlan| -> Vec<String> {
        placeholders(&env.changes).into_iter().map(|key| format!("{key} in {}", env.file)).collect()
    };
    files.flat_map(keys).collect()
}

/// What differs, for a program: keys and how they differ, never a value.
fn document(plan: &Plan) -> serde_json::Value {
    let files = plan.components.iter().flat_map(|component| &component.env);
    let file =
        |env: &EnvPlan| serde_json::json!({"file": env.file, "rewritten": env.rewritten, "changes": env.changes});
    serde_json::json!({"format": 1, "install": plan.install, "files": files.map(file).collect::<Vec<_>>()})
}
