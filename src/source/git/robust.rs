//! What holds for any names of tags, and for any index of a checkout: the bodies of the fuzz targets, which the tests run over
//! their seeds too.

use semver::VersionReq;

use super::index::{self, Bits};
use super::mirror::Refs;
use super::target::{candidates, choose};
use crate::manifest::{Follow, GitSource, TagShape};

/// Takes lines of text: the shape, the range, and the tags that a remote has. (A shape that git does not allow is one that no
/// manifest has; what is chosen from it must hold all the same.)
///
/// # Panics
/// Where something that must hold does not.
pub fn any_bytes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let Some((prefix, suffix)) = lines.next().and_then(|shape| shape.split_once("{version}")) else { return };
    let shape = TagShape { prefix: prefix.to_owned(), suffix: suffix.to_owned() };
    let allow = lines.next().and_then(|range| VersionReq::parse(range).ok());
    let tags: Vec<&str> = lines.collect();
    for tag in &tags {
        if let Some(version) = shape.version(tag) {
            assert_eq!(shape.tag(&version), *tag, "a tag is found by its version");
        }
    }
    let refs: Refs = tags.iter().map(|tag| (format!("refs/tags/{tag}"), format!("oid of {tag}"))).collect();
    let follow = Follow::Tags(shape.clone());
    let source = GitSource { allow, ..GitSource::following("https://git.example.org/a.git", follow) };
    let allowed: Vec<_> = tags
        .iter()
        .filter_map(|tag| shape.version(tag))
        .filter(|version| source.allow.as_ref().map_or(version.pre.is_empty(), |range| range.matches(version)))
        .collect();
    match choose(&source, &refs) {
        Ok(target) => {
            let tag = target.label.expect("a tag that is chosen has a name");
            assert_eq!(target.revision, format!("oid of {tag}"), "the tag and the commit are of each other");
            let chosen = shape.version(&tag).expect("it is of the shape");
            assert!(
                allowed.contains(&chosen) && allowed.iter().all(|other| *other <= chosen),
                "{chosen} of {allowed:?}"
            );
            let named = candidates(&source, &chosen.to_string());
            assert_eq!(named.first(), Some(&format!("refs/tags/{tag}")), "the bare version means it");
        }
        Err(error) => assert!(allowed.is_empty(), "{error} although there are {allowed:?}"),
    }
}

/// Takes the index of a checkout, which belongs to another account than the one that reads it.
///
/// # Panics
/// Where something that must hold does not.
pub fn any_index(bytes: &[u8]) {
    let (mut entries, mut longest) = (0_usize, 0);
    let found = index::read(bytes, bytes.len() as u64, &mut |entry| {
        entries += 1;
        longest = longest.max(entry.path.len());
        (entry.bits != Bits::Other).then_some(())
    });
    // Each takes 62 bytes and more of the file, however short its path is.
    assert!(entries * 62 <= bytes.len() && longest < 4096 + 8, "{entries} entries, {longest}");
    if let Ok(Some(Some(_))) = found {
        let cut = bytes.len() - 1;
        let of_less = index::read(&bytes[..cut], cut as u64, &mut |_| Some(()));
        assert!(!matches!(of_less, Ok(Some(_))), "what is cut off is no index");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_seeds_of_the_fuzz_targets_break_nothing() {
        crate::text::each_seed("tags", super::any_bytes);
        crate::text::each_seed("index", super::any_index);
    }
}
