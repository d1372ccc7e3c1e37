//! Relift upgrades what is installed on a host the way a package manager upgrades packages.
//!
//! The modules in the order in which data flows:
//!
//! ```text
//! cli        one file per verb; `error` prints errors, `output` renders everything else
//! manifest   raw TOML -> validated `Install`; nothing downstream sees raw input
//! source     where releases come from: git, packages, Compose, archives; a private mirror, what it offers, the switch
//! survey     read-only: what is here -> `Survey`
//! plan       pure: `Install` + `Survey` + `Offer` -> `Plan`; `.env` and unit comparisons, release notes
//! action     the changes that a plan holds: apply, look, undo; one file per kind
//! run        prepare, switch, gate, commit; the journal; undo and recovery from any kill
//! backup     an install's data: taken, proven in a scratch place, restored
//! health     probes, gate, soak: running code proven
//! trust      what a release stands on: a signature that the manifest wants, an operator's word, or nothing
//! ledger     what is remembered: activated, known-good, failed, held
//! doctor     what would keep a run from working here: judgements over what was looked at and tried
//! hook       what package managers tell: requests, kept until a worker has reconfigured the installs concerned
//! unattended what happens with nobody there: when a run may start, who is told, what monitoring reads
//! notify     who is told: news, what was told before, a spool, mail, webhook, command, motd
//! host       the only raw effects: files, processes, accounts, systemd, clock, network
//! ```
//!
//! [`report`] is what a run tells while it goes, [`error`] what it says when it fails, [`diff`] compares texts and [`text`] makes the words of others
//! harmless. [`twin`] boots throw-away copies of the host and [`sample`] is what `relift try` and the tests install there.
//!
//! Decisions are pure functions over values; effects are in `host` and `source`. A dry run renders the plan that a run
//! executes.

pub mod action;
pub mod backup;
pub mod cli;
pub mod diff;
pub mod doctor;
pub mod error;
pub mod health;
pub mod hook;
pub mod host;
pub mod ledger;
pub mod manifest;
pub mod notify;
pub mod plan;
pub mod report;
pub mod run;
pub mod sample;
pub mod source;
pub mod survey;
pub mod text;
pub mod trust;
pub mod twin;
pub mod unattended;

pub use error::{Error, Exit, Result};
