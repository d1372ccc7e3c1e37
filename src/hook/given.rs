//! What each package manager gives its hook: bounded, and taken only where it is what it should be. Pure.

use std::path::{Component, Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How many paths a request keeps; what changed beyond is seen by its times.
pub(super) const MOST: usize = 500;
/// The longest path that is taken, `PATH_MAX` of limits.h(0p).
const LONGEST: usize = 4096;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Manager {
    /// `DPkg::Post-Invoke`: it gives nothing.
    Apt,
    /// A trigger: the maintainer script's arguments.
    Dpkg,
    /// A file trigger: paths on standard input.
    Rpm,
    /// A hook with `NeedsTargets`: paths without the first `/` on standard input.
    Pacman,
}

/// What the package manager tells; `None`: it calls for something else, and nothing is to be done.
pub fn told(manager: Manager, arguments: &[String], input: &[u8]) -> Option<Vec<PathBuf>> {
    match manager {
        Manager::Apt => Some(Vec::new()),
        Manager::Dpkg => match arguments {
            [first, names @ ..] if first == "triggered" => {
                let names = names.iter().flat_map(|names| names.split_whitespace());
                Some(some_of(names.filter_map(|name| path(name.as_bytes(), false))))
            }
            _ => None,
        },
        Manager::Rpm => Some(lines(input, false)),
        Manager::Pacman => Some(lines(input, true)),
    }
}

fn lines(input: &[u8], is_relative: bool) -> Vec<PathBuf> {
    some_of(input.split(|byte| *byte == b'\n').filter_map(|line| path(line, is_relative)))
}

fn some_of(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in paths {
        if found.len() == MOST {
            break;
        }
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// A path of a package: absolute, plain, printable. What is none names nothing that anybody declared.
fn path(bytes: &[u8], is_relative: bool) -> Option<PathBuf> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = if is_relative && !text.starts_with('/') { format!("/{text}") } else { text.to_owned() };
    let path = Path::new(&text);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_) | Component::RootDir));
    let is_one = path.is_absolute() && is_plain && path != Path::new("/") && text.len() <= LONGEST;
    (is_one && !text.chars().any(char::is_control)).then(|| path.components().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(paths: Option<Vec<PathBuf>>) -> Vec<String> {
        paths.unwrap_or_default().iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn each_package_manager_is_understood() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(told(Manager::Apt, &[], b"junk"), Some(Vec::new()));
        let triggered = words(&["triggered", "/opt /usr/lib/systemd/system"]);
        assert_eq!(shown(told(Manager::Dpkg, &triggered, b"")), ["/opt", "/usr/lib/systemd/system"]);
        assert_eq!(told(Manager::Dpkg, &words(&["configure", "1.0"]), b""), None);
        assert_eq!(told(Manager::Dpkg, &[], b""), None);
        assert_eq!(
            shown(told(Manager::Rpm, &[], b"/usr/bin/a\n/usr/bin/b\n/usr/bin/a\n")),
            ["/usr/bin/a", "/usr/bin/b"]
        );
        assert_eq!(shown(told(Manager::Rpm, &[], b"usr/bin/a\n")), Vec::<String>::new());
        assert_eq!(shown(told(Manager::Pacman, &[], b"usr/bin/a\nusr/lib/b/\n")), ["/usr/bin/a", "/usr/lib/b"]);
    }

    #[test]
    fn hostile_names_are_told_apart_and_a_flood_is_bounded() {
        let hostile: &[u8] = b"/ok\n\xff\xfe\n/a\x1b[31m\n../etc/passwd\n/a/../b\n\n/\n/a\x00b\n--help\n/ok 2\n";
        assert_eq!(shown(told(Manager::Rpm, &[], hostile)), ["/ok", "/ok 2"]);
        let long = format!("/{}\n/ok\n", "x".repeat(5000));
        assert_eq!(shown(told(Manager::Rpm, &[], long.as_bytes())), ["/ok"]);
        let flood: String = (0..10_000).map(|number| format!("/usr/{number}\n")).collect();
        assert_eq!(told(Manager::Rpm, &[], flood.as_bytes()).map(|paths| paths.len()), Some(MOST));
    }
}
