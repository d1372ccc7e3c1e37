//! `relift backup`.

use std::path::PathBuf;

use clap::Subcommand;
use comfy_table::Table;
use serde_json::{Value, json};

use super::globals::Globals;
use super::output;
use super::session::Session;
use super::status::when;
use crate::action::{Act, ComposeHold, Quiesce, Seen, Site, stop_units};
use crate::backup::{self, Listing, Name, Order, Reason, Scope, Stored};
use crate::error::{Error, Exit, Kind, Result};
use crate::host::interrupt;
use crate::manifest::Source;
use crate::plan::Plan;
use crate::report::{Event, Reporter, during};
use crate::source::compose::Project;
use crate::survey::Survey;
use crate::text::bytes;

/// Arguments of `relift backup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List backups, oldest first
    #[command(after_help = "Examples:\n  relift backup list app")]
    List {
        /// The install; may be left out when there is only one
        name: Option<String>,
    },
    /// Restore backups into a scratch place and compare; all of them when none is named
    #[command(after_help = "Examples:\n  relift backup verify app\n  relift backup verify app 2JX03JMNRK")]
    Verify {
        /// The install; may be left out when there is only one
        name: Option<String>,
        /// The backup's id, or the end of it
        backup: Option<String>,
    },
    /// Put a backup back; what is there is backed up first, and services are stopped meanwhile
    #[command(
        after_help = "Examples:\n  relift backup restore app 2JX03JMNRK\n  relift backup restore app 2JX03JMNRK manager/data/uploads --yes"
    )]
    Restore {
        /// The install
        name: String,
        /// The backup's id, or the end of it
        backup: String,
        /// Only these paths, relative to the checkout; `volume:NAME/PATH` is in a volume
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Take a backup now, while everything runs
    #[command(after_help = "Examples:\n  relift backup take app")]
    Take {
        /// The install; may be left out when there is only one
        name: Option<String>,
    },
}

/// Does it.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    match &args.verb {
        Verb::List { name } => list(&Session::open(globals, name.as_deref())?, globals),
        Verb::Verify { name, backup } => verify(&Session::open(globals, name.as_deref())?, backup.as_deref(), globals),
        Verb::Restore { name, backup, paths } => restore(&Session::open(globals, Some(name))?, backup, paths, globals),
        Verb::Take { name } => take(&Session::open(globals, name.as_deref())?, globals),
    }
}

fn list(session: &Session, globals: &Globals) -> Result<Exit> {
    let all = backup::list(&session.backups())?;
    if globals.json {
        let rows: Vec<Value> = all.iter().map(document).collect();
        output::document(&json!({"format": 1, "install": session.install.name, "backups": rows}));
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::TableStyle::new()).set_header(["BACKUP", "TAKEN", "WHY", "HOLDS", "TAKES"]);
    for stored in &all {
        match &stored.listing {
            Ok(listing) => table.add_row([
                stored.id.clone(),
                when(listing.time),
                why(listing),
                format!("{} files, {}", files(listing), bytes(listing.size())),
                bytes(listing.stored()),
            ]),
            Err(error) => table.add_row([stored.id.clone(), "-".into(), error.what.clone(), "-".into(), "-".into()]),
        };
    }
    let text: String = table.to_string().lines().map(|line| format!("{}\n", line.trim())).collect();
    output::data(if all.is_empty() { "no backups yet\n" } else { &text });
    Ok(Exit::Done)
}

/// The last event, for a program.
fn end(mut value: Value) {
    value["event"] = "end".into();
    output::event(&value);
}

fn why(listing: &Listing) -> String {
    match (listing.reason, &listing.run) {
        (Reason::Run, _) => "before a run".into(),
        (Reason::BeforeRestore, Some(_)) => "before a run was undone".into(),
        (Reason::BeforeRestore, None) => "before a restore".into(),
        (Reason::ByHand, _) => "by hand".into(),
    }
}

fn files(listing: &Listing) -> usize {
    let is_file = |kind: &backup::Kind| matches!(kind, backup::Kind::File { .. } | backup::Kind::Database { .. });
    listing.all().filter(|(_, entry)| is_file(&entry.kind)).count()
}

fn document(stored: &Stored) -> Value {
    match &stored.listing {
        Ok(listing) => json!({
            "backup": stored.id,
            "directory": stored.directory,
            "time": listing.time,
            "reason": listing.reason,
            "run": listing.run,
            "paths": listing.paths,
            "sqlite": listing.databases,
            "volumes": listing.volumes.iter().map(|one| &one.volume.name).collect::<Vec<_>>(),
            "files": files(listing),
            "bytes": listing.size(),
            "stored": listing.stored(),
            "not-kept": listing.not_kept().collect::<Vec<_>>(),
        }),
        Err(error) => json!({"backup": stored.id, "directory": stored.directory, "error": error.to_string()}),
    }
}

fn verify(session: &Session, id: Option<&str>, globals: &Globals) -> Result<Exit> {
    let _lock = session.runtime_lock(globals)?;
    let reporter = output::reporter(globals);
    let name = &session.install.name;
    let wanted = match id {
        Some(id) => vec![backup::find(&session.backups(), name, id)?],
        None => backup::list(&session.backups())?,
    };
    if wanted.is_empty() {
        return backup::find(&session.backups(), name, "").map(|_| Exit::Done);
    }
    let mut trouble: Vec<Error> = Vec::new();
    let mut whole: Vec<&str> = Vec::new();
    for stored in &wanted {
        let what = format!("verify {}", stored.id);
        match during(&*reporter, what, || backup::verify(&stored.directory)) {
            Ok(_) => whole.push(&stored.id),
            Err(error) => trouble.push(error),
        }
    }
    match (globals.json, globals.quiet) {
        (true, _) => end(json!({
            "install": name,
            "whole": whole,
            "trouble": trouble.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })),
        (_, true) => {}
        _ => output::data(&format!("{name}: {} of {} hold what they list\n", whole.len(), wanted.len())),
    }
    let mut trouble = trouble.into_iter();
    match trouble.next() {
        None => Ok(Exit::Done),
        Some(first) => Err(trouble.fold(first, |sum, error| sum.because(error.to_string()))),
    }
}

fn take(session: &Session, globals: &Globals) -> Result<Exit> {
    let reporter = output::reporter(globals);
    let _lock = session.lock(globals, false, &*reporter)?;
    let name = &session.install.name;
    let scope = session.backup_scope()?.ok_or_else(|| {
        Error::usage(format!("the manifest of {name} declares nothing to back up"))
            .hint("add a [backup] table: paths = [...], sqlite = [...], volumes = [...]")
    })?;
    let listing = during(&*reporter, "back up, and prove it", || keep(session, &scope, Reason::ByHand, &*reporter))?;
    prune(session, std::slice::from_ref(&listing.id), &*reporter)?;
    match globals.json {
        true => end(json!({"install": name, "backup": listing.id, "bytes": listing.size()})),
        false => output::data(&format!("{name}: backup {}, {}, proven\n", listing.id, bytes(listing.size()))),
    }
    Ok(Exit::Done)
}

fn keep(session: &Session, scope: &Scope, reason: Reason, reporter: &dyn Reporter) -> Result<Listing> {
    let store = session.backups();
    let taken = backup::take(&Order {
        store: &store,
        cache: &session.cache,
        id: backup::next_id(&store)?,
        install: &session.install.name,
        run: None,
        reason,
        root: &session.install.root,
        owner: &session.owner,
        scope,
    })?;
    taken.warnings.into_iter().for_each(|text| reporter.tell(Event::Warning { text }));
    Ok(taken.listing)
}

fn prune(session: &Session, needed: &[String], reporter: &dyn Reporter) -> Result<()> {
    let Some(declared) = &session.install.backup else { return Ok(()) };
    let newest = session.ledger().known_good()?.pop().and_then(|entry| entry.run);
    let needed: Vec<String> = needed.iter().cloned().chain(newest).collect();
    for text in backup::prune(&session.backups(), declared.keep, &needed) {
        reporter.tell(Event::Warning { text: format!("an old backup stays: {text}") });
    }
    Ok(())
}

fn restore(session: &Session, id: &str, paths: &[PathBuf], globals: &Globals) -> Result<Exit> {
    let reporter = output::reporter(globals);
    let _lock = session.lock(globals, false, &*reporter)?;
    let name = &session.install.name;
    let stored = backup::find(&session.backups(), name, id)?;
    let listing = during(&*reporter, format!("verify {}", stored.id), || backup::verify(&stored.directory))?;
    if listing.root != session.install.root {
        let (then, now) = (listing.root.display(), session.install.root.display());
        return Err(Error::refused(format!("the backup {} is of {then}, and {name} is in {now}", listing.id))
            .hint(format!("look at what it holds: tar --zstd -tf {}/files.tar.zst", stored.directory.display())));
    }
    backup::check_paths(&listing, paths)?;
    let tops: Vec<String> = match paths {
        [] => listing.tops(),
        paths => paths.iter().map(|path| Name::of(path).to_string()).collect(),
    };
    if !globals.quiet && !globals.json {
        output::data(&format!(
            "restore {name} from the backup {} of {}\n  {}\n  what is there now is backed up first; services are stopped meanwhile\n",
            listing.id,
            when(listing.time),
            tops.join(", ")
        ));
    }
    if globals.dry_run {
        return Ok(Exit::Done);
    }
    approve(name, globals)?;
    let held = Held::of(session, &listing, &stored, &*reporter)?;
    let exchanged = during(&*reporter, "back up what is there now", || {
        keep(session, &Scope::of(&listing), Reason::BeforeRestore, &*reporter)
    })
    .and_then(|present| {
        let was = exchange(session, &listing, &stored, (paths, &present.id), &*reporter)?;
        Ok((present, was))
    });
    // Containers whose data is half of one state and half of another stay stopped.
    let is_torn = exchanged.as_ref().is_err_and(|error| error.kind == Kind::NeedsOperator);
    let back = if is_torn { Vec::new() } else { held.release(&*reporter) };
    let (present, was) = exchanged.map_err(|error| back.iter().fold(error, Error::because))?;
    let was = [was, back].concat();
    prune(session, &[listing.id.clone(), present.id.clone()], &*reporter)?;
    match globals.json {
        true => end(json!({"install": name, "restored": listing.id, "before": present.id})),
        false if globals.quiet => {}
        false => output::data(&format!("{name}: restored from {}; what was there is in {}\n", listing.id, present.id)),
    }
    match was.is_empty() {
        true => Ok(Exit::Done),
        false => Err(was.into_iter().fold(
            Error::new(Kind::NeedsOperator, format!("{name} is restored, but not everything runs as before")),
            Error::because,
        )),
    }
}

/// The containers of a Compose project, stopped for as long as their data is exchanged.
struct Held<'a> {
    hold: Option<(ComposeHold, Seen)>,
    site: Site<'a>,
}

impl<'a> Held<'a> {
    fn of(session: &Session, listing: &Listing, stored: &Stored, reporter: &'a dyn Reporter) -> Result<Held<'a>> {
        let mut site = site(session, listing, stored, reporter)?;
        let Source::Compose(source) = &session.install.source else { return Ok(Held { hold: None, site }) };
        let project = Project::of(source, &session.place())?;
        project.answers()?;
        interrupt::listen()?;
        // What is begun here is not left in the middle.
        interrupt::shield();
        let hold = ComposeHold { project, stops: true };
        let seen = hold.seen(&mut site)?;
        let title = hold.title();
        let mut held = Held { hold: Some((hold, seen)), site };
        let stopped = during(reporter, title, || match &held.hold {
            Some((hold, _)) => hold.apply(&mut held.site),
            None => Ok(()),
        });
        match stopped {
            Ok(()) => Ok(held),
            Err(error) => {
                let back = held.release(reporter);
                Err(back.into_iter().fold(error.while_("nothing was restored"), Error::because))
            }
        }
    }

    /// Makes them what they were; what tells otherwise.
    fn release(mut self, reporter: &dyn Reporter) -> Vec<String> {
        let Some((hold, seen)) = self.hold.take() else { return Vec::new() };
        let title = hold.undo_title().unwrap_or_default();
        let back = during(reporter, title, || hold.undo(&mut self.site, &seen));
        back.unwrap_or_else(|error| vec![error.to_string()])
    }
}

fn site<'a>(session: &Session, listing: &Listing, stored: &Stored, reporter: &'a dyn Reporter) -> Result<Site<'a>> {
    let plan =
        Plan { root: listing.root.clone(), owner: session.install.owner.clone(), ..Plan::empty(&session.install.name) };
    Site::new(&plan, &listing.id, &stored.directory, reporter)
}

/// Stops what runs, puts the data back, and starts it again; remarks tell what does not.
fn exchange(
    session: &Session,
    listing: &Listing,
    stored: &Stored,
    (paths, present): (&[PathBuf], &str),
    reporter: &dyn Reporter,
) -> Result<Vec<String>> {
    let name = &session.install.name;
    let survey = Survey::take(&session.place())?;
    let units = survey.installed(&session.install).flat_map(|(_, component, surveyed)| {
        let pairs = component.units.iter().zip(&surveyed.units);
        pairs.flat_map(|(unit, here)| here.states.iter().map(|(name, _)| (unit.scope, name.clone())))
    });
    let quiesce = Quiesce { units: units.collect() };
    let mut site = site(session, listing, stored, reporter)?;
    interrupt::listen()?;
    // What is begun here is not left in the middle.
    interrupt::shield();
    let seen: Seen = quiesce.seen(&mut site)?;
    during(reporter, "stop what runs", || stop_units(&mut site, &quiesce.units)).map_err(|error| {
        let back = quiesce.undo(&mut site, &seen).unwrap_or_else(|trouble| vec![trouble.to_string()]);
        back.into_iter().fold(error.while_("nothing was restored"), Error::because)
    })?;
    during(reporter, format!("restore {}", listing.id), || backup::put_back(&stored.directory, &listing.root, paths))
        .map_err(|error| {
        error
            .while_(format!("the data of {name} was not put back to its end, and its services are stopped"))
            .kind(Kind::NeedsOperator)
            .hint(format!("mend what is named above, then again: relift backup restore {name} {}", listing.id))
            .hint(format!("or back to what was there: relift backup restore {name} {present}"))
    })?;
    during(reporter, "start what ran before", || quiesce.undo(&mut site, &seen))
}

fn approve(name: &str, globals: &Globals) -> Result<()> {
    if globals.yes {
        return Ok(());
    }
    if !output::is_attended() {
        return Err(Error::refused(format!("{name} was not asked for approval: there is no terminal"))
            .hint("pass --yes when this is the backup that you want"));
    }
    match dialoguer::Confirm::new().with_prompt("Go on?").default(false).interact() {
        Ok(true) => Ok(()),
        _ => Err(Error::refused("not approved")),
    }
}
