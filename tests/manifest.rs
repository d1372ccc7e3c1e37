//! What a manifest may say, and what an operator reads when it says something else.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use relift::cli::config;
use relift::cli::globals::Globals;
use relift::error::{Exit, Kind};
use relift::host::paths::Paths;
use relift::manifest::{self, BackupWhen, Follow, Install, Probe, Problems, RelPath, RunAs, Source, StepUndo};

const GOOD: &str = include_str!("fixtures/manifest/good.toml");
const FILE: &str = "/etc/relift/app.toml";

fn parse(text: &str) -> Result<Install, Problems> {
    manifest::parse("app", Path::new(FILE), text)
}

/// The good manifest with one piece of text changed, which must be there.
fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "the good manifest has no {from:?}");
    GOOD.replacen(from, to, 1)
}

/// A name for the mistake, what is written, and what is written instead.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("not TOML: an open string", "name = \"manager\"\n", "name = \"manager\n"),
    ("not TOML: a key twice", "branch = \"main\"\n", "branch = \"main\"\nbranch = \"dev\"\n"),
    ("another format", "schema = 1", "schema = 2\nfuture = true"),
    ("the format is missing", "schema = 1\n", ""),
    ("the format is a string", "schema = 1", "schema = \"1\""),
    ("a key is misspelt", "owner = ", "ownr = "),
    ("a key of another table", "soak       = \"2min\"", "restart = \"always\""),
    ("a table is misspelt", "[policy]", "[polcy]"),
    ("a header without double brackets", "[[component.health]]", "[component.health]"),
    ("a number where a span belongs", "timeout = \"5min\"", "timeout = 300"),
    ("a span without a unit", "timeout = \"5min\"", "timeout = \"300\""),
    ("a span of no known unit", "timeout = \"5min\"", "timeout = \"5 parsecs\""),
    ("a negative span", "soak       = \"2min\"", "soak = \"-2min\""),
    ("no time at all", "within  = \"60s\"", "within = \"0s\""),
    ("longer than a day", "timeout = \"5min\"", "timeout = \"48h\""),
    ("a shell command", "[\"make\", \"sync\"]", "\"make sync\""),
    ("a command in one word", "[\"make\", \"sync\"]", "[\"make sync\"]"),
    ("no program", "[\"make\", \"sync\"]", "[]"),
    (
        "two sources",
        "[[component]]\nname = \"manager\"",
        "[source.packages]\npackages = [\"x\"]\n\n[[component]]\nname = \"manager\"",
    ),
    (
        "no source",
        "[source.git]\nurl    = \"https://git.example.org/esup-runner.git\"\nbranch = \"main\"\ndiscard = [\"runner/uv.lock\"]\n",
        "[source]\n",
    ),
    (
        "a project without files",
        "[source.git]\nurl    = \"https://git.example.org/esup-runner.git\"\nbranch = \"main\"\ndiscard = [\"runner/uv.lock\"]\n",
        "[source.compose]\nproject = \"x\"\n",
    ),
    (
        "a signed tag on a branch",
        "branch = \"main\"\n",
        "branch = \"main\"\nverify = { signed = \"tag\", allowed-signers = \"/etc/relift/a.signers\" }\n",
    ),
    (
        "signed commits of tags",
        "branch = \"main\"\n",
        "tags = \"v{version}\"\nverify = { signed = \"tip\", allowed-signers = \"/etc/relift/a.signers\" }\n",
    ),
    ("nobody who may sign", "branch = \"main\"\n", "branch = \"main\"\nverify = { signed = \"commits\" }\n"),
    (
        "verify without what is signed",
        "branch = \"main\"\n",
        "branch = \"main\"\nverify = { allowed-signers = \"/etc/relift/a.signers\" }\n",
    ),
    (
        "something else signed",
        "branch = \"main\"\n",
        "branch = \"main\"\nverify = { signed = \"comits\", allowed-signers = \"/etc/relift/a.signers\" }\n",
    ),
    (
        "signers in the checkout",
        "branch = \"main\"\n",
        "branch = \"main\"\nverify = { signed = \"tip\", allowed-signers = \"/opt/esup-runner/signers\" }\n",
    ),
    (
        "signers by a relative path",
        "branch = \"main\"\n",
        "branch = \"main\"\nverify = { signed = \"tip\", allowed-signers = \"signers\" }\n",
    ),
    (
        "revoked keys of nobody",
        "branch = \"main\"\n",
        "branch = \"main\"\nverify = { signed = \"tip\", revoked = \"/etc/relift/a.krl\", keyring = \"/etc/relift/a.gpg\", fingerprints = [\"0123456789ABCDEF0123456789ABCDEF01234567\"] }\n",
    ),
    (
        "a keyring without fingerprints",
        "branch = \"main\"\n",
        "branch = \"main\"\nverify = { signed = \"tip\", keyring = \"/etc/relift/a.gpg\" }\n",
    ),
    (
        "fingerprints without a keyring",
        "branch = \"main\"\n",
        "branch = \"main\"\nverify = { signed = \"tip\", allowed-signers = \"/etc/relift/a.signers\", fingerprints = [\"0123456789ABCDEF0123456789ABCDEF01234567\"] }\n",
    ),
    (
        "a short fingerprint",
        "branch = \"main\"\n",
        "branch = \"main\"\nverify = { signed = \"tip\", keyring = \"/etc/relift/a.gpg\", fingerprints = [\"0x89ABCDEF\", \"89ABCDEF\"] }\n",
    ),
    (
        "an age that is none",
        "branch = \"main\"\n",
        "branch = \"main\"\nverify = { signed = \"tip\", allowed-signers = \"/etc/relift/a.signers\", max-age = \"30\" }\n",
    ),
    ("a rerun that is not idempotent", "undo = \"rerun\"", "undo = \"rerun\"\nidempotent = false"),
    ("a backup of nothing", "[policy]", "[backup]\nkeep = 3\n\n[policy]"),
    ("a backup that leaves the root", "[policy]", "[backup]\npaths = [\"../data\"]\n\n[policy]"),
    ("a backup of git's own files", "[policy]", "[backup]\npaths = [\"manager/data\", \".git/config\"]\n\n[policy]"),
    ("a path inside another", "[policy]", "[backup]\npaths = [\"manager/data\", \"manager/data/uploads\"]\n\n[policy]"),
    ("a path twice", "[policy]", "[backup]\npaths = [\"manager/data\", \"manager/data\"]\n\n[policy]"),
    (
        "a database as a file as well",
        "[policy]",
        "[backup]\npaths = [\"manager/app.db\"]\nsqlite = [\"manager/app.db\"]\n\n[policy]",
    ),
    ("volumes of a checkout", "[policy]", "[backup]\nvolumes = [\"data\"]\nwhen = \"quiesced\"\n\n[policy]"),
    (
        "volumes twice, and one that is none",
        "[policy]",
        "[backup]\nvolumes = [\"data\", \"data\", \"a/b\"]\n\n[policy]",
    ),
    ("no backup is kept", "[policy]", "[backup]\npaths = [\"manager/data\"]\nkeep = 0\n\n[policy]"),
    ("a moment that there is not", "[policy]", "[backup]\npaths = [\"manager/data\"]\nwhen = \"quiet\"\n\n[policy]"),
    ("a place that is none", "[policy]", "[backup]\npaths = [\"manager/data\"]\ndirectory = \"backups\"\n\n[policy]"),
    ("a misspelt key of a backup", "[policy]", "[backup]\npath = [\"manager/data\"]\n\n[policy]"),
    ("an undo by a backup that is not declared", "undo = \"rerun\"", "undo = \"restore-backup\""),
    ("an unknown undo", "undo = \"rerun\"", "undo = \"re-run\""),
    ("an unknown restart", "restart = \"if-changed\"", "restart = \"sometimes\""),
    ("an unknown scope", "scope   = \"user\"", "scope = \"users\""),
    ("an unknown account for a step", "as   = \"root\"", "as = \"www-data\""),
    ("a relative root", "\"/opt/esup-runner\"", "\"opt/esup-runner\""),
    ("the root directory", "\"/opt/esup-runner\"", "\"/\""),
    ("a root with dots", "\"/opt/esup-runner\"", "\"/opt/app/../../etc\""),
    ("an owner by number", "\"esup-runner\"", "\"1000\""),
    ("a path that leaves the root", "installed-if = \"manager/.env\"", "installed-if = \"../etc/shadow\""),
    ("an absolute path", "path = \"runner\"", "path = \"/opt/runner\""),
    ("a path with a final slash", "path = \"runner\"", "path = \"./runner/\""),
    ("a nested component", "path = \"runner\"", "path = \"manager/runner\""),
    ("two components of one name", "name = \"runner\"", "name = \"manager\""),
    ("a component's name with capitals", "name = \"runner\"", "name = \"Runner 1\""),
    ("two steps of one name", "name = \"init\"", "name = \"sync\""),
    (
        "a version file that is more than a version",
        "file = \"pyproject.toml\", key = \"project.version\"",
        "file = \"pyproject.toml\"",
    ),
    ("a key in a plain version file", "{ file = \"VERSION\" }", "{ file = \"VERSION\", key = \"version\" }"),
    ("a version that is a string", "{ file = \"VERSION\" }", "\"VERSION\""),
    ("a unit without a kind", "esup-runner-manager.service", "esup-runner-manager"),
    ("a unit with a space", "esup-runner-manager.service", "esup runner.service"),
    ("an instance with a slash", "[\"a\", \"b\"]", "[\"a\", \"var/lib\"]"),
    ("instances of a plain unit", "worker@.service", "worker.service"),
    (
        "a unit twice",
        "production/worker@.service\"\ninstances = [\"a\", \"b\"]",
        "production/esup-runner-manager.service\"\nscope = \"user\"",
    ),
    ("no path in when", "changed = [\"uv.lock\", \"pyproject.toml\"]", "changed = []"),
    ("when as a list", "{ changed = [\"uv.lock\", \"pyproject.toml\"] }", "[\"uv.lock\"]"),
    ("a URL of no known scheme", "https://git.example.org", "htps://git.example.org"),
    ("a URL that runs a program", "https://git.example.org/esup-runner.git", "ext::sh -c evil"),
    ("a password in a URL", "https://git.example.org", "https://u:hunter2@git.example.org"),
    ("branch and tags", "branch = \"main\"", "branch = \"main\"\ntags = \"v{version}\""),
    ("neither branch nor tags", "branch = \"main\"\n", ""),
    ("a branch that git does not allow", "branch = \"main\"", "branch = \"main..dev\""),
    ("a whole reference", "branch = \"main\"", "branch = \"refs/heads/main\""),
    ("tags without a version", "branch = \"main\"", "tags = \"manager-v\""),
    ("tags with two versions", "branch = \"main\"", "tags = \"{version}-{version}\""),
    ("a range with v", "branch = \"main\"", "branch = \"main\"\nallow = \"^v1.7\""),
    ("a health URL without a host", "http://127.0.0.1:${MANAGER_PORT}/api/version", "/api/version"),
    ("a health URL with a space", "/api/version", "/api version"),
    ("an open placeholder", "${MANAGER_PORT}", "${MANAGER_PORT"),
    ("a placeholder with a default", "${MANAGER_PORT}", "${MANAGER_PORT:-80}"),
    ("a misspelt version", "\"{version}\"", "\"{verson}\""),
    ("no such header", "X-API-Token", "\"X API Token\""),
    ("no such status", "status = 200", "status = 99"),
    ("two questions in one check", "within  = \"60s\"", "tcp = \"127.0.0.1:80\""),
    ("no question", "http    = \"http://127.0.0.1:${MANAGER_PORT}/api/version\"\n", ""),
    ("a pattern that does not parse", "json = { version = \"{version}\" }", "body = \"ok(\""),
    (
        "a port that is none",
        "http    = \"http://127.0.0.1:${MANAGER_PORT}/api/version\"\nheaders = { X-API-Token = \"${AUTHORIZED_TOKENS__app}\" }\nexpect  = { status = 200, json = { version = \"{version}\" } }",
        "tcp = \"127.0.0.1:http\"",
    ),
    ("a key without a .env", "env = [{ file = \".env\", example = \".env.example\" }]\n", ""),
    ("a dialect that nobody reads", "example = \".env.example\" }", "example = \".env.example\", dialect = \"json\" }"),
    ("a public value", "example = \".env.example\" }", "example = \".env.example\", public = [\"LOG_LEVEL=info\"] }"),
    ("a policy for new keys that is none", "keep-known-good = 5", "keep-known-good = 5\nenv = \"ignore\""),
    ("lockstep with a stranger", "[[\"manager\", \"runner\"]]", "[[\"manager\", \"runer\"]]"),
    ("lockstep of one", "[[\"manager\", \"runner\"]]", "[[\"manager\"]]"),
    ("a window without times", "Mon..Fri 02:00-04:00 Europe/Paris", "Mon..Fri"),
    ("no window but what is taken out of one", "\"Mon..Fri 02:00-04:00 Europe/Paris\"", "[\"!Mon 02:00-04:00\"]"),
    ("a second window without an end", "\"Mon..Fri 02:00-04:00 Europe/Paris\"", "[\"02:00-04:00\", \"Sat 02:00\"]"),
    ("days of no year", "keep-known-good = 5", "freeze = [\"2026-12-24\", \"2027-01-05..2026-12-20\"]"),
    ("no age", "keep-known-good = 5", "cooldown = \"a day\""),
    ("a splay without a unit", "keep-known-good = 5", "splay = 7200"),
    ("no attempt", "keep-known-good = 5", "attempts = 0"),
    ("a lock that is none", "keep-known-good = 5", "inhibit = [\"reboot\"]"),
    ("a battery that stops", "keep-known-good = 5", "on-battery = \"stop\""),
    ("a question to nobody", "keep-known-good = 5", "defer = { run = [\"is-busy\"], timeout = \"1h\" }"),
    ("nothing is kept", "keep-known-good = 5", "keep-known-good = 0"),
    ("a float", "keep-known-good = 5", "keep-known-good = 5.5"),
];

#[test]
fn every_mistake_is_shown_at_its_line_and_column_with_what_would_be_right() {
    let mut shown = String::new();
    for (what, from, to) in MISTAKES {
        let problems = parse(&changed(from, to)).err().unwrap_or_else(|| panic!("{what}: was accepted"));
        let error = problems.clone().into_error();
        assert_eq!(error.kind, Kind::Usage, "{what}");
        for problem in &problems.list {
            let place = format!("{FILE}:{}:{}", problem.line, problem.column);
            let rendered = error.detail.join("\n");
            assert!(rendered.contains(&place), "{what}: no {place} in\n{rendered}");
            assert!(problem.line > 0 && problem.column > 0, "{what}");
        }
        shown.push_str(&format!("## {what}\n{}\n\n", problems.render(false)));
    }
    insta::assert_snapshot!("mistakes", shown);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = GOOD
        .replace("\"5min\"", "\"5 parsecs\"")
        .replace("\"main\"", "\"a..b\"")
        .replace("path = \"runner\"", "path = \"../runner\"");
    let problems = parse(&text).unwrap_err();
    let keys: Vec<&str> = problems.list.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["source.git.branch", "component[0].step[1].timeout", "component[1].path"]);

    let text = GOOD.replace("owner =", "ownr =").replace("at  =", "att =").replace("soak  ", "soack ");
    let keys: Vec<String> = parse(&text).unwrap_err().list.into_iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["install", "install.ownr", "component[0].check[0].att", "policy.soack"]);
}

#[test]
fn a_good_manifest_means_what_it_says() {
    let install = parse(GOOD).unwrap();
    assert_eq!((install.name.as_str(), install.owner.as_str()), ("app", "esup-runner"));
    let Source::Git(git) = &install.source else { unreachable!() };
    assert_eq!(git.follow, Follow::Branch("main".into()));
    let manager = &install.components[0];
    assert_eq!(manager.steps[1].run_as, RunAs::Root);
    assert_eq!(manager.steps[1].timeout, Duration::from_secs(300));
    assert_eq!((&manager.steps[0].undo, &manager.steps[1].undo), (&StepUndo::Rerun, &StepUndo::Pure));
    let Probe::Http { url, headers, json, .. } = &manager.health[0].probe else { panic!("{:?}", manager.health) };
    assert_eq!(url.keys(), ["MANAGER_PORT"]);
    assert_eq!(headers[0].0, "X-API-Token");
    assert!(json[0].1.names_version());
    assert_eq!(install.components[1].units[0].names(), ["worker@a.service", "worker@b.service"]);
    assert_eq!(install.policy.soak, Duration::from_secs(120));
}

#[test]
fn a_step_is_idempotent_where_its_undo_or_the_operator_says_so() {
    let of = |undo: &str| parse(&changed("undo = \"rerun\"\n", undo)).unwrap().components[0].steps[0].idempotent;
    assert!(of("undo = \"rerun\"\n") && of("undo = \"pure\"\n") && of("idempotent = true\n"));
    assert!(!of("undo = { run = [\"true\"] }\n") && !of("undo = \"irreversible\"\n"));
}

#[test]
fn a_backup_means_what_it_says() {
    let table = "[backup]\npaths = [\"manager/data\", \"manager/.env\"]\nsqlite = [\"manager/data/app.db\"]\n";
    let with = |more: &str| parse(&GOOD.replacen("[policy]", &format!("{table}{more}\n[policy]"), 1)).unwrap();
    let plain = with("").backup.unwrap();
    let shown = |paths: &[RelPath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&plain.paths), ["manager/data", "manager/.env"]);
    assert_eq!(shown(&plain.sqlite), ["manager/data/app.db"]);
    assert_eq!((plain.keep, plain.when, plain.directory), (5, BackupWhen::Prepare, None));
    let full = with("keep = 2\nwhen = \"quiesced\"\ndirectory = \"/srv/backups/\"\n");
    let backup = full.backup.clone().unwrap();
    assert_eq!((backup.keep, backup.when), (2, BackupWhen::Quiesced));
    assert_eq!(backup.directory.as_deref(), Some(Path::new("/srv/backups")));
    let again = parse(&manifest::effective(&full).unwrap()).unwrap();
    assert_eq!(again.backup, full.backup, "what is shown is a manifest that says the same");
    let step = |install: &Install| install.components[0].steps[0].undo.clone();
    let restored = GOOD.replacen("undo = \"rerun\"", "undo = \"restore-backup\"", 1);
    let restored = parse(&restored.replacen("[policy]", &format!("{table}\n[policy]"), 1)).unwrap();
    assert_eq!(step(&restored), StepUndo::RestoreBackup);
    assert!(parse(GOOD).unwrap().backup.is_none());
}

#[test]
fn volumes_are_those_of_a_compose_project_and_are_copied_when_it_is_stopped() {
    let template = include_str!("../templates/manifests/compose-image.toml");
    let install = parse(template).unwrap();
    assert_eq!(install.backup.as_ref().unwrap().volumes, ["state"]);
    let again = parse(&manifest::effective(&install).unwrap()).unwrap();
    assert_eq!(again.backup, install.backup);
    let live = parse(&template.replace("when    = \"quiesced\"", "")).err().unwrap().render(false);
    assert!(live.contains("add when = \"quiesced\" to [backup]"), "{live}");
}

#[test]
fn an_undeclared_undo_is_irreversible_and_said_so() {
    let install = parse(&changed("undo = \"rerun\"\n", "")).unwrap();
    assert_eq!(install.components[0].steps[0].undo, StepUndo::Irreversible);
    assert!(install.warnings.iter().any(|text| text.contains("step sync") && text.contains("irreversible")));
}

#[test]
fn what_is_risky_is_a_warning() {
    let text = GOOD
        .replace("example = \".env.example\"", "example = \".env\"")
        .replace("https://git", "http://git")
        .replace("[source.git]", "trust-checkout = true\n[source.git]")
        .replace("\"${AUTHORIZED_TOKENS__app}\"", "\"hunter2\"");
    let warnings = parse(&text).unwrap().warnings.join("\n");
    for word in
        ["the file itself", "not authenticated", "root runs whatever", "runner declares no health", "is written out"]
    {
        assert!(warnings.contains(word), "{word}: {warnings}");
    }
    assert!(!warnings.contains("hunter2"), "{warnings}");
}

#[test]
fn a_secret_that_is_written_out_is_never_shown() {
    let secret = "hunter2";
    let header = changed("\"${AUTHORIZED_TOKENS__app}\"", "\"hunter2\"");
    let texts = [
        header.replace("X-API-Token", "\"X API Token\""),
        header.replace("headers =", "headrs ="),
        header.replace("\"hunter2\" }", "\"hunter2 }"),
        header.replace("\"hunter2\" }", "\"hunter2\\n\" }"),
        header.replace("\"hunter2\"", "{ a = \"hunter2\" }"),
        header.replace("\"hunter2\"", "[\"hunter2\"]"),
        changed("https://git", "https://u:hunter2@git"),
        changed("http://127.0.0.1:${MANAGER_PORT}", "http://u:hunter2@127.0.0.1"),
        changed("https://git.example.org/esup-runner.git\"", "https://u:hunter2@git.example.org/a"),
    ];
    for text in texts {
        let problems = parse(&text).err().unwrap_or_else(|| panic!("was accepted:\n{text}"));
        let error = format!("{:?} {}", problems.clone().into_error(), problems.render(true));
        assert!(!error.contains(secret), "{}", problems.render(false));
    }
    let shown = manifest::effective(&parse(&header).unwrap()).unwrap();
    assert!(!shown.contains(secret) && shown.contains("<set>"), "{shown}");
}

#[test]
fn the_effective_manifest_means_the_same() {
    let install = parse(GOOD).unwrap();
    let again = manifest::effective(&install).unwrap();
    let reread = parse(&again).unwrap_or_else(|problems| panic!("{}\n{again}", problems.render(false)));
    let plain = |install: &Install| format!("{:#?}", (&install.components, &install.policy, &install.lockstep));
    assert_eq!(plain(&install), plain(&reread));
    insta::assert_snapshot!("effective", again);
}

#[test]
fn the_schema_describes_every_key_of_the_example() {
    fn check(schema: &serde_json::Value, defs: &serde_json::Value, value: &toml::Value, at: &str) {
        let name = schema.get("$ref").and_then(|name| name.as_str()).map(|name| name.trim_start_matches("#/$defs/"));
        let schema = name.map_or(schema, |name| &defs[name]);
        match value {
            toml::Value::Table(table) => table.iter().for_each(|(key, value)| {
                let below = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
                assert!(below.is_object(), "{at}.{key} is not in the schema");
                let described = schema["properties"].get(key).is_none() || below["description"].is_string();
                assert!(described, "{at}.{key} has no description");
                check(below, defs, value, &format!("{at}.{key}"));
            }),
            toml::Value::Array(list) => list.iter().for_each(|value| check(&schema["items"], defs, value, at)),
            _ => {}
        }
    }
    let schema = manifest::schema();
    assert!(!schema.to_string().contains("\"null\""));
    check(&schema, &schema["$defs"], &toml::from_str(GOOD).unwrap(), "");
}

fn etc(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("etc/relift");
    std::fs::create_dir_all(&place).unwrap();
    for (name, text) in files {
        std::fs::write(place.join(name), text).unwrap();
    }
    root
}

#[test]
fn only_manifests_are_read_and_backups_are_not() {
    let junk = "not a manifest";
    let root = etc(&[
        ("b.toml", GOOD),
        ("a.toml", GOOD),
        ("a.toml~", junk),
        ("a.toml.dpkg-old", junk),
        (".#a.toml", junk),
        (".a.toml.swp", junk),
        ("#a.toml#", junk),
        ("README", junk),
    ]);
    std::fs::create_dir(root.path().join("etc/relift/d.toml")).unwrap();
    let installs = manifest::all(&Paths::below(root.path()), None).unwrap();
    assert_eq!(installs.iter().map(|install| install.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn every_broken_manifest_is_told() {
    let root = etc(&[("a.toml", "schema = 3"), ("b.toml", GOOD), ("c.toml", "=")]);
    let error = manifest::all(&Paths::below(root.path()), None).unwrap_err();
    let text = format!("{error} {}", error.detail.join("\n"));
    assert!(text.contains("a.toml:1:10") && text.contains("c.toml:1:1"), "{text}");
    assert!(manifest::named(&Paths::below(root.path()), None, Some("b")).is_ok(), "a broken neighbour stops b");
}

#[test]
fn the_only_install_needs_no_name_and_several_are_listed() {
    let paths = |root: &tempfile::TempDir| Paths::below(root.path());
    let one = etc(&[("a.toml", GOOD)]);
    assert_eq!(manifest::named(&paths(&one), None, None).unwrap().name, "a");
    let two = etc(&[("alpha.toml", GOOD), ("beta.toml", GOOD)]);
    let error = manifest::named(&paths(&two), None, None).unwrap_err();
    assert!(error.kind == Kind::Usage && error.to_string().contains("alpha, beta"), "{error}");
    let error = manifest::named(&paths(&two), None, Some("alpa")).unwrap_err();
    assert!(error.hints[0].contains("did you mean alpha?"), "{error:?}");
    let none = etc(&[]);
    let error = manifest::named(&paths(&none), None, None).unwrap_err();
    assert!(error.hints[0].contains("relift init"), "{error:?}");
    let file = two.path().join("etc/relift/beta.toml");
    assert_eq!(manifest::named(&paths(&two), Some(&file), None).unwrap().name, "beta");
    assert!(manifest::named(&paths(&two), Some(&file), Some("alpha")).is_err());
}

#[test]
fn root_does_not_use_what_another_account_could_have_written() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    let root = etc(&[("a.toml", GOOD)]);
    let (place, file) = (root.path().join("etc/relift"), root.path().join("etc/relift/a.toml"));
    let refused = |why: &str| {
        let error = manifest::load(&file).expect_err(why);
        assert_eq!(error.kind, Kind::Refused, "{why}");
        assert!(error.to_string().contains(why), "{error}");
    };
    let mode = |path: &Path, mode: u32| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    mode(&file, 0o666);
    refused("may be written by every account");
    mode(&file, 0o664);
    assert!(manifest::load(&file).is_ok(), "the group root is root");
    std::os::unix::fs::chown(&file, None, Some(1234)).unwrap();
    refused("by the group with gid 1234");
    std::os::unix::fs::chown(&file, Some(1234), Some(0)).unwrap();
    refused("belongs to uid 1234");
    std::os::unix::fs::chown(&file, Some(0), Some(0)).unwrap();
    mode(&place, 0o777);
    refused("may be written by every account");
    mode(&place, 0o755);
    assert!(manifest::load(&file).is_ok());
    let elsewhere = root.path().join("theirs");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::rename(&file, elsewhere.join("a.toml")).unwrap();
    symlink(elsewhere.join("a.toml"), &file).unwrap();
    assert!(manifest::load(&file).is_ok());
    std::os::unix::fs::chown(&elsewhere, Some(1234), None).unwrap();
    refused("belongs to uid 1234");
}

#[test]
fn a_file_that_is_no_text_is_said_to_be_so() {
    let root = etc(&[("a.toml", GOOD)]);
    let file = root.path().join("etc/relift/a.toml");
    std::fs::write(&file, b"schema = 1\n# \xff\n").unwrap();
    let error = manifest::load(&file).unwrap_err();
    assert!(error.kind == Kind::Usage && error.to_string().contains("line 2"), "{error}");
    std::fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(manifest::load(&file).unwrap_err().kind, Kind::Failed);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(manifest::load(&file).unwrap_err().kind, Kind::Failed);
}

fn config(root: &tempfile::TempDir, args: &[&str]) -> Result<Exit, relift::Error> {
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        globals: Globals,
        #[command(flatten)]
        args: config::Args,
    }
    let cli = Cli::parse_from(["config", "--quiet", "--root", root.path().to_str().unwrap()].iter().chain(args));
    config::run(&cli.args, &cli.globals)
}

/// The manifests that are installed in `/usr/share/relift/templates/manifests`.
fn templates() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/manifests");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: &std::path::PathBuf| {
        (file.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(file).unwrap())
    };
    files.iter().map(read).collect()
}

#[test]
fn every_template_is_a_manifest_that_config_check_takes() {
    for (name, text) in &templates() {
        let root = etc(&[(name, text)]);
        assert_eq!(config(&root, &["check"]).unwrap(), Exit::Done, "{name}");
    }
}

#[test]
fn every_template_is_in_the_table_of_templates() {
    let table = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/README.md")).unwrap();
    for (name, _) in templates() {
        assert!(table.contains(&format!("`manifests/{name}`")), "{name} is not in templates/README.md");
    }
}

#[test]
fn config_check_exits_2_where_any_manifest_is_wrong() {
    let root = etc(&[("good.toml", GOOD), ("bad.toml", "schema = 1")]);
    assert_eq!(config(&root, &["check", "good"]).unwrap(), Exit::Done);
    assert_eq!(config(&root, &["check", "good", "bad"]).unwrap(), Exit::Refused);
    assert_eq!(config(&root, &["check"]).unwrap(), Exit::Refused);
    assert_eq!(config(&root, &["check", "goood"]).unwrap_err().kind, Kind::Usage);
    let file = root.path().join("etc/relift/good.toml");
    assert_eq!(config(&root, &["check", file.to_str().unwrap()]).unwrap(), Exit::Done);
    assert_eq!(config(&root, &["check", "/nowhere/x.toml"]).unwrap(), Exit::Failed);
    assert_eq!(config(&root, &["show", "good"]).unwrap(), Exit::Done);
    assert_eq!(config(&etc(&[]), &["check"]).unwrap_err().kind, Kind::Usage);
}

#[test]
fn config_check_refuses_a_window_that_never_opens_here() {
    let window = "Mon..Fri 02:00-04:00 Europe/Paris";
    for never in ["Mon..Fri 02:00-04:00 Mars/Olympus", "*-02-30 02:00-04:00", "2020-01-01 02:00-04:00"] {
        let root = etc(&[("a.toml", &changed(window, never))]);
        assert_eq!(config(&root, &["check"]).unwrap(), Exit::Refused, "{never}");
        // What cannot start by itself can still be looked at, and rolled back.
        assert_eq!(config(&root, &["show", "a"]).unwrap(), Exit::Done, "{never}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(at in 0..GOOD.len(), drop in 0..40usize, put in "[\\PC\n]{0,12}") {
        let end = (at + drop).min(GOOD.len());
        let text = format!("{}{put}{}", &GOOD[..at], &GOOD[end..]);
        if let Err(problems) = parse(&text) {
            assert!(!problems.list.is_empty());
            assert!(problems.render(false).contains(FILE));
        }
    }
}

/// The example with ways of telling people.
fn told(ways: &str) -> String {
    format!("{GOOD}\n{ways}\n")
}

#[test]
fn ways_of_telling_people_mean_what_they_say() {
    use relift::manifest::notify::{Server, SmtpTls, Topic, Way, WebhookFormat, WebhookUrl};
    let install = parse(&told(
        r#"
[[notify]]
mail = { to = ["ops@example.org"], from = "relift@example.org", smtp = "smtp://relift@mail.example.org", credential = "/etc/relift/smtp" }

[[notify]]
on = ["new"]
remind = "7d"
mail = { to = ["a@b.example", "c@d.example"], sendmail = true }

[[notify]]
webhook = { url = "https://hooks.example.org/T0K3N", format = "slack", secret-file = "/etc/relift/key" }

[[notify]]
command = ["/usr/local/bin/page", "ops"]
as = "pager"
expect-check = "6h"
"#,
    ))
    .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let [first, second, third, fourth] = install.notify.as_slice() else { panic!("{:?}", install.notify) };
    assert_eq!(first.on, [Topic::Failure, Topic::Decision, Topic::Recovered, Topic::Stale]);
    let Way::Mail(mail) = &first.way else { panic!("{first:?}") };
    let Some(Server { host, port: 587, tls: SmtpTls::Starttls, user: Some(user), credential: Some(_) }) = &mail.server
    else {
        panic!("{mail:?}")
    };
    assert_eq!((host.as_str(), user.as_str()), ("mail.example.org", "relift"));
    assert_eq!((second.on.as_slice(), second.remind.as_secs()), (&[Topic::New][..], 7 * 86_400));
    let Way::Webhook(webhook) = &third.way else { panic!("{third:?}") };
    assert!(matches!(&webhook.url, WebhookUrl::Plain(url) if url.ends_with("/T0K3N")));
    assert!(webhook.format == WebhookFormat::Slack && !format!("{third:?}").contains("T0K3N"));
    assert!(matches!(&fourth.way, Way::Command { account, .. } if account == "pager"));
    let shown = manifest::effective(&install).unwrap();
    assert!(!shown.contains("T0K3N") && shown.contains("https://hooks.example.org/<set>"), "{shown}");
    assert!(
        shown.contains("smtp = \"smtp://relift@mail.example.org:587\"") && shown.contains("remind = \"24h\""),
        "{shown}"
    );
}

#[test]
fn ways_of_telling_people_that_would_not_work_or_give_a_secret_away_are_refused() {
    for (way, says) in [
        ("", "names not exactly one way"),
        ("command = [\"/bin/x\"]\nwebhook = { url = \"https://a.example/\" }", "names not exactly one way"),
        ("command = [\"page\"]", "not absolute"),
        ("on = []\ncommand = [\"/bin/x\"]", "nothing would be told"),
        ("on = [\"failures\"]\ncommand = [\"/bin/x\"]", "did you mean \"failure\""),
        ("as = \"x\"\nwebhook = { url = \"https://a.example/\" }", "is for `command` alone"),
        ("mail = { to = [] , sendmail = true }", "has 0 addresses"),
        ("mail = { to = [\"ops\"], sendmail = true }", "is not an address"),
        ("mail = { to = [\"-oQ/tmp@example.org\"], sendmail = true }", "is not an address"),
        ("mail = { to = [\"a@b.example\\r\\nBcc: c@d.example\"], sendmail = true }", "is not an address"),
        ("mail = { to = [\"a@b.example\"] }", "names not exactly one way to send"),
        ("mail = { to = [\"a@b.example\"], smtp = \"smtp://u:hunter2@h.example\" }", "holds a password"),
        ("mail = { to = [\"a@b.example\"], smtp = \"smtp://u@h.example\" }", "belong together"),
        (
            "mail = { to = [\"a@b.example\"], smtp = \"smtp://u@h.example\", credential = \"/x\", tls = \"none\" }",
            "in the clear",
        ),
        ("mail = { to = [\"a@b.example\"], smtp = \"http://h.example\" }", "not the URL of a mail server"),
        ("webhook = { }", "names not exactly one address"),
        ("webhook = { url = \"ftp://hunter2.example/\" }", "is not an HTTP URL"),
        ("webhook = { url = \"https://u:hunter2@a.example/\" }", "holds a password"),
        ("webhook = { url = \"https://a.example/hunter2\", fromat = \"slack\" }", "did you mean `format`"),
        ("webhook = { url = \"https://a.example/hunter2\", format = \"slack }", "invalid"),
        ("webhook = { url-file = \"url\" }", "not an absolute path"),
        ("remind = \"0s\"\ncommand = [\"/bin/x\"]", "no sensible age"),
    ] {
        let problems =
            parse(&told(&format!("[[notify]]\n{way}"))).err().unwrap_or_else(|| panic!("was accepted: {way}"));
        let error = format!("{:?} {}", problems.clone().into_error(), problems.render(true));
        assert!(problems.render(false).contains(says), "{way}\n{}", problems.render(false));
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_monitoring_reads_is_declared_once_and_shown_with_its_defaults() {
    let with = |table: &str| parse(&format!("{GOOD}\n[monitoring]\n{table}"));
    assert_eq!(parse(GOOD).unwrap().monitoring, None, "nothing is written for who does not ask");
    let plain = with("").unwrap().monitoring.unwrap();
    assert_eq!((plain.textfile, plain.otlp, plain.stale.as_secs()), (None, None, 2 * 86_400));
    let full = with(
        "textfile = \"/var/lib/prometheus/node-exporter/\"\notlp = \"https://otel.example.org:4318/\"\notlp-headers = \"/etc/relift/otlp\"\nstale = \"12h\"\n",
    )
    .unwrap();
    let again = manifest::effective(&full).unwrap();
    assert!(again.contains("otlp = \"https://otel.example.org:4318\""), "{again}");
    assert_eq!(parse(&again).unwrap().monitoring, full.monitoring, "what is shown is a manifest that says the same");
    for (table, says) in [
        ("textfile = \"metrics\"", "monitoring.textfile"),
        ("otlp = \"127.0.0.1:4318\"", "monitoring.otlp"),
        ("otlp = \"http://u:s3cret@h/\"", "holds a password"),
        ("otlp-headers = \"../x y\"", "monitoring.otlp-headers"),
        ("stale = \"soon\"", "monitoring.stale"),
        ("texfile = \"/x\"", "texfile"),
    ] {
        let said = with(table).unwrap_err().render(false);
        assert!(said.contains(says), "{table}: {said}");
    }
}

#[test]
fn what_a_component_needs_of_the_host_means_what_it_says() {
    let with = |table: &str| {
        changed("[[component.step]]\nname = \"sync\"", &format!("{table}\n[[component.step]]\nname = \"sync\""))
    };
    let good = "[[component.needs]]\npackages = [\"nodejs\", \"python3.*\"]\npaths = [\"/usr/lib/python3/\"]\nsteps = [\"sync\"]\n\
                [[component.needs]]\npackages = [\"libssl3\"]\n";
    let install = parse(&with(good)).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let needs = &install.components[0].needs;
    assert_eq!((needs.len(), needs[0].restart, needs[1].restart), (2, true, true));
    assert_eq!(needs[0].paths, [Path::new("/usr/lib/python3")]);
    assert_eq!((needs[0].packages[1].as_str(), needs[0].steps[0].as_str()), ("python3.*", "sync"));
    let again = parse(&manifest::effective(&install).unwrap()).unwrap();
    assert_eq!(again.components[0].needs, *needs, "what is shown is a manifest that says the same");
    for (table, key, says) in [
        ("[[component.needs]]\n", "needs[0]", "nothing is named"),
        ("[[component.needs]]\npackages = [\"x\"]\nrestart = false\n", "needs[0].restart", "nothing is to be done"),
        ("[[component.needs]]\npackages = [\"*\"]\n", "needs[0].packages[0]", "no name of a package"),
        ("[[component.needs]]\npackages = [\"--root\"]\n", "needs[0].packages[0]", "no name of a package"),
        ("[[component.needs]]\npackages = [\"a b\"]\n", "needs[0].packages[0]", "no name of a package"),
        ("[[component.needs]]\npaths = [\"lib\"]\n", "needs[0].paths[0]", "no absolute path"),
        ("[[component.needs]]\npaths = [\"/\"]\n", "needs[0].paths[0]", "no absolute path"),
        ("[[component.needs]]\npaths = [\"/usr/../etc\"]\n", "needs[0].paths[0]", "no absolute path"),
        ("[[component.needs]]\npackages = [\"x\"]\nsteps = [\"snyc\"]\n", "needs[0].steps[0]", "has no step \"snyc\""),
    ] {
        let problems = parse(&with(table)).err().unwrap_or_else(|| panic!("was accepted:\n{table}"));
        assert_eq!(problems.list[0].key, format!("component[0].{key}"), "{table}");
        assert!(problems.render(false).contains(says), "{}", problems.render(false));
    }
    let schema = manifest::schema().to_string();
    assert!(schema.contains("names of distribution packages") || schema.contains("Names of distribution packages"));
}
