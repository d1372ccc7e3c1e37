//! What keeps root from harm: each was tried on this host, in a scratch place of root's own.

use super::Section::Protection;
use super::{Finding, Tried};

/// What trying came to. `Ok(true)`: it held.
#[derive(Debug, Clone)]
pub struct Observed {
    /// openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS refused a planted link, and opened what is beside it.
    pub no_links: Tried<bool>,
    /// A file was replaced by rename(2), synced, and read back, on the filesystem of the state.
    pub durable: Tried<bool>,
    /// flock(2) kept a second holder out.
    pub excludes: Tried<bool>,
    /// Attributes and ACLs went along when a file was replaced; `None`: root has no place of its own on that filesystem.
    pub attributes: Option<Tried<bool>>,
    /// Whether this process leaves core dumps.
    pub dumps_core: bool,
}

/// What a child that became the owner of an install had.
#[derive(Debug, Clone)]
pub struct Child {
    /// The account.
    pub name: String,
    /// What was seen in it, or why it could not be started.
    pub seen: Tried<Seen>,
}

/// What /proc and the kernel said of the child, proc_pid_status(5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// `NoNewPrivs`.
    pub no_new_privileges: bool,
    /// Any capability that it could use.
    pub has_capabilities: bool,
    /// Groups that the account does not have in the group data base.
    pub extra_groups: Vec<u32>,
    /// Whether it could read a file of root's below the state.
    pub reads_state: bool,
}

/// What is found about the protections.
pub fn judge(seen: &Observed, children: &[Child]) -> Vec<Finding> {
    let held = |subject: &str, tried: &Tried<bool>, ok: &str, bad: &str, means: &str| match tried {
        Ok(true) => Finding::ok(Protection, subject, ok),
        Ok(false) => Finding::problem(Protection, subject, bad).means(means),
        Err(why) => Finding::problem(Protection, subject, format!("could not be tried: {why}")).means(means),
    };
    let mut found = vec![
        held(
            "paths",
            &seen.no_links,
            "openat2 refuses a planted link",
            "openat2 follows a planted link",
            "root could be led to another file by the account that owns the checkout; Linux 5.6 or newer is needed",
        ),
        held(
            "durable writes",
            &seen.durable,
            "a file was replaced, synced and read back",
            "a file that was replaced and synced is not what was written",
            "a power cut could lose the journal of a run",
        ),
        held(
            "locks",
            &seen.excludes,
            "a lock keeps others out",
            "a lock that is held was given to another",
            "two runs could change an install at once: is the place on a network filesystem?",
        ),
    ];
    found.push(match &seen.attributes {
        None => Finding::ok(
            Protection,
            "attributes",
            "not tried: root has no place of its own on the checkout's filesystem",
        ),
        Some(Ok(true)) => Finding::ok(Protection, "attributes", "attributes and ACLs go along when a file is replaced"),
        Some(tried) => Finding::warning(
            Protection,
            "attributes",
            tried.as_ref().err().map_or("attributes or ACLs get lost when a file is replaced".to_owned(), |why| {
                format!("are not kept: {why}")
            }),
        )
        .means("an ACL on a .env would be lost with an upgrade")
        .mend("mount the filesystem of the checkout with acl and user_xattr"),
    });
    found.push(match seen.dumps_core {
        false => Finding::ok(Protection, "core dumps", "this program leaves none"),
        true => Finding::warning(Protection, "core dumps", "a crash of this program would leave one")
            .means("it would hold what relift read of .env files")
            .mend("systemctl mask systemd-coredump.socket, or sysctl kernel.core_pattern='|/bin/false'"),
    });
    found.extend(children.iter().map(child));
    found
}

fn child(child: &Child) -> Finding {
    let subject = format!("children as {}", child.name);
    let means = "what runs as the account could become more than the account";
    let problem = |what: String| Finding::problem(Protection, &subject, what).means(means);
    match &child.seen {
        Err(why) => problem(format!("cannot be started: {why}"))
            .mend(format!("runuser -u {} -- id", crate::text::word(&child.name))),
        Ok(seen) if !seen.no_new_privileges => problem("can gain privileges by set-user-ID programs".into()),
        Ok(seen) if seen.has_capabilities => problem("keep capabilities of root".into()),
        Ok(seen) if !seen.extra_groups.is_empty() => {
            problem(format!("keep groups that are not the account's: {:?}", seen.extra_groups))
        }
        Ok(seen) if seen.reads_state => problem("read files of root's state".into()),
        Ok(_) => Finding::ok(
            Protection,
            subject,
            "no new privileges, no capabilities, no groups of root, no look at the state",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level::{self, Problem, Warning};
    use super::*;

    fn sound() -> Observed {
        Observed {
            no_links: Ok(true),
            durable: Ok(true),
            excludes: Ok(true),
            attributes: Some(Ok(true)),
            dumps_core: false,
        }
    }

    #[test]
    fn a_protection_that_does_not_hold_or_cannot_be_tried_is_told() {
        let levels = |seen: Observed| judge(&seen, &[]).iter().map(|finding| finding.level).collect::<Vec<_>>();
        assert_eq!(levels(sound()), [Level::Ok; 5]);
        assert_eq!(levels(Observed { no_links: Ok(false), ..sound() })[0], Problem);
        assert_eq!(levels(Observed { no_links: Err("ENOSYS".into()), ..sound() })[0], Problem);
        assert_eq!(levels(Observed { durable: Ok(false), ..sound() })[1], Problem);
        assert_eq!(levels(Observed { excludes: Ok(false), ..sound() })[2], Problem);
        assert_eq!(levels(Observed { attributes: Some(Ok(false)), ..sound() })[3], Warning);
        assert_eq!(levels(Observed { attributes: None, ..sound() })[3], Level::Ok);
        assert_eq!(levels(Observed { dumps_core: true, ..sound() })[4], Warning);
    }

    #[test]
    fn a_child_that_keeps_anything_of_roots_is_a_problem() {
        let level = |seen: Tried<Seen>| child(&Child { name: "app".into(), seen }).level;
        let good = Seen { no_new_privileges: true, ..Seen::default() };
        assert_eq!(level(Ok(good.clone())), Level::Ok);
        assert_eq!(level(Ok(Seen::default())), Problem);
        assert_eq!(level(Ok(Seen { has_capabilities: true, ..good.clone() })), Problem);
        assert_eq!(level(Ok(Seen { extra_groups: vec![0], ..good.clone() })), Problem);
        assert_eq!(level(Ok(Seen { reads_state: true, ..good })), Problem);
        assert_eq!(level(Err("no such account".into())), Problem);
    }
}
