//! What a target would change: files merged, services compared, the actions that make it so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::git::Mirror;
use super::super::merge::{Merged, three};
use super::super::snapshot::{self, Entry, EntryKind};
use super::difference::{Difference, difference};
use super::project::Project;
use super::redacted;
use super::release::{self, Pin};
use crate::action::{Action, ComposeFiles, ComposeHold, ComposeUp, FileSwap};
use crate::error::{Context, Error, Result};
use crate::host::fs::{Content, Rooted, make_private, write_durably};
use crate::manifest::{BackupWhen, ComposeSource};
use crate::plan::Blocker;
use crate::source::{Offer, Place, Section};
use crate::survey::Survey;

/// See [`crate::source::Upstream::complete`].
pub fn complete(
    source: &ComposeSource,
    place: &Place,
    mirror: &Mirror,
    survey: &Survey,
    offer: &mut Offer,
) -> Result<()> {
    let repository = mirror.repository();
    let (from, to) = (offer.from.revision.clone(), offer.to.revision.clone());
    let version = |revision: &str| snapshot::meta(repository, revision).map(|meta| meta.version).unwrap_or_default();
    let (of_from, of_to) = (version(&from), version(&to));
    snapshot::place(offer, repository, (&of_from, &of_to), &survey.known_good);
    (offer.from.label, offer.to.label) = (Some(of_from.clone()), Some(of_to.clone()));
    offer.added.clear();
    for component in &mut offer.components {
        // What the files say of themselves counts.
        component.from_version.get_or_insert_with(|| of_from.clone());
        component.to_version.get_or_insert_with(|| of_to.clone());
    }
    let project = Project::of(source, place)?;
    if let Err(error) = project.answers() {
        let hint = error.hints.first().cloned().unwrap_or_default();
        offer.blockers.push(Blocker::impossible(error.to_string(), hint));
        return Ok(());
    }
    let (base, now) = release::apart(release::files(repository, &from)?);
    let (next_files, next) = release::apart(release::files(repository, &to)?);
    let root = Rooted::open(&place.install.root)?;
    foreign(&project, survey, offer)?;
    let files = merged(place, (&base, &next_files), &root, offer)?;
    let pins = pinned(place, &project, &next)?;
    if offer.blockers.iter().any(|blocker| !blocker.refused) || (files.is_empty() && pins.is_none()) {
        return Ok(());
    }
    let (before, after) = configurations(&project, place, &files, pins.as_ref())?;
    let found = difference(&before, &after);
    tell(&project, (&now, &next), &found, offer);
    offer.around.contents.extend(files.iter().flat_map(|(_, before, after)| before.iter().chain(after)).cloned());
    let swap = |(path, before, after): &Changed| FileSwap {
        path: path.clone(),
        before: before.as_ref().map(|content| content.image.clone()),
        after: after.as_ref().map(|content| content.image.clone()),
    };
    let swaps = files.iter().map(swap).collect();
    let of_pins = pins.as_ref().map(|(before, after)| {
        offer.around.contents.extend(before.iter().chain(std::iter::once(after)).cloned());
        let path = project.pins.file_name().map(PathBuf::from).unwrap_or_default();
        FileSwap {
            path,
            before: before.as_ref().map(|content| content.image.clone()),
            after: Some(after.image.clone()),
        }
    });
    let directory = project.pins.parent().unwrap_or(Path::new("/")).to_owned();
    offer.changes.push(Action::ComposeFiles(ComposeFiles { swaps, pins: of_pins, directory }));
    act(source, place, project, &found, &after, offer)
}

/// Whoever else runs with a volume that is backed up would write to it meanwhile.
fn foreign(project: &Project, survey: &Survey, offer: &mut Offer) -> Result<()> {
    let Some(outlook) = survey.backup.as_ref().filter(|outlook| !outlook.scope.volumes.is_empty()) else {
        return Ok(());
    };
    let own: Vec<String> = project.containers()?.into_iter().map(|one| one.name).collect();
    for volume in &outlook.scope.volumes {
        let strangers: Vec<String> = volume.users()?.into_iter().filter(|user| !own.contains(user)).collect();
        if !strangers.is_empty() {
            let names = strangers.join(" ");
            offer.blockers.push(Blocker::impossible(
                format!("the volume {} is in use by {names}, which is not of {}", volume.name, project.name),
                format!("stop it for the run, since the volume is backed up: {} stop {names}", volume.engine),
            ));
        }
    }
    Ok(())
}

/// A file with what is there and what will be.
type Changed = (PathBuf, Option<Content>, Option<Content>);

/// The changes of the containers.
fn act(
    source: &ComposeSource,
    place: &Place,
    project: Project,
    found: &Difference,
    after: &Value,
    offer: &mut Offer,
) -> Result<()> {
    let containers = project.containers()?;
    let runs = |service: &str| containers.iter().any(|container| container.service == service && container.running);
    let is_there = |service: &str| containers.iter().any(|container| container.service == service);
    let stops = place.install.backup.as_ref().is_some_and(|backup| backup.when == BackupWhen::Quiesced);
    let any_runs = containers.iter().any(|container| container.running);
    let mut services = Vec::new();
    for service in &found.changed {
        let is_stopped = (is_there(service) || !any_runs) && !runs(service);
        match is_stopped {
            true => offer.warnings.push(format!("{service} does not run: it stays so, and starts as the new release")),
            false => services.push(service.clone()),
        }
    }
    let all: BTreeSet<&str> = containers.iter().filter(|one| one.running).map(|one| one.service.as_str()).collect();
    if stops || source.restore_backup {
        let is_declared = |service: &&&str| after["services"].get(**service).is_some();
        let others = all.iter().filter(is_declared).filter(|service| !services.iter().any(|known| known == **service));
        let others: Vec<String> = others.map(|service| service.to_string()).collect();
        services.extend(others);
    }
    let image = |service: &String| after["services"][service]["image"].as_str().map(str::to_owned);
    let images: BTreeSet<String> = services.iter().filter_map(image).collect();
    if services.is_empty() && found.removed.is_empty() {
        return Ok(());
    }
    let hold = ComposeHold { project: project.clone(), stops };
    offer.around.before.push(Action::ComposeHold(hold));
    offer.around.after.push(Action::ComposeUp(ComposeUp {
        project,
        services,
        removed: found.removed.clone(),
        images: images.into_iter().collect(),
        restores: source.restore_backup,
    }));
    Ok(())
}

/// The files of the release merged with what is here: those that change.
fn merged(place: &Place, (base, next): (&[Entry], &[Entry]), root: &Rooted, offer: &mut Offer) -> Result<Vec<Changed>> {
    let components = &place.install.components;
    let declared =
        components.iter().flat_map(|component| component.env.iter().map(|env| env.file.below(&component.path)));
    let own: Vec<String> = declared.map(|path| path.to_string()).collect();
    let names: BTreeSet<&str> = base.iter().chain(next).map(|entry| entry.path.as_str()).collect();
    let mut changed = Vec::new();
    for name in names.into_iter().filter(|name| !own.iter().any(|own| own == name)) {
        let of = |files: &'_ [Entry]| files.iter().find(|entry| entry.path == name).cloned();
        let (old, new, here) = (of(base), of(next), root.read(Path::new(name))?);
        let bytes = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.bytes.clone());
        let (theirs, mine) = (bytes(&new), here.as_ref().map(|content| content.bytes.clone()));
        let after = match three(bytes(&old).as_deref(), theirs.as_deref(), mine.as_deref(), redacted) {
            Merged::Mine => continue,
            Merged::Gone => None,
            Merged::Taken { bytes, kept } => {
                if kept {
                    offer.warnings.push(format!("{name}: your changes are kept beside the release's"));
                }
                let mode = match new.map(|entry| entry.kind) {
                    Some(EntryKind::Program) => 0o755,
                    _ => 0o644,
                };
                Some(match &here {
                    Some(here) => here.with_bytes(bytes),
                    None => Content::new(bytes, mode, place.owner.uid, place.owner.gid),
                })
            }
            Merged::Conflict(lines) => {
                conflict(name, place, lines, offer);
                continue;
            }
        };
        changed.push((PathBuf::from(name), here, after));
    }
    Ok(changed)
}

fn conflict(name: &str, place: &Place, lines: Vec<String>, offer: &mut Offer) {
    let rows = lines.iter().map(|line| vec![crate::text::harmless(line)]).collect();
    offer.sections.push(Section { title: format!("conflict in {name}"), rows });
    let (file, install) = (place.install.root.join(name), &place.install.name);
    let theirs = format!("git --git-dir={}/mirror.git show {}:{name}", place.state.display(), offer.to.revision);
    let is_first = !offer.components.is_empty() && offer.from.label.as_deref() == Some("unknown");
    let adopt = match is_first {
        true => format!("; or name the release that {name} stems from: adopt = \"VERSION\" under [source.compose]"),
        false => String::new(),
    };
    offer.blockers.push(Blocker::impossible(
        format!("{name}: you and the release changed the same lines"),
        format!(
            "make these lines of {} the release's ({theirs}), and say what is yours in a Compose file of your own, last in `files`{adopt}; then: relift plan {install}",
            file.display()
        ),
    ));
}

/// Our own file that pins images, where it changes.
fn pinned(place: &Place, project: &Project, next: &[Pin]) -> Result<Option<(Option<Content>, Content)>> {
    if next.is_empty() {
        return Ok(None);
    }
    let directory = project.pins.parent().unwrap_or(Path::new("/"));
    make_private(place.state, 0o700)?;
    make_private(directory, 0o700)?;
    let name = project.pins.file_name().map(Path::new).unwrap_or(Path::new("override.yml"));
    let here = Rooted::open(directory)?.read(name)?;
    let bytes = release::overriding(&place.install.name, next).into_bytes();
    let after = match &here {
        Some(here) => here.with_bytes(bytes),
        None => Content::new(bytes, 0o644, 0, 0),
    };
    Ok((here.as_ref() != Some(&after)).then_some((here, after)))
}

/// What Compose makes of the files as they are, and as they would be.
fn configurations(
    project: &Project,
    place: &Place,
    files: &[Changed],
    pins: Option<&(Option<Content>, Content)>,
) -> Result<(Value, Value)> {
    let before = project.config(&project.root, &project.pins)?;
    let parent = place.cache.join("compose");
    make_private(place.cache, 0o700)?;
    make_private(&parent, 0o700)?;
    let stage = tempfile::tempdir_in(&parent).context("the files cannot be staged")?;
    for (path, _, after) in files {
        let staged = stage.path().join(path);
        let directory = staged.parent().unwrap_or(stage.path());
        std::fs::create_dir_all(directory).context("the files cannot be staged")?;
        if let Some(content) = after {
            write_durably(&staged, &content.bytes, 0o600)?;
        } else if project.files.contains(path) {
            return Err(Error::failed(format!("the release does not have {} any more", path.display()))
                .hint("take it out of `files` in the manifest"));
        }
    }
    let staged = stage.path().join(".pins.yml");
    let pins = match pins {
        Some((_, after)) => {
            write_durably(&staged, &after.bytes, 0o600)?;
            &staged
        }
        None => &project.pins,
    };
    let after = project.config(stage.path(), pins).map_err(|error| error.while_("the files as they would be"))?;
    Ok((before, after))
}

/// The tables of the plan, and what has to be seen before it is done.
fn tell(project: &Project, (now, next): (&[Pin], &[Pin]), found: &Difference, offer: &mut Offer) {
    let is_pinned = |row: &Vec<String>| row[1] == "image" && next.iter().any(|pin| pin.service == row[0]);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for pin in next {
        let old = now.iter().find(|old| old.service == pin.service);
        if old.is_none_or(|old| old.reference() != pin.reference()) {
            let old = old.map_or("as the files say".to_owned(), Pin::words);
            rows.push(vec![pin.service.clone(), "image".into(), format!("{old} -> {}", pin.words())]);
        }
    }
    rows.extend(found.rows.iter().filter(|row| !is_pinned(row)).cloned());
    let title = format!("changes of the Compose project {}", project.name);
    if !rows.is_empty() {
        offer.sections.push(Section { title, rows });
    }
    if !next.is_empty() {
        let command = format!("cd {} && {}", project.root.display(), project.by_hand(true));
        offer.sections.push(Section { title: "the same by hand".into(), rows: vec![vec![command]] });
    }
    for lost in &found.lost {
        offer.around.to_be_seen.push(Blocker::refused(
            format!("{lost} is there now, and would not be afterwards"),
            "look at the plan; where it is meant, an operator starts the run",
        ));
    }
}
