//! A plan, as a person reads it and as a program does.

use std::fmt;

use super::style::{BAD, BOLD, DIM, GOOD, WARN, paint};
use crate::action::{Act, Action};
use crate::manifest::{BackupWhen, Scope, StepUndo};
use crate::plan::abbreviate;
use crate::plan::env::{Class, Decided, KeyChange, Shape};
use crate::plan::{ComponentPlan, FileChange, Intent, Plan, ServiceChange, StepPlan, UnitPlan};
use crate::trust::Standing;

/// The widest line of release notes, so that a plan fits a terminal of 100 columns.
const NOTES: usize = 82;

/// The widest summary of a commit, for the same reason.
const SUMMARY: usize = 84;

/// The plan for a person. `downtime` is what the last run measured, where there was one.
pub fn text(plan: &Plan, downtime: Option<u64>) -> String {
    let mut page = Page(String::new());
    page.head(plan);
    for component in &plan.components {
        page.component(component);
    }
    page.procedures(plan);
    page.peers(plan);
    page.manifest(plan);
    page.commits(plan);
    page.sections(plan);
    page.actions(plan);
    page.outlook(plan, downtime);
    for warning in &plan.warnings {
        page.line(format_args!("{} {warning}", paint(WARN, "warning:")));
    }
    for blocker in &plan.blockers {
        page.line(format_args!("{} {}", paint(BAD, "stops the run:"), blocker.what));
        if let Some(hint) = &blocker.hint {
            page.line(format_args!("  {} {hint}", paint(BOLD, "next:")));
        }
    }
    page.0
}

/// The plan for a program: everything but the hashes of configuration files.
pub fn document(plan: &Plan) -> serde_json::Value {
    let titles: Vec<String> = plan.actions.iter().map(|action| action.act().title()).collect();
    let mut value = serde_json::to_value(plan).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("actions".into(), serde_json::json!(titles));
        let is_reversible = plan.irreversible().is_empty() && plan.without_way_back().is_empty();
        object.insert("reversible".into(), is_reversible.into());
        object.insert("backup".into(), serde_json::to_value(backup(plan)).unwrap_or_default());
    }
    for component in value["components"].as_array_mut().into_iter().flatten() {
        for env in component["env"].as_array_mut().into_iter().flatten() {
            env.as_object_mut().map(|env| env.remove("after"));
        }
    }
    value
}

/// What a scope is called.
pub fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::System => "system",
        Scope::User => "user",
    }
}

/// `1.0.0 -> 1.1.0`.
pub fn arrow(from: Option<&str>, to: Option<&str>) -> String {
    match (from, to) {
        (Some(from), Some(to)) if from == to => from.to_owned(),
        (from, to) => format!("{} -> {}", from.unwrap_or("?"), to.unwrap_or("?")),
    }
}

struct Page(String);

impl Page {
    fn line(&mut self, line: fmt::Arguments) {
        // A line is a line, whatever is in it: nothing of a release or a manifest looks like another one of the plan.
        let line = line.to_string().replace(['\n', '\r'], " ");
        self.0.extend([line.as_str(), "\n"]);
    }

    /// A line of a component's block: label, then text.
    fn entry(&mut self, label: &str, text: fmt::Arguments) {
        self.line(format_args!("    {} {text}", paint(DIM, format!("{label:<9}"))));
    }

    fn head(&mut self, plan: &Plan) {
        let way = match plan.from.revision == plan.to.revision {
            true => format!("at {}", plan.from.short()),
            false => format!("{} -> {}", plan.from.short(), plan.to.short()),
        };
        self.line(format_args!(
            "{} {way} {}",
            paint(BOLD, format!("{} {}", plan.verb(), plan.install)),
            paint(DIM, format!("in {}", plan.root.display()))
        ));
        self.line(format_args!(""));
    }

    fn component(&mut self, component: &ComponentPlan) {
        let versions = arrow(component.from_version.as_deref(), component.to_version.as_deref());
        let files = match component.files_changed {
            0 => "no file changes".to_owned(),
            1 => "1 file changes".to_owned(),
            count => format!("{count} files change"),
        };
        self.line(format_args!("  {} {versions}  {}", paint(BOLD, &component.name), paint(DIM, files)));
        for note in &component.notes {
            self.entry("notes", format_args!("{}", paint(BOLD, &note.heading)));
            for line in note.body.iter().filter(|line| !line.trim().is_empty()) {
                match line.trim_start_matches('#') {
                    heading if heading.len() < line.len() => {
                        self.entry("", format_args!("  {}", paint(DIM, heading.trim())))
                    }
                    _ => self.note(line),
                }
            }
        }
        for env in &component.env {
            for change in &env.changes {
                self.entry(".env", format_args!("{}", key(change)));
            }
            if env.rewritten {
                let edits = env.changes.iter().any(|change| {
                    let is_mine = matches!(change.class, Class::DefaultChanged { .. });
                    is_mine && matches!(change.decided, Some(Decided::TookDefault | Decided::Edited))
                });
                let kept =
                    if edits { "every line kept but those you decided about" } else { "every line of yours kept" };
                self.entry("", format_args!("{} is rewritten, {kept}", env.file));
            }
        }
        for step in &component.steps {
            self.step(step);
        }
        for unit in &component.units {
            self.unit(unit);
        }
        self.line(format_args!(""));
    }

    /// A line of release notes, broken where it is wider than the terminal.
    fn note(&mut self, line: &str) {
        for (at, piece) in crate::text::wrapped(line, NOTES).iter().enumerate() {
            self.entry("", format_args!("{}{piece}", if at == 0 { "  " } else { "    " }));
        }
    }

    fn step(&mut self, step: &StepPlan) {
        let who = step
            .origin
            .as_ref()
            .filter(|_| step.runs)
            .map(|origin| paint(WARN, format!(" as root, {}", origin.words())));
        let who = who.unwrap_or_else(|| if step.as_root { paint(WARN, " as root") } else { String::new() });
        let (mark, undo) = undo_words(step.runs, &step.undo, false);
        let skipped = if step.runs { "" } else { "not run: " };
        self.entry("step", format_args!("{mark} {}: {}{who}", step.name, step.run.join(" ")));
        self.entry("", format_args!("  {skipped}{}{undo}", step.why));
    }

    /// Hooks and migrations, in the order of a run.
    fn procedures(&mut self, plan: &Plan) {
        if plan.procedures.is_empty() {
            return;
        }
        self.line(format_args!("  {}", paint(BOLD, "procedures")));
        for one in &plan.procedures {
            let label = one.place.map_or("migration", |place| place.word());
            let what = match (one.place, one.run.is_empty()) {
                (None, true) => one.name.trim_start_matches("migration ").to_owned(),
                (None, false) => format!("{}: {}", one.name.trim_start_matches("migration "), one.run.join(" ")),
                (Some(_), _) => one.run.join(" "),
            };
            let (mark, undo) = match one.run.is_empty() {
                true => (paint(DIM, "="), String::new()),
                false => undo_words(one.runs, &one.undo, one.place.is_some_and(|place| place.only_looks())),
            };
            let who = one.origin.as_ref().filter(|_| one.runs);
            let who = who.map(|origin| paint(WARN, format!(" as root, {}", origin.words()))).unwrap_or_default();
            let skipped = if one.runs || one.run.is_empty() { "" } else { "not run: " };
            self.entry(label, format_args!("{mark} {what}{who}"));
            self.entry("", format_args!("  {skipped}{}{undo}", one.why));
            for text in one.note.iter().flat_map(|note| crate::text::wrapped(note, NOTES)).chain(one.url.clone()) {
                self.entry("", format_args!("  {text}"));
            }
        }
        self.line(format_args!(""));
    }

    fn unit(&mut self, unit: &UnitPlan) {
        let file = match unit.file {
            FileChange::Installed => "installed, ",
            FileChange::Replaced => "replaced, ",
            FileChange::Kept => "",
            FileChange::Removed => "removed, ",
        };
        let service = match unit.service {
            ServiceChange::Restart => paint(WARN, "restart"),
            ServiceChange::Reload => paint(WARN, "reload"),
            ServiceChange::Start => paint(GOOD, "enable and start"),
            ServiceChange::Untouched => "no restart".to_owned(),
            ServiceChange::Stop => paint(WARN, "stop"),
            ServiceChange::LeftAlone => "left as it is".to_owned(),
        };
        self.entry(
            "unit",
            format_args!("{} {}: {file}{service}", unit.name, paint(DIM, format!("({})", scope(unit.scope)))),
        );
        self.entry("", format_args!("  {}", unit.why));
        for change in &unit.settings {
            let side = |values: &[String]| {
                if values.is_empty() { "(not set)".to_owned() } else { crate::text::harmless(&values.join(" ")) }
            };
            let (before, after) = (side(&change.before), side(&change.after));
            self.entry("", format_args!("  [{}] {}= {before} -> {after}", change.section, change.key));
        }
        if unit.lifted {
            self.entry(
                "",
                format_args!("  your edits of the installed unit are kept in {}.d/50-local.conf", unit.name),
            );
        }
    }

    /// What else talks to the install, with its versions.
    fn peers(&mut self, plan: &Plan) {
        if plan.peers.is_empty() {
            return;
        }
        self.line(format_args!("  {}", paint(BOLD, "peers")));
        for peer in &plan.peers {
            let versions = if peer.theirs.is_empty() { "?".into() } else { peer.told() };
            let fits = match (&peer.fault, peer.stops) {
                (None, _) => paint(GOOD, format!("fits {} {}", peer.component, peer.ours)),
                (Some(fault), true) => paint(BAD, fault),
                (Some(fault), false) => paint(WARN, fault),
            };
            let needs = paint(DIM, format!("({})", peer.accepted.join(" or ")));
            let needs = if peer.accepted.is_empty() { String::new() } else { needs };
            self.line(format_args!("    {} {versions}: {fits} {needs}", peer.name));
        }
        self.line(format_args!(""));
    }

    /// What the repository's manifest changes, before it counts.
    fn manifest(&mut self, plan: &Plan) {
        let Some(manifest) = plan.manifest.as_ref().filter(|manifest| !manifest.changes.is_empty()) else { return };
        let which = match &manifest.revision {
            Some(revision) => format!("relift.toml at {} says otherwise than what is activated", abbreviate(revision)),
            None => "the target has no relift.toml any more".to_owned(),
        };
        self.line(format_args!("  {} {which}", paint(BOLD, "manifest")));
        for change in &manifest.changes {
            self.line(format_args!("    {change}"));
        }
        self.line(format_args!(""));
    }

    /// What the source has to tell, in columns.
    fn sections(&mut self, plan: &Plan) {
        for section in &plan.sections {
            self.line(format_args!("  {}", paint(BOLD, &section.title)));
            for row in aligned(&section.rows) {
                self.line(format_args!("    {row}"));
            }
            self.line(format_args!(""));
        }
    }

    fn commits(&mut self, plan: &Plan) {
        if plan.commits_total == 0 {
            return;
        }
        let word = if plan.commits_total == 1 { "commit" } else { "commits" };
        let goes_back = plan.is_downgrade || plan.intent == Intent::Rollback;
        let away = match (goes_back, plan.commits_total) {
            (false, _) => "",
            (true, 1) => " goes away",
            (true, _) => " go away",
        };
        // Fewer than `git log` counts: those elsewhere in the repository change nothing here.
        let places: Vec<&str> = plan.components.iter().map(|component| component.name.as_str()).collect();
        self.line(format_args!("  {} {word} in {}{away}", paint(BOLD, plan.commits_total), places.join(", ")));
        for commit in &plan.commits {
            self.line(format_args!(
                "    {} {}",
                paint(DIM, &commit.id),
                crate::text::shortened(&commit.summary, SUMMARY)
            ));
        }
        if plan.commits_total > plan.commits.len() {
            self.line(format_args!(
                "    {}",
                paint(DIM, format!("and {} older ones", plan.commits_total - plan.commits.len()))
            ));
        }
        self.line(format_args!(""));
    }

    fn actions(&mut self, plan: &Plan) {
        self.line(format_args!("  {}", paint(BOLD, "in this order")));
        let mut number = 0;
        for check in &plan.staged_checks {
            number += 1;
            let who = check.origin.as_ref().map(|origin| format!("as root, {}, ", origin.words()));
            self.line(format_args!(
                "    {number:>2}. {}: check {} {}",
                check.component,
                check.run.join(" "),
                paint(DIM, format!("({}on a staged copy)", who.unwrap_or_default()))
            ));
        }
        for hook in &plan.preflight {
            number += 1;
            let what = paint(DIM, "(asked before any change)");
            self.line(format_args!("    {number:>2}. {}: {} {what}", hook.title(), hook.run.join(" ")));
        }
        if let Some(backup) = backup(plan).filter(|backup| backup.when == BackupWhen::Prepare) {
            number += 1;
            let when = paint(DIM, "(while everything runs, and proven)");
            self.line(format_args!("    {number:>2}. {} {when}", backup.title()));
        }
        for action in &plan.actions {
            let is_done_before = matches!(action, Action::Backup(backup) if backup.when == BackupWhen::Prepare);
            let is_silent = matches!(action, Action::ComposeHold(hold) if !hold.stops);
            if is_done_before || is_silent || matches!(action, Action::Quiesce(_) | Action::Rerun(_)) {
                continue;
            }
            number += 1;
            self.line(format_args!("    {number:>2}. {}", action.act().title()));
        }
        for gate in plan.gates.iter().filter(|gate| gate.changes) {
            number += 1;
            let units: Vec<&str> = gate.units.iter().map(|(_, unit)| unit.as_str()).collect();
            let probes = match gate.probes {
                0 => String::new(),
                1 => "1 probe".to_owned(),
                count => format!("{count} probes"),
            };
            let probes = if units.is_empty() || gate.probes == 0 { probes } else { format!(", {probes}") };
            let soak = if plan.soak == 0 { String::new() } else { format!(", for {} s", plan.soak) };
            self.line(format_args!(
                "    {number:>2}. prove {}: {}{probes}{soak}",
                gate.component,
                if units.is_empty() && gate.probes == 0 { "nothing runs".into() } else { units.join(", ") }
            ));
        }
        for hook in &plan.verify {
            number += 1;
            self.line(format_args!("    {number:>2}. {}: {}", hook.title(), hook.run.join(" ")));
        }
        self.line(format_args!(""));
    }

    fn outlook(&mut self, plan: &Plan, downtime: Option<u64>) {
        let starts_containers = plan.actions.iter().any(|action| matches!(action, Action::ComposeUp(_)));
        let time = match (plan.restarts().is_empty() && !starts_containers, downtime) {
            (true, _) => "none: nothing is restarted".to_owned(),
            (false, Some(seconds)) => format!("about {} s, as in the last run", seconds.max(1)),
            (false, None) => "until the probes answer; the first run measures it".to_owned(),
        };
        self.line(format_args!("  {} {time}", paint(DIM, "without service")));
        let undo = match (plan.without_way_back().as_slice(), plan.irreversible().as_slice()) {
            ([], []) if plan.intent == Intent::Reconfigure => {
                "everything but what the package manager changed".to_owned()
            }
            ([], []) => "everything, by itself when a step or the proof fails".to_owned(),
            (lost @ [_, ..], _) => paint(BAD, format!("not the packages: no file is kept of {}", lost.join(", "))),
            ([], steps) => paint(BAD, format!("not from {} on", steps.join(", "))),
        };
        self.line(format_args!("  {} {undo}", paint(DIM, "can be undone  ")));
        if let Some(backup) = backup(plan) {
            let size = crate::text::bytes(backup.measured.bytes);
            let files = backup.measured.files;
            let things = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
            let when = match backup.when {
                BackupWhen::Prepare => "while everything runs",
                BackupWhen::Quiesced => "when services are stopped",
            };
            let place = backup.store.display();
            self.line(format_args!("  {} {things}, {size}, {when}", paint(DIM, "backup         ")));
            self.line(format_args!("                  in {place}, of which the newest {} stay", backup.keep));
        }
        let standing = match &plan.standing {
            Standing::Verified { .. } => paint(GOOD, plan.standing.words()),
            Standing::Pinned { .. } => paint(WARN, plan.standing.words()),
            Standing::Unverified => paint(WARN, "unverified: nothing that vouches for the release is known"),
        };
        self.line(format_args!("  {} {standing}", paint(DIM, "source         ")));
    }
}

/// The mark of a command, and how it is undone.
fn undo_words(runs: bool, undo: &StepUndo, only_looks: bool) -> (String, String) {
    match (runs, undo) {
        (false, _) => (paint(DIM, "-"), String::new()),
        (true, _) if only_looks => (paint(GOOD, "?"), "; changes nothing".to_owned()),
        (true, StepUndo::Pure) => (paint(GOOD, "+"), "; leaves nothing to undo".to_owned()),
        (true, StepUndo::Rerun) => (paint(GOOD, "+"), "; undone by running it again".to_owned()),
        (true, StepUndo::Run(command)) => (paint(GOOD, "+"), format!("; undone by {}", command.join(" "))),
        (true, StepUndo::RestoreBackup) => (paint(WARN, "+"), "; undone by putting the backup back".to_owned()),
        (true, StepUndo::Irreversible) => (paint(BAD, "!"), paint(BAD, "; nothing undoes it")),
    }
}

/// The backup that a run of the plan takes.
fn backup(plan: &Plan) -> Option<&crate::action::Backup> {
    plan.actions.iter().find_map(|action| if let Action::Backup(backup) = action { Some(backup) } else { None })
}

/// What becomes of a key, in a line.
pub fn key(change: &KeyChange) -> String {
    let key = &change.key;
    let (mark, what) = match (&change.class, change.decided) {
        (Class::Added { .. }, Some(Decided::LeftOut)) => (paint(DIM, "-"), "new, left out".to_owned()),
        (Class::Added { .. }, Some(Decided::Edited)) => (paint(GOOD, "+"), "new, with the value you gave".into()),
        (Class::Added { .. }, Some(Decided::CarriedOver)) => {
            (paint(GOOD, "+"), "new, with the value of the old key".into())
        }
        (Class::Added { placeholder: true }, Some(_)) => (paint(WARN, "+"), "new, with upstream's placeholder".into()),
        (Class::Added { placeholder: true }, None) => (paint(BAD, "?"), "new, and needs a value of yours".into()),
        (Class::Added { placeholder: false }, _) => {
            (paint(GOOD, "+"), format!("new, with upstream's default{}", shown(change)))
        }
        (Class::RemovedUpstream, _) => (paint(DIM, "-"), "no longer in the example; your line is kept".into()),
        (Class::DefaultChanged { .. }, Some(Decided::TookDefault)) => {
            (paint(WARN, "~"), format!("takes upstream's new default{}", shown(change)))
        }
        (Class::DefaultChanged { .. }, Some(Decided::Edited)) => (paint(WARN, "~"), "gets the value you gave".into()),
        (Class::DefaultChanged { mine_was_default: true }, _) if change.asks => {
            (paint(BAD, "?"), "upstream now asks for a value of your own; the old default is kept".into())
        }
        (Class::DefaultChanged { mine_was_default: true }, _) => (
            paint(WARN, "~"),
            format!("upstream's default changed{}; you had the old one, which is kept", shown(change)),
        ),
        (Class::DefaultChanged { mine_was_default: false }, _) => {
            (paint(DIM, "~"), format!("upstream's default changed{}; your own value is kept", shown(change)))
        }
        (Class::MaybeRenamed { to }, Some(Decided::CarriedOver)) => {
            (paint(WARN, "~"), format!("its value goes to {to} as well; your line is kept"))
        }
        (Class::MaybeRenamed { to }, _) => (paint(WARN, "~"), format!("perhaps renamed to {to}; your line is kept")),
        (Class::OnlyMine, _) => (paint(DIM, "="), "only yours".into()),
        (Class::NewOptional, _) => (paint(DIM, "#"), "optional, new in the example; not added".into()),
    };
    format!("{mark} {key}: {what}")
}

/// The values of a public key, in brackets.
fn shown(change: &KeyChange) -> String {
    match (&change.mine, &change.theirs) {
        (Some(mine @ Shape::Shown(_)), Some(theirs @ Shape::Shown(_))) => format!(" (yours {mine}, now {theirs})"),
        (None, Some(theirs @ Shape::Shown(_))) => format!(" ({theirs})"),
        _ => String::new(),
    }
}

/// The cells of each row below those of the others, two columns apart.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
