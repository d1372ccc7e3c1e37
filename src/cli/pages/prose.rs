//! What the manual says beyond the help texts.

/// The program as a whole.
pub(super) const OVERVIEW: &str = "
Relift upgrades services that are installed from a git checkout, the way a package manager upgrades packages: it says what
would change, changes it, proves that the result runs, and otherwise puts everything back.

Each install is declared by a manifest, `/etc/relift/NAME.toml`; relift.toml(5) tells what may stand in it, and
`relift init` writes a first one from a checkout that is there. Where there is only one install, its name may be left out.

An upgrade is one run. It first does everything that can fail without touching the live install: it fetches, compares, stages
the new tree aside, runs the declared checks on it and takes backups. Then it switches the tree, `.env` files and units, runs
the declared steps and restarts what changed; every change is written to a journal before it is made. At last it proves that
the new release runs, and that it goes on running. If anything fails, everything is undone in reverse, and the old release is
proven to run. A run that is killed, or cut off from power, is finished or undone by `relift recover`, which a timer starts
within about a minute, and the next boot at the latest.

Data goes to standard output, progress and messages to standard error. No output, log or record shows a value of a `.env`.";

/// What the environment changes.
pub(super) const ENVIRONMENT: [(&str, &str); 4] = [
    ("NO_COLOR", "No colours, whatever standard output is."),
    ("CLICOLOR_FORCE", "Colours, whatever standard output is."),
    ("TERM", "`dumb`: no colours and no bars."),
    ("JOURNAL_STREAM", "Set by systemd: messages carry their priority."),
];

/// Exit statuses: whether every verb may end so, and what it means.
pub(super) const EXITS: [(&str, bool, &str); 8] = [
    ("0", true, "Done, or nothing to do."),
    ("1", true, "Failed; nothing was changed."),
    ("2", true, "Usage, or refused: not approved, held, outside the window, irreversible, below the floor."),
    ("3", false, "Failed; everything was put back and checked."),
    ("4", false, "Not everything could be put back, or a run is open: the message says what is where, and what to do."),
    ("75", false, "Another run holds the lock of the install; nothing was changed."),
    ("77", true, "Not permitted: most verbs need root."),
    ("100", false, "Something is new (`check` alone)."),
];

/// Files, each with what it is.
pub(super) const FILES: [(&str, &str); 6] = [
    ("/etc/relift/NAME.toml", "The manifest of the install NAME; see relift.toml(5)."),
    ("/var/lib/relift/NAME/runs/ID", "The journal of a run, with what undoes it. Never edit it."),
    ("/var/lib/relift/NAME/ledger", "What is activated, known-good, failed, held and approved."),
    ("/var/lib/relift/NAME/backups", "Backups of the install's data, unless the manifest names another place."),
    ("/var/cache/relift/NAME", "Trees that are staged; nothing in it is needed between runs."),
    ("/run/relift", "Locks, and requests of package managers that wait."),
];

/// What the page of one verb says.
pub(super) struct Prose {
    verb: &'static str,
    /// Its description; empty: what its help says.
    pub(super) text: &'static str,
    /// The exit statuses beyond the usual ones.
    pub(super) exits: &'static [&'static str],
    /// Words in the names of the files that it is about, beyond the manifest.
    files: &'static [&'static str],
    /// Other pages.
    pub(super) see: &'static [&'static str],
}

impl Prose {
    /// Whether the verb has to do with a file.
    pub(super) fn is_about(&self, file: &str) -> bool {
        file.starts_with("/etc/") || self.files.iter().any(|word| file.contains(word))
    }
}

/// What is said of a verb; one that nothing is said of has its help.
pub(super) fn of(verb: &str) -> &'static Prose {
    VERBS.iter().find(|prose| prose.verb == verb).unwrap_or(&VERBS[0])
}

const RUN: &[&str] = &["3", "4", "75"];

const VERBS: [Prose; 20] = [
    Prose { verb: "", text: "", exits: &["75"], files: &["ledger", "/run/"], see: &[] },
    Prose {
        verb: "try",
        text: "
Boots a throw-away copy of this host with a systemd of its own, installs a small sample in it, and shows an upgrade that
succeeds and one that fails and comes back, with what was measured. The copy is in memory and is gone afterwards; this host is
left as it was.

It needs root, git, overlayfs and systemd.",
        exits: &[],
        files: &[],
        see: &["relift-doctor(1)"],
    },
    Prose {
        verb: "init",
        text: "
Looks at a checkout, its remotes, units, `.env.example` files and Makefiles, and writes a manifest for it to
`/etc/relift/NAME.toml`, with comments that say what was found where. Nothing of the checkout is run or changed. Read it before
the first upgrade: `relift config check` tells of mistakes, `relift plan` of what would happen.",
        exits: &[],
        files: &[],
        see: &["relift-config(1)", "relift-plan(1)"],
    },
    Prose {
        verb: "check",
        text: "
Asks the source of each install whether there is a release that the policy allows, in one conversation, and says what it is.
Nothing is changed. With `--quiet` it prints nothing unless something is new, which makes it fit for cron(8).

It tells as well of a run that was interrupted and is still open.",
        exits: &["4", "100"],
        files: &["ledger"],
        see: &["relift-plan(1)", "relift-upgrade(1)"],
    },
    Prose {
        verb: "plan",
        text: "
Shows what `relift upgrade` would do: commits, release notes, keys of `.env` files, steps with the reason why each runs, units
and restarts, the expected time without service, and how each change is undone. The upgrade renders and executes this very
plan. What would stop it is shown as well, and the exit status is the one that the upgrade would have.",
        exits: &["4", "75"],
        files: &["ledger", "/var/cache"],
        see: &["relift-upgrade(1)", "relift-env(1)", "relift-units(1)"],
    },
    Prose {
        verb: "upgrade",
        text: "
Plans, shows the plan, asks, and does it. Without a terminal and without `--yes` it refuses. The candidate is the newest release
that the source offers and the policy allows; `--to` names another one.

Losing the terminal stops nothing. An interrupt (`Ctrl-C`, SIGTERM) undoes what was done. A release that failed here is
remembered with the configuration that it failed with.

An older release is refused, and to one that was proven here `relift rollback` goes back. To one that never ran here, `--to REV
--allow-downgrades` goes down: verified and proven like any other, and never `--unattended`. The present release's migrations are taken back
where they can be; all other data stays as the newer releases left it, and the older one has to read it. The plan says so.

`--unattended` is how timers and cron run it: it asks nothing, keeps to `[policy]` of the manifest, recovers a run that was
interrupted first, and skips a release that failed here until the release or the configuration changes.",
        exits: RUN,
        files: &["/var/", "/run/"],
        see: &["relift-plan(1)", "relift-rollback(1)", "relift-recover(1)", "relift-history(1)"],
    },
    Prose {
        verb: "rollback",
        text: "
Goes back to a known-good release, by default the one before the present one, without the network: the tree, the `.env` as it
was left, units, and what its steps had made. Known-good releases are tags of the checkout: `git tag --list 'known-good/*'`.
Data that steps changed is put back only by `relift backup restore`.

The release that was left is remembered as failed, so that no timer installs it again. To a release that never ran here it does not go:
see `--allow-downgrades` of relift-upgrade(1).",
        exits: RUN,
        files: &["/var/lib", "/run/"],
        see: &["relift-status(1)", "relift-backup(1)", "relift-upgrade(1)"],
    },
    Prose {
        verb: "recover",
        text: "
Ends runs that were interrupted, from what they recorded alone: one that had passed its gate is finished, any other is undone.
What is there is looked at first; `--dry-run` tells of it and changes nothing. It may itself be interrupted and run again.

It runs by itself: a timer that every run arms starts it within about a minute, and `relift-recover.service` at boot, before
the services that the run concerns. Where only an operator can say what is right, it exits 4 with an account of what is where;
`--close` ends the run once that is settled.",
        exits: RUN,
        files: &["/var/lib", "/run/"],
        see: &["relift-show(1)", "relift-history(1)"],
    },
    Prose {
        verb: "status",
        text: "
Shows, without the network, what each install runs, which releases are known-good, what failed or is held, and what somebody
should look at.",
        exits: &["4"],
        files: &["ledger", "runs"],
        see: &["relift-check(1)", "relift-history(1)"],
    },
    Prose {
        verb: "history",
        text: "Lists runs, newest first: when each began, what it was to do, and how it ended.",
        exits: &["4"],
        files: &["runs"],
        see: &["relift-show(1)", "relift-logs(1)"],
    },
    Prose {
        verb: "show",
        text: "Shows one run: its plan, what was done, in order, and how it ended. The end of an id is enough.",
        exits: &["4"],
        files: &["runs"],
        see: &["relift-history(1)", "relift-logs(1)"],
    },
    Prose { verb: "logs", text: "", exits: &["4"], files: &["runs"], see: &["relift-show(1)", "journalctl(1)"] },
    Prose {
        verb: "backup",
        text: "
Works with the backups of an install's data that `[backup]` of the manifest declares. A run takes and proves one before it
changes anything. SQLite databases are copied by SQLite's own backup, while others write.",
        exits: RUN,
        files: &["backups", "/run/"],
        see: &["relift-rollback(1)"],
    },
    Prose {
        verb: "doctor",
        text: "
Looks for what would keep a run from working here, and what that means, with the command that mends it: programs, directories
and who may write to them, room on disks, the clock, systemd and user managers, the remotes. What protects a run (locks, links
that are not followed, durable writes, children without privileges) is tried in a scratch directory. Nothing is changed.",
        exits: &[],
        files: &["/var/", "/run/"],
        see: &["relift-config(1)"],
    },
    Prose {
        verb: "env",
        text: "
Compares and merges `.env` files alone, three-way: the example at the activated release, the example at the target, and the file
that is there. New keys come with upstream's comments; no line of yours is dropped or moved. Values are never shown.",
        exits: &["4", "75"],
        files: &["ledger"],
        see: &["relift-plan(1)", "relift-units(1)"],
    },
    Prose {
        verb: "units",
        text: "
Compares unit files alone: what is installed, drop-ins included, and what it would be after an upgrade. What was edited on this
host is kept, in a drop-in `50-local.conf`.",
        exits: &["4", "75"],
        files: &["ledger"],
        see: &["relift-plan(1)", "relift-env(1)", "systemd.unit(5)"],
    },
    Prose {
        verb: "hold",
        text: "Refuses upgrades of an install until `relift unhold`. Rolling back stays possible.",
        exits: &["75"],
        files: &["ledger"],
        see: &["relift-unhold(1)", "relift-status(1)"],
    },
    Prose {
        verb: "unhold",
        text: "Lets an install be upgraded again. Where it is not held, nothing happens.",
        exits: &["75"],
        files: &["ledger"],
        see: &["relift-hold(1)"],
    },
    Prose {
        verb: "trust",
        text: "
Approves single revisions by hand, for upstreams that do not sign. Plans and the history mark them as pinned by hand, with the
account that did it. Where the manifest says `verify`, nothing reaches the checkout that is neither signed nor pinned.",
        exits: &["75"],
        files: &["ledger"],
        see: &["relift-upgrade(1)", "git-verify-tag(1)"],
    },
    Prose {
        verb: "config",
        text: "
`check` reads manifests and tells of every mistake with its line and what would be right. `show` prints a manifest with every
default written out, and which file each key is from. `schema` prints the JSON Schema, for editors.",
        exits: &[],
        files: &[],
        see: &["relift-init(1)"],
    },
];

/// The verbs that something is said of.
#[cfg(test)]
pub(super) fn verbs() -> impl Iterator<Item = &'static str> {
    VERBS.iter().map(|prose| prose.verb)
}
