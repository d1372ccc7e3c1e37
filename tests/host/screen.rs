//! Hostile words from every side, and every verb, at a terminal and through a pipe: nothing of them drives the terminal, and
//! they are seen.

use relift::text::{harmless, uncoloured};
use serde_json::Value;

use crate::harness::{Host, Out};

/// What a terminal would act upon, between two words by which it is known: title, clear, conceal, C1, cursor, bidirectional
/// marks, zero width, tags, separators, backspace, delete. No line end: where one may stand, it is added.
const EVIL: &str = "EVIL\x1b]0;t\x07\x1b[2J\x1b[8m\x1bP1q\x1b\\\u{9b}31m\u{85}\u{202e}\u{2066}\u{200f}\u{61c}\u{200b}\u{feff}\u{e0041}\u{2028}\u{8}\r\u{7f}LIVE";
/// The same as far as git, systemd and TOML take it.
const MARKS: &str = "EVIL\u{202e}\u{2066}\u{200b}\u{e0041}LIVE";

/// No byte that a terminal acts upon is in what was printed through a pipe; and JSON is JSON.
#[track_caller]
fn assert_plain(out: &Out) {
    for (stream, text) in [("stdout", &out.stdout), ("stderr", &out.stderr)] {
        let bad = text.split('\n').find(|line| harmless(line) != *line);
        assert_eq!(bad, None, "{stream} of {}", out.line);
        let is_json = out.line.contains("--json");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        assert!(is_json || widest < 4_000, "{stream} of {} is {widest} wide", out.line);
    }
    // A verb that is none is told before the options are read.
    if out.line.contains("--json") && !out.line.contains("relift EVIL") {
        let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&out.stdout).into_iter().collect();
        // `hold` and `unhold` print nothing.
        assert!(values.is_ok_and(|values| !values.is_empty() || out.line.contains("hold")), "no JSON: {out}");
    }
}

/// At a terminal there are styles, and the moves of bars, which no text of others brings: neither is between our words.
#[track_caller]
fn assert_terminal(out: &Out) {
    let bars = regex::Regex::new(r"\x1b\[[0-9]*[ABCDGK]|\x1b\[0?J|\x1b\[\?25[lh]|\r").unwrap();
    let text = uncoloured(&bars.replace_all(&out.stdout, ""));
    let bad = text.split('\n').find(|line| harmless(line) != *line);
    assert_eq!(bad, None, "at a terminal: {}", out.line);
    for part in out.stdout.split("EVIL").skip(1).filter_map(|rest| rest.split("LIVE").next()) {
        assert!(!part.starts_with(['\x1b', '\u{202e}', '\r']), "{part:?} of {}", out.line);
    }
}

/// Runs a command line through a pipe, as JSON, and at a terminal.
#[track_caller]
fn every_way(host: &Host, line: &str, seen: &mut Vec<String>) {
    let words: Vec<&str> = line.split(' ').collect();
    let terminal = format!("cd /root; TERM=xterm timeout 60 script -qefc 'relift {line}' /dev/null < /dev/null");
    let runs = [host.relift(&words), host.relift(&[&words[..], &["--json"]].concat()), host.sh(&terminal)];
    runs[..2].iter().for_each(|out| assert_plain(out));
    assert_terminal(&runs[2]);
    if runs.iter().all(|out| format!("{}{}", out.stdout, out.stderr).contains("EVIL")) {
        seen.push(line.to_owned());
    }
}

/// A comment of one line for every reader of a `.env`.
fn comment() -> String {
    EVIL.replace(['\r', '\u{85}', '\u{2028}'], "")
}

fn hostile_host() -> Host {
    let host = Host::with_sample();
    let manifest = host.read("/etc/relift/app.toml");
    let manifest = manifest.replacen("name = \"build\"", &format!("name = \"build-{MARKS}\""), 1).replace(
        "run  = [\"sh\", \"scripts/build.sh\"]",
        "run  = [\"sh\", \"scripts/build.sh\", \"EVIL\\u001b[2J\\nstops the run: LIVE\"]",
    );
    let manifest = format!("{manifest}\n[backup]\npaths = [\"manager/data-{MARKS}\", \"manager/.env\"]\n");
    host.write("/etc/relift/hostile.toml", &manifest, 0o644, "root");
    if host.relift(&["config", "check", "/etc/relift/hostile.toml"]).code == 0 {
        host.must("mv /etc/relift/hostile.toml /etc/relift/app.toml");
    }
    host.must(&format!("mkdir -p '/opt/app/manager/data-{MARKS}'; chown app: /opt/app/manager/data*"));
    host.write(&format!("/opt/app/manager/data-{MARKS}/{}", EVIL.replace('/', "")), "x", 0o644, "app:app");
    let unit = format!("Description=Sample {MARKS}\n");
    host.must("mkdir -p /etc/systemd/system/sample-manager.service.d");
    host.write(
        "/etc/systemd/system/sample-manager.service.d/x.conf",
        format!("[Unit]\n{unit}# {}\n", comment()),
        0o644,
        "root",
    );
    host.must("systemctl daemon-reload");
    host.relift(&["hold", "app", "--reason", EVIL]);
    host.relift(&["unhold", "app"]).exits(0);
    host
}

#[test]
fn nothing_of_others_drives_the_terminal_whatever_the_verb() {
    let mut host = hostile_host();
    let mut seen = Vec::new();
    let old = host.read("/opt/app/manager/.env");
    host.write("/opt/app/manager/.env", format!("{old}EV\x1b[2JIL=1\n\"{EVIL}\"=2\n# {EVIL}\n"), 0o640, "app:app");
    for line in ["env lint app", "status app", "plan app"] {
        every_way(&host, line, &mut seen);
    }
    host.write("/opt/app/manager/.env", format!("{old}# {}\n", comment()), 0o640, "app:app");
    host.release(|release| {
        release
            .next("1.1.0")
            .message(&format!("{EVIL} {}\n\n{EVIL}", "x".repeat(100_000)))
            .note("manager", EVIL)
            .note("manager", &format!("## 1.1.0 {EVIL}"))
            .env_key("manager", "GREETING", &format!("hello{MARKS}"), &comment())
            .unit_line("manager", "Service", &format!("SyslogIdentifier={MARKS}"))
            .unit_line("manager", "Unit", &format!("# {}", comment()))
            .file(&format!("manager/{MARKS} $(touch x)"), "a file")
            .edit("manager/scripts/build.sh", |text| {
                format!("printf '%s\\n' '{EVIL}'; printf '%s\\n' '{EVIL}' >&2\n{text}")
            })
            .edit("manager/scripts/check_config.sh", |text| format!("printf '%s\\n' '{EVIL}'\n{text}"))
            .tag(&format!("v1.1.0-{MARKS}"))
    });
    for line in [
        "check app",
        "plan app",
        "upgrade app -n",
        "env diff app",
        "env lint app",
        "env merge app -n",
        "units diff app",
        "units diff --side-by-side app",
        "status app",
        "config check",
        "config show app",
        "doctor app --offline --quiet",
        "history app",
        "upgrade app --yes -v",
        "backup take app",
        "backup list app",
        "backup verify app",
        &format!("plan app --to v1.1.0-{MARKS}"),
        &format!("show EVIL{}", "\u{202e}\x1b[2J"),
        &format!("backup verify app EVIL{}", "\x1b[8m"),
        &format!("EVIL{}", "\x1b[2J\u{202e}"),
        &format!("hold app --reason EVIL{}", "\x1b[2J\u{202e}LIVE"),
        "status app",
        "unhold app",
    ] {
        every_way(&host, line, &mut seen);
    }
    // Decisions are left to nobody: everything as it is.
    let obstacle = format!("manager/new $(touch /run/pasted) '{MARKS}");
    host.release(|release| release.next("1.2.0").file(&obstacle, "theirs"));
    host.write(&format!("/opt/app/{obstacle}"), "mine", 0o644, "app:app");
    every_way(&host, "plan app", &mut seen);
    every_way(&host, "upgrade app --yes", &mut seen);
    // The hint is pasted: it moves the file, and runs nothing of its name.
    let out = host.relift(&["upgrade", "app", "--yes"]);
    let hint =
        out.stderr.lines().find_map(|line| line.split_once("move it aside: ")).unwrap_or_else(|| panic!("{out}")).1;
    host.run(&["bash", "-c", hint], b"").exits(0);
    assert_eq!(
        host.sh(&format!("test -e /run/pasted || test -e '/opt/app/{}'", obstacle.replace('\'', "'\\''"))).code,
        1
    );
    // One that fails in a step, and comes back: its words are in the report, the log, the journal.
    host.release(|release| {
        let text = format!("printf '%s\\n' '{EVIL}' >&2; exit 3\n");
        release.without(&obstacle).next("1.3.0").edit("manager/scripts/build.sh", |_| text)
    });
    host.must("systemd-run --quiet --wait --collect relift upgrade app --yes || true");
    let messages = host.must("journalctl --sync; journalctl -t relift -o json --all --no-pager");
    for entry in messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        // journald gives what is no text as an array of bytes.
        let text = entry["MESSAGE"].as_str().unwrap_or_else(|| panic!("{}", entry["MESSAGE"]));
        assert_eq!(harmless(text), text);
    }
    for line in ["upgrade app --yes -v", "status app", "history app", "recover app"] {
        every_way(&host, line, &mut seen);
    }
    let history = host.relift(&["history", "app", "--json"]).exits(0);
    let history: Value = serde_json::from_str(&history.stdout).unwrap();
    let run = history["runs"].as_array().or(history.as_array()).and_then(|runs| runs.first()?["run"].as_str());
    let run =
        run.unwrap_or_else(|| panic!("no run was begun: {}", host.relift(&["upgrade", "app", "--yes"]))).to_owned();
    every_way(&host, &format!("show {run}"), &mut seen);
    every_way(&host, &format!("logs {run}"), &mut seen);
    // A manifest and a checkout that somebody made.
    host.write(
        "/etc/relift/bad.toml",
        format!("schema = 1\n# {MARKS}\n[install]\nroot = \"{MARKS}\"\n{MARKS} = 3\n"),
        0o644,
        "root",
    );
    every_way(&host, "config check", &mut seen);
    host.must("rm /etc/relift/bad.toml; rm /etc/relift/app.toml");
    every_way(&host, "init --stdout --name other /opt/app", &mut seen);
    // Not merely silent: the words are there, made harmless.
    for verb in ["plan app", "show ", "status app", "units diff app"] {
        assert!(seen.iter().any(|line| line.starts_with(verb)), "{verb} shows nothing of it: {seen:#?}");
    }
}
