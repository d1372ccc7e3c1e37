//! `[source.archive]`.

use std::path::Path;

use super::super::super::document::Key;
use super::super::super::problem::{Fault, Looked};
use super::super::super::{ArchiveSource, ArchiveVerify, Keyring, Location, Signers, SshSigners, raw, words};
use super::super::Look;
use super::range;

/// What is fetched at most where the manifest says nothing: 2 GiB.
const MAX_FETCH: u64 = 2 << 30;
/// What an archive comes to at most where the manifest says nothing: 8 GiB.
const MAX_UNPACKED: u64 = 8 << 30;

pub(super) fn archive(
    look: &mut Look<'_>,
    key: &Key,
    raw: &raw::Archive,
    root: Option<&Path>,
) -> Option<ArchiveSource> {
    let url = look.take(&key.name("url"), location(&raw.url).and_then(versioned));
    let checksums = look.take(&key.name("checksums"), location(&raw.checksums));
    let latest = look.take_optional(&key.name("latest"), raw.latest.as_deref().map(location));
    let allow = look.take_optional(&key.name("allow"), raw.allow.as_deref().map(range));
    let headers = look.take_optional(&key.name("headers"), raw.headers.as_deref().map(words::credential));
    let max_fetch = look.take_optional(&key.name("max-fetch"), raw.max_fetch.as_deref().map(words::size));
    let max_unpacked = look.take_optional(&key.name("max-unpacked"), raw.max_unpacked.as_deref().map(words::size));
    let verify = match &raw.verify {
        None => Some(None),
        Some(verify) => self::verify(look, &key.name("verify"), verify, root).map(Some),
    };
    let (url, checksums, latest) = (url?, checksums?, latest?);
    look.take(&key.name("checksums"), telling(&url, &checksums))?;
    look.take(&key.name("latest"), newest(&checksums, latest.as_ref()))?;
    in_the_clear(look, [Some(&url), Some(&checksums), latest.as_ref()].into_iter().flatten(), raw);
    Some(ArchiveSource {
        url,
        checksums,
        latest,
        allow: allow?,
        verify: verify?,
        headers: headers?,
        max_fetch: max_fetch?.unwrap_or(MAX_FETCH),
        max_unpacked: max_unpacked?.unwrap_or(MAX_UNPACKED),
        strips: !matches!(raw.strip, Some(raw::Strip::Never)),
    })
}

/// What comes without TLS: a signature makes up for it, and nothing does for a header.
fn in_the_clear<'a>(look: &mut Look<'_>, places: impl Iterator<Item = &'a Location>, raw: &raw::Archive) {
    if !places.into_iter().any(|place| place.0.starts_with("http://")) {
        return;
    }
    if raw.verify.is_none() {
        look.warn("`source.archive` is not authenticated: whoever is on the network path can change what is fetched");
    }
    if raw.headers.is_some() {
        look.warn("`source.archive.headers` go over the network in the clear: a URL is not https");
    }
}

fn location(text: &str) -> Looked<Location> {
    let form = "write https://HOST/PATH or an absolute path";
    if text.is_empty() || text.chars().any(|c| c.is_control() || c == ' ') || text.contains('#') {
        return Err(Fault::new("is no place").help(form));
    }
    if text.starts_with('/') {
        let is_plain = text.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
        return match is_plain {
            true => Ok(Location(text.to_owned())),
            false => Err(Fault::new("is no path of a file without `.` and `..`").help(form)),
        };
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Fault::new("is neither a URL nor an absolute path").help(form));
    };
    if !matches!(scheme, "https" | "http") {
        return Err(Fault::new(format!("the scheme `{scheme}` is not known")).help(form));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(Fault::new("holds a name or a password, and every account of the host may read a manifest")
            .help("leave it out, and name the place of a header in `headers`: Authorization: Basic ..."));
    }
    if authority.contains('{') {
        return Err(Fault::new("the host must not depend on the version").help(form));
    }
    match !authority.is_empty() && !path.is_empty() && !path.ends_with('/') {
        true => Ok(Location(text.to_owned())),
        false => Err(Fault::new("names no host or no file").help(form)),
    }
}

fn versioned(url: Location) -> Looked<Location> {
    match url.has_version() {
        true => Ok(url),
        false => Err(Fault::new(format!("\"{url}\" holds no {{version}}"))
            .help("write where any release is, such as \"https://example.org/app-{version}.tar.gz\"")),
    }
}

/// One list tells releases apart by the names of their archives.
fn telling(url: &Location, checksums: &Location) -> Looked<()> {
    match checksums.has_version() || Location(url.name().to_owned()).has_version() {
        true => Ok(()),
        false => Err(Fault::new(format!(
            "a list of every release cannot tell them apart: each archive is called \"{}\"",
            url.name()
        ))
        .help("give each release sums of its own: write {version} in `checksums`, and add `latest`")),
    }
}

fn newest(checksums: &Location, latest: Option<&Location>) -> Looked<()> {
    match (checksums.has_version(), latest) {
        (true, None) => Err(Fault::new("`checksums` are of one release each, and nothing tells the newest one")
            .help("add latest = \"https://HOST/latest.txt\", a file whose first line is the newest version")),
        (false, Some(_)) => Err(Fault::new("`checksums` names every release, so that the newest one is known")
            .help("leave `latest` out; or write {version} in `checksums`")),
        (_, Some(latest)) if latest.has_version() => {
            Err(Fault::new("holds {version}, and is what tells the version").help("name one file"))
        }
        _ => Ok(()),
    }
}

fn verify(look: &mut Look<'_>, key: &Key, raw: &raw::ArchiveVerify, root: Option<&Path>) -> Option<ArchiveVerify> {
    let mut file = |name: &str, path: &Option<String>| {
        look.take_optional(&key.name(name), path.as_deref().map(|path| words::trusted(path, root)))
    };
    let allowed_signers = file("allowed-signers", &raw.allowed_signers);
    let revoked = file("revoked", &raw.revoked);
    let keyring = file("keyring", &raw.keyring);
    let fingerprints = look.each(&key.name("fingerprints"), &raw.fingerprints, words::fingerprint);
    let minisign = look.take_optional(&key.name("minisign"), raw.minisign.as_deref().map(|key| minisign(key, root)));
    let max_age = look.take_optional(&key.name("max-age"), raw.max_age.as_deref().map(words::age));
    look.take(key, whom(raw))?;
    let signers = match (minisign?, allowed_signers?, keyring?) {
        (Some(minisign), ..) => minisign,
        (_, Some(allowed_signers), _) => Signers::Ssh(SshSigners { allowed_signers, revoked: revoked? }),
        (.., Some(file)) => Signers::OpenPgp(Keyring { file, fingerprints: fingerprints? }),
        _ => return None,
    };
    let over = raw.over.unwrap_or(raw::Over::Checksums);
    Some(ArchiveVerify {
        signers,
        checksums: !matches!(over, raw::Over::Archive),
        archive: !matches!(over, raw::Over::Checksums),
        max_age: max_age?,
    })
}

fn minisign(text: &str, root: Option<&Path>) -> Looked<Signers> {
    if text.starts_with('/') {
        return words::trusted(text, root).map(Signers::MinisignFile);
    }
    match minisign_verify::PublicKey::from_base64(text) {
        Ok(_) => Ok(Signers::Minisign(text.to_owned())),
        Err(_) => Err(Fault::new("is neither a public key of minisign nor an absolute path")
            .help("write the second line of minisign.pub, 56 characters that begin with RW, or the path of that file")),
    }
}

/// Exactly one kind of keys, and nothing that belongs to another.
fn whom(raw: &raw::ArchiveVerify) -> Looked<()> {
    let kinds = [
        raw.minisign.as_ref().map(|_| "minisign"),
        raw.allowed_signers.as_ref().map(|_| "allowed-signers"),
        raw.keyring.as_ref().map(|_| "keyring"),
    ];
    let kinds: Vec<&str> = kinds.into_iter().flatten().collect();
    let fault = match kinds.as_slice() {
        [] => Fault::new("nobody is named who may sign").help(
            "add minisign = \"RW...\"; or allowed-signers = \"/etc/relift/app.signers\" (SSH); or keyring = \"/etc/relift/app.gpg\" and fingerprints = [\"...\"] (OpenPGP)",
        ),
        [first, second, ..] => Fault::new(format!("`{first}` and `{second}` are both given"))
            .help("upstream signs in one way: keep the key that it uses"),
        [_] if raw.revoked.is_some() && raw.allowed_signers.is_none() => {
            Fault::new("`revoked` is of SSH keys, and no `allowed-signers` is given").help("take it away")
        }
        [_] if raw.keyring.is_some() && raw.fingerprints.is_empty() => {
            Fault::new("a keyring alone does not say which of its keys may sign").help(
                "add fingerprints = [\"...\"], 40 or 64 hex digits each: gpg --show-keys --with-fingerprint FILE",
            )
        }
        [_] if raw.keyring.is_none() && !raw.fingerprints.is_empty() => {
            Fault::new("`fingerprints` are of OpenPGP keys, and no `keyring` holds them").help("take them away")
        }
        [_] if raw.max_age.is_some() && raw.allowed_signers.is_some() => {
            Fault::new("`max-age` cannot be seen: SSH signatures have no date")
                .help("leave it out, or have releases signed by minisign or OpenPGP")
        }
        [_] => return Ok(()),
    };
    Err(fault)
}

#[cfg(test)]
mod tests;
