//! Steps and checks: why they run, as whom, with what around them; how each ends badly, and how each is undone.

use relift::sample::Site;

use crate::harness::{Host, Out};

const MANIFEST: &str = "/etc/relift/app.toml";

/// Declares more for the manager, which comes first, before its own step.
fn declare(host: &Host, text: &str) {
    let manifest = host.must("cat /root/app.toml 2>/dev/null || tee /root/app.toml < /etc/relift/app.toml");
    let place = "\n[[component.step]]\nname = \"build\"";
    host.write(MANIFEST, manifest.replacen(place, &format!("\n{text}\n{place}"), 1) + "\n", 0o644, "root");
}

fn trial(run: &str, rest: &str) -> String {
    format!("[[component.step]]\nname = \"trial\"\nrun = {run}\n{rest}")
}

fn says(out: &Out, words: &[&str]) {
    for word in words {
        assert!(out.stderr.contains(word), "this is missing: {word}\n{out}");
    }
}

#[test]
fn a_step_that_ends_badly_is_told_with_its_last_lines_and_everything_is_put_back() {
    let mut host = Host::with_sample();
    let script = r#"["sh", "scripts/trial.sh"]"#;
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (
            r#"["no-such-program", "x"]"#,
            "5s",
            "",
            &["trial (no-such-program x) exited with 203 (EXEC: the program is missing"],
        ),
        (
            script,
            "5s",
            "echo about to fail >&2; exit 7",
            &["trial (sh scripts/trial.sh) exited with 7", "| about to fail"],
        ),
        (script, "1s", "echo waiting; setsid -f sleep 7654; exec sleep 7654", &["did not end within 1s", "| waiting"]),
        (script, "5s", "kill -KILL $$", &["was killed by SIGKILL"]),
        (script, "5s", "setsid -f sleep 7654; exit 1", &["exited with 1"]),
        (
            script,
            "60s",
            "head -c 104857600 /dev/zero | tr '\\0' x | fold -w 9000; echo; echo the reason; exit 1",
            &["| the reason"],
        ),
        (
            script,
            "5s",
            "cat .env; grep API_TOKEN .env | base64 -w0 >/dev/null; exit 5",
            &["exited with 5", "| API_TOKEN=<redacted>"],
        ),
    ];
    for (number, (run, timeout, body, words)) in cases.iter().enumerate() {
        declare(&host, &trial(run, &format!("undo = \"pure\"\ntimeout = \"{timeout}\"")));
        host.release(|release| {
            release
                .next(&format!("1.{}.0", number + 1))
                .program("manager/scripts/trial.sh", &format!("#!/bin/sh\n{body}\n"))
        });
        let before = host.snapshot();
        let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
        says(&out, words);
        says(&out, &["state: everything was put back as it was, and checked", "next:  the whole output: relift logs"]);
        before.assert_same(&host.snapshot());
        host.assert_no_secret(&out);
        assert_eq!(host.must("pgrep -f '[s]leep 7654' || :"), "", "nothing of a step may live on: {body}");
        assert_eq!(host.must("systemctl list-units --all --no-legend 'relift-*'"), "");
    }
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
    let largest = host.must("find /var/lib/relift/app/runs -name '*trial.log' -printf '%s\\n' | sort -n | tail -n 1");
    assert!((60 << 20..66 << 20).contains(&largest.parse::<u64>().unwrap()), "a log has a bound: {largest}");
    let leaks = "grep -rl s3cr3t-canary /var/lib/relift /var/cache/relift /run/relift /var/log 2>/dev/null | grep -v /content/ || :";
    assert_eq!(host.must(leaks), "", "no value of .env is kept outside of content/");
    assert_eq!(host.must("find /var/lib/relift/app/runs -path '*/content/*' -type f ! -perm 600"), "");
}

#[test]
fn a_step_runs_when_what_it_names_changed_as_who_is_declared_in_a_clean_environment() {
    let mut host = Host::with_sample();
    let step = |name: &str, more: &str| {
        format!("[[component.step]]\nname = \"{name}\"\nrun = [\"env\"]\nundo = \"pure\"\n{more}\n")
    };
    let steps = [
        step("owner", ""),
        step("root", "as = \"root\""),
        step("named", "when = { changed = [\"scripts\"] }"),
        step("configured", "when = { changed = [\".env\"] }"),
        step("other", "when = { changed = [\"uv.lock\"] }"),
    ];
    declare(&host, &steps.concat());
    host.must("sed -i 's/^owner = .*/&\\ntrust-checkout = true/' /etc/relift/app.toml");
    host.release(|release| {
        release.next("1.1.0").program("manager/scripts/new.sh", "").env_key("manager", "GREETING", "x", "Hm.")
    });
    let plan = host.relift(&["plan", "app"]).exits(0);
    for line in [
        "+ owner: env: the component changed; leaves nothing to undo",
        "+ root: env as root, from the checkout (trust-checkout): the component changed",
        "+ named: env: scripts changed",
        "+ configured: env: .env changed",
        "- other: env: not run: no change in uv.lock",
    ] {
        assert!(plan.stdout.replace("\n                ", ": ").contains(line), "{line}\n{plan}");
    }
    host.must("systemctl set-environment LEAK=from-the-manager");
    let out = host.sh("LEAK=from-the-shell relift upgrade app --yes").exits(0);
    let log = |name: &str| host.must(&format!("cat /var/lib/relift/app/runs/*/log/*-manager-{name}.log"));
    let names = |name: &str| {
        let text = log(name);
        let mut names: Vec<String> =
            text.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key.to_owned()).collect();
        names.retain(|key| {
            !["INVOCATION_ID", "SYSTEMD_EXEC_PID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE"]
                .contains(&key.as_str())
        });
        names.sort();
        names.join(" ")
    };
    let expected = "HOME LANG LOGNAME NO_COLOR PATH RELIFT_CHECKOUT RELIFT_COMPONENT RELIFT_INSTALL RELIFT_ROOT RELIFT_RUN SHELL TERM USER XDG_RUNTIME_DIR";
    assert_eq!(names("owner"), expected, "{out}");
    assert_eq!(names("root"), expected);
    assert!(
        log("owner").contains("\nUSER=app\n") && log("owner").contains("RELIFT_COMPONENT=manager"),
        "{}",
        log("owner")
    );
    assert!(log("root").contains("\nUSER=root\n") && log("root").contains("HOME=/root\n"));
    assert_eq!(host.must("ls /var/lib/relift/app/runs/*/log | grep -c other || :"), "0");
    // A `.env` that the operator edited is a change as well, and the release is the same.
    host.must("echo EDITED=1 >> /opt/app/manager/.env");
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let plan = out.stdout.replace("\n                ", ": ");
    assert!(
        plan.contains("+ configured: env: .env changed")
            && plan.contains("- named: env: not run: no change in scripts"),
        "{out}"
    );
    assert!(plan.contains("sample-manager.service (system): restart: .env changed"), "{out}");
    assert!(plan.contains("sample-runner.service (user): no restart: nothing of it changed"), "{out}");
}

#[test]
fn a_step_is_undone_as_it_declares_and_what_nothing_undoes_is_refused() {
    let mut host = Host::with_sample();
    let mark = r#"["sh", "-c", "cat VERSION >> /tmp/marks"]"#;
    let undo = r#"undo = { run = ["sh", "-c", "echo undone in $(cat VERSION) >> /tmp/marks"] }"#;
    declare(&host, &trial(mark, undo));
    host.must("rm -f /tmp/marks; install -m 0666 /dev/null /tmp/marks");
    host.release(|release| release.next("1.1.0").behaviour("manager", "exit-at-once 1"));
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    assert!(out.stdout.contains("; undone by sh -c echo undone in"), "{out}");
    assert_eq!(host.read("/tmp/marks"), "1.1.0\nundone in 1.1.0\n", "the undo runs in the tree of its step");
    before.assert_same(&host.snapshot());

    // Nothing undoes it: refused, and past it the new release stays.
    host.must(r#"printf '\n[backup]\npaths = ["manager/.env"]\n' >> /root/app.toml"#);
    declare(&host, &trial(r#"["sh", "-c", "echo migrated >> /tmp/marks"]"#, ""));
    host.release(|release| release.next("1.2.0"));
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(2);
    says(
        &out,
        &[
            "nothing undoes this step: trial",
            "state: nothing was changed",
            "next:  declare its `undo` in the manifest, or pass --allow-irreversible",
        ],
    );
    before.assert_same(&host.snapshot());
    assert!(!host.read("/tmp/marks").contains("migrated"));
    let out = host.relift(&["upgrade", "app", "--yes", "--allow-irreversible"]).exits(4);
    says(
        &out,
        &[
            "the step `manager: trial` was begun, and nothing undoes it",
            "what is where:",
            "did not stay up",
            "state: not everything could be put back: an operator has to look",
            "relift show",
        ],
    );
    assert!(host.read("/tmp/marks").ends_with("migrated\n"));
    assert_eq!(host.read("/opt/app/manager/VERSION"), "1.2.0\n", "the tree stays with the data");
    // Settled by hand and closed, the next release mends it.
    host.relift(&["recover", "app", "--close"]).exits(0);
    host.release(|release| release.next("1.3.0").behaviour("manager", "ok"));
    host.relift(&["upgrade", "app", "--yes", "--allow-irreversible"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.3.0"));
}

#[test]
fn checks_see_the_new_tree_with_the_merged_env_before_anything_is_restarted() {
    let mut host = Host::with_sample();
    let check =
        |at: &str, run: &str| format!("[[component.check]]\nat = \"{at}\"\nrun = [\"sh\", \"-c\", \"{run}\"]\n");
    let sees = "grep -qx GREETING=hello .env && grep -qx 1.1.0 VERSION && pwd && ls -l .env";
    host.release(|release| release.next("1.1.0").env_key("manager", "GREETING", "hello", "What it says."));
    let pid = || host.must("systemctl show -P MainPID sample-manager.service");
    let (before, process) = (host.snapshot(), pid());

    declare(&host, &check("staged", &format!("{sees} && touch left-here && exit 3")));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    says(
        &out,
        &["the upgrade of app to 1.1.0 stopped before any change", "exited with 3", "state: nothing was changed"],
    );
    assert!(
        out.stderr.contains("| /var/cache/relift/app/stage/manager") && out.stderr.contains("-rw-r----- 1 app app"),
        "{out}"
    );
    before.assert_same(&host.snapshot());
    host.sh("test -e /var/cache/relift/app/stage").exits(1);

    declare(&host, &check("switched", &format!("{sees} && exit 4")));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    says(&out, &["exited with 4", "| /opt/app/manager", "state: everything was put back as it was, and checked"]);
    before.assert_same(&host.snapshot());
    assert_eq!(pid(), process, "a check on the switched tree comes before any restart");
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
}

#[test]
fn how_a_step_ends_is_known_although_it_makes_systemd_read_or_run_itself_again() {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::with_site(site);
    host.must(&format!("sed -i '0,/^\\[install\\]/s//[install]\\ntrust-checkout = true/' {MANIFEST}"));
    let again = "for again in reload reload reexec reload; do systemctl daemon-$again; done; echo after all of it";
    let cases: &[(&str, i32, &str)] = &[
        ("", 0, "after all of it"),
        ("; exit 9", 3, "exited with 9"),
        ("; kill -KILL $$", 3, "was killed by SIGKILL"),
        ("; setsid -f sleep 7654; exec sleep 7654", 3, "did not end within 5s"),
    ];
    for (number, (end, code, words)) in cases.iter().enumerate() {
        let run = format!(r#"["sh", "-c", "{again}{end}"]"#);
        declare(&host, &trial(&run, "as = \"root\"\nundo = \"pure\"\ntimeout = \"5s\""));
        host.release(|release| release.next(&format!("1.{}.0", number + 1)));
        let out = host.relift(&["upgrade", "app", "--yes", "--verbose"]).exits(*code);
        says(&out, &[words]);
        let runs = if *code == 0 { format!("1.{}.0", number + 1) } else { "1.1.0".into() };
        host.wait_for_answer("manager", &runs, end);
        assert_eq!(host.must("pgrep -f '[s]leep 7654' || :"), "", "nothing of a step may live on: {end}");
        assert_eq!(host.must("systemctl list-units --all --no-legend 'relift-*'"), "", "{end}");
    }
}
