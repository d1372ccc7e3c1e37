//! From a manifest of the right shape to an [`Install`]: every value parsed, every fault collected.

mod backup;
mod component;
mod health;
mod layout;
mod monitoring;
mod needs;
mod notify;
mod policy;
mod procedure;
mod source;
mod units;
mod verify;

use std::collections::BTreeMap;
use std::path::Path;

use super::document::{Document, Key};
use super::problem::{Fault, Looked, Problem};
use super::{Install, Reach, Source, raw, words};

/// Validates the manifest of the install called `name`.
pub(super) fn install(
    name: &str,
    file: &Path,
    document: &Document<'_>,
    raw: &raw::Manifest,
) -> Result<Install, Vec<Problem>> {
    let mut look = Look { document, problems: Vec::new(), warnings: Vec::new() };
    let top = Key::default();
    let at = top.name("install");
    let root = look.take(&at.name("root"), words::root(&raw.install.root));
    let owner = look.take(&at.name("owner"), words::account(&raw.install.owner));
    let source = source::source(&mut look, &top.name("source"), raw, root.as_deref());
    let mut components = component::all(&mut look, &top.name("component"), raw);
    health::of_project(&mut look, source.as_ref(), components.as_deref_mut().unwrap_or_default());
    let is_open = raw.source.git.as_ref().is_some_and(|git| git.manifest);
    if raw.component.is_empty() && !is_open {
        let fault = Fault::new("no component is declared").help("add a [[component]] with name and path");
        look.fault(&top.name("component"), fault);
    }
    let (layout, shared) = layout::layout(&mut look, &at, raw);
    let lockstep = raw.compatibility.as_ref().map(|compatibility| compatibility.lockstep.clone()).unwrap_or_default();
    look.lockstep(&top.name("compatibility").name("lockstep"), &lockstep, raw);
    let backup = backup::backup(&mut look, &top, raw);
    let hooks = procedure::hooks(&mut look, &top.name("hook"), raw);
    let migrations = procedure::migrations(&mut look, &top.name("migration"), raw);
    let peers = procedure::peers(&mut look, &top.name("compatibility").name("peer"), raw);
    let policy = policy::policy(&mut look, &top.name("policy"), raw.policy.as_ref());
    let notify = notify::all(&mut look, &top.name("notify"), &raw.notify);
    let monitoring = monitoring::monitoring(&mut look, &top.name("monitoring"), raw.monitoring.as_ref());
    if owner.as_deref() == Some("root") {
        look.warn("`install.owner` is root: git, checks and steps run with every right of the host");
    }
    if raw.install.trust_checkout {
        look.warn("`install.trust-checkout`: root runs whatever the owner, or upstream, puts into the tree");
    }
    let is_verified = source.as_ref().is_none_or(Source::is_verified);
    if policy.as_ref().is_some_and(|policy| policy.unattended != Reach::None && !policy.allow_unverified)
        && !is_verified
    {
        look.warn(
            "`policy.unattended`: nothing says who signs releases, so that unattended runs are refused; add `verify` to \
             [source.git], or allow-unverified = true to [policy]",
        );
    }
    let procedures = hooks.zip(migrations).zip(peers);
    let complete = (root, owner, source, components, procedures, backup, policy, notify, monitoring, shared);
    match complete {
        (
            Some(root),
            Some(owner),
            Some(source),
            Some(components),
            Some(((hooks, migrations), peers)),
            Some(backup),
            Some(policy),
            Some(notify),
            Some(monitoring),
            Some(shared),
        ) if look.problems.is_empty() => Ok(Install {
            name: name.to_owned(),
            file: file.to_owned(),
            root,
            owner,
            trust_checkout: raw.install.trust_checkout,
            layout,
            shared,
            source,
            components,
            hooks,
            migrations,
            peers,
            lockstep,
            backup,
            policy,
            notify,
            motd: raw.install.motd,
            monitoring,
            layered: None,
            warnings: look.warnings,
        }),
        _ => Err(look.problems),
    }
}

/// Collects what is found while looking.
pub(super) struct Look<'a> {
    document: &'a Document<'a>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Look<'_> {
    /// The value, or its fault put down at `key`.
    fn take<T>(&mut self, key: &Key, looked: Looked<T>) -> Option<T> {
        looked.map_err(|fault| self.fault(key, fault)).ok()
    }

    /// The same for a value that may be left out: `None` only where there was a fault.
    fn take_optional<T>(&mut self, key: &Key, looked: Option<Looked<T>>) -> Option<Option<T>> {
        match looked {
            None => Some(None),
            Some(looked) => self.take(key, looked).map(Some),
        }
    }

    /// The same for a value with a default.
    fn take_or<T>(&mut self, key: &Key, looked: Option<Looked<T>>, default: T) -> Option<T> {
        looked.map_or(Some(default), |looked| self.take(key, looked))
    }

    /// Each of a list, with the same parser.
    fn each<S: AsRef<str>, T>(&mut self, key: &Key, list: &[S], parse: impl Fn(&str) -> Looked<T>) -> Option<Vec<T>> {
        let taken: Vec<Option<T>> =
            list.iter().enumerate().map(|(at, text)| self.take(&key.index(at), parse(text.as_ref()))).collect();
        taken.into_iter().collect()
    }

    /// Faults of names that stand twice; `keys` gives the place of each.
    fn unique<'n>(&mut self, what: &str, names: impl IntoIterator<Item = (Key, &'n str)>) {
        let mut seen: BTreeMap<&str, Key> = BTreeMap::new();
        for (key, name) in names {
            if let Some(first) = seen.get(name) {
                let fault = Fault::new(format!("the {what} \"{name}\" is declared twice"));
                self.fault(&key, fault.help(format!("the first is `{first}`; each {what} is declared once")));
            } else {
                seen.insert(name, key);
            }
        }
    }

    fn fault(&mut self, key: &Key, fault: Fault) {
        self.problems.push(self.document.problem(key, fault));
    }

    fn warn(&mut self, text: impl AsRef<str>) {
        self.warnings.push(crate::text::harmless(text.as_ref()));
    }

    fn lockstep(&mut self, key: &Key, groups: &[Vec<String>], raw: &raw::Manifest) {
        let names: Vec<&str> = raw.component.iter().map(|component| component.name.as_str()).collect();
        for (at, group) in groups.iter().enumerate() {
            let key = key.index(at);
            if group.len() < 2 {
                self.fault(
                    &key,
                    Fault::new("a group of one holds nothing together").help("name two or more components"),
                );
            }
            self.unique("component", group.iter().enumerate().map(|(at, name)| (key.index(at), name.as_str())));
            for (at, name) in group.iter().enumerate() {
                self.lockstep_member(&key.index(at), name, &names, raw);
            }
        }
    }

    fn lockstep_member(&mut self, key: &Key, name: &str, names: &[&str], raw: &raw::Manifest) {
        match raw.component.iter().find(|component| component.name == name) {
            None => {
                let fault = Fault::new(format!("no component is called \"{name}\""));
                self.fault(key, fault.help(near_or_list(name, names)));
            }
            Some(component) if component.version.is_none() => {
                let fault = Fault::new(format!("\"{name}\" declares no version, so nothing can be compared"));
                self.fault(key, fault.help(format!("add version = {{ file = \"VERSION\" }} to component {name}")));
            }
            Some(_) => {}
        }
    }
}

/// What is said where a name is not one of `names`.
pub(super) fn near_or_list(name: &str, names: &[&str]) -> String {
    match crate::diff::nearest(name, names, 0.6) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("there are: {}", names.join(", ")),
    }
}
