//! Taking a backup: files first, databases then, the list last, and then the proof.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::listing::{Archive, Entry, FILES, FORMAT, Kind, Listing, Name, OfVolume, Reason, WITH_VOLUMES, in_volume};
use super::pack::Packed;
use super::walk::{Found, Sink, walk};
use super::{Scope, measure, sqlite, store, verify};
use crate::error::{Context, Error, Result};
use crate::host::account::Account;
use crate::host::fs::{Rooted, free_bytes, make_private, sync_directory, write_durably};
use crate::source::compose::Volume;
use crate::text::bytes;

/// What must stay free beside the backup, bytes.
const FLOOR: u64 = 100 << 20;

/// What a backup is taken of, and for what.
pub struct Order<'a> {
    /// Where backups of this install are kept.
    pub store: &'a Path,
    /// Where the owner may be given a directory.
    pub cache: &'a Path,
    /// The backup's id.
    pub id: String,
    /// The install.
    pub install: &'a str,
    /// The run that it belongs to.
    pub run: Option<String>,
    /// Why.
    pub reason: Reason,
    /// The checkout.
    pub root: &'a Path,
    /// Its owner.
    pub owner: &'a Account,
    /// What belongs to it.
    pub scope: &'a Scope,
}

/// A backup that was taken and proven, with what the operator should know of it.
pub struct Taken {
    /// What it holds.
    pub listing: Listing,
    /// Remarks.
    pub warnings: Vec<String>,
}

/// Takes a backup, restores it into a scratch place, and compares: only then it counts. Nothing live is changed, and what
/// failed is removed.
pub fn take(order: &Order) -> Result<Taken> {
    store::prepare(order.store)?;
    room(order)?;
    let directory = order.store.join(&order.id);
    store::remove(&directory)?;
    let taken = write(order, &directory).and_then(|taken| {
        verify::prove(&directory, &taken.listing).map_err(|error| error.while_("the backup does not hold"))?;
        Ok(taken)
    });
    if taken.is_err() {
        // It is half a backup: whoever lists it is told so, should even this fail.
        store::remove(&directory).unwrap_or_default();
    }
    taken.map_err(|error| error.while_(format!("{} cannot be backed up", order.install)))
}

/// The disk, before anything is written: the backup and the place where it is proven, and the copies of databases.
fn room(order: &Order) -> Result<()> {
    let measured = measure(order.root, order.scope)?;
    let enough = |place: &Path, needed: u64, what: &str| {
        let (free, needed) = (free_bytes(place)?, needed + FLOOR);
        match free >= needed {
            true => Ok(()),
            false => Err(Error::failed(format!(
                "{what} of {} needs {} ({needed} bytes) on the filesystem of {}, and {} ({free} bytes) are free",
                order.install,
                bytes(needed),
                place.display(),
                bytes(free)
            ))
            .hint(format!(
                "make room: df -h {}; or keep fewer backups: relift backup list {}",
                place.display(),
                order.install
            ))),
        }
    };
    enough(order.store, 2 * measured.bytes, "a backup with its proof")?;
    make_private(order.cache, 0o755)?;
    enough(order.cache, measured.largest_database, "the copy of a database")
}

fn write(order: &Order, directory: &Path) -> Result<Taken> {
    make_private(directory, 0o700)?;
    let time = jiff::Timestamp::now().as_second();
    let root = Rooted::open(order.root)?;
    let (found, files) = files(&root, order.scope, directory)?;
    let Found { mut entries, mut absent, mut restless } = found;
    let mut archives = vec![files];
    let scratch = Scratch::of(order)?;
    for (number, path) in order.scope.databases.iter().enumerate() {
        let Some((_, node)) = root.open_file(path)? else {
            absent.push(Name::of(path));
            continue;
        };
        let name = format!("db-{number}.zst");
        let (kind, archive) = sqlite::take(order.owner, order.root, path, &scratch.0, (directory, &name))?;
        entries.push(Entry::new(path, kind, node.meta));
        archives.push(archive);
    }
    drop(scratch);
    let mut volumes = Vec::new();
    for (number, volume) in order.scope.volumes.iter().enumerate() {
        let name = format!("volume-{number}.tar.zst");
        let (found, archive) = of_volume(volume, directory, &name)?;
        let called = |path: &Name| Name::of(in_volume(&volume.name).join(path.path()));
        restless.extend(found.restless.iter().map(called));
        volumes.push(OfVolume { volume: volume.clone(), entries: found.entries, archive: name });
        archives.push(archive);
    }
    let mut listing = Listing {
        format: if volumes.is_empty() { FORMAT } else { WITH_VOLUMES },
        id: order.id.clone(),
        install: order.install.to_owned(),
        run: order.run.clone(),
        reason: order.reason,
        time,
        version: env!("CARGO_PKG_VERSION").into(),
        root: order.root.to_owned(),
        paths: order.scope.paths.iter().map(Name::of).collect(),
        databases: order.scope.databases.iter().map(Name::of).collect(),
        absent,
        entries,
        volumes,
        archives,
        sum: String::new(),
    };
    listing.sum = listing.computed_sum();
    let text = serde_json::to_vec_pretty(&listing).context("the list of the backup cannot be written")?;
    sync_directory(directory)?;
    write_durably(&directory.join(store::LIST), &text, 0o600)?;
    sync_directory(order.store)?;
    Ok(Taken { warnings: warnings(&listing, &restless), listing })
}

fn files(root: &Rooted, scope: &Scope, directory: &Path) -> Result<(Found, Archive)> {
    packed(directory, FILES, |tarball| walk(root, &scope.paths, &|path| scope.is_of_a_database(path), tarball))
}

/// A volume, while nothing writes to it: a database in it is a file like any other then.
fn of_volume(volume: &Volume, directory: &Path, name: &str) -> Result<(Found, Archive)> {
    volume.rests()?;
    let top = PathBuf::from(".");
    packed(directory, name, |tarball| match volume.place()? {
        Some(place) => walk(&Rooted::open(&place)?, &[top], &|_| false, tarball),
        None => Ok(Found { absent: vec![Name::of(top)], ..Found::default() }),
    })
}

fn packed(directory: &Path, name: &str, fill: impl FnOnce(&mut Tarball) -> Result<Found>) -> Result<(Found, Archive)> {
    let mut tarball = Tarball { tar: tar::Builder::new(Packed::create(directory, name)?) };
    let found = fill(&mut tarball)?;
    let written = tarball.tar.into_inner().and_then(Packed::finish);
    Ok((found, written.with_context(|| format!("{} cannot be written", directory.join(name).display()))?))
}

/// An archive that tar(1) reads as well: `tar --zstd --xattrs --xattrs-include='*' -xpf`.
struct Tarball {
    tar: tar::Builder<Packed>,
}

impl Sink for Tarball {
    fn take(&mut self, entry: &Entry, bytes: Option<&mut dyn Read>) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.mode);
        header.set_uid(entry.uid.into());
        header.set_gid(entry.gid.into());
        header.set_mtime(entry.mtime.0.max(0) as u64);
        header.set_size(entry.size());
        let values: Vec<(String, Vec<u8>)> = entry
            .xattrs
            .iter()
            .map(|(name, value)| (format!("SCHILY.xattr.{name}"), crate::host::fs::unhex(value).unwrap_or_default()))
            .collect();
        if !values.is_empty() {
            self.tar.append_pax_extensions(values.iter().map(|(name, value)| (name.as_str(), value.as_slice())))?;
        }
        let path = entry.path.path();
        match &entry.kind {
            Kind::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                self.tar.append_data(&mut header, &path, io::empty())
            }
            Kind::Link { target } => {
                header.set_entry_type(tar::EntryType::Symlink);
                self.tar.append_link(&mut header, &path, target.path())
            }
            Kind::HardLink { of } => {
                header.set_entry_type(tar::EntryType::Link);
                self.tar.append_link(&mut header, &path, of.path())
            }
            Kind::File { .. } => match bytes {
                Some(bytes) => self.tar.append_data(&mut header, &path, bytes),
                None => Ok(()),
            },
            Kind::Database { .. } | Kind::NotKept => Ok(()),
        }
    }
}

/// A directory of the owner's, removed when this is dropped, and before the next backup when it could not be.
struct Scratch(PathBuf);

impl Scratch {
    fn of(order: &Order) -> Result<Scratch> {
        let path = order.cache.join("backup");
        crate::source::git::remove_stage(&path)?;
        make_private(&path, 0o700)?;
        std::os::unix::fs::chown(&path, Some(order.owner.uid), Some(order.owner.gid))
            .with_context(|| format!("{} cannot be given to {}", path.display(), order.owner.name))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

fn warnings(listing: &Listing, restless: &[Name]) -> Vec<String> {
    let named = |names: &[String]| {
        let more = names.len().saturating_sub(3);
        let shown = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        if more > 0 { format!("{shown} and {more} more") } else { shown }
    };
    let texts = |names: &mut dyn Iterator<Item = &Name>| names.map(Name::to_string).collect::<Vec<_>>();
    let mut warnings = Vec::new();
    let restless = texts(&mut restless.iter());
    if !restless.is_empty() {
        warnings.push(format!(
            "written while it was backed up, and may be in the middle of a change: {} (`when = \"quiesced\"` stops services first)",
            named(&restless)
        ));
    }
    let special = texts(&mut listing.not_kept().collect::<Vec<_>>().iter());
    if !special.is_empty() {
        warnings.push(format!("pipes, sockets and devices are not backed up: {}", named(&special)));
    }
    let mut absent = texts(&mut listing.absent.iter());
    let gone = listing.volumes.iter().filter(|one| one.entries.is_empty());
    absent.extend(gone.map(|one| Name::of(in_volume(&one.volume.name)).to_string()));
    if !absent.is_empty() {
        warnings.push(format!("not there, so that a restore would take it away: {}", named(&absent)));
    }
    warnings
}
