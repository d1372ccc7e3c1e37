//! What the configuration of a checkout says.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::call::{in_checkout, text};
use crate::error::{Result, ended};
use crate::host::account::Account;

/// What it says that a source must know.
pub(super) struct Settings {
    /// Its remotes: name and URL.
    pub remotes: Vec<(String, String)>,
    /// The directories of the sparse-checkout cone; `None`: there is none.
    pub cone: Option<Vec<String>>,
    /// Its shape.
    pub shape: Shape,
}

/// Which files belong to the work tree, and where that is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    /// By a cone or by patterns.
    pub is_sparse: bool,
    /// By a cone.
    pub is_cone: bool,
    /// Its work tree is another directory (`core.worktree`).
    pub is_elsewhere: bool,
}

impl Shape {
    /// As a configuration says.
    pub fn of(config: &str) -> Shape {
        let mut shape = Shape { is_cone: true, ..Shape::default() };
        for (key, value) in config.split('\0').filter_map(|entry| entry.split_once('\n')) {
            match key {
                "core.sparsecheckout" => shape.is_sparse = value == "true",
                "core.sparsecheckoutcone" => shape.is_cone = value == "true",
                "core.worktree" => shape.is_elsewhere = true,
                _ => {}
            }
        }
        shape
    }
}

/// How long the shape of a checkout holds: a run that nobody had to approve asks for it twice, and looks at it after the switch.
const FRESH: Duration = Duration::from_secs(5);

/// Of which checkouts it was told, and when.
static SHAPES: Mutex<Vec<(PathBuf, Instant, Shape)>> = Mutex::new(Vec::new());

/// The shape that git told a moment ago; `None`: it must be asked.
pub(super) fn known_shape(root: &Path) -> Option<Shape> {
    let known = SHAPES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.iter().find(|(of, told, _)| of == root && told.elapsed() < FRESH);
    known.map(|(_, _, shape)| *shape)
}

/// The checkout's configuration as git-config(1) `--null --list` has it.
pub(super) fn configuration(owner: &Account, root: &Path) -> Result<String> {
    let list = in_checkout(owner, root).args(["config", "--null", "--list"]);
    let config = text(list, "the checkout's configuration cannot be read")?;
    let mut known = SHAPES.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|(of, told, _)| of != root && told.elapsed() < FRESH);
    known.push((root.to_owned(), Instant::now(), Shape::of(&config)));
    Ok(config)
}

impl Settings {
    /// Asks git.
    pub fn read(owner: &Account, root: &Path) -> Result<Settings> {
        // What git holds for the cone is asked for beside the configuration that says whether it counts.
        let (config, listed) = std::thread::scope(|scope| {
            let listed = root.join(SPARSE).exists().then(|| scope.spawn(|| cone(owner, root)));
            (configuration(owner, root), listed.map(|listed| ended(listed.join())))
        });
        let config = config?;
        let shape = Shape::of(&config);
        let remotes = match remotes(&config) {
            Some(remotes) => remotes,
            // With `url.*.insteadOf` applied, as a fetch by hand would.
            None => {
                let list = in_checkout(owner, root).args(["remote", "--verbose"]);
                let list = text(list, "the checkout's remotes cannot be read")?;
                let fetched = list.lines().filter_map(|line| line.split_once(" (fetch)")?.0.split_once('\t'));
                fetched.map(|(name, url)| (name.to_owned(), url.to_owned())).collect()
            }
        };
        let has_cone = shape.is_sparse && shape.is_cone;
        let cone = has_cone.then(|| listed.unwrap_or_else(|| cone(owner, root))).transpose()?;
        Ok(Settings { remotes, cone, shape })
    }
}

/// Where git keeps the patterns of a sparse checkout, gitrepository-layout(5).
const SPARSE: &str = ".git/info/sparse-checkout";

fn cone(owner: &Account, root: &Path) -> Result<Vec<String>> {
    let list = in_checkout(owner, root).args(["sparse-checkout", "list"]);
    let list = text(list, "the sparse-checkout cone cannot be read")?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// The remotes that a configuration (git-config(1) `--null --list`) names, with what is fetched from; `None` where git must
/// tell what an URL of them means.
fn remotes(config: &str) -> Option<Vec<(String, String)>> {
    let mut remotes: Vec<(String, String)> = Vec::new();
    for (key, value) in config.split('\0').filter_map(|entry| entry.split_once('\n')) {
        if key.starts_with("url.") {
            return None;
        }
        let name = key.strip_prefix("remote.").and_then(|key| key.strip_suffix(".url"));
        // A remote may have several; the first is fetched from.
        if let Some(name) = name.filter(|name| remotes.iter().all(|(known, _)| known != name)) {
            remotes.push((name.to_owned(), value.to_owned()));
        }
    }
    Some(remotes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_are_told_by_the_configuration_unless_it_rewrites_urls() {
        let config = "core.bare\nfalse\0remote.origin.url\nhttps://a/x.git\0remote.origin.fetch\n+refs/*:refs/*\0\
                      remote.Dotted.name.url\n/srv/y\0remote.origin.url\nhttps://b/x.git\0remote.pushdefault\norigin\0";
        let pair = |name: &str, url: &str| (name.to_owned(), url.to_owned());
        assert_eq!(remotes(config), Some(vec![pair("origin", "https://a/x.git"), pair("Dotted.name", "/srv/y")]));
        assert_eq!(remotes(&format!("{config}url.https://b/.insteadof\nhttps://a/\0")), None);
        assert_eq!(remotes("core.bare\nfalse\0"), Some(Vec::new()));
    }

    #[test]
    fn a_work_tree_that_is_another_directory_is_noticed() {
        assert!(Shape::of("core.bare\nfalse\0core.worktree\n/srv/elsewhere\0").is_elsewhere);
        assert!(!Shape::of("core.bare\nfalse\0").is_elsewhere);
    }
}
