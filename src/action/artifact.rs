//! Guarding what steps make (`.venv`): saved before the switch, put back by undo, without the network.
//!
//! tar(1) reads and writes it as the owner; root only holds the archive.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Act, Seen, Sight, Site};
use crate::error::{Context, Result};
use crate::host::account::Account;
use crate::host::fs::{Rooted, sync_filesystem};
use crate::host::process::{Command, Input};

/// How long packing or unpacking may take.
const BOUND: Duration = Duration::from_secs(1800);

/// A directory or file that git ignores and steps make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The component.
    pub component: String,
    /// Relative to the checkout.
    pub path: PathBuf,
    /// The archive of what is there now, by the name it has among the run's archives; `None`: there was nothing.
    pub saved: Option<String>,
    /// An archive that a rollback puts in its place.
    pub install: Option<PathBuf>,
}

impl Act for Artifact {
    fn title(&self) -> String {
        match self.install {
            Some(_) => format!("put back {}", self.path.display()),
            None => format!("keep {} for the way back", self.path.display()),
        }
    }

    fn undo_title(&self) -> Option<String> {
        Some(format!("put back {}", self.path.display()))
    }

    fn sight(&self, site: &mut Site, _: &Seen, _: bool) -> Result<Sight> {
        let saved = self.saved.as_ref().map(|name| site.directory.join("artifacts").join(name));
        if holds(site, &self.path, saved.as_deref())? {
            return Ok(Sight::Before);
        }
        match &self.install {
            Some(archive) if holds(site, &self.path, Some(archive))? => Ok(Sight::After),
            // Steps change it: what they made of it, only they know.
            _ => Ok(Sight::Mixed),
        }
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        match &self.install {
            Some(archive) => unpack(site, &self.path, Some(archive)),
            None => Ok(()),
        }
    }

    fn undo(&self, site: &mut Site, _: &Seen) -> Result<Vec<String>> {
        let archive = self.saved.as_ref().map(|name| site.directory.join("artifacts").join(name));
        unpack(site, &self.path, archive.as_deref())?;
        self.clear(&site.checkout()?)?;
        sync_filesystem(&site.root)?;
        Ok(Vec::new())
    }
}

impl Artifact {
    /// Removes what its change set aside: that takes as long as there are files, and nothing waits for it.
    pub fn clear(&self, checkout: &Rooted) -> Result<()> {
        clear(checkout, &self.path)
    }
}

/// Packs `path` below `root`, as the owner, into `archive`, durably. `false`: there is nothing to pack.
pub fn save(owner: &Account, root: &Path, path: &Path, archive: &Path) -> Result<bool> {
    if !Rooted::open(root)?.exists(path)? {
        return Ok(false);
    }
    let file = File::create_new(archive).with_context(|| format!("{} cannot be made", archive.display()))?;
    let copy = file.try_clone().with_context(|| format!("{} cannot be made", archive.display()))?;
    Command::new(["tar", "--create", "--xattrs", "--acls", "--sparse", "--file=-", "--"])
        .args([path])
        .account(owner)
        .cwd(root)
        .stdout(file)
        .timeout(BOUND)
        .succeed()
        .map_err(|error| error.while_(format!("{} cannot be saved", root.join(path).display())))?;
    copy.sync_all().with_context(|| format!("{} cannot be made durable", archive.display()))?;
    Ok(true)
}

/// Whether what is there is what an archive holds, contents and modes, and nothing more; without one: whether nothing is there.
fn holds(site: &Site, path: &Path, archive: Option<&Path>) -> Result<bool> {
    let is_there = site.checkout()?.exists(path)?;
    let Some(archive) = archive.filter(|_| is_there) else { return Ok(!is_there && archive.is_none()) };
    let open = || File::open(archive).with_context(|| format!("the archive {} cannot be read", archive.display()));
    let tar = |what: &str| Command::new(["tar", what, "--file=-"]).account(&site.owner).cwd(&site.root).timeout(BOUND);
    let compared = tar("--compare").stdin(Input::File(open()?)).output()?;
    let listed = tar("--list").stdin(Input::File(open()?)).succeed()?.stdout;
    let there = Command::new(["find", "-P"]).args([Path::new(".").join(path)]).args(["-printf", "x"]);
    let there = there.account(&site.owner).cwd(&site.root).timeout(BOUND).succeed()?.stdout;
    // Compared is only what the archive has; more than that shows by its number.
    Ok(compared.success() && listed.iter().filter(|byte| **byte == b'\n').count() == there.len())
}

/// Where what comes and what goes lie, beside their place.
fn aside(path: &Path) -> [PathBuf; 2] {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ["new", "old"].map(|which| path.with_file_name(format!(".{name}.relift-{which}")))
}

fn clear(checkout: &Rooted, path: &Path) -> Result<()> {
    // What a step of root's left in it (`__pycache__`), the owner cannot remove.
    aside(path).iter().try_for_each(|path| checkout.remove_tree(path))
}

/// Puts the packed directory in the place of what is there: unpacked beside it, then renamed. What was there stays aside.
fn unpack(site: &Site, path: &Path, archive: Option<&Path>) -> Result<()> {
    let [new, old] = aside(path);
    let name = |path: &Path| path.file_name().unwrap_or_default().to_owned();
    let checkout = site.checkout()?;
    clear(&checkout, path)?;
    if let Some(archive) = archive {
        checkout.make_directories(&new, site.owner.uid, site.owner.gid)?;
        let file = File::open(archive).with_context(|| format!("the archive {} cannot be read", archive.display()))?;
        let depth = path.components().count();
        Command::new(["tar", "--extract", "--xattrs", "--acls", "--same-permissions", "--file=-"])
            .args([format!("--strip-components={}", depth - 1), format!("--directory={}", name(&new).display())])
            .account(&site.owner)
            .cwd(site.root.join(path.parent().unwrap_or(Path::new(""))))
            .stdin(Input::File(file))
            .timeout(BOUND)
            .succeed()?;
    }
    if checkout.exists(path)? {
        checkout.move_to(path, &old)?;
    }
    if archive.is_some() {
        checkout.move_to(&new.join(name(path)), path)?;
    }
    sync_filesystem(&site.root)
}
