//! Release notes: the sections of a changelog between two versions.

use semver::Version;
use serde::{Deserialize, Serialize};

/// The notes of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseNote {
    /// The version; `None`: unreleased.
    pub version: Option<Version>,
    /// The heading without `#`.
    pub heading: String,
    /// The text below it, lines without the final blank ones.
    pub body: Vec<String>,
}

/// The sections of a changelog (Keep a Changelog, plain `## x.y.z`, `# v1.2.3 (date)`, setext headings) after `after` and up to `upto`,
/// oldest first. `after == None`: only `upto`'s own. `unreleased`: also the unreleased section, last.
pub fn between(changelog: &str, after: Option<&Version>, upto: Option<&Version>, unreleased: bool) -> Vec<ReleaseNote> {
    let _ = (changelog, after, upto, unreleased);
    todo!()
}
