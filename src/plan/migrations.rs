//! Which migrations going from one version to another asks for. Pure.

use std::collections::BTreeSet;

use semver::Version;

use crate::manifest::Migration;

/// How many first numbers without a guide are named.
const NAMED: usize = 3;

/// The migrations between two versions of a component, in the order in which they run: going up, those above `from` up to `to`
/// that were never made here, oldest first; going back, those above `to` up to `from` that were, newest first.
///
/// A pre-release is below its release, semver.org §11: `3.40.0-rc.1` asks for nothing that `3.40.0` declares.
pub fn chain<'m>(
    from: &Version,
    to: &Version,
    declared: &[&'m Migration],
    done: &BTreeSet<Version>,
) -> Vec<&'m Migration> {
    let is_back = to.cmp_precedence(from).is_lt();
    let (low, high) = if is_back { (to, from) } else { (from, to) };
    let is_between = |migration: &&&Migration| {
        migration.version.cmp_precedence(low).is_gt() && migration.version.cmp_precedence(high).is_le()
    };
    // What only tells something is told on the way up, and every time.
    let is_due = |migration: &&&Migration| match migration.procedure {
        Some(_) => done.contains(&migration.version) == is_back,
        None => !is_back,
    };
    let mut due: Vec<&Migration> = declared.iter().filter(is_between).filter(is_due).copied().collect();
    due.sort_by(|one, other| one.version.cmp(&other.version));
    if is_back {
        due.reverse();
    }
    due
}

/// The first numbers that a step up reaches and that no migration is a guide to, the lowest first; none where nothing is declared.
pub fn unguided(from: &Version, to: &Version, declared: &[&Migration]) -> Vec<u64> {
    if declared.is_empty() || to.major <= from.major {
        return Vec::new();
    }
    let is_guide = |major: u64, migration: &Migration| match migration.covers {
        Some(covers) => covers == major,
        None => migration.version == Version::new(major, 0, 0),
    };
    let majors = from.major + 1..=to.major;
    majors.filter(|major| !declared.iter().any(|migration| is_guide(*major, migration))).take(NAMED).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::manifest::{Procedure, RunAs, StepUndo};

    fn migration(version: &str, covers: Option<u64>) -> Migration {
        let procedure = Procedure {
            run: vec!["migrate".into()],
            run_as: RunAs::Owner,
            cwd: None,
            undo: StepUndo::Pure,
            undo_timeout: None,
            idempotent: true,
            timeout: Duration::from_secs(1),
            env_files: Vec::new(),
        };
        let (component, procedure) = ("app".to_owned(), Some(procedure));
        Migration { version: version.parse().unwrap(), component, procedure, note: None, url: None, covers }
    }

    fn versions(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn each_release_between_two_is_migrated_once_and_in_order() {
        let table = [
            // from, to, declared, done, due
            ("3.38.0", "3.40.0", "3.39.1 3.40.0 3.38.0 3.39.0 3.41.0", "", "3.39.0 3.39.1 3.40.0"),
            ("3.38.0", "3.40.0", "3.39.0 3.39.1 3.40.0", "3.39.0", "3.39.1 3.40.0"),
            ("3.38.0", "3.40.0", "3.40.0", "3.40.0", ""),
            ("3.40.0", "3.40.0", "3.39.0 3.40.0", "", ""),
            ("3.38.0", "3.40.0", "", "", ""),
            ("3.38.0", "3.45.0", "3.39.5 3.44.1", "", "3.39.5 3.44.1"),
            ("3.9.0", "3.10.0", "3.9.1 3.10.0", "", "3.9.1 3.10.0"),
            ("3.39.0", "3.40.0-rc.1", "3.40.0 3.40.0-beta.1", "", "3.40.0-beta.1"),
            ("3.40.0-rc.1", "3.40.0", "3.40.0 3.40.0-rc.1", "", "3.40.0"),
            ("3.40.0+build.1", "3.40.0+build.2", "3.40.0", "", ""),
            ("3.38.0", "5.0.0", "4.0.0 5.0.0 4.1.0", "", "4.0.0 4.1.0 5.0.0"),
            // back: what was made here, the newest first
            ("3.40.0", "3.38.0", "3.38.0 3.39.0 3.39.1 3.40.0", "3.38.0 3.39.0 3.40.0", "3.40.0 3.39.0"),
            ("3.40.0", "3.38.0", "3.39.0", "", ""),
        ];
        for (from, to, declared, done, due) in table {
            let declared: Vec<Migration> = versions(declared).iter().map(|text| migration(text, None)).collect();
            let done = versions(done).iter().map(|text| text.parse().unwrap()).collect();
            let declared: Vec<&Migration> = declared.iter().collect();
            let found = chain(&from.parse().unwrap(), &to.parse().unwrap(), &declared, &done);
            let found: Vec<String> = found.iter().map(|migration| migration.version.to_string()).collect();
            assert_eq!(found, versions(due), "{from} -> {to}");
        }
    }

    #[test]
    fn what_is_only_to_be_read_is_told_on_the_way_up() {
        let read = Migration { procedure: None, ..migration("3.39.0", None) };
        let (old, new) = (Version::new(3, 38, 0), Version::new(3, 40, 0));
        assert_eq!(chain(&old, &new, &[&read], &BTreeSet::from([Version::new(3, 39, 0)])).len(), 1);
        assert_eq!(chain(&new, &old, &[&read], &BTreeSet::from([Version::new(3, 39, 0)])).len(), 0);
    }

    #[test]
    fn every_first_number_that_is_reached_has_a_guide_of_its_own() {
        /// A version, and what it says that it covers.
        type Declared = (&'static str, Option<u64>);
        let table: [(&str, &str, &[Declared], &[u64]); 9] = [
            ("3.9.0", "4.0.0", &[("4.0.0", None)], &[]),
            ("3.9.0", "4.2.0", &[("4.0.0", None)], &[]),
            ("3.9.0", "4.0.0", &[("4.0.1", None)], &[4]),
            ("3.9.0", "4.0.0", &[("3.9.9", Some(4))], &[]),
            ("3.9.0", "4.0.0", &[("4.0.0", Some(5))], &[4]),
            ("3.9.0", "6.0.0", &[("4.0.0", None), ("6.0.0", None)], &[5]),
            ("3.9.0", "3.10.0", &[("3.10.0", None)], &[]),
            ("4.0.0", "3.9.0", &[("3.10.0", None)], &[]),
            ("3.9.0", "4.0.0", &[], &[]),
        ];
        for (from, to, declared, wanted) in table {
            let declared: Vec<Migration> = declared.iter().map(|(text, covers)| migration(text, *covers)).collect();
            let declared: Vec<&Migration> = declared.iter().collect();
            assert_eq!(unguided(&from.parse().unwrap(), &to.parse().unwrap(), &declared), wanted, "{from} -> {to}");
        }
        let far = Version::new(20_260_101, 0, 0);
        assert_eq!(unguided(&Version::new(1, 0, 0), &far, &[&migration("1.1.0", None)]), [2, 3, 4]);
    }
}
