//! A directory of releases: `releases/VERSION` each, `current` leads to the one that runs, `shared` outlives them.

use std::path::{Path, PathBuf};

use super::compose::component_name;
use super::draft::{comment, line, list, quoted};
use super::sketch::Sketch;
use super::{tree, units};
use crate::error::Result;
use crate::host::account::Account;
use crate::host::fs::Rooted;
use crate::text::harmless;

/// How deep units and shared files are looked for.
const DEPTH: usize = 4;
/// How many entries of a release are looked at.
const MOST: usize = 20_000;

/// The directory whose `current` leads into its `releases`, at `path` or above it.
pub(super) fn root_of(path: &Path) -> Option<PathBuf> {
    let leads = |root: &&Path| {
        let current = root.join("current").read_link().unwrap_or_default();
        let inside = current.strip_prefix(root).unwrap_or(&current);
        inside.starts_with("releases") && root.join("releases").is_dir()
    };
    path.ancestors().find(leads).map(Path::to_owned)
}

/// What was found in the release that runs.
#[derive(Debug, Default)]
struct Release {
    /// Unit files, relative to it.
    units: Vec<String>,
    /// What leads to `shared`, relative to it.
    shared: Vec<String>,
    /// Examples of `.env`, relative to it.
    examples: Vec<String>,
}

/// What the install at `root` is.
pub(super) fn sketch(root: &Path, owner: &Account) -> Result<Sketch> {
    let below = Rooted::open(root)?;
    let link = below.link("current".as_ref())?.unwrap_or_default();
    let version = link.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let place = Path::new("releases").join(&version);
    let release = look(&below, &place);
    let name = root.file_name().map(|name| component_name(&name.to_string_lossy())).unwrap_or_default();
    let mut body = String::from("[source.archive]\n");
    comment(
        &mut body,
        "Where its releases come from could not be known: put the address in. {version} stands for a version.",
    );
    comment(
        &mut body,
        "If they come from a git repository, write [source.git] with its url, and branch or tags, instead.",
    );
    line(
        &mut body,
        &format!("url       = {}", quoted(&format!("https://downloads.example.org/{name}-{{version}}.tar.gz"))),
    );
    line(&mut body, "checksums = \"https://downloads.example.org/SHA256SUMS\"      # as sha256sum(1) writes it");
    line(&mut body, "# verify = { minisign = \"/etc/relift/NAME.pub\" }      # without it, releases are unverified");
    line(&mut body, "\n[[component]]");
    line(&mut body, &format!("name = {}", quoted(&name)));
    match below.read(&place.join("VERSION"))? {
        Some(_) => line(&mut body, "version = { file = \"VERSION\" }"),
        None => comment(
            &mut body,
            "No file VERSION is in the release; where its version is: version = { file = \"...\", key = \"...\" }",
        ),
    }
    let env: Vec<&String> = release.examples.iter().collect();
    if !env.is_empty() {
        let pairs = env.iter().map(|example| {
            let file = example.trim_end_matches(".example");
            format!("{{ file = {}, example = {} }}", quoted(file), quoted(example))
        });
        line(&mut body, &format!("env = [{}]", pairs.collect::<Vec<_>>().join(", ")));
    }
    let mut parts = vec![format!("{name} {}: layout of releases", harmless(&version))];
    for file in &release.units {
        unit(&mut body, file, owner, &mut parts);
    }
    line(&mut body, "");
    comment(&mut body, "Only the state of units is looked at. A new release proves more when it has to answer:");
    line(&mut body, "# [[component.health]]");
    line(&mut body, "# http    = \"http://127.0.0.1:8080/version\"");
    line(&mut body, "# expect  = { status = 200, json = { version = \"{version}\" } }");
    let mut install =
        vec!["layout = \"releases\"      # releases/VERSION each, current leads to the one that runs".to_owned()];
    if !release.shared.is_empty() {
        install.push(format!("shared = {}      # found as links to shared", list(&release.shared)));
    }
    Ok(Sketch { name, root: root.to_owned(), owner: owner.name.clone(), install, body, notes: Vec::new(), parts })
}

fn unit(text: &mut String, file: &str, owner: &Account, parts: &mut Vec<String>) {
    let name = file.rsplit('/').next().unwrap_or_default();
    let installed = units::installed(name, owner);
    line(text, "");
    let mark = if installed.is_some() { "" } else { "# " };
    match &installed {
        Some((scope, at)) => {
            comment(text, &format!("Installed as {} ({} scope).", at.display(), units::scope_word(*scope)));
            parts.push(format!("{name}: {}", at.display()));
        }
        None => comment(text, "In the release, and not installed here:"),
    }
    line(text, &format!("{mark}[[component.unit]]"));
    line(text, &format!("{mark}file    = {}", quoted(file)));
    if let Some((scope, _)) = installed {
        line(text, &format!("scope   = {}", quoted(units::scope_word(scope))));
    }
    line(text, &format!("{mark}restart = \"if-changed\"      # \"never\" where hooks change it in the running system"));
}

/// Looks through a release, bounded. Links are read and never followed.
fn look(below: &Rooted, place: &Path) -> Release {
    let mut found = Release::default();
    let mut open = vec![(PathBuf::new(), 0)];
    let mut left = MOST;
    while let Some((directory, depth)) = open.pop() {
        for name in below.entries(&place.join(&directory)).unwrap_or_default() {
            left = left.saturating_sub(1);
            if left == 0 {
                return found;
            }
            let path = directory.join(&name);
            let (at, Some(text)) = (place.join(&path), path.to_str()) else { continue };
            if let Ok(Some(target)) = below.link(&at) {
                let is_env = name.to_string_lossy().starts_with(".env");
                if !is_env && target.components().any(|part| part.as_os_str() == "shared") {
                    found.shared.push(text.to_owned());
                }
            } else if below.is_directory(&at) {
                let ours = name.to_str().is_some_and(tree::is_ours);
                if ours && depth < DEPTH {
                    open.push((path, depth + 1));
                }
            } else if units::is_unit_file(text) {
                found.units.push(text.to_owned());
            } else if name.to_string_lossy().starts_with(".env") && text.ends_with(".example") {
                found.examples.push(text.to_owned());
            }
        }
    }
    [&mut found.units, &mut found.shared, &mut found.examples].into_iter().for_each(|list| list.sort());
    found
}
