//! The small languages of a manifest's strings: durations, names, git references and URLs.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::problem::{Fault, Looked};
use super::{Credential, RelPath, TagShape};

/// The longest that anything may be told to take; every run ends.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A time span: `60s`, `5min`, `1h 30min`; from 0 to 24 hours.
pub(super) fn duration(text: &str) -> Looked<Duration> {
    let form = "write a number and a unit, such as \"60s\", \"5min\" or \"1h 30min\"";
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
        return Err(Fault::new(format!("`{text}` has no unit")).help(format!("did you mean \"{text}s\"?")));
    }
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| Fault::new(format!("`{text}` is not a time span")).help(form))?;
    let span = Duration::try_from(span)
        .map_err(|_| Fault::new(format!("`{text}` is negative")).help("write how long it may take"))?;
    match span <= LONGEST {
        true => Ok(span),
        false => Err(Fault::new(format!("`{text}` is more than 24 hours")).help("write \"24h\" or less")),
    }
}

/// The units of a size, largest first.
const SIZES: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A size in bytes: a whole number and a unit.
pub(super) fn size(text: &str) -> Looked<u64> {
    let read = || {
        let (unit, factor) = SIZES.iter().find(|(unit, _)| text.ends_with(unit))?;
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(*factor).filter(|bytes| *bytes > 0)
    };
    read().ok_or_else(|| {
        Fault::new(format!("`{text}` is not a size")).help("write a number and a unit, such as \"500MiB\" or \"4GiB\"")
    })
}

/// A size as [`size`] reads it.
pub(super) fn size_text(bytes: u64) -> String {
    let exact = SIZES.iter().find(|(_, factor)| bytes.is_multiple_of(*factor));
    exact.map_or_else(|| format!("{bytes}"), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

/// An age: as a time span, from a minute to ten years; `30d` is understood.
pub(super) fn age(text: &str) -> Looked<Duration> {
    let fault =
        || Fault::new(format!("`{text}` is not an age")).help("write a number and a unit, such as \"30d\" or \"12h\"");
    let span: jiff::Span = text.parse().map_err(|_| fault())?;
    let day = jiff::SpanRelativeTo::days_are_24_hours();
    let span = span.to_duration(day).ok().and_then(|span| Duration::try_from(span).ok()).ok_or_else(fault)?;
    match span.as_secs() {
        60..=315_360_000 => Ok(span),
        _ => Err(Fault::new(format!("`{text}` is no sensible age")).help("write one from a minute to ten years")),
    }
}

/// A file that says whom to trust: absolute, and outside the checkout.
pub(super) fn trusted(text: &str, root: Option<&Path>) -> Looked<PathBuf> {
    let path = Path::new(text);
    let is_plain = path.components().all(|part| !matches!(part, Component::ParentDir | Component::CurDir));
    if !path.is_absolute() || !is_plain || text.chars().any(char::is_control) {
        return Err(Fault::new(format!("\"{text}\" is not an absolute path without `..`"))
            .help("write the whole path, such as \"/etc/relift/app.signers\""));
    }
    match root.is_some_and(|root| path.starts_with(root)) {
        true => Err(Fault::new("is in the checkout: a release would say whom to trust")
            .help("keep it where only root writes, such as in /etc/relift")),
        false => Ok(path.to_owned()),
    }
}

/// A whole OpenPGP fingerprint, upper-case: 40 or 64 hex digits, which may be spaced as gpg prints them.
pub(super) fn fingerprint(text: &str) -> Looked<String> {
    let plain: String = text.chars().filter(|c| *c != ' ').collect::<String>().to_uppercase();
    let is_hex = plain.chars().all(|c| c.is_ascii_hexdigit());
    match (is_hex, plain.len()) {
        (true, 40 | 64) => Ok(plain),
        (true, digits) => Err(Fault::new(format!("a fingerprint has 40 or 64 hex digits, not {digits}"))
            .help("short key ids can be forged; the whole one: gpg --show-keys --with-fingerprint FILE")),
        (false, _) => Err(Fault::new(format!("\"{text}\" is no fingerprint"))
            .help("write its 40 or 64 hex digits: gpg --show-keys --with-fingerprint FILE")),
    }
}

/// A time span that is not zero.
pub(super) fn bound(text: &str) -> Looked<Duration> {
    match duration(text)? {
        Duration::ZERO => {
            Err(Fault::new("nothing ends in no time").help("write how long it may take, such as \"60s\""))
        }
        span => Ok(span),
    }
}

/// A component's directory: as [`relative`], or `.` for all of it.
pub(super) fn component_path(text: &str) -> Looked<RelPath> {
    if text == "." { Ok(RelPath::here()) } else { relative(text) }
}

/// A path that stays below what it is relative to.
pub(super) fn relative(text: &str) -> Looked<RelPath> {
    RelPath::parse(text).map_err(|why| {
        let fault = Fault::new(format!("the path \"{text}\" {why}"));
        let plain: PathBuf = Path::new(text).components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let leaves = Path::new(text).components().any(|part| matches!(part, Component::ParentDir));
        match RelPath::parse(&plain.to_string_lossy()) {
            Ok(plain) if !leaves => fault.help(format!("did you mean \"{plain}\"?")),
            _ => fault,
        }
    })
}

/// The directory of a checkout: absolute, and none that belongs to the system as a whole.
pub(super) fn root(text: &str) -> Looked<PathBuf> {
    const NOT_ONE_APPLICATION: [&str; 16] = [
        "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/run", "/sbin", "/sys",
        "/tmp", "/usr", "/var",
    ];
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(
            Fault::new(format!("\"{text}\" is not absolute")).help("write the whole path, such as \"/opt/app\"")
        );
    }
    if path.components().any(|part| matches!(part, Component::ParentDir)) || text.chars().any(char::is_control) {
        return Err(Fault::new("must not hold `..` or control characters").help("write the path itself"));
    }
    let path: PathBuf = path.components().collect();
    if path == Path::new("/") || NOT_ONE_APPLICATION.iter().any(|known| path == Path::new(known)) {
        let fault = Fault::new(format!("{} is the system's, not one application's", path.display()));
        return Err(fault.help("write the directory of the checkout, such as \"/opt/app\""));
    }
    Ok(path)
}

/// The name of an install: the manifest's file name, part of paths and of unit names.
pub(crate) fn is_install_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(inner)
}

/// The name of a component.
pub(super) fn component_name(text: &str) -> Looked<String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    match text.starts_with(first) && text.chars().all(inner) {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(format!("\"{text}\" is not a name"))
            .help("write lower-case letters, digits, `-` and `_`, beginning with a letter or digit")),
    }
}

/// An account's login name. Whether the host has it is seen when it is needed.
pub(super) fn account(text: &str) -> Looked<String> {
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '$' | '@' | '\\');
    let fault = match text {
        "" => Fault::new("is empty"),
        _ if text.chars().all(|c| c.is_ascii_digit()) => Fault::new(format!("{text} is a number")),
        _ if text.starts_with('-') || !text.chars().all(inner) => Fault::new(format!("\"{text}\" is not a login name")),
        _ => return Ok(text.to_owned()),
    };
    Err(fault.help("write the login name of the account that owns the checkout"))
}

/// A name that git-check-ref-format(1) accepts below `refs/heads/` or `refs/tags/`.
pub(super) fn reference(text: &str) -> Looked<()> {
    let bad_char = |c: char| c.is_control() || " ~^:?*[\\\u{7f}".contains(c);
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    let why = match text {
        "" => "is empty",
        "@" | "HEAD" => "is a name that git keeps for itself",
        _ if text.starts_with('-') => "begins with `-`",
        _ if text.chars().any(bad_char) => "holds a character that git does not allow in a name",
        _ if text.contains("..") || text.contains("@{") || text.ends_with('.') => "holds `..`, `@{` or a final `.`",
        _ if text.split('/').any(bad_part) => "has a part that is empty, begins with `.` or ends with `.lock`",
        _ => return Ok(()),
    };
    Err(Fault::new(format!("\"{text}\" {why}")).help("the rules are those of git-check-ref-format(1)"))
}

/// A branch, without `refs/heads/` and without the remote's name.
pub(super) fn branch(text: &str) -> Looked<String> {
    if let Some(name) = text.strip_prefix("refs/heads/").or_else(|| text.strip_prefix("refs/remotes/origin/")) {
        return Err(Fault::new("is a whole reference").help(format!("write the branch alone: \"{name}\"")));
    }
    reference(text).map(|()| text.to_owned())
}

/// A tag's name with one `{version}` in it.
pub(super) fn tags(text: &str) -> Looked<TagShape> {
    let form = "write the tag's name with one {version}, such as \"manager-v{version}\"";
    let parts: Vec<&str> = text.split("{version}").collect();
    let [prefix, suffix] = parts.as_slice() else {
        let count = parts.len() - 1;
        return Err(Fault::new(format!("\"{text}\" holds {{version}} {count} times, not once")).help(form));
    };
    if prefix.starts_with("refs/") {
        return Err(Fault::new("is a whole reference").help(form));
    }
    reference(&format!("{prefix}1.0.0{suffix}"))?;
    Ok(TagShape { prefix: prefix.to_string(), suffix: suffix.to_string() })
}

/// A URL that git fetches from: `scheme://`, `user@host:path`, or an absolute path.
pub(super) fn git_url(text: &str) -> Looked<String> {
    const SCHEMES: [&str; 7] = ["https", "ssh", "http", "git", "file", "git+ssh", "ssh+git"];
    let form = "write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, or an absolute path";
    if let Some((helper, _)) = text.split_once("::").filter(|(helper, _)| helper.chars().all(char::is_alphanumeric)) {
        // gitremote-helpers(7): `ext::COMMAND` runs a command.
        return Err(Fault::new(format!("the transport `{helper}::` runs a program; it is not allowed")).help(form));
    }
    if text.chars().any(|c| c.is_control() || c == ' ') || text.starts_with('-') || text.is_empty() {
        return Err(Fault::new("is not a URL").help(form));
    }
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let scp =
            text.split_once(':').filter(|(host, path)| !host.is_empty() && !host.contains('/') && !path.is_empty());
        let host = scp.map(|(host, _)| host.rsplit('@').next().unwrap_or(host));
        return match host.is_some_and(|host| !host.is_empty() && !host.starts_with('-')) {
            true => Ok(text.to_owned()),
            false => Err(Fault::new("is not a URL that git fetches from").help(form)),
        };
    };
    if !SCHEMES.contains(&scheme) {
        return Err(Fault::new(format!("the scheme `{scheme}` is not known")).help(form));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if let Some((user, _)) = authority.rsplit_once('@')
        && user.contains(':')
    {
        return Err(Fault::new("holds a password, and every account of the host may read a manifest").help(
            "leave it out, and give it to the owner's git: see gitcredentials(7); or name its place in `credential`",
        ));
    }
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let has_host = scheme == "file" || (!host.is_empty() && !host.starts_with('-'));
    match has_host && !path.is_empty() {
        true => Ok(text.to_owned()),
        false => Err(Fault::new("names no host or no path").help(form)),
    }
}

/// Where a token is: the name of a systemd credential, or an absolute path.
pub(super) fn credential(text: &str) -> Looked<Credential> {
    if text.starts_with('/') {
        return Ok(Credential::File(text.into()));
    }
    // As systemd takes them, systemd.exec(5).
    let is_name = !text.is_empty() && text.len() < 256 && !text.starts_with('.');
    match is_name && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)) {
        true => Ok(Credential::Named(text.to_owned())),
        false => Err(Fault::new("is neither the name of a systemd credential nor an absolute path").help(
            "write the name that LoadCredential= gives, or the path of a file of root's; never the token itself",
        )),
    }
}

/// A program and its arguments.
pub(super) fn argv(words: &[String]) -> Looked<Vec<String>> {
    match words {
        [] => Err(Fault::new("is empty").help("write the program and its arguments: [\"make\", \"sync\"]")),
        _ if words.iter().any(|word| word.contains('\0')) => Err(Fault::new("holds a NUL character")),
        [program, ..] if program.trim().is_empty() => Err(Fault::new("the program's name is empty")),
        [program] if program.contains(' ') && !program.contains('/') => {
            let split: Vec<&str> = program.split_whitespace().collect();
            Err(Fault::new(format!("no program is called \"{program}\"")).help(format!("did you mean {split:?}?")))
        }
        _ => Ok(words.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_those_of_systemd() {
        for (text, seconds) in [("60s", 60), ("5min", 300), ("1h 30min", 5400), ("2 minutes", 120), ("0s", 0)] {
            assert_eq!(duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for text in ["60", "", "5 parsecs", "-5s", "25h", "1d2"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(bound("0s").is_err());
    }

    #[test]
    fn references_follow_git_check_ref_format() {
        let git = |name: &str| {
            let full = format!("refs/heads/{name}");
            std::process::Command::new("git").args(["check-ref-format", &full]).status().unwrap().success()
        };
        let names =
            ["main", "a/b", "a..b", "a b", "a~1", ".a", "a/.b", "a.lock", "a.lock/b", "a@{b", "a.", "a/", "/a", "a//b"];
        for name in names.into_iter().chain(["a\\b", "a:b", "a?b", "a*b", "a[b", "ü", "a^b", "a\u{7f}", "x@y", "a-"]) {
            assert_eq!(reference(name).is_ok(), git(name), "{name:?}");
        }
        assert!(reference("HEAD").is_err() && reference("@").is_err() && reference("-x").is_err());
    }

    #[test]
    fn a_url_never_runs_a_program_and_never_holds_a_password() {
        for url in [
            "https://git.example.org/a.git",
            "ssh://git@host:22/a",
            "git@host:a/b.git",
            "/srv/git/a.git",
            "file:///srv/git/a.git",
            "http://127.0.0.1:8080/a.git",
        ] {
            assert!(git_url(url).is_ok(), "{url}");
        }
        for url in [
            "ext::sh -c x",
            "ext::sh",
            "https://u:p@host/a",
            "--upload-pack=x",
            "ssh://-oProxyCommand=x/a",
            "-oProxyCommand=x:a",
            "u@-oProxyCommand=x:a",
            "../a",
            "a",
            "https://",
            "https://host",
            "htps://host/a",
            "",
        ] {
            assert!(git_url(url).is_err(), "{url}");
        }
    }
}
