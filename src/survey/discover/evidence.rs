//! Steps of an upgrade, told from a component's Makefile and lock files.

use super::makefile::{self, Target};
use super::tree::Tree;
use super::{FoundStep, FoundUnit};
use crate::host::account::Account;

/// What says which dependencies a component has.
const DEPENDENCIES: [&str; 16] = [
    "uv.lock",
    "pyproject.toml",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "requirements.txt",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "package.json",
    "Cargo.lock",
    "go.sum",
    "Gemfile.lock",
    "composer.lock",
    "mix.lock",
];
/// Words in a script that creates directories and sets owners.
const PREPARES: [&str; 5] = ["mkdir", "makedirs", "install -d", "chown", "chmod"];
/// Words in a script that does more than that.
const CHANGES_DATA: [&str; 18] = [
    "sqlite",
    "psql",
    "postgres",
    "mysql",
    "mariadb",
    "mongo",
    "migrat",
    "alembic",
    "manage.py",
    "createdb",
    "drop ",
    "insert ",
    "rm -",
    "unlink",
    "rmtree",
    ".remove(",
    "write_text",
    "truncate",
];
/// Targets that often belong to an upgrade too.
const OTHERS: [&str; 8] =
    ["migrate", "migrations", "db-migrate", "db-upgrade", "upgrade-db", "build", "assets", "collectstatic"];

/// A Makefile of a component: its text and targets.
#[derive(Debug, Default)]
pub(super) struct Makefile {
    text: String,
    targets: Vec<Target>,
}

impl Makefile {
    fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }
}

/// The Makefile of a component; make looks for the names in this order.
pub(super) fn makefile(tree: &Tree<'_>, component: &str) -> Makefile {
    let names = ["GNUmakefile", "makefile", "Makefile"];
    let text = names.iter().find_map(|name| tree.text(&format!("{component}/{name}"))).unwrap_or_default();
    Makefile { targets: makefile::targets(&text), text }
}

/// The steps that the Makefile has targets for, or that the lock files ask for.
pub(super) fn steps(tree: &Tree<'_>, component: &str, owner: &Account, makefile: &Makefile) -> Vec<FoundStep> {
    let sync = match makefile.target("sync") {
        Some(target) => Some(sync(tree, component, target)),
        None => proposed_sync(tree, component),
    };
    let init = makefile.target("init").map(|target| init(tree, component, owner, (makefile, target)));
    sync.into_iter().chain(init).collect()
}

/// Targets that the operator should know to have been seen.
pub(super) fn other_targets(makefile: &Makefile, units: &[FoundUnit]) -> Vec<String> {
    let mut notes = Vec::new();
    if makefile.target("create-service").is_some() && !units.is_empty() {
        notes.push("`make create-service` is not needed: relift installs and restarts the units below itself.".into());
    }
    let others: Vec<&str> = OTHERS.into_iter().filter(|name| makefile.target(name).is_some()).collect();
    if !others.is_empty() {
        notes.push(format!(
            "The Makefile also has {}: if an upgrade must run one of them, declare it as a step.",
            others.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ));
    }
    notes
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| word.to_string()).collect()
}

fn dependencies(tree: &Tree<'_>, component: &str) -> Vec<String> {
    let tracked = DEPENDENCIES.iter().filter(|name| tree.is_tracked(&format!("{component}/{name}")));
    tracked.map(|name| name.to_string()).collect()
}

fn sync(tree: &Tree<'_>, component: &str, target: &Target) -> FoundStep {
    let mut reasons = vec!["Running it in the old tree brings the old dependencies back.".to_owned()];
    let named = named_files(tree, component, &target.recipe);
    let script = named.iter().find(|name| !DEPENDENCIES.contains(&name.as_str()));
    let mut changed = dependencies(tree, component);
    if let Some(script) = script {
        // It may read anything: a list that lacks one of its sources would leave what it makes stale.
        changed.clear();
        reasons.push(format!(
            "It runs whenever the component changed: what {script} depends on cannot be told. To narrow it: when = {{ \
             changed = [...] }}"
        ));
    }
    FoundStep {
        name: "sync".into(),
        run: words(&["make", "sync"]),
        changed,
        undo: Some("rerun"),
        reasons,
        proposed: false,
        as_root: Vec::new(),
    }
}

/// What would bring the dependencies, where no Makefile says.
fn proposed_sync(tree: &Tree<'_>, component: &str) -> Option<FoundStep> {
    let known: [(&str, &[&str]); 5] = [
        ("uv.lock", &["uv", "sync", "--frozen"]),
        ("poetry.lock", &["poetry", "install", "--sync"]),
        ("requirements.txt", &[".venv/bin/pip", "install", "-r", "requirements.txt"]),
        ("package-lock.json", &["npm", "ci"]),
        ("pnpm-lock.yaml", &["pnpm", "install", "--frozen-lockfile"]),
    ];
    let (_, run) = known.into_iter().find(|(lock, _)| tree.is_tracked(&format!("{component}/{lock}")))?;
    Some(FoundStep {
        name: "dependencies".into(),
        run: words(run),
        changed: dependencies(tree, component),
        undo: Some("rerun"),
        reasons: vec!["The lock file asks for it; check that this is how it is done here.".into()],
        proposed: true,
        as_root: Vec::new(),
    })
}

fn init(tree: &Tree<'_>, component: &str, owner: &Account, (makefile, target): (&Makefile, &Target)) -> FoundStep {
    let scripts = named_files(tree, component, &target.recipe);
    let sources: Vec<(String, String)> = scripts
        .iter()
        .filter_map(|name| Some((name.clone(), tree.text(&format!("{component}/{name}"))?)))
        .chain([("the Makefile".to_owned(), target.recipe.join("\n"))])
        .collect();
    let mut changed = scripts.clone();
    if changed.is_empty() {
        changed.push("Makefile".into());
    }
    changed.push(".env".into());
    let mut reasons = Vec::new();
    let undo = match (first_word(&sources, &PREPARES), first_word(&sources, &CHANGES_DATA)) {
        (Some((file, word)), None) => {
            reasons.push(format!(
                "It creates directories or sets their owners (`{word}` in {file}), which the old release does not \
                 mind: assumed, and to be checked. Without `undo` it would count as irreversible."
            ));
            Some("pure")
        }
        (_, found) => {
            if let Some((file, word)) = found {
                reasons.push(format!("It may change data (`{word}` in {file})."));
            }
            reasons.push(
                "Without `undo` it counts as irreversible: going back is then the operator's. If nothing is lost, say \
                 \"pure\" or \"rerun\"; if a command undoes it, { run = [...] }."
                    .into(),
            );
            None
        }
    };
    let as_root = root_evidence(makefile, &sources).map(|why| as_root(why, owner, &scripts, &sources));
    let run = words(&["make", "init"]);
    FoundStep {
        name: "init".into(),
        run,
        changed,
        undo,
        reasons,
        proposed: false,
        as_root: as_root.unwrap_or_default(),
    }
}

/// The first source that holds one of the words, and the word.
fn first_word(sources: &[(String, String)], words: &[&'static str]) -> Option<(String, &'static str)> {
    sources.iter().find_map(|(name, text)| {
        let text = text.to_lowercase();
        words.iter().find(|word| text.contains(**word)).map(|word| (name.clone(), *word))
    })
}

/// Where upstream says, or shows, that root should run it.
fn root_evidence(makefile: &Makefile, sources: &[(String, String)]) -> Option<String> {
    let says = |line: &&str| {
        let line = line.to_lowercase();
        line.contains("sudo") && line.contains("make init")
    };
    if let Some(line) = makefile.text.lines().find(says) {
        let line = line.trim().trim_start_matches("@echo").trim().trim_matches('"');
        return Some(format!("the Makefile says: {}", line.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    let shows = |(name, text): &(String, String)| {
        ["sudo", "chown"].iter().find(|word| text.contains(**word)).map(|word| format!("`{word}` in {name}"))
    };
    sources.iter().find_map(shows)
}

/// The lines for an operator who decides that root shall run it.
fn as_root(why: String, owner: &Account, scripts: &[String], sources: &[(String, String)]) -> Vec<String> {
    let owner_name = &owner.name;
    let mut lines = vec![
        format!("Upstream means it for root ({why})."),
        format!(
            "Here it runs as {owner_name}. That is enough while the directories that it sets up exist; where it fails, the \
             run is undone. Root runs it only from a read-only copy of a release that was verified or pinned (`verify`, \
             `relift trust pin`); the live directory is $RELIFT_CHECKOUT then. To let root do it:"
        ),
    ];
    let script = scripts.iter().find(|name| name.ends_with(".py"));
    let run = match script {
        // Through uv, root would leave files of its own in the checkout and in the owner's cache.
        Some(script) => vec!["python3".to_owned(), script.clone()],
        None => words(&["make", "init"]),
    };
    let reads_sudo = sources.iter().any(|(_, text)| text.contains("SUDO_UID"));
    let run = match reads_sudo {
        true => {
            [words(&["env"]), vec![format!("SUDO_UID={}", owner.uid), format!("SUDO_GID={}", owner.gid)], run].concat()
        }
        false => run,
    };
    lines.push(format!("    run = {}", super::draft::list(&run)));
    lines.push("    as  = \"root\"".into());
    if reads_sudo {
        lines.push("(SUDO_UID tells it whose the directories are; without it they would become root's.)".into());
    }
    lines
}

/// The tracked files of the component that a recipe names.
fn named_files(tree: &Tree<'_>, component: &str, recipe: &[String]) -> Vec<String> {
    let separators = |c: char| c.is_whitespace() || ";|&\"'()=<>".contains(c);
    let mut files: Vec<String> = Vec::new();
    for token in recipe.iter().flat_map(|line| line.split(separators)) {
        let token = token.trim_start_matches("./");
        if !token.is_empty()
            && !files.iter().any(|known| known == token)
            && tree.is_tracked(&format!("{component}/{token}"))
        {
            files.push(token.to_owned());
        }
    }
    files
}
