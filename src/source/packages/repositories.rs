//! The entries of sources.list(5) that releases may come from. Pure.

use crate::host::packages::matches;

/// A file of sources.list.d, or sources.list itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name, which says its format: `.list` or `.sources`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The same files with nothing but the entries that one of the patterns names: by the file's name without its ending, by the host of a
/// URI, or by the suite. Without patterns, all of them.
pub fn chosen(files: &[SourceFile], patterns: &[String]) -> Vec<SourceFile> {
    let kept = files.iter().filter_map(|file| {
        let (stem, kind) = file.name.rsplit_once('.')?;
        let is_named = |words: &[&str]| {
            patterns.is_empty()
                || patterns.iter().any(|pattern| {
                    matches(pattern, stem)
                        || words.iter().any(|word| matches(pattern, word) || matches(pattern, host(word)))
                })
        };
        let parts: Vec<String> = match kind {
            "sources" => stanzas(&file.text).into_iter().filter(|stanza| is_named(&words_of_stanza(stanza))).collect(),
            "list" => file
                .text
                .lines()
                .filter(|line| is_entry(line) && is_named(&words_of_line(line)))
                .map(str::to_owned)
                .collect(),
            _ => return None,
        };
        let text = parts.join(if kind == "list" { "\n" } else { "\n\n" });
        (!parts.is_empty()).then(|| SourceFile { name: file.name.clone(), text: format!("{text}\n") })
    });
    kept.collect()
}

/// Whether every entry has to be signed: none says that it is trusted as it is.
pub fn are_signed(files: &[SourceFile]) -> bool {
    let excuses = ["trusted=yes", "trusted:yes", "allow-insecure=yes", "allow-insecure:yes"];
    files.iter().all(|file| {
        let text: String =
            file.text.to_ascii_lowercase().chars().filter(|c| !c.is_whitespace() || *c == '\n').collect();
        !excuses.iter().any(|excuse| text.contains(excuse))
    })
}

fn is_entry(line: &str) -> bool {
    line.trim_start().starts_with("deb ")
        || line.trim_start().starts_with("deb\t")
        || line.trim_start().starts_with("deb [")
}

/// The URI and the suite of a line: `deb [OPTIONS] URI SUITE COMPONENT...`.
fn words_of_line(line: &str) -> Vec<&str> {
    let rest = line.trim_start().trim_start_matches("deb");
    let rest = match rest.trim_start().strip_prefix('[') {
        Some(options) => options.split_once(']').map(|(_, rest)| rest).unwrap_or_default(),
        None => rest,
    };
    rest.split_whitespace().take(2).collect()
}

fn stanzas(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match (line.trim().is_empty(), found.last_mut()) {
            (true, _) => found.push(String::new()),
            (false, Some(last)) => *last += &format!("{line}\n"),
            (false, None) => {}
        }
    }
    found.retain(|stanza| !stanza.is_empty());
    found.iter().map(|stanza| stanza.trim_end().to_owned()).filter(is_in_use).collect()
}

fn is_in_use(stanza: &String) -> bool {
    let lower = stanza.to_ascii_lowercase();
    !lower
        .lines()
        .any(|line| line.strip_prefix("enabled:").is_some_and(|value| matches!(value.trim(), "no" | "false" | "0")))
}

/// The URIs and suites of a stanza, deb822(5).
fn words_of_stanza(stanza: &str) -> Vec<&str> {
    let value = |line: &'_ str| -> bool {
        let field = line.split_once(':').map(|(name, _)| name.to_ascii_lowercase()).unwrap_or_default();
        field == "uris" || field == "suites"
    };
    stanza
        .lines()
        .filter(|line| value(line))
        .flat_map(|line| line.split_once(':').map(|(_, rest)| rest).unwrap_or_default().split_whitespace())
        .collect()
}

/// The host of a URI; the word itself where it is none.
fn host(word: &str) -> &str {
    let Some((_, rest)) = word.split_once("://") else { return word };
    let host = rest.split('/').next().unwrap_or(rest);
    host.rsplit('@').next().unwrap_or(host).split(':').next().unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<SourceFile> {
        let file = |name: &str, text: &str| SourceFile { name: name.into(), text: text.into() };
        vec![
            file("sources.list", "# x\ndeb http://deb.debian.org/debian stable main\n"),
            file(
                "app.list",
                "deb [signed-by=/k trusted=yes] https://user:pw@packages.example.org:8443/apt app-2 main\ndeb-src https://x/ y z\n",
            ),
            file(
                "two.sources",
                "Types: deb\nURIs: https://one.example.org/\nSuites: stable\n\n# no\nTypes: deb\nURIs: https://two.example.org/\nSuites: app-2 other\nEnabled: no\n",
            ),
            file("kept.list.disabled", "deb http://x y z\n"),
        ]
    }

    fn names(patterns: &[&str]) -> Vec<String> {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        chosen(&files(), &patterns).into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn a_repository_is_named_by_its_file_its_host_or_its_suite() {
        assert_eq!(names(&["app"]), ["app.list"]);
        assert_eq!(names(&["packages.example.org"]), ["app.list"]);
        assert_eq!(names(&["*.example.org"]), ["app.list", "two.sources"]);
        assert_eq!(names(&["app-*"]), ["app.list"], "what is not enabled is none");
        assert_eq!(names(&["stable"]), ["sources.list", "two.sources"]);
        assert!(names(&["other*"]).is_empty());
        assert_eq!(names(&[]), ["sources.list", "app.list", "two.sources"]);
    }

    #[test]
    fn what_is_trusted_as_it_is_counts_as_not_signed() {
        assert!(!are_signed(&files()) && are_signed(&files()[..1]));
        let yes = SourceFile { name: "a.sources".into(), text: "Types: deb\nTrusted: yes\n".into() };
        assert!(!are_signed(&[yes]));
    }
}
