//! The commented manifest that says what was found.

use super::{Found, FoundComponent, FoundStep, FoundUnit, component, units};
use crate::manifest::{Follow, RestartPolicy, Scope};

/// The widest line of a comment, in characters.
const WIDTH: usize = 110;

/// A manifest for the install called `name`: what is installed is declared, what is not is there as a comment.
pub fn draft(found: &Found, name: &str) -> String {
    let mut text = String::new();
    let root = found.root.display();
    line(&mut text, "#:schema file:///usr/share/relift/manifest.schema.json");
    comment(
        &mut text,
        &format!("How relift upgrades {name} on this host, written by `relift init` from what it found in {root}."),
    );
    comment(&mut text, &format!("Read it through, then: relift config check {name} && relift plan {name}"));
    found.notes.iter().for_each(|note| comment(&mut text, note));
    line(&mut text, "schema = 1\n");
    line(&mut text, "[install]");
    line(&mut text, &format!("root  = {}", quoted(&root.to_string())));
    line(&mut text, &format!("owner = {}      # git, checks and steps run as this account", quoted(&found.owner.name)));
    source(&mut text, found);
    for component in found.components.iter().filter(|component| component.installed) {
        text.push('\n');
        text.push_str(&declared(found, component, true));
    }
    for component in found.components.iter().filter(|component| !component.installed) {
        text.push('\n');
        let path = &component.path;
        comment(
            &mut text,
            &format!(
                "{} is not installed here: {path} has no .env and none of its units is installed. To install it, create its \
             .env and take the `# ` away:",
                component.name
            ),
        );
        for declared in declared(found, component, false).lines() {
            line(&mut text, format!("# {declared}").trim_end());
        }
    }
    rest(&mut text, found);
    text
}

fn source(text: &mut String, found: &Found) {
    let git = &found.git;
    line(text, "\n[source.git]");
    git.notes.iter().for_each(|note| comment(text, note));
    line(text, &format!("url    = {}      # pinned: the checkout's own remote must agree", quoted(&git.url)));
    match &git.follow {
        Follow::Branch(branch) => {
            line(text, &format!("branch = {}      # followed fast-forward only", quoted(branch)));
            let shape = git.tags.clone().unwrap_or_else(|| "v{version}".into());
            if git.tags.is_some() {
                line(text, &format!("# tags = {}      # instead of `branch`: follow releases", quoted(&shape)));
            }
        }
        Follow::Tags(shape) => {
            line(text, &format!("tags   = {}      # the newest of these is followed", quoted(&shape.to_string())));
            line(text, "# branch = \"main\"      # instead of `tags`: follow a branch");
        }
    }
    let versions = found.components.iter().filter(|component| component.installed);
    let version = versions.filter_map(|component| semver::Version::parse(&component.version.as_ref()?.1).ok()).next();
    let allow = version.map_or("^1".to_owned(), |version| format!("^{}.{}", version.major, version.minor));
    let signed = if matches!(git.follow, Follow::Tags(_)) { "tag" } else { "commits" };
    line(
        text,
        &format!(
            "# verify = {{ signed = \"{signed}\", allowed-signers = \"/etc/relift/NAME.signers\" }}      # without it, releases are unverified"
        ),
    );
    line(text, &format!("# allow = {}      # the versions that a run may move to by itself", quoted(&allow)));
}

fn declared(found: &Found, component: &FoundComponent, explain: bool) -> String {
    let mut text = String::from("[[component]]\n");
    let say = |note: &str, text: &mut String| {
        if explain {
            comment(text, note)
        }
    };
    component.notes.iter().for_each(|note| say(note, &mut text));
    line(&mut text, &format!("name = {}", quoted(&component.name)));
    line(&mut text, &format!("path = {}", quoted(component.path.as_str())));
    if let Some(path) = &component.installed_if {
        line(&mut text, &format!("installed-if = {}", quoted(path.as_str())));
    } else if !component.installed {
        line(&mut text, &format!("installed-if = {}", quoted(&format!("{}/.env", component.path))));
    }
    if let Some((source, version)) = &component.version {
        let key = source.key.as_ref().map(|key| format!(", key = {}", quoted(key))).unwrap_or_default();
        let now = if explain { format!("      # {version} now") } else { String::new() };
        line(&mut text, &format!("version = {{ file = {}{key} }}{now}", quoted(source.file.as_str())));
    }
    if let Some(changelog) = &component.changelog {
        line(&mut text, &format!("changelog = {}", quoted(changelog.as_str())));
    }
    if let Some((env, has_example)) = &component.env {
        if !has_example {
            say("Upstream ships no example of the .env yet; new keys are told once it does.", &mut text);
        }
        let (file, example) = (quoted(env.file.as_str()), quoted(env.example.as_str()));
        line(&mut text, &format!("env = [{{ file = {file}, example = {example} }}]"));
    }
    artifacts(&mut text, component, explain);
    check(&mut text, component, explain);
    component.steps.iter().for_each(|one| step(&mut text, one, explain));
    component.units.iter().for_each(|one| unit(&mut text, found, (component, one), explain));
    health(&mut text, component, explain);
    needs(&mut text, component, explain);
    text
}

/// What of the host it runs with: proposed, since a restart after every upgrade of the host is the operator's to decide.
fn needs(text: &mut String, component: &FoundComponent, explain: bool) {
    let mut packages: Vec<String> = component.units.iter().flat_map(|unit| unit.packages.clone()).collect();
    packages.sort();
    packages.dedup();
    if packages.is_empty() || !explain {
        return;
    }
    text.push('\n');
    comment(
        text,
        "The program that it runs is of these packages. Whoever maps a replaced library is restarted anyway; to be started \
         anew, and to run steps again, whenever one of these changes:",
    );
    line(text, "# [[component.needs]]");
    line(text, &format!("# packages = {}", list(&packages)));
    if let Some(step) = component.steps.iter().find(|step| !step.proposed) {
        line(text, &format!("# steps = {}", list(std::slice::from_ref(&step.name))));
    }
}

fn artifacts(text: &mut String, component: &FoundComponent, explain: bool) {
    if component.artifacts.is_empty() {
        return;
    }
    let names: Vec<String> = component.artifacts.iter().map(ToString::to_string).collect();
    let why = if explain { "      # kept, so that going back needs no network" } else { "" };
    line(text, &format!("artifacts = {}{why}", list(&names)));
}

fn check(text: &mut String, component: &FoundComponent, explain: bool) {
    let Some(check) = &component.check else { return };
    line(text, "\n[[component.check]]");
    if explain {
        comment(text, "The new release's own check of the configuration, before anything live changes.");
        if let Some(revision) = &check.only_in {
            let name = revision.trim_start_matches("refs/remotes/").trim_start_matches("refs/tags/");
            comment(text, &format!("The installed release does not have it yet; {name} does."));
        }
    }
    line(text, &format!("run = {}", list(&check.run)));
    line(text, "at  = \"staged\"");
}

fn step(text: &mut String, step: &FoundStep, explain: bool) {
    let mark = if step.proposed { "# " } else { "" };
    text.push('\n');
    if explain && step.proposed {
        step.reasons.iter().for_each(|reason| comment(text, reason));
    }
    line(text, &format!("{mark}[[component.step]]"));
    line(text, &format!("{mark}name = {}", quoted(&step.name)));
    line(text, &format!("{mark}run  = {}", list(&step.run)));
    if explain {
        step.as_root.iter().for_each(|reason| comment(text, reason));
    }
    if !step.changed.is_empty() {
        line(text, &format!("{mark}when = {{ changed = {} }}", list(&step.changed)));
    }
    if explain && !step.proposed {
        step.reasons.iter().for_each(|reason| comment(text, reason));
    }
    match step.undo {
        Some(undo) => line(text, &format!("{mark}undo = {}", quoted(undo))),
        None => line(text, "# undo = \"pure\""),
    }
}

fn unit(text: &mut String, found: &Found, (component, unit): (&FoundComponent, &FoundUnit), explain: bool) {
    let mark = if unit.installed.is_none() && component.installed { "# " } else { "" };
    text.push('\n');
    if explain {
        match &unit.installed {
            Some((scope, file)) => {
                comment(text, &format!("Installed as {} ({} scope).", file.display(), units::scope_word(*scope)))
            }
            None => comment(text, "Shipped by upstream, and not installed here:"),
        }
        unit.notes.iter().for_each(|note| comment(text, note));
    }
    let lingers = std::path::Path::new("/var/lib/systemd/linger").join(&found.owner.name).exists();
    if explain && component::has_user_units(std::slice::from_ref(unit)) && !lingers {
        comment(
            text,
            &format!(
                "The user manager of {0} ends when {0} logs out, and with it the service: loginctl enable-linger {0}",
                found.owner.name
            ),
        );
    }
    line(text, &format!("{mark}[[component.unit]]"));
    line(text, &format!("{mark}file    = {}", quoted(unit.file.as_str())));
    let template = unit.file.file_name().contains("@.");
    match (template, unit.instances.is_empty()) {
        (true, false) => line(text, &format!("{mark}instances = {}", list(&unit.instances))),
        (true, true) => line(text, "# instances = [\"NAME\"]      # those that belong to this install"),
        (false, _) => {}
    }
    line(text, &format!("{mark}scope   = {}", quoted(units::scope_word(scope_of(found, component, unit)))));
    let restart = match unit.restart {
        RestartPolicy::Never => "never",
        _ => "if-changed",
    };
    line(text, &format!("{mark}restart = {}", quoted(restart)));
}

/// Where a unit is installed; else where its fellows of the component are, else those of the others.
fn scope_of(found: &Found, component: &FoundComponent, unit: &FoundUnit) -> Scope {
    let fellows = component.units.iter().chain(found.components.iter().flat_map(|other| &other.units));
    let mut scopes = [unit].into_iter().chain(fellows).filter_map(|unit| unit.installed.as_ref());
    scopes.next().map_or(Scope::System, |(scope, _)| *scope)
}

fn health(text: &mut String, component: &FoundComponent, explain: bool) {
    let listening = component.port.as_ref().filter(|port| port.listening);
    if let Some(port) = listening {
        text.push('\n');
        line(text, "[[component.health]]");
        line(text, &format!("tcp = {}      # it listens there now", quoted(&format!("127.0.0.1:${{{}}}", port.key))));
        line(text, "within = \"60s\"");
    }
    if !explain || component.units.is_empty() {
        return;
    }
    text.push('\n');
    comment(
        text,
        match listening {
            Some(_) => "A port that opens proves less than an answer. Better, where there is a page that says so:",
            None => "Only the state of the units is looked at. A new release proves more when it has to answer:",
        },
    );
    let port = component.port.as_ref().map_or("8080".to_owned(), |port| format!("${{{}}}", port.key));
    line(text, "# [[component.health]]");
    line(text, &format!("# http    = \"http://127.0.0.1:{port}/\""));
    if let Some(token) = &component.token {
        line(text, &format!("# headers = {{ X-API-Token = \"${{{token}}}\" }}      # if it asks for one"));
    }
    let json = if component.version.is_some() { ", json = { version = \"{version}\" }" } else { "" };
    line(text, &format!("# expect  = {{ status = 200{json} }}"));
    line(text, "# within  = \"60s\"");
}

fn rest(text: &mut String, found: &Found) {
    if let Some(names) = component::in_step(&found.components) {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        text.push('\n');
        comment(
            text,
            "These share MAJOR.MINOR now. If they must, let them be upgraded together or not at all (each has to be declared):",
        );
        line(text, "# [compatibility]");
        line(text, &format!("# lockstep = [{}]", list(&names)));
    }
    line(text, "\n[policy]");
    line(text, "unattended = \"none\"      # none | patch | minor | major: what a timer may do without being asked");
    line(text, "# window   = \"Mon..Fri 02:00-04:00 Europe/Paris\"      # when it may begin");
    line(text, "soak       = \"30s\"       # how long a new release must stay healthy before it counts as known-good");
    line(text, "keep-known-good = 5");
}

pub(super) fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// A comment, wrapped between words; a line that begins with spaces is code and stays whole.
pub(super) fn comment(text: &mut String, comment: &str) {
    let comment = crate::text::harmless(comment);
    if comment.starts_with(' ') {
        return line(text, &format!("# {comment}"));
    }
    let mut current = String::from("#");
    for word in comment.split_whitespace() {
        if current.chars().count() + 1 + word.chars().count() > WIDTH && current != "#" {
            line(text, &std::mem::replace(&mut current, String::from("#")));
        }
        current.push(' ');
        current.push_str(word);
    }
    line(text, &current);
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A TOML array of strings on one line.
pub(super) fn list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
}
