//! What an operator holds back from dnf: the list of its plugin versionlock.

use std::path::Path;

use super::package::Package;
use crate::host::packages::matches;

/// The list, where the plugin is in use.
const LIST: &str = "/etc/dnf/plugins/versionlock.list";

/// What the plugin versionlock holds and excludes: a pattern a line, `NAME-EPOCH:VERSION-RELEASE.ARCHITECTURE`, or as yum wrote it
/// `EPOCH:NAME-VERSION-RELEASE.ARCHITECTURE`; what is excluded after a `!`.
pub struct Locks {
    held: Vec<String>,
    excluded: Vec<String>,
}

impl Locks {
    /// Whether the plugin is in use here.
    pub fn are_in_use() -> bool {
        Path::new(LIST).exists()
    }

    /// Those of this host.
    pub fn of_host() -> Locks {
        Locks::read(&std::fs::read_to_string(LIST).unwrap_or_default())
    }

    fn read(text: &str) -> Locks {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (excluded, held): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with('!'));
        let owned = |lines: Vec<&str>| lines.into_iter().map(|line| line.trim_start_matches('!').to_owned()).collect();
        Locks { held: owned(held), excluded: owned(excluded) }
    }

    /// Whether no other version of a package may come.
    pub fn holds(&self, name: &str) -> bool {
        let of = |pattern: &String| {
            let rest = pattern.split_once(':').filter(|(epoch, _)| epoch.parse::<u64>().is_ok());
            let whole = rest.map_or(pattern.as_str(), |(_, rest)| rest);
            matches(whole.rsplitn(3, '-').nth(2).unwrap_or(whole), name)
        };
        self.held.iter().any(of)
    }

    /// Whether this version may not come.
    pub fn excludes(&self, package: &Package) -> bool {
        let (epoch, version) = package.version.split_once(':').unwrap_or(("0", &package.version));
        let rest = format!("{version}.{}", package.arch);
        let forms = [
            format!("{}-{epoch}:{rest}", package.name),
            format!("{epoch}:{}-{rest}", package.name),
            format!("{}-{rest}", package.name),
        ];
        self.excluded.iter().any(|pattern| forms.iter().any(|form| matches(pattern, form)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_versionlock_holds_and_excludes_is_read_in_both_of_its_shapes() {
        let locks = Locks::read("# x\napp-0:1.0-1.*\n2:web-1-1.noarch\nlib*-0:1-1.*\n\n!app-0:1.1-1.*\n!db-2-*\n");
        for (name, is) in
            [("app", true), ("web", true), ("libx", true), ("ap", false), ("app-web", false), ("db", false)]
        {
            assert_eq!(locks.holds(name), is, "{name}");
        }
        let excludes = |name: &str, version: &str| {
            locks.excludes(&Package { name: name.into(), version: version.into(), arch: "noarch".into() })
        };
        assert!(excludes("app", "1.1-1") && excludes("db", "2-7"));
        assert!(!excludes("app", "1.2-1") && !excludes("app", "1:1.1-1") && !excludes("db", "3-1"));
    }
}
