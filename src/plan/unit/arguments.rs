//! Arguments of `Exec*=` that look like secrets: they are compared, and never shown.

use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

/// A name that speaks of a secret. Of bytes: a pattern that knows which of all letters belong to a word takes long to compile.
const NAME: &str = r"[\w.\x80-\xff-]*(?:pass(?:word|wd|phrase)|passwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential|authorization|(?:^|[-_])auth(?:$|[=:\s]))[\w.\x80-\xff-]*";

/// What is behind a name: quoted, or up to the next blank. A path, a variable, a specifier and an option are no secret.
const VALUE: &str = r#"(?:(?:Bearer|Basic)\s+)?(?:"[^"]*"|'[^']*'|[^\s"'/$%-][^\s"']*)"#;

/// `--password=VALUE`, `API_TOKEN=VALUE`, `X-API-Token: VALUE`; `--token VALUE`; `scheme://user:VALUE@host`.
static SECRETS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        format!(r"(?i-u)(?P<start>{NAME}(?:=|:\s*))(?P<value>{VALUE})"),
        format!(r#"(?i-u)(?P<start>(?:^|[\s"'])--?{NAME}\s+)(?P<value>{VALUE})"#),
        r"(?-u)(?P<start>://[^\s/:@]*:)(?P<value>[^\s/@]+)(?P<end>@)".to_owned(),
    ];
    patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
});

/// The value of a setting with `instead` of everything in it that looks like a secret.
pub fn without_secrets(value: &str, instead: impl Fn(&str) -> &'static str) -> String {
    let hidden = SECRETS.iter().fold(value.as_bytes().to_owned(), |text, pattern| {
        let replaced = pattern.replace_all(&text, |found: &Captures| {
            // Each begins and ends beside a character of ASCII.
            let secret = String::from_utf8_lossy(&found["value"]);
            match &*secret {
                "<set>" | "<changed>" => found[0].to_owned(),
                other => {
                    let end = found.name("end").map_or(&b""[..], |end| end.as_bytes());
                    [&found["start"], instead(other).as_bytes(), end].concat()
                }
            }
        });
        replaced.into_owned()
    });
    String::from_utf8_lossy(&hidden).into_owned()
}

/// What looks like a secret in the value of a setting.
pub(super) fn secrets(value: &str) -> Vec<String> {
    let found = std::cell::RefCell::new(Vec::new());
    without_secrets(value, |secret| {
        found.borrow_mut().push(secret.to_owned());
        "<set>"
    });
    found.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_not_shown_and_everything_else_is() {
        let shown = |value: &str| without_secrets(value, |_| "<set>");
        for (value, expected) in [
            ("/bin/app --password=hunter2 --port 80", "/bin/app --password=<set> --port 80"),
            ("/bin/app --api-key 'a b' -v", "/bin/app --api-key <set> -v"),
            ("/bin/app -token abc", "/bin/app -token <set>"),
            ("/usr/bin/env API_TOKEN=abc DEBUG=1 /bin/app", "/usr/bin/env API_TOKEN=<set> DEBUG=1 /bin/app"),
            ("curl -H \"X-API-Token: abc\" http://h/", "curl -H \"X-API-Token: <set>\" http://h/"),
            ("curl -H 'Authorization: Bearer abc.def' http://h/", "curl -H 'Authorization: <set>' http://h/"),
            ("app --db postgres://u:pw@db/x", "app --db postgres://u:<set>@db/x"),
            ("app --SECRET=\"a b c\" x", "app --SECRET=<set> x"),
            ("app --clé-token été --mot=où", "app --clé-token <set> --mot=où"),
            ("É_PASSWORD=naïve-ÿ ÀÉ", "É_PASSWORD=<set> ÀÉ"),
        ] {
            assert_eq!(shown(value), expected);
        }
        for value in [
            "/usr/bin/token-server --port 80",
            "/bin/app --password-file=/run/secrets/app --port 80",
            "/bin/app --token ${TOKEN} --secret %d/secret",
            "/bin/app --author me --path /tokens/a",
            "/bin/app --password-file /etc/x --no-token --verbose",
            "http://host:80/a@b",
        ] {
            assert_eq!(shown(value), value);
        }
        assert_eq!(secrets("app --token abc PASSWORD=x"), ["x", "abc"]);
    }
}
