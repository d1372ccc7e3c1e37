//! The releases that root runs code of, exported for a run: made when first needed, in this life of the run, and removed with
//! its end.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::host::account::Account;
use crate::host::fs::{Rooted, make_private};
use crate::manifest::writers_of;
use crate::plan::Plan;
use crate::source::git::{beneath, export};

/// The exports of a run.
pub(super) struct Exports {
    state: PathBuf,
    directories: Vec<String>,
    /// Configuration files: their places below the root, and in a release.
    env: Vec<(String, String)>,
    made: Vec<String>,
}

impl Exports {
    /// Of the run whose directory, `STATE/runs/ULID`, this is.
    pub fn of(plan: &Plan, directory: &Path) -> Exports {
        Exports {
            state: directory.ancestors().nth(2).unwrap_or(directory).to_owned(),
            directories: plan.components.iter().map(|component| component.path.clone()).collect(),
            env: plan.components.iter().flat_map(|part| &part.env).map(|env| plan.in_both(&env.file)).collect(),
            made: Vec::new(),
        }
    }

    /// The export of a release. What an earlier life of the run left is not used: it may be half.
    pub fn place(&mut self, revision: &str) -> Result<PathBuf> {
        let all = place_below(&self.state);
        let place = all.join(revision);
        if self.made.iter().any(|made| made == revision) {
            return Ok(place);
        }
        if self.made.is_empty() {
            remove_exports(&self.state)?;
        }
        make_private(&all, 0o700)?;
        if let Some(who) = writers_of(&all)?.into_iter().next() {
            return Err(Error::failed(format!("root runs nothing from {}", all.display())).because(who));
        }
        export(&self.state, revision, &self.directories, &place)
            .inspect_err(|_| std::fs::remove_dir_all(&place).unwrap_or_default())?;
        self.made.push(revision.to_owned());
        Ok(place)
    }

    /// Copies the configuration files as they are now to their places in the export, for root alone.
    pub fn configure(&self, root: &Path, place: &Path) -> Result<()> {
        let live = Rooted::open(root)?;
        for (file, in_tree) in &self.env {
            if let Some(content) = live.read(Path::new(file))? {
                put(place, Path::new(in_tree), &content.bytes)?;
            }
        }
        Ok(())
    }
}

fn place_below(state: &Path) -> PathBuf {
    state.join("exports")
}

/// Puts a configuration file into an export: 0600, root's, in place of whatever the release has there.
pub(crate) fn put(place: &Path, file: &Path, bytes: &[u8]) -> Result<()> {
    let path = place.join(file);
    let cannot = || format!("{} cannot be written", path.display());
    let Some(parent) = file.parent().filter(|parent| beneath(place, parent).is_ok_and(is_directory)) else {
        // The release has no such directory: nothing in it can read the file there.
        return Ok(());
    };
    let real = place.join(parent).canonicalize().with_context(cannot)?;
    let path = real.join(file.file_name().unwrap_or_default());
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(cannot),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path).with_context(cannot)?;
    file.write_all(bytes).with_context(cannot)
}

fn is_directory(file: File) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_dir())
}

/// Removes what was exported for root below an install's state; nothing there is no error.
pub fn remove_exports(state: &Path) -> Result<()> {
    let place = place_below(state);
    match std::fs::remove_dir_all(&place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", place.display()))
        }
        _ => Ok(()),
    }
}

/// Makes sure that a command's program is one that root alone, or the exported release, could have written: relative paths are
/// looked for in the export, bare names in root's own `PATH`, absolute ones must be root's all the way. A bare name that is
/// nowhere is left to the command's end to tell.
pub(super) fn trusted_program(name: &str, program: &str, place: &Path, component: &str) -> Result<()> {
    let refused = |why: String| {
        Err(Error::failed(format!("root does not run {} for {name}", crate::text::harmless(program))).because(why))
    };
    let path = Path::new(program);
    match (path.is_absolute(), program.contains('/')) {
        (true, _) => match writers_of(path).map(|writers| writers.into_iter().next()) {
            Ok(None) => Ok(()),
            Ok(Some(who)) => refused(who),
            Err(error) => refused(error.to_string()),
        },
        (false, true) => match beneath(place, &Path::new(component).join(path)).map(|file| file.metadata()) {
            Ok(Ok(meta)) if meta.is_file() && meta.mode() & 0o111 != 0 => Ok(()),
            Ok(Ok(_)) => refused("it is no program that can be executed in the release".into()),
            Ok(Err(error)) => refused(error.to_string()),
            Err(nix::errno::Errno::EXDEV) => refused("it leads out of the exported release".into()),
            Err(errno) => refused(format!("it is not in the release: {}", errno.desc())),
        },
        (false, false) => {
            let found = Account::root().places(program).into_iter().find(|file| file.is_file());
            match found.map(|file| writers_of(&file)).transpose()?.into_iter().flatten().next() {
                Some(who) => refused(who),
                None => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn the_program_of_a_root_step_is_the_releases_or_roots_own() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        std::fs::create_dir_all(at("app/bin")).unwrap();
        std::fs::create_dir_all(at("lent")).unwrap();
        for (path, mode) in [("app/bin/run", 0o555), ("app/plain", 0o444), ("top", 0o555), ("lent/tool", 0o755)] {
            std::fs::write(at(path), "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(at(path), Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("/bin/sh", at("app/bin/out")).unwrap();
        std::os::unix::fs::symlink(at("lent/tool"), at("alias")).unwrap();
        chown(at("lent"), Some(1), Some(1)).unwrap();
        let lent = at("lent/tool").display().to_string();
        let alias = at("alias").display().to_string();
        for (program, why) in [
            ("bin/run", None),
            ("./bin/run", None),
            ("../top", None),
            ("sh", None),
            ("/bin/sh", None),
            ("no-such-program", None),
            ("plain", None),
            ("./plain", Some("no program that can be executed")),
            ("./missing", Some("not in the release")),
            ("../../top", Some("leads out")),
            ("bin/out", Some("leads out")),
            ("/no/such/program", Some("cannot be read")),
            (&lent, Some("belongs to uid 1")),
            (&alias, Some("belongs to uid 1")),
        ] {
            let said = trusted_program("init", program, place.path(), "app").err().map(|error| error.to_string());
            match (said, why) {
                (None, None) => {}
                (Some(said), Some(why)) if said.contains(why) => {}
                (said, _) => panic!("{program}: {said:?}, wanted {why:?}"),
            }
        }
    }

    #[test]
    fn a_configuration_file_in_an_export_is_roots_alone_and_follows_no_link() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(place.path().join("app")).unwrap();
        let victim = place.path().join("victim");
        std::fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, place.path().join("app/.env")).unwrap();
        put(place.path(), Path::new("app/.env"), b"A=1\n").unwrap();
        put(place.path(), Path::new("app/.env"), b"A=2\n").unwrap();
        put(place.path(), Path::new("elsewhere/.env"), b"A=2\n").unwrap();
        let file = place.path().join("app/.env");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "A=2\n");
        assert_eq!(file.symlink_metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_to_string(victim).unwrap(), "untouched");
        assert!(!place.path().join("elsewhere").exists());
    }
}
