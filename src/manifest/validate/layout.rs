//! `layout` and `shared` of `[install]`.

use super::super::document::Key;
use super::super::problem::Fault;
use super::super::{Layout, RelPath, raw, words};
use super::Look;

pub(super) fn layout(look: &mut Look<'_>, key: &Key, raw: &raw::Manifest) -> (Layout, Option<Vec<RelPath>>) {
    let given = &raw.install.shared;
    let shared = look.each(&key.name("shared"), given, words::relative);
    let names = given.iter().enumerate().map(|(at, name)| (key.name("shared").index(at), name.as_str()));
    look.unique("shared path", names);
    match raw.install.layout {
        None | Some(raw::Layout::InPlace) if raw.source.archive.is_none() => {
            if !given.is_empty() {
                let fault = Fault::new("`shared` is given, and releases have no directories of their own");
                let help = "add layout = \"releases\", or take `shared` out: in place, what git does not track stays";
                look.fault(&key.name("shared"), fault.help(help));
            }
            (Layout::InPlace, shared)
        }
        layout => {
            if layout == Some(raw::Layout::InPlace) {
                let fault = Fault::new("an archive is unpacked beside what it replaces, and never over it");
                look.fault(&key.name("layout"), fault.help("take `layout` out: [source.archive] has \"releases\""));
            }
            has_tree(look, key, raw);
            outlives(look, raw, shared.as_deref().unwrap_or_default());
            (Layout::Releases, shared)
        }
    }
}

/// What only a source with a tree can have, and what only a checkout can.
fn has_tree(look: &mut Look<'_>, key: &Key, raw: &raw::Manifest) {
    let at = key.name("layout");
    let without = [("packages", raw.source.packages.is_some()), ("compose", raw.source.compose.is_some())];
    if let Some((kind, _)) = without.iter().find(|(_, is_given)| *is_given) {
        let fault = Fault::new(format!("releases of [source.{kind}] have no tree of their own"));
        look.fault(&at, fault.help("take `layout` out: it is for [source.git] and [source.archive]"));
    }
    if raw.source.git.as_ref().is_some_and(|git| !git.discard.is_empty()) {
        let fault = Fault::new("`discard` is of a checkout, and layout = \"releases\" has none");
        let key = Key::default().name("source").name("git").name("discard");
        look.fault(&key, fault.help("take it out: each release is unpacked afresh"));
    }
}

/// A backup is of what outlives a release: the rest is in the mirror, or made by steps.
fn outlives(look: &mut Look<'_>, raw: &raw::Manifest, shared: &[RelPath]) {
    let Some(backup) = &raw.backup else { return };
    let is_env = |path: &RelPath| {
        let mut files = raw.component.iter().flat_map(|part| part.env.iter().map(move |env| (part, env)));
        files.any(|(part, env)| {
            let parent = part.path.as_str();
            let full = if parent == "." { env.file.clone() } else { format!("{parent}/{}", env.file) };
            full == path.as_str()
        })
    };
    for (name, paths) in [("paths", &backup.paths), ("sqlite", &backup.sqlite)] {
        for (at, text) in paths.iter().enumerate() {
            let Ok(path) = RelPath::parse(text) else { continue };
            if !is_env(&path) && !shared.iter().any(|shared| path.is_within(shared)) {
                let fault = Fault::new(format!("\"{text}\" is in no `shared` path, so that it goes with its release"));
                let key = Key::default().name("backup").name(name).index(at);
                look.fault(&key, fault.help("add the directory that it lies in to `shared` under [install]"));
            }
        }
    }
}
