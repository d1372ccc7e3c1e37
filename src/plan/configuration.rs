//! What becomes of a component's configuration files: compared and merged, put back, or left alone.

use std::collections::BTreeMap;
use std::path::Path;

use super::env::{Class, Decision, KeyChange, ThreeWay};
use super::subject::{Case, Part};
use super::{Blocker, Contents, EnvPlan, Intent, abbreviate, env};
use crate::action::FileSwap;
use crate::error::Result;
use crate::host::fs::Content;
use crate::manifest::{Dialect, EnvFile, EnvPolicy, Layout};
use crate::source::Sides;

/// The plans for the files, and what they ask for.
#[derive(Default)]
pub(super) struct Configuration {
    pub plans: Vec<EnvPlan>,
    pub swaps: Vec<FileSwap>,
    pub warnings: Vec<String>,
    pub blockers: Vec<Blocker>,
}

/// Plans the configuration files of a component, in the manifest's order.
pub(super) fn plan(case: &Case, part: Part, contents: &mut Contents) -> Result<Configuration> {
    let mut configuration = Configuration::default();
    let files = part.component.env.iter().zip(&part.surveyed.env).zip(&part.offer.examples);
    for ((declared, mine), examples) in files {
        let file = case.install.env_path(part.component, declared).to_string();
        let saved = case.request.restore.env.iter().find(|(path, _)| *path == file);
        let file = File { dialect: case.survey.dialect(case.install, declared, &file), declared, path: file };
        match (mine, saved) {
            (None, _) => configuration.blockers.push(missing(case, part, declared)),
            (Some(mine), Some((_, saved))) => configuration.put(&file, mine, saved, contents),
            (Some(mine), None) if case.request.intent == Intent::Rollback => {
                configuration.put(&file, mine, mine, contents);
            }
            (Some(mine), None) => configuration.merge(case, part, (&file, mine, examples), contents)?,
        }
    }
    Ok(configuration)
}

impl Configuration {
    /// The files that are rewritten, relative to the checkout.
    pub fn rewritten(&self) -> impl Iterator<Item = String> {
        self.plans.iter().filter(|plan| plan.rewritten).map(|plan| plan.file.clone())
    }

    /// The file is to be as `after`.
    fn put(&mut self, file: &File, mine: &Content, after: &Content, contents: &mut Contents) {
        let rewritten = after.image != mine.image;
        if rewritten {
            self.swaps.push(FileSwap {
                path: file.path.clone().into(),
                before: Some(contents.keep(mine)),
                after: Some(contents.keep(after)),
            });
        }
        self.plans.push(EnvPlan {
            file: file.path.clone(),
            changes: Vec::new(),
            rewritten,
            after: after.image.sha256.clone(),
            dialect: file.dialect,
            public: file.declared.public.clone(),
        });
    }

    /// Upstream's new keys come in; what only a person can decide is said.
    fn merge(
        &mut self,
        case: &Case,
        part: Part,
        (file, mine, (base, theirs)): (&File, &Content, &Sides<Vec<u8>>),
        contents: &mut Contents,
    ) -> Result<()> {
        if let Some(blocker) = too_long(case, &file.path, &mine.bytes) {
            self.blockers.push(blocker);
            return Ok(());
        }
        let is_here = part.surveyed.activation.is_some() || part.surveyed.is_checked_out;
        let base = if is_here { base.as_deref() } else { None };
        let path = &file.path;
        let mut sides = ThreeWay {
            base,
            theirs: theirs.as_deref(),
            mine: &mine.bytes,
            dialect: file.dialect,
            public: &file.declared.public,
            decisions: &answers(case, path),
        };
        let compare = |sides: &ThreeWay| {
            env::three_way(sides).map_err(|error| error.while_(format!("{path} cannot be compared")))
        };
        let mut compared = compare(&sides)?;
        let policy = Unattended::of(case, path, &compared);
        self.blockers.extend(policy.blockers);
        if !policy.left_out.is_empty() {
            sides.decisions = &policy.left_out;
            compared = compare(&sides)?;
        }
        self.warnings.extend(policy.warnings);
        self.warnings.extend(compared.warnings.iter().map(|warning| format!("{path}: {warning}")));
        self.blockers.extend(not_utf8(case, path, &mine.bytes));
        self.blockers.extend(open_questions(case, path, &compared));
        self.put(file, mine, &mine.with_bytes(compared.merged), contents);
        if let Some(plan) = self.plans.last_mut() {
            plan.changes = compared.changes;
        }
        Ok(())
    }
}

/// A configuration file and how it is read.
struct File<'a> {
    declared: &'a EnvFile,
    /// Relative to the checkout.
    path: String,
    dialect: Dialect,
}

/// What `[policy] env` says about the new keys of a file where nobody can be asked.
#[derive(Default)]
struct Unattended {
    left_out: BTreeMap<String, Decision>,
    warnings: Vec<String>,
    blockers: Vec<Blocker>,
}

impl Unattended {
    fn of(case: &Case, file: &str, compared: &env::Comparison) -> Unattended {
        // A placeholder stops whatever the policy; open_questions says so.
        let ordinary = |change: &&KeyChange| change.class == Class::Added { placeholder: false };
        let new: Vec<&str> = compared.changes.iter().filter(ordinary).map(|change| change.key.as_str()).collect();
        if !case.request.unattended || new.is_empty() {
            return Unattended::default();
        }
        let keys = new.join(", ");
        match case.install.policy.env {
            EnvPolicy::AddNew => Unattended::default(),
            EnvPolicy::Report => Unattended {
                left_out: new.iter().map(|key| ((*key).to_owned(), Decision::LeaveOut)).collect(),
                warnings: vec![format!(
                    "{file}: new upstream and not added, as [policy] env = \"report\" asks: {keys}"
                )],
                blockers: Vec::new(),
            },
            EnvPolicy::Stop => Unattended {
                blockers: stopped(&case.install.name, file, &compared.changes).into_iter().collect(),
                ..Unattended::default()
            },
        }
    }
}

/// New keys of a file, where a policy wants a person to look at them. A placeholder stops anyway.
pub(super) fn stopped(install: &str, file: &str, changes: &[KeyChange]) -> Option<Blocker> {
    let new: Vec<&str> = changes
        .iter()
        .filter(|change| change.class == Class::Added { placeholder: false })
        .map(|change| change.key.as_str())
        .collect();
    (!new.is_empty()).then(|| {
        Blocker::refused(
            format!("{file} has new keys upstream, and [policy] env = \"stop\": {}", new.join(", ")),
            format!("look at them and add them: relift env merge {install}"),
        )
    })
}

/// What the operator decided about the keys of a file.
fn answers(case: &Case, file: &str) -> BTreeMap<String, Decision> {
    let own = case.request.answers.iter().filter(|answer| answer.file == file);
    own.map(|answer| (answer.key.clone(), answer.decision.clone())).collect()
}

fn missing(case: &Case, part: Part, declared: &EnvFile) -> Blocker {
    let (file, example) =
        (case.install.env_path(part.component, declared), declared.example.below(&part.component.path));
    let (root, owner) = (case.install.root.display(), &case.install.owner);
    let make = match case.install.layout {
        Layout::InPlace => format!("cd {root} && install -m 0640 -o {owner} {example} {file}"),
        // The target's: no release may be here yet.
        Layout::Releases => format!(
            "cd {root} && runuser -u {owner} -- mkdir -p {} && git --git-dir=/var/lib/relift/{}/mirror.git show {}:{example} | install -m 0640 -o {owner} /dev/stdin {file}",
            Path::new(file.as_str()).parent().unwrap_or(Path::new(".")).display(),
            case.install.name,
            abbreviate(&case.offer.to.revision),
        ),
    };
    Blocker::impossible(format!("{file} is missing"), format!("make it from the example and fill it in: {make}"))
}

/// The longest `KEY=VALUE` that a process can be started with, bytes: MAX_ARG_STRLEN of execve(2).
const LONGEST_ENTRY: usize = 128 << 10;
/// The largest file that can hold what a process can be started with, and comments beside it.
const LARGEST_FILE: usize = 1 << 20;

fn too_long(case: &Case, file: &str, bytes: &[u8]) -> Option<Blocker> {
    let full = case.install.root.join(file);
    let line = bytes.split(|byte| *byte == b'\n').position(|line| line.len() >= LONGEST_ENTRY);
    let what = match line {
        Some(line) => format!("line {} of {file} is longer than 128 KiB: no process can be started with it", line + 1),
        None if bytes.len() > LARGEST_FILE => format!("{file} is larger than 1 MiB: no process can be started with it"),
        None => return None,
    };
    Some(Blocker::impossible(what, format!("keep such data in a file of its own, and its path in {}", full.display())))
}

fn not_utf8(case: &Case, file: &str, bytes: &[u8]) -> Option<Blocker> {
    let error = std::str::from_utf8(bytes).err()?;
    let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
    let full = case.install.root.join(file);
    Some(Blocker::impossible(
        format!(
            "line {line} of {file} is not UTF-8: systemd and dotenv libraries refuse such a file, so that no release could start"
        ),
        format!("write it in UTF-8; from Latin-1: iconv -f latin1 -t utf-8 {0} > {0}.new", full.display()),
    ))
}

/// Keys that need a value of the operator's own.
fn open_questions(case: &Case, file: &str, compared: &env::Comparison) -> Vec<Blocker> {
    let full = case.install.root.join(file);
    let placeholders = env::placeholders(&compared.changes).into_iter().map(|key| {
        Blocker::refused(
            format!("{file} needs a value for the new key {key}: its default is a placeholder"),
            format!("run this on a terminal to be asked, or add {key}= to {}", full.display()),
        )
    });
    // The plan at a terminal shows the warning, and whoever approves it has decided.
    let stale = compared.stale.iter().filter(|_| !case.request.attended).map(|key| {
        Blocker::refused(
            format!("{file} still has the old default of {key}, and upstream now asks for a value of your own"),
            format!("set {key}= in {}, or approve the plan on a terminal if it is meant to stay", full.display()),
        )
    });
    placeholders.chain(stale).collect()
}
