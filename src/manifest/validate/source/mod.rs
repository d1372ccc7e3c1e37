//! `[source.*]`: exactly one table.

mod archive;
mod compose;
mod packages;

use std::path::Path;

use semver::VersionReq;

use super::super::document::Key;
use super::super::problem::{Fault, Looked};
use super::super::{Follow, GitSource, Source, raw, words};
use super::Look;

pub(super) use compose::name as compose_name;
pub(super) use packages::name as package;

pub(super) fn source(look: &mut Look<'_>, key: &Key, raw: &raw::Manifest, root: Option<&Path>) -> Option<Source> {
    let raw::Source { git: of_git, packages: of_packages, compose: of_compose, archive: of_archive } = &raw.source;
    let declared = [
        of_git.as_ref().map(|_| "git"),
        of_packages.as_ref().map(|_| "packages"),
        of_compose.as_ref().map(|_| "compose"),
        of_archive.as_ref().map(|_| "archive"),
    ];
    let declared: Vec<&str> = declared.into_iter().flatten().collect();
    if let [first, second, ..] = declared.as_slice() {
        let fault = Fault::new(format!("`source.{first}` and `source.{second}` are both declared"));
        look.fault(&key.name(second), fault.help("an install has one source; make another manifest for the other"));
        return None;
    }
    let has_backup = raw.backup.is_some();
    match () {
        () if let Some(raw) = of_git => git(look, &key.name("git"), raw, root).map(Source::Git),
        () if let Some(raw) = of_packages => packages::packages(look, &key.name("packages"), raw).map(Source::Packages),
        () if let Some(raw) = of_compose => {
            compose::compose(look, &key.name("compose"), raw, has_backup).map(Source::Compose)
        }
        () if let Some(raw) = of_archive => {
            archive::archive(look, &key.name("archive"), raw, root).map(Source::Archive)
        }
        () => {
            look.fault(
                key,
                Fault::new("no source is declared")
                    .help("add one of [source.git], [source.packages], [source.compose], [source.archive]"),
            );
            None
        }
    }
}

fn git(look: &mut Look<'_>, key: &Key, raw: &raw::Git, root: Option<&Path>) -> Option<GitSource> {
    let url = look.take(&key.name("url"), words::git_url(&raw.url));
    if raw.url.starts_with("http://") || raw.url.starts_with("git://") {
        look.warn("`source.git.url` is not authenticated: whoever is on the network path can change what is fetched");
    }
    let follow = follow(look, key, raw);
    let allow = look.take_optional(&key.name("allow"), raw.allow.as_deref().map(range));
    let credential = look.take_optional(&key.name("credential"), raw.credential.as_deref().map(words::credential));
    if raw.credential.is_some() && !raw.url.starts_with("https://") {
        look.warn(match raw.url.starts_with("http://") {
            true => "`source.git.credential` goes over the network in the clear: `url` is no https URL",
            false => "`source.git.credential` is not used: `url` is no https URL",
        });
    }
    let max_fetch = look.take_optional(&key.name("max-fetch"), raw.max_fetch.as_deref().map(words::size));
    let discard = look.each(&key.name("discard"), &raw.discard, words::relative);
    let verify = match &raw.verify {
        None => Some(None),
        Some(verify) => super::verify::verify(look, &key.name("verify"), (verify, raw), root).map(Some),
    };
    let unsaid = GitSource::following(&url?, follow?);
    Some(GitSource {
        allow: allow?,
        credential: credential?,
        max_fetch: max_fetch?.unwrap_or(unsaid.max_fetch),
        discard: discard?,
        sparse: raw.sparse,
        manifest: raw.manifest,
        verify: verify?,
        ..unsaid
    })
}

fn follow(look: &mut Look<'_>, key: &Key, raw: &raw::Git) -> Option<Follow> {
    match (&raw.branch, &raw.tags) {
        (Some(branch), None) => look.take(&key.name("branch"), words::branch(branch)).map(Follow::Branch),
        (None, Some(tags)) => look.take(&key.name("tags"), words::tags(tags)).map(Follow::Tags),
        (Some(_), Some(_)) => {
            let fault = Fault::new("`branch` and `tags` are both given; an install follows one");
            look.fault(&key.name("tags"), fault.help("keep `branch` to follow a branch, or `tags` to follow releases"));
            None
        }
        (None, None) => {
            let fault = Fault::new("neither `branch` nor `tags` is given");
            look.fault(key, fault.help("add branch = \"main\", or tags = \"v{version}\" to follow releases"));
            None
        }
    }
}

pub(super) fn range(text: &str) -> Looked<VersionReq> {
    VersionReq::parse(text).map_err(|error| {
        let fault = Fault::new(format!("\"{text}\" is not a range of versions: {error}"));
        match text.contains("v") {
            true => fault.help("write the versions without `v`, such as \"^1.7\""),
            false => fault.help("write a range such as \"^1.7\", \"~1.7.2\" or \">=1.6, <2\""),
        }
    })
}
