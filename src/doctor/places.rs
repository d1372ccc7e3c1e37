//! Owners and modes of what matters.

use std::path::{Path, PathBuf};

use super::Finding;
use super::Section::Files;
use crate::text::word;

/// What a place is for; it decides who may do what there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Root alone writes here: manifests, units, the program itself, signers.
    Rootly,
    /// Root alone writes here and nobody else looks: state, locks, backups.
    Private,
    /// A place within a private one.
    Inner,
    /// The checkout: its owner writes here, and nobody else but root.
    Checkout,
    /// A directory above the checkout or above a place of root's: who writes there can put something else in its place.
    Above,
    /// A file with secrets: its owner and root.
    Secrets,
}

/// A place as it is, lstat(2).
#[derive(Debug, Clone)]
pub struct Place {
    /// Where.
    pub path: PathBuf,
    /// What for.
    pub role: Role,
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// Permission bits, the sticky bit among them.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The account that a checkout is of.
#[derive(Debug, Clone)]
pub struct Owner {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
}

/// What is found about a place; `owner` is that of the install that it belongs to.
pub fn judge(place: &Place, owner: Option<&Owner>) -> Finding {
    let subject = place.path.display().to_string();
    let shown = word(&subject);
    let root = &Owner { name: "root".into(), uid: 0, gid: 0 };
    let holder = match place.role {
        Role::Rootly | Role::Private | Role::Inner => root,
        Role::Checkout | Role::Secrets | Role::Above => owner.unwrap_or(root),
    };
    let means = match place.role {
        Role::Rootly => "who can write it decides what root does",
        Role::Private | Role::Inner => "who gets in reads secrets of old releases, or decides what recovery does",
        Role::Checkout => "another account could change what the service runs",
        Role::Above => "another account could put something else into the place of the directory below",
        Role::Secrets => "another account reads the secrets of the service",
    };
    let problem = |what: String, mend: String| Finding::problem(Files, &subject, what).means(means).mend(mend);
    let is_sticky = place.mode & 0o1000 != 0;
    let others = place.mode & 0o002 != 0;
    let group = place.mode & 0o020 != 0 && place.gid != 0 && place.gid != holder.gid;
    if place.is_link && matches!(place.role, Role::Private | Role::Inner | Role::Checkout) {
        return problem(
            "is a symbolic link".into(),
            format!("put what it leads to into its place: readlink -f {shown}"),
        );
    }
    if place.is_link && place.uid == 0 {
        return Finding::ok(Files, subject, "is a link that root made");
    }
    if place.uid != 0 && place.uid != holder.uid {
        let what = format!("belongs to uid {}, not to {}", place.uid, holder.name);
        return problem(what, format!("chown {} {shown}", holder.name));
    }
    // In a sticky directory nobody replaces what is another's, unlink(2).
    if (others || group) && !(place.role == Role::Above && is_sticky && place.uid == 0) {
        let who = if others { "every account".to_owned() } else { format!("the group with gid {}", place.gid) };
        return problem(format!("may be written by {who}"), format!("chmod go-w {shown}"));
    }
    match place.role {
        Role::Private if place.mode & 0o077 != 0 => {
            let what = format!("others than root may look into it (mode {:04o})", place.mode);
            Finding::warning(Files, subject, what).means(means).mend(format!("chmod 700 {shown}"))
        }
        Role::Secrets if place.mode & 0o004 != 0 => {
            let what = format!("every account may read it (mode {:04o})", place.mode);
            Finding::warning(Files, subject, what).means(means).mend(format!("chmod o-r {shown}"))
        }
        _ => Finding::ok(Files, subject, format!("mode {:04o}", place.mode)),
    }
}

/// The directories above a path, outermost first, without the path itself.
pub fn above(path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
    all.reverse();
    all
}

#[cfg(test)]
mod tests {
    use super::super::Level::{self, *};
    use super::*;

    fn level(role: Role, mode: u32, uid: u32, gid: u32) -> Level {
        let owner = Owner { name: "app".into(), uid: 1000, gid: 1000 };
        let place = Place { path: "/x y".into(), role, is_link: false, mode, uid, gid };
        judge(&place, Some(&owner)).level
    }

    /// Role, mode, owner, group, what it is.
    const CASES: &[(Role, u32, u32, u32, Level)] = &[
        (Role::Rootly, 0o755, 0, 0, Ok),
        (Role::Rootly, 0o644, 0, 1000, Ok),
        (Role::Rootly, 0o775, 0, 0, Ok),
        (Role::Rootly, 0o777, 0, 0, Problem),
        (Role::Rootly, 0o1777, 0, 0, Problem),
        (Role::Rootly, 0o775, 0, 50, Problem),
        (Role::Rootly, 0o644, 1000, 0, Problem),
        (Role::Private, 0o700, 0, 0, Ok),
        (Role::Private, 0o755, 0, 0, Warning),
        (Role::Private, 0o733, 0, 0, Problem),
        (Role::Private, 0o700, 1000, 0, Problem),
        (Role::Inner, 0o755, 0, 0, Ok),
        (Role::Inner, 0o777, 0, 0, Problem),
        (Role::Checkout, 0o755, 1000, 1000, Ok),
        (Role::Checkout, 0o2775, 1000, 1000, Ok),
        (Role::Checkout, 0o755, 0, 0, Ok),
        (Role::Checkout, 0o775, 1000, 50, Problem),
        (Role::Checkout, 0o777, 1000, 1000, Problem),
        (Role::Checkout, 0o755, 1001, 1000, Problem),
        (Role::Above, 0o755, 0, 0, Ok),
        (Role::Above, 0o1777, 0, 0, Ok),
        (Role::Above, 0o777, 0, 0, Problem),
        (Role::Above, 0o755, 1000, 1000, Ok),
        (Role::Above, 0o755, 1001, 1001, Problem),
        (Role::Secrets, 0o600, 1000, 1000, Ok),
        (Role::Secrets, 0o640, 1000, 1000, Ok),
        (Role::Secrets, 0o644, 1000, 1000, Warning),
        (Role::Secrets, 0o666, 1000, 1000, Problem),
        (Role::Secrets, 0o600, 33, 33, Problem),
    ];

    #[test]
    fn who_may_do_what_where() {
        for (role, mode, uid, gid, expected) in CASES {
            assert_eq!(level(*role, *mode, *uid, *gid), *expected, "{role:?} {mode:o} {uid}:{gid}");
        }
    }

    #[test]
    fn a_link_in_a_place_of_roots_is_a_problem_with_a_command_that_can_be_pasted() {
        let place = |role| Place { path: "/a $(b)".into(), role, is_link: true, mode: 0o777, uid: 0, gid: 0 };
        let found = judge(&place(Role::Private), None);
        assert_eq!(found.level, Problem);
        assert!(found.mend.unwrap().ends_with("readlink -f '/a $(b)'"));
        assert_eq!(judge(&place(Role::Above), None).level, Ok);
    }
}
