//! Where things live below the root: in one checkout, or in releases beside one another.

use std::path::PathBuf;

use super::{Component, EnvFile, GitSource, Install, RelPath, Source};

/// How an install lies below its root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The root is the tree, which a switch changes. What an older version recorded is so.
    #[default]
    InPlace,
    /// `releases/NAME` are trees, `current` is a link to one, `shared` holds what outlives them.
    Releases,
}

/// Where what outlives releases lives, relative to the root.
pub const SHARED: &str = "shared";
/// The link to the release that runs.
pub const CURRENT: &str = "current";

impl Layout {
    /// The place in a release of something whose place below the root is `path`.
    pub fn in_tree(self, path: &str) -> &str {
        match self {
            Layout::InPlace => path,
            Layout::Releases => path.strip_prefix("shared/").unwrap_or(path),
        }
    }

    /// Where what outlives a release and has this place in its tree lives, relative to the root: the other way round.
    pub fn outliving(self, path: &RelPath) -> RelPath {
        match self {
            Layout::InPlace => path.clone(),
            Layout::Releases => RelPath(format!("{SHARED}/{path}")),
        }
    }
}

impl Install {
    /// Where its git checkout is the root: what is only true of such a one.
    pub fn checkout(&self) -> Option<&GitSource> {
        match &self.source {
            Source::Git(source) if self.layout == Layout::InPlace => Some(source),
            _ => None,
        }
    }

    /// Where a configuration file of a component lives, relative to the root.
    pub fn env_path(&self, component: &Component, env: &EnvFile) -> RelPath {
        self.layout.outliving(&env.file.below(&component.path))
    }

    /// The directory of a component that is live, absolute.
    pub fn live(&self, component: &Component) -> PathBuf {
        match self.layout {
            Layout::InPlace => self.root.join(&component.path),
            Layout::Releases => self.root.join(CURRENT).join(&component.path),
        }
    }

    /// The places in a tree at which a release has a link to what is shared, outermost only; none in place.
    pub fn linked(&self) -> Vec<RelPath> {
        if self.layout == Layout::InPlace {
            return Vec::new();
        }
        let files = self.components.iter().flat_map(|part| part.env.iter().map(|env| env.file.below(&part.path)));
        let mut all: Vec<RelPath> = files.chain(self.shared.iter().cloned()).collect();
        all.sort();
        all.dedup();
        let is_outermost = |path: &RelPath| !all.iter().any(|other| other != path && path.is_within(other));
        all.iter().filter(|path| is_outermost(path)).cloned().collect()
    }
}

impl RelPath {
    /// Whether it is this path, or lies below it.
    pub fn is_within(&self, other: &RelPath) -> bool {
        std::path::Path::new(&self.0).starts_with(&other.0)
    }
}
