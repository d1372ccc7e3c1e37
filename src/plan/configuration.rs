//! What becomes of a component's configuration files: compared and merged, put back, or left alone.

use super::subject::{Case, Part};
use super::{Blocker, Contents, EnvPlan, Intent, env};
use crate::action::FileSwap;
use crate::error::Result;
use crate::host::fs::Content;
use crate::manifest::EnvFile;
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
        let file = declared.file.below(&part.component.path).to_string();
        let saved = case.request.restore.env.iter().find(|(path, _)| *path == file);
        match (mine, saved) {
            (None, _) => configuration.blockers.push(missing(case, part, declared)),
            (Some(mine), Some((_, saved))) => configuration.put(file, mine, saved, contents),
            (Some(mine), None) if case.request.intent == Intent::Rollback => {
                configuration.put(file, mine, mine, contents);
            }
            (Some(mine), None) => configuration.merge(case, part, (file, mine, examples), contents)?,
        }
    }
    Ok(configuration)
}

impl Configuration {
    /// The file is to be as `after`.
    fn put(&mut self, file: String, mine: &Content, after: &Content, contents: &mut Contents) {
        let rewritten = after.image != mine.image;
        if rewritten {
            self.swaps.push(FileSwap {
                path: file.clone().into(),
                before: Some(contents.keep(mine)),
                after: Some(contents.keep(after)),
            });
        }
        self.plans.push(EnvPlan { file, changes: Vec::new(), rewritten, after: after.image.sha256.clone() });
    }

    /// Upstream's new keys come in; what only a person can decide is said.
    fn merge(
        &mut self,
        case: &Case,
        part: Part,
        (file, mine, (base, theirs)): (String, &Content, &Sides<Vec<u8>>),
        contents: &mut Contents,
    ) -> Result<()> {
        let is_here = part.surveyed.activation.is_some() || part.surveyed.is_checked_out;
        let base = if is_here { base.as_deref() } else { None };
        let answers = answers(case, &file);
        let compared = env::compare(base, theirs.as_deref(), &mine.bytes, &answers)
            .map_err(|error| error.while_(format!("{file} cannot be compared")))?;
        self.warnings.extend(compared.warnings.iter().map(|warning| format!("{file}: {warning}")));
        self.blockers.extend(not_utf8(case, &file, &mine.bytes));
        self.blockers.extend(open_questions(case, &file, &compared, &answers));
        self.put(file, mine, &mine.with_bytes(compared.merged), contents);
        if let Some(plan) = self.plans.last_mut() {
            plan.changes = compared.changes;
        }
        Ok(())
    }
}

/// What the operator answered for the keys of a file.
fn answers(case: &Case, file: &str) -> Vec<(String, String)> {
    let own = case.request.answers.iter().filter(|(path, ..)| path == file);
    own.map(|(_, key, value)| (key.clone(), value.clone())).collect()
}

fn missing(case: &Case, part: Part, declared: &EnvFile) -> Blocker {
    let [file, example] = [&declared.file, &declared.example].map(|path| path.below(&part.component.path));
    let (root, owner) = (case.install.root.display(), &case.install.owner);
    Blocker::impossible(
        format!("{file} is missing"),
        format!("make it from the example and fill it in: cd {root} && install -m 0640 -o {owner} {example} {file}"),
    )
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
fn open_questions(case: &Case, file: &str, compared: &env::Comparison, answers: &[(String, String)]) -> Vec<Blocker> {
    let full = case.install.root.join(file);
    let is_open = |key: &&str| answers.iter().all(|(answered, _)| answered != key);
    let placeholders = env::placeholders(&compared.changes).into_iter().filter(is_open).map(|key| {
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
