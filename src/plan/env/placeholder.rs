//! Defaults that ask to be replaced, and keys that look renamed.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// What authors of examples write where a value has to go: ASCII, whatever stands around it.
static ASKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i-u)change[-_ ]?(me|this|it)|replace[-_ ]?(me|this|with)|fill[-_ ]?(me|this)[-_ ]?in",
        r"|<[a-z][a-z0-9 _./-]*>|\{\{[^}]*\}\}|^__[a-z0-9_]+__$",
        r"|(^|[^a-z0-9])(x{3,}|\*{3,})([^a-z0-9]|$)|(^|[^a-z0-9])your[-_ .]",
        r"|^(todo|tbd|fixme|placeholder|insert|dummy)([^a-z]|$)|^\.\.\.$|[-_ ]here$",
    ))
    .ok()
});

/// Whether a default asks to be replaced: it says so, or it is empty where the `old` one was not.
pub(super) fn asks_to_be_replaced(default: &str, old: Option<&str>) -> bool {
    let default = default.trim();
    if default.is_empty() {
        return old.is_some_and(|old| !old.trim().is_empty());
    }
    ASKS.as_ref().is_some_and(|pattern| pattern.is_match(default.as_bytes()))
}

/// How much two keys look like one that was renamed, in percent; `None` where they do not.
pub(super) fn likeness(old: &str, new: &str) -> Option<usize> {
    let (old_words, new_words) = (words(old), words(new));
    let common = old_words.iter().filter(|word| new_words.contains(word)).count();
    let all = old_words.len() + new_words.len() - common;
    let (old_squeezed, new_squeezed) = (old_words.concat(), new_words.concat());
    if old_squeezed == new_squeezed {
        return Some(100);
    }
    let longest = old_squeezed.len().max(new_squeezed.len());
    let typo = edit_distance(old_squeezed.as_bytes(), new_squeezed.as_bytes());
    // SMTP_HOST and SMTP_PORT share a word and four letters of the other and are two keys: a word must be nearly the same
    let near = typo == 1 && longest >= 5 || typo == 2 && longest >= 14;
    if near && old_words.len() == new_words.len() && differing_words_are_long(&old_words, &new_words) {
        return Some(90);
    }
    (common >= 2 && common * 5 >= all * 3).then(|| common * 100 / all)
}

fn differing_words_are_long(old: &[String], new: &[String]) -> bool {
    old.iter().zip(new).filter(|(old, new)| old != new).all(|(old, new)| old.len().min(new.len()) >= 4)
}

/// Whether two keys have a word in common.
pub(super) fn share_a_word(old: &str, new: &str) -> bool {
    let new_words = words(new);
    words(old).iter().any(|word| word.len() >= 3 && new_words.contains(word))
}

fn words(key: &str) -> Vec<String> {
    key.split(['_', '.', '-']).filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect()
}

/// Whether a comment names a key as a whole word.
pub(super) fn names(comment: &str, key: &str) -> bool {
    let of_a_key = |c: char| c.is_ascii_alphanumeric() || c == '_';
    comment
        .match_indices(key)
        .any(|(at, _)| !comment[..at].ends_with(of_a_key) && !comment[at + key.len()..].starts_with(of_a_key))
}

/// Levenshtein's distance.
fn edit_distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_to_be_replaced_is_seen() {
        for default in [
            "CHANGE_ME",
            "change-me",
            "changeme123",
            "CHANGE_ME_TO_A_LONG_STRING",
            "<token>",
            "https://<your-host>/api",
            "xxx",
            "sk-XXXXXX",
            "TODO",
            "todo: set",
            "your-secret",
            "https://your-domain.example",
            "my_YOUR_key",
            "replace_me",
            "***",
            "{{ token }}",
            "__SECRET__",
            "put-key-here",
            "...",
        ] {
            assert!(asks_to_be_replaced(default, None), "{default}");
        }
    }

    #[test]
    fn an_ordinary_default_does_not_ask() {
        for default in [
            "",
            "8080",
            "true",
            "info",
            "http://localhost:8081",
            "App <noreply@example.org>",
            "xxl",
            "yourself",
            "exchange",
            "/opt/todo/data",
            "a<b",
            "*/5 * * * *",
            "Europe/Paris",
            "there",
            "methodology",
        ] {
            assert!(!asks_to_be_replaced(default, None), "{default}");
        }
        assert!(asks_to_be_replaced("", Some("was-set")));
        assert!(!asks_to_be_replaced("", Some("")));
    }

    #[test]
    fn renamed_keys_are_near_and_sisters_are_not() {
        for (old, new) in [
            ("API_TOKEN", "RUNNER_API_TOKEN"),
            ("MANAGER_PORT", "MANAGERPORT"),
            ("ALLOWED_HOST", "ALLOWED_HOSTS"),
            ("RECIEVE_TIMEOUT", "RECEIVE_TIMEOUT"),
        ] {
            assert!(likeness(old, new).is_some(), "{old} {new}");
        }
        for (old, new) in [
            ("SMTP_HOST", "SMTP_PORT"),
            ("SMTP_USER", "SMTP_PASSWORD"),
            ("DB_A", "DB_B"),
            ("LOG_LEVEL", "LOG_FILE"),
            ("PORT", "HOST"),
            ("RUNNER_MIN_JOBS", "RUNNER_MAX_JOBS"),
        ] {
            assert!(
                likeness(old, new).is_none() || likeness(old, new) < Some(60),
                "{old} {new} {:?}",
                likeness(old, new)
            );
        }
        assert!(names("formerly MAIL_HOST.", "MAIL_HOST") && !names("MAIL_HOSTNAME", "MAIL_HOST"));
    }
}
