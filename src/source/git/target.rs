//! Choosing the target: pure over the refs that are known.

use semver::{Version, VersionReq};

use super::mirror::Refs;
use super::preflight::without_password;
use crate::error::{Error, Result};
use crate::manifest::{Follow, GitSource, TagShape};

/// A commit to go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The commit, full hex.
    pub revision: String,
    /// The tag, where the target is one.
    pub label: Option<String>,
}

/// The candidate that a source offers: the branch's tip, or the newest tag of the shape that `allow` admits.
pub fn choose(source: &GitSource, refs: &Refs) -> Result<Target> {
    match &source.follow {
        Follow::Branch(branch) => {
            let tip = refs.get(&format!("refs/heads/{branch}"));
            let tip = tip.ok_or_else(|| super::mirror::no_branch(&without_password(&source.url), branch))?;
            Ok(Target { revision: tip.clone(), label: None })
        }
        Follow::Tags(shape) => newest(shape, source.allow.as_ref(), refs).ok_or_else(|| {
            let within = source.allow.as_ref().map(|range| format!(" within {range}")).unwrap_or_default();
            Error::failed(format!("{} has no tag of the shape {shape}{within}", without_password(&source.url)))
                .hint("correct `tags` or `allow` in the manifest")
        }),
    }
}

/// The newest tag of a shape within a range. Prereleases are only chosen by a range that names one (semver).
fn newest(shape: &TagShape, allow: Option<&VersionReq>, refs: &Refs) -> Option<Target> {
    refs.iter()
        .filter_map(|(name, oid)| {
            let tag = name.strip_prefix("refs/tags/")?;
            Some((shape.version(tag)?, tag, oid))
        })
        .filter(|(version, ..)| allow.map_or(version.pre.is_empty(), |range| range.matches(version)))
        .max_by(|a, b| a.0.cmp(&b.0))
        .map(|(_, tag, oid)| Target { revision: oid.clone(), label: Some(tag.to_owned()) })
}

/// The names that `--to` may mean, best first: as given, and for a bare version the tag of the shape that is followed.
pub fn candidates(source: &GitSource, to: &str) -> Vec<String> {
    let version = Version::parse(to.strip_prefix('v').unwrap_or(to)).ok();
    let shaped = match (&source.follow, &version) {
        (Follow::Tags(shape), Some(version)) => Some(shape.tag(version)),
        _ => None,
    };
    let tag = format!("refs/tags/{to}");
    shaped
        .map(|tag| format!("refs/tags/{tag}"))
        .into_iter()
        .chain([tag, format!("refs/heads/{to}"), to.to_owned()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(follow: Follow, allow: Option<&str>) -> GitSource {
        let allow = allow.map(|range| VersionReq::parse(range).unwrap());
        GitSource { allow, ..GitSource::following("https://git.example.org/a.git", follow) }
    }

    fn shape() -> Follow {
        Follow::Tags(TagShape { prefix: "manager-v".into(), suffix: String::new() })
    }

    fn refs(tags: &[&str]) -> Refs {
        tags.iter().map(|tag| (format!("refs/tags/{tag}"), format!("oid-{tag}"))).collect()
    }

    #[test]
    fn the_newest_tag_is_the_newest_version_and_not_the_last_in_the_alphabet() {
        let refs =
            refs(&["manager-v1.9.0", "manager-v1.10.0", "runner-v3.0.0", "manager-v1.11.0-rc.1", "manager-vNext"]);
        let target = choose(&source(shape(), None), &refs).unwrap();
        assert_eq!(target.label.as_deref(), Some("manager-v1.10.0"));
    }

    #[test]
    fn a_range_bounds_what_is_chosen() {
        let refs = refs(&["manager-v1.9.0", "manager-v2.0.0"]);
        let target = choose(&source(shape(), Some("^1.7")), &refs).unwrap();
        assert_eq!(target.label.as_deref(), Some("manager-v1.9.0"));
        let error = choose(&source(shape(), Some("^3")), &refs).unwrap_err();
        assert!(error.to_string().contains("no tag of the shape manager-v{version} within ^3"), "{error}");
    }

    #[test]
    fn a_branch_that_is_gone_is_named() {
        let error = choose(&source(Follow::Branch("main".into()), None), &Refs::new()).unwrap_err();
        assert_eq!(error.to_string(), "https://git.example.org/a.git has no branch main");
    }

    #[test]
    fn a_bare_version_means_the_tag_of_the_shape() {
        assert_eq!(candidates(&source(shape(), None), "1.7.1")[0], "refs/tags/manager-v1.7.1");
        assert_eq!(candidates(&source(shape(), None), "v1.7.1")[0], "refs/tags/manager-v1.7.1");
    }
}
