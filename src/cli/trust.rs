//! `relift trust pin`, `list` and `unpin`: revisions that an operator vouches for.

use comfy_table::Table;
use serde_json::json;

use super::globals::Globals;
use super::output;
use super::session::Session;
use super::status::when;
use crate::error::{Context, Error, Exit, Result};
use crate::host::account;
use crate::source::git::{Mirror, Target};
use crate::source::snapshot;
use crate::text::harmless;
use crate::trust::{Pin, tag_object};

/// Approves single revisions by hand, for upstreams that do not sign.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

/// What to do with approvals.
#[derive(Debug, Clone, clap::Subcommand)]
enum Verb {
    /// Approve one revision: it counts as verified, and is marked as pinned by hand
    #[command(
        after_help = "Examples:\n  relift trust pin app v1.7.1\n  relift trust pin 3f786850e387550fdab836ed7e6dc881de23001b --yes"
    )]
    Pin {
        /// The install, which may be left out when there is only one, and a tag, version or commit
        #[arg(required = true, num_args = 1..=2, value_names = ["NAME", "REV"])]
        words: Vec<String>,
    },
    /// List what is approved
    List {
        /// The install; may be left out when there is only one
        name: Option<String>,
    },
    /// Take an approval back; what is installed stays
    #[command(after_help = "Examples:\n  relift trust unpin app v1.7.1")]
    Unpin {
        /// The install, which may be left out when there is only one, and a tag or commit that is approved
        #[arg(required = true, num_args = 1..=2, value_names = ["NAME", "REV"])]
        words: Vec<String>,
    },
}

/// Does it.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    match &args.verb {
        Verb::Pin { words } => pin(words, globals),
        Verb::List { name } => list(name.as_deref(), globals),
        Verb::Unpin { words } => unpin(words, globals),
    }
}

/// `[NAME] REV`: the last word is the revision.
fn split(words: &[String]) -> (Option<&str>, &str) {
    match words {
        [name, revision, ..] => (Some(name), revision),
        [revision] => (None, revision),
        [] => (None, ""),
    }
}

fn pin(words: &[String], globals: &Globals) -> Result<Exit> {
    let (name, revision) = split(words);
    let session = Session::open(globals, name)?;
    let mirror = session.mirror()?;
    let reporter = output::reporter(&Globals { json: false, quiet: globals.quiet || globals.json, ..globals.clone() });
    let target = session.target(&mirror, Some(revision), globals.offline, &*reporter)?;
    let name = &session.install.name;
    let text = what(&mirror, &target)?;
    if !globals.quiet && !globals.json {
        output::data(&format!("approve for {name}, by hand:\n{text}"));
    }
    if globals.dry_run {
        return Ok(Exit::Done);
    }
    approved(globals, name)?;
    let pin = Pin {
        revision: target.revision.clone(),
        label: target.label.clone(),
        by: caller(),
        time: jiff::Timestamp::now().as_second(),
    };
    let of_tag = || target.label.as_ref().and_then(|label| tag_object(mirror.repository(), label));
    // What a release of ours was made of is what its name stands for.
    let identity =
        snapshot::meta(mirror.repository(), &target.revision).and_then(|meta| meta.identity.into_iter().next());
    let object = identity.or_else(|| of_tag().map(|object| object.to_string()));
    session.remember(|memory| memory.approve(pin.clone(), object))?;
    match (globals.json, globals.quiet) {
        (true, _) => output::document(&json!({"format": 1, "install": name, "pin": pin})),
        (false, true) => {}
        (false, false) => output::data(&format!(
            "{name}: {} is pinned by hand, by {}; relift trust unpin {name} {0} takes it back\n",
            target.revision, pin.by
        )),
    }
    Ok(Exit::Done)
}

/// What would be approved: the commit as its author describes it, which nobody vouches for.
fn what(mirror: &Mirror, target: &Target) -> Result<String> {
    let oid = git2::Oid::from_str(&target.revision).context("a commit id is malformed")?;
    let commit = mirror.repository().find_commit(oid).context("the mirror cannot be read")?;
    let (author, time) = (commit.author(), commit.time().seconds());
    let shown = |bytes: &[u8]| harmless(&String::from_utf8_lossy(bytes));
    let mut text = format!("  commit   {}\n", target.revision);
    if let Some(label) = &target.label {
        text.push_str(&format!("  tag      {}\n", harmless(label)));
    }
    text.push_str(&format!("  author   {} <{}>\n", shown(author.name_bytes()), shown(author.email_bytes())));
    text.push_str(&format!("  date     {}\n", when(time)));
    text.push_str(&format!("  summary  {}\n", shown(commit.summary_bytes().unwrap_or_default())));
    text.push_str(&format!("  look     git --git-dir={} show --stat {}\n", mirror.path().display(), target.revision));
    Ok(text)
}

fn approved(globals: &Globals, name: &str) -> Result<()> {
    if globals.yes {
        return Ok(());
    }
    if !output::is_attended() {
        return Err(Error::refused(format!("nothing was approved for {name}: there is no terminal to ask at"))
            .hint("pass --yes when the revision is what you want"));
    }
    match dialoguer::Confirm::new().with_prompt("Approve it?").default(false).interact() {
        Ok(true) => Ok(()),
        _ => Err(Error::refused("not approved")),
    }
}

/// The account that logged in, which sudo and su do not change (pam_loginuid(8)); else what sudo tells.
pub(super) fn caller() -> String {
    let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse::<u32>().ok());
    let login = login.filter(|uid| *uid != u32::MAX).and_then(account::name_of);
    let sudo = || std::env::var("SUDO_USER").ok().map(|name| harmless(&name));
    match login.or_else(sudo) {
        Some(name) if name != "root" => format!("{name} as root"),
        _ => "root".into(),
    }
}

fn list(name: Option<&str>, globals: &Globals) -> Result<Exit> {
    let session = Session::open(globals, name)?;
    let pins = session.ledger().trust()?.pins;
    if globals.json {
        output::document(&json!({"format": 1, "install": session.install.name, "pins": pins}));
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::TableStyle::new()).set_header(["REVISION", "TAG", "APPROVED", "BY"]);
    for pin in &pins {
        let label = pin.label.as_deref().map_or("-".into(), harmless);
        table.add_row([pin.revision.clone(), label, when(pin.time), pin.by.clone()]);
    }
    let text: String = table.to_string().lines().map(|line| format!("{}\n", line.trim())).collect();
    output::data(if pins.is_empty() { "nothing is pinned by hand\n" } else { &text });
    Ok(Exit::Done)
}

fn unpin(words: &[String], globals: &Globals) -> Result<Exit> {
    let (name, wanted) = split(words);
    let session = Session::open(globals, name)?;
    let name = &session.install.name;
    let is_meant = |pin: &Pin| {
        pin.label.as_deref() == Some(wanted) || (wanted.len() >= 7 && pin.revision.starts_with(&wanted.to_lowercase()))
    };
    let pins = session.ledger().trust()?.pins;
    let found: Vec<&Pin> = pins.iter().filter(|pin| is_meant(pin)).collect();
    let [pin] = found.as_slice() else {
        let what = if found.is_empty() { "is not pinned" } else { "means several pins" };
        return Err(Error::usage(format!("{} {what} for {name}", harmless(wanted)))
            .hint(format!("what there is: relift trust list {name}")));
    };
    session.remember(|memory| memory.pins.retain(|known| known.revision != pin.revision))?;
    if !globals.quiet && !globals.json {
        output::data(&format!("{name}: {} is no longer pinned; what is installed stays\n", pin.revision));
    }
    Ok(Exit::Done)
}
