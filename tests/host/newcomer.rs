//! What somebody meets who uses relift for the first time: `init`, help, exit statuses, output for people and programs.

use serde_json::Value;

use crate::harness::{Host, Out, RELIFT};

/// Every verb with the arguments that it needs.
const VERBS: &[&str] = &[
    "check",
    "plan",
    "upgrade",
    "rollback",
    "recover",
    "status",
    "history",
    "show 01",
    "logs 01",
    "env diff",
    "env merge",
    "units diff",
    "hold",
    "unhold",
    "try",
];

#[track_caller]
fn json(out: &Out) -> Value {
    serde_json::from_str(&out.stdout).unwrap_or_else(|error| panic!("{error}: {out}"))
}

#[test]
fn the_manifest_that_init_writes_upgrades_and_goes_back() {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0").note("manager", "Faster."));
    host.must("rm /etc/relift/app.toml");
    let none = host.relift(&["upgrade", "--yes"]).exits(2);
    assert!(none.stderr.contains("relift init"), "{none}");
    let before = host.snapshot();

    let init = host.relift(&["init", "/opt/app"]).exits(0);
    assert!(init.stdout.contains("wrote /etc/relift/app.toml"), "{init}");
    assert!(init.stdout.contains("manager 1.0.0: sample-manager.service"), "{init}");
    assert!(init.stdout.contains("runner 1.0.0: sample-runner.service"), "{init}");
    let manifest = host.read("/etc/relift/app.toml");
    for line in
        ["scope   = \"system\"", "scope   = \"user\"", "tcp = \"127.0.0.1:${PORT}\"", "run  = [\"make\", \"sync\"]"]
    {
        assert!(manifest.contains(line), "{line}: {manifest}");
    }
    before.assert_same(&host.snapshot());
    host.assert_no_secret(&host.sh("cat /etc/relift/app.toml").exits(0));
    let again = host.relift(&["init", "/opt/app"]).exits(2);
    assert!(again.stderr.contains("/etc/relift/app.toml exists"), "{again}");
    assert!(again.stderr.contains("relift init --force PATH"), "{again}");
    assert_eq!(host.read("/etc/relift/app.toml"), manifest);
    host.relift(&["init", "/opt/app", "--name", "other"]).exits(2);
    host.sh("test -e /etc/relift/other.toml").exits(1);

    host.relift(&["config", "check", "app"]).exits(0);
    // As it is written, but for the time that a test would sit through.
    host.must("sed -i 's/^soak .*/soak = \"1s\"/' /etc/relift/app.toml");
    let check = host.relift(&["check"]).exits(100);
    assert!(check.stdout.contains("manager 1.0.0 -> 1.1.0"), "{check}");
    let plan = host.relift(&["plan"]).exits(0);
    assert!(plan.stdout.contains("- Faster."), "{plan}");
    host.relift(&["upgrade", "--yes"]).exits(0);
    assert_eq!([host.answers("manager"), host.answers("runner")].map(Option::unwrap), ["1.1.0", "1.1.0"]);
    host.must("mv /srv/git /srv/gone");
    let back = host.relift(&["rollback", "--yes", "--offline"]).exits(0);
    let tag = host.sh_as("app", "git -C /opt/app tag --points-at HEAD").exits(0).stdout;
    assert!(tag.starts_with("known-good/") && back.stdout.ends_with(&format!(" {tag}")), "{tag}{back}");
    assert_eq!([host.answers("manager"), host.answers("runner")].map(Option::unwrap), ["1.0.0", "1.0.0"]);
}

#[test]
fn a_rollback_does_not_depend_on_a_check_that_came_later() {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0").file("manager/scripts/new_check.sh", "exit 0\n"));
    host.must("sed -i '0,/check_config/s//new_check/' /etc/relift/app.toml");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let back = host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert!(!back.stdout.contains("new_check"), "{back}");
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
}

#[test]
fn who_may_not_and_who_was_not_asked_changes_nothing() {
    let mut host = Host::with_sample();
    let quiet = host.relift(&["check", "--quiet"]).exits(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    host.release(|release| release.next("1.1.0"));
    let before = host.snapshot();
    for verb in VERBS {
        let out = host.sh_as("app", &format!("relift {verb}")).exits(77);
        assert!(out.stderr.contains("root") && out.stderr.contains("nothing was changed"), "{out}");
    }
    for usage in ["", "upgrad", "upgrade --sideways", "upgrade nothere", "plan app --only nothere", "show", "show 01"] {
        let out = host.sh(&format!("relift {usage}")).exits(2);
        assert!(!out.stderr.is_empty() && out.stdout.is_empty(), "{out}");
    }
    let cron = host.sh("env -i PATH=/usr/bin:/bin relift upgrade app </dev/null").exits(2);
    assert!(cron.stderr.contains("app was not asked for approval: there is no terminal"), "{cron}");
    assert!(cron.stderr.contains("pass --yes"), "{cron}");
    let new = host.relift(&["check", "--quiet"]).exits(100);
    assert!(new.stdout.starts_with("app: new") && new.stderr.is_empty(), "{new}");
    before.assert_same(&host.snapshot());
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
}

#[test]
fn programs_read_json_and_the_journal_and_no_secret() {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0").env_key("manager", "GREETING", "hello", "What it says."));
    let mut documents =
        vec![host.relift(&["check", "--json"]).exits(100), host.relift(&["plan", "app", "--json"]).exits(0)];
    assert_eq!(json(&documents[0])["installs"][0]["components"][0]["to"], "1.1.0");
    assert_eq!(json(&documents[1])["reversible"], true);

    let refused = host.relift(&["upgrade", "app", "--json"]).exits(2);
    let last: Value = serde_json::from_str(refused.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["exit"]), (&"error".into(), &2.into()), "{refused}");

    let run = host.relift(&["upgrade", "app", "--yes", "--json"]).exits(0);
    let parse = |line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let events: Vec<Value> = run.stdout.lines().map(parse).collect();
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).cloned().collect::<Vec<_>>();
    let phases: Vec<_> = named("phase").iter().map(|event| event["phase"].as_str().unwrap().to_owned()).collect();
    assert_eq!(phases, ["prepare", "switch", "gate", "soak", "commit"]);
    assert_eq!((&named("end")[0]["outcome"], &named("end")[0]["exit"]), (&"done".into(), &0.into()));
    assert_eq!(run.stderr, "");

    let id = named("run")[0]["run"].as_str().unwrap().to_owned();
    for (verb, found) in [("status", "installs"), ("history", "runs"), (&format!("show {id}"), "plan")] {
        let words: Vec<&str> = verb.split(' ').chain(["--json"]).collect();
        let out = host.relift(&words).exits(0);
        assert!(!json(&out)[found].is_null(), "{out}");
        documents.push(out);
    }
    documents.push(run);
    documents.iter().for_each(|out| host.assert_no_secret(out));

    host.release(|release| release.next("1.2.0"));
    host.must("systemd-run --quiet --wait --collect relift upgrade app --yes; journalctl --sync");
    let entries =
        host.must("journalctl --sync; journalctl --output=json RELIFT_INSTALL=app RELIFT_PHASE=switch PRIORITY=6");
    let entry: Value = serde_json::from_str(entries.lines().next().unwrap()).unwrap();
    assert_eq!(entry["RELIFT_RUN"].as_str().unwrap().len(), 26, "{entry}");
    assert_eq!(host.answers("manager").as_deref(), Some("1.2.0"));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0"));
    let terminal =
        |env: &str| format!("{env} script --quiet --return --command 'relift plan app 2>/dev/null' /dev/null");
    let cases = [
        ("relift plan app", false),
        ("TERM=xterm relift plan app --color=auto", false),
        ("relift plan app --color=always", true),
        ("NO_COLOR=1 relift plan app --color=always", true),
        ("CLICOLOR_FORCE=1 relift plan app", true),
        (&terminal("TERM=xterm"), true),
        (&terminal("TERM=xterm NO_COLOR=1"), false),
        (&terminal("TERM=dumb"), false),
    ];
    for (line, coloured) in cases {
        let out = host.sh(line).exits(0);
        assert!(out.stdout.contains("upgrade app"), "{out}");
        assert_eq!(out.stdout.contains('\x1b'), coloured, "{out}");
        assert!(!out.stderr.contains('\x1b') || coloured, "{out}");
    }
}

#[test]
fn help_tells_what_a_verb_does_and_how_it_is_called() {
    let help = |words: &str| {
        let out = std::process::Command::new(RELIFT).args(words.split(' ')).arg("--help").output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{words}");
        String::from_utf8(out.stdout).unwrap()
    };
    for verb in VERBS.iter().copied().chain(["init", "config check"]) {
        let name = verb.trim_end_matches(" 01");
        let text = help(name);
        let summary = text.lines().next().unwrap();
        assert!(summary.len() > 10 && !summary.starts_with("Usage"), "{name}: {summary}");
        assert!(!summary.starts_with("Arguments of"), "{name}: {summary}");
        let examples = text.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("{name} has no examples:\n{text}"));
        for line in examples.lines() {
            assert!(line.is_empty() || line.starts_with("  relift "), "{name}: {line}");
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
    }
}
