//! What a runbook says beyond steps: hooks at their places, migrations release by release, a backlog that is worked off,
//! variables of a shell, peers of other versions.

use relift::sample::Site;

use crate::crash::killed;
use crate::harness::{CANARY, Host, Out};
use crate::rigs::figures::{Ended, Figure, is_soak};

const MANIFEST: &str = "/etc/relift/app.toml";
/// Where every hook says that it ran, with the versions that it was told and the tree that it saw.
const LOG: &str = "/tmp/places";
const PLACES: [&str; 6] = ["preflight", "drain", "quiesce", "migrate", "resume", "verify"];

fn host() -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    Host::with_site(site)
}

/// The manifest of the sample with more at its end.
fn declare(host: &Host, text: &str) {
    let manifest = host.must(&format!("cat /root/app.toml 2>/dev/null || tee /root/app.toml < {MANIFEST}"));
    host.write(MANIFEST, format!("{manifest}\n{text}\n"), 0o644, "root");
}

/// Each place with a hook that tells itself, and does what `/tmp/do-PLACE` says; inverses where there can be any.
fn hooks() -> String {
    let hook = |at: &&str| {
        let undo = match *at {
            "preflight" | "verify" => String::new(),
            at => format!(
                r#"undo = {{ run = ["sh", "-c", "echo un{at} $RELIFT_OLD_VERSION $RELIFT_NEW_VERSION in $(cat manager/VERSION) $(cat $RELIFT_SCRATCH/saved) >> {LOG}; ! [ -e /tmp/undo-{at} ] || . /tmp/undo-{at}"], timeout = "2s" }}"#
            ),
        };
        format!(
            r#"
[[hook]]
at = "{at}"
run = ["sh", "-c", "echo {at} $RELIFT_OLD_VERSION $RELIFT_NEW_VERSION in $(cat manager/VERSION) >> {LOG}; echo of-{at} > $RELIFT_SCRATCH/saved; ! [ -e /tmp/do-{at} ] || . /tmp/do-{at}"]
timeout = "1s"
{undo}
"#
        )
    };
    // Whatever the order in the manifest is.
    PLACES.iter().rev().map(hook).collect()
}

fn places(host: &Host) -> Vec<String> {
    let lines = host.must(&format!("cat {LOG}; rm {LOG}"));
    lines.lines().map(str::to_owned).collect()
}

fn upgrade(host: &Host) -> Out {
    host.sh("systemctl reset-failed; exec relift upgrade app --yes")
}

#[test]
fn every_place_of_a_run_has_its_hooks_in_order_and_inverses_run_in_reverse() {
    let mut host = host();
    declare(&host, &hooks());
    host.release(|release| release.next("1.1.0"));
    let plan = host.relift(&["plan", "app"]).exits(0);
    let listed = plan.stdout.split_once("  procedures\n").expect("told").1;
    let found: Vec<&str> =
        PLACES.iter().copied().filter(|place| listed.contains(&format!("    {place:<9} "))).collect();
    assert_eq!(found, PLACES, "{plan}");
    assert!(plan.stdout.contains("preflight: sh -c") && plan.stdout.contains("(asked before any change)"), "{plan}");

    upgrade(&host).exits(0);
    let up = |place: &str, tree: &str| format!("{place} 1.0.0 1.1.0 in {tree}");
    let all = [
        up("preflight", "1.0.0"),
        up("drain", "1.0.0"),
        up("quiesce", "1.0.0"),
        up("migrate", "1.1.0"),
        up("resume", "1.1.0"),
        up("verify", "1.1.0"),
    ];
    assert_eq!(places(&host), all);
    assert_eq!(host.must("ls /var/cache/relift/app/scratch 2>/dev/null || :"), "", "what was saved goes with the run");

    host.sh("systemctl reset-failed; exec relift rollback app --yes").exits(0);
    let back: Vec<String> = PLACES
        .iter()
        .zip(["1.1.0", "1.1.0", "1.1.0", "1.0.0", "1.0.0", "1.0.0"])
        .map(|(place, tree)| format!("{place} 1.1.0 1.0.0 in {tree}"))
        .collect();
    assert_eq!(places(&host), back, "a rollback has the same places, old and new exchanged");

    // What is left of a place: those before it, then the inverses in reverse, itself included.
    let undone = |place: &str, tree: &str| format!("un{place} 1.0.0 1.1.0 in {tree} of-{place}");
    let whole_way_back =
        [undone("resume", "1.1.0"), undone("migrate", "1.1.0"), undone("quiesce", "1.0.0"), undone("drain", "1.0.0")];
    let before = host.snapshot();
    for (at, place) in PLACES.iter().enumerate() {
        let hangs = "setsid -f sleep 7654; exec sleep 7654";
        let badly = if is_soak() || *place == "migrate" { &["exit 7", hangs][..] } else { &[hangs] };
        for what in badly {
            host.must(&format!("echo '{what}' > /tmp/do-{place}"));
            let out = upgrade(&host).exits(if at == 0 { 1 } else { 3 });
            let why = if *what == "exit 7" { "exited with 7" } else { "did not end within 1s" };
            assert!(out.stderr.contains(why), "{out}");
            let gone_back = if at == 0 { &[] } else { &whole_way_back[4_usize.saturating_sub(at)..] };
            assert_eq!(places(&host), [&all[..=at], gone_back].concat(), "{place}, {what}: {out}");
            assert_eq!(host.must("pgrep -f '[s]leep 7654' || :"), "", "nothing of a hook may live on: {place}");
            before.assert_same(&host.snapshot());
        }
        host.must(&format!("rm /tmp/do-{place}"));
    }
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));

    // An inverse that fails, and one that hangs, keep nothing else from coming back: they are named, and tried no more.
    host.must("echo 'exit 7' > /tmp/do-verify; echo 'echo no table; exit 9' > /tmp/undo-migrate; echo 'exec sleep 7654' > /tmp/undo-quiesce");
    let names = |out: &Out, after: &str| {
        let said = out.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "`migrate` was not undone, and everything else was: migrate (sh -c echo unmigrate",
            "exited with 9: no table; what hooks saved is kept in /var/cache/relift/app/scratch",
            "`quiesce` was not undone, and everything else was: quiesce (sh -c echo unquiesce",
            "did not end within 2s",
        ] {
            assert!(said.contains(words), "{after}: {words:?} is not in {out}");
        }
        assert_eq!(host.must("cat /var/cache/relift/app/scratch/*/migrate/saved | sort -u"), "of-migrate", "{after}");
        before.assert_same(&host.snapshot());
        assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"), "{after}");
        assert_eq!(host.relift(&["recover", "app"]).exits(0).stdout, "app: no interrupted run\n");
        assert!(host.relift(&["history", "app"]).exits(0).stdout.contains("needs the operator"));
    };
    let out = upgrade(&host).exits(4);
    assert_eq!(places(&host), [&all[..], &whole_way_back[..]].concat(), "{out}");
    names(&out, "at once");
    let out = killed(&host, "after-not-undone", "upgrade app --yes");
    assert_eq!(out.code, 137, "{out}");
    let out = host.relift(&["recover", "app"]).exits(4);
    assert_eq!(places(&host), [&all[..], &whole_way_back[..]].concat(), "each is tried once: {out}");
    names(&out, "by recovery");
    host.must("rm /tmp/do-* /tmp/undo-*");
    upgrade(&host).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

/// What going to a version asks for: the command tells itself and who it is for.
fn migration(version: &str, more: &str) -> String {
    format!(
        "\n[[migration]]\nversion = \"{version}\"\nrun = [\"sh\", \"-c\", \"echo {version} >> {LOG}; ! [ -e /tmp/fail-{version} ]\"]\n{more}\n"
    )
}

fn taken_back(version: &str) -> String {
    format!("undo = {{ run = [\"sh\", \"-c\", \"echo un{version} >> {LOG}\"] }}")
}

#[test]
fn each_migration_between_two_releases_runs_once_in_order_and_a_rollback_takes_back_what_can_be() {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::boot();
    host.settle(site, |release| release.next("3.38.0"));
    let declared = [
        migration(
            "3.40.0",
            &format!(
                "{}\nnote = \"Rebuilds the index.\"\nurl = \"https://docs.example.org/3.40\"",
                taken_back("3.40.0")
            ),
        ),
        migration("3.39.1", "undo = \"pure\""),
        migration("3.38.0", "undo = \"pure\""),
        migration("3.39.0", &taken_back("3.39.0")),
        migration("3.41.0", &taken_back("3.41.0")),
        "\n[[migration]]\nversion = \"3.39.2\"\nnote = \"The port changes.\"\n".to_owned(),
    ];
    declare(&host, &declared.concat());
    host.release(|release| release.next("3.40.0"));
    let plan = host.relift(&["plan", "app"]).exits(0).stdout;
    let marks = [
        "+ 3.39.0: sh",
        "+ 3.39.1: sh",
        "= 3.39.2",
        "The port changes.",
        "+ 3.40.0: sh",
        "Rebuilds the index.",
        "https://docs.example.org/3.40",
    ];
    let found: Vec<usize> = marks.iter().filter_map(|mark| plan.find(mark)).collect();
    assert!(found.len() == marks.len() && found.is_sorted(), "{plan}");
    assert!(!plan.contains("3.38.0: sh") && !plan.contains("3.41.0: sh"), "{plan}");

    upgrade(&host).exits(0);
    assert_eq!(places(&host), ["3.39.0", "3.39.1", "3.40.0"]);
    host.sh("systemctl reset-failed; exec relift rollback app --yes").exits(0);
    assert_eq!(places(&host), ["un3.40.0", "un3.39.0"]);
    upgrade(&host).exits(0);
    assert_eq!(places(&host), ["3.39.0", "3.40.0"], "what a rollback did not take back never runs twice");

    // Of a run that is undone nothing is remembered.
    host.release(|release| release.next("3.41.0"));
    host.must("touch /tmp/fail-3.41.0");
    upgrade(&host).exits(3);
    host.must("rm /tmp/fail-3.41.0");
    assert_eq!(places(&host), ["3.41.0", "un3.41.0"]);
    upgrade(&host).exits(0);
    assert_eq!(places(&host), ["3.41.0"]);

    // The first number changes: naming the target is not enough where migrations are declared.
    host.release(|release| release.next("4.0.0"));
    let out = host.relift(&["upgrade", "app", "--to", "main", "--yes"]).exits(2);
    assert!(out.to_string().contains("no [[migration]] is a guide to 4"), "{out}");
    declare(&host, &format!("{}{}", declared.concat(), migration("3.41.9", "undo = \"pure\"\ncovers = \"4\"")));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(2);
    assert!(out.to_string().contains("is a major step, which has its own guide"), "{out}");
    host.relift(&["upgrade", "app", "--to", "main", "--yes"]).exits(0);
    assert_eq!(places(&host), ["3.41.9"]);
}

#[test]
fn a_run_with_hooks_and_migrations_that_is_killed_at_any_record_resumes_what_it_suspended() {
    let mut figure = Figure::new("records, hooks", "SIGKILL before and after each record of the journal", "hooks");
    let mut host = host();
    declare(&host, &format!("{}{}", hooks(), migration("1.1.0", &taken_back("1.1.0"))));
    host.release(|release| release.next("1.1.0"));
    let before = host.snapshot();
    let step = if is_soak() { 1 } else { 11 };
    for at in (5..).step_by(step) {
        let point = format!("{}-{:05}", ["before", "after"][at % 2], at / 2);
        host.must(&format!("rm -f {LOG}; touch {LOG}; chown app {LOG}"));
        let out = killed(&host, &point, "upgrade app --yes");
        if out.code != 137 {
            out.exits(0);
            break;
        }
        host.relift(&["recover", "app"]).exits(0);
        let said = places(&host);
        let names: Vec<&str> = said.iter().filter_map(|line| line.split(' ').next()).collect();
        if host.answers("manager").as_deref() == Some("1.1.0") && names.contains(&"verify") {
            assert_eq!(names, ["preflight", "drain", "quiesce", "1.1.0", "migrate", "resume", "verify"], "{point}");
            figure.count(Ok(Ended::New));
            host.sh("systemctl reset-failed; exec relift rollback app --yes").exits(0);
            continue;
        }
        // What was begun and has an inverse, in reverse; one that was about to be begun may have an inverse alone.
        let (undone, done): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.starts_with("un"));
        let begun: Vec<&str> = done.into_iter().filter(|name| !["preflight", "verify"].contains(name)).collect();
        let inverses: Vec<String> = begun.iter().rev().map(|name| format!("un{name}")).collect();
        let is_matched = undone.ends_with(&inverses.iter().map(String::as_str).collect::<Vec<_>>())
            && undone.len() <= inverses.len() + 1;
        assert!(is_matched, "{point}: {said:?}");
        before.assert_same(&host.snapshot());
        assert_eq!(host.must("cat /var/lib/relift/app/ledger/migrations.json 2>/dev/null || :"), "", "{point}");
        figure.count(Ok(Ended::Old));
    }
    assert!(figure.times() > 3, "only {} points were reached", figure.times());
    figure.publish();
}

#[test]
fn variables_of_a_shell_reach_the_command_are_read_as_its_account_and_shown_nowhere() {
    let mut host = host();
    let vars = format!(
        "SECRET={CANARY}-of-a-shell\nDERIVED=\"${{SECRET}}-derived\"\nPLAIN='two words'\nid -un >> /tmp/read-by\n"
    );
    host.write("/opt/app/manager/vars.conf", &vars, 0o600, "app");
    host.must("install -m 666 /dev/null /tmp/read-by; install -m 666 /dev/null /tmp/got");
    let tell = r#"["sh", "-c", "echo it is $SECRET and $DERIVED; env | sort; echo $SECRET $PLAIN $(id -un) >> /tmp/got; exit ${EXIT-0}"]"#;
    let hook = format!(
        "[[hook]]\nat = \"migrate\"\ncomponent = \"manager\"\nundo = \"pure\"\nrun = {tell}\nenv-file = [\"vars.conf\"]\n"
    );
    let check = format!("[[component.check]]\nrun = {tell}\nenv-file = [\"vars.conf\"]\n");
    let step =
        format!("[[component.step]]\nname = \"told\"\nundo = \"pure\"\nrun = {tell}\nenv-file = [\"vars.conf\"]\n");
    let manifest = host.must(&format!("tee /root/app.toml < {MANIFEST}"));
    let place = "\n[[component.step]]\nname = \"build\"";
    host.write("/root/app.toml", manifest.replacen(place, &format!("\n{check}\n{step}\n{place}"), 1), 0o644, "root");
    declare(&host, &hook);
    host.release(|release| release.next("1.1.0"));
    let out = host.relift(&["upgrade", "app", "--yes", "-v"]).exits(0);
    host.assert_no_secret(&out);
    let got = format!("{CANARY}-of-a-shell two words app");
    assert_eq!(host.must("cat /tmp/got").lines().collect::<Vec<_>>(), [&got; 3], "{out}");
    assert_eq!(host.must("sort -u /tmp/read-by"), "app", "no other account has read it");

    // A failure shows nothing of it either, nor what is kept of the run.
    host.release(|release| release.next("1.2.0"));
    host.must("echo EXIT=9 >> /opt/app/manager/vars.conf");
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    assert!(
        out.stderr.contains("exited with 9")
            && out.stderr.contains("| SECRET=<redacted>")
            && out.stderr.contains("| RELIFT_RUN=01"),
        "{out}"
    );
    host.assert_no_secret(&out);
    let leaks =
        format!("grep -rl {CANARY}-of-a-shell /var/lib/relift /var/cache/relift /run/relift /var/log 2>/dev/null || :");
    assert_eq!(host.must(&leaks), "");

    let write = || host.write("/opt/app/manager/vars.conf", &vars, 0o600, "app");
    write();
    let before = host.snapshot();
    for (wrong, words) in [
        ("echo \"A='open\" >> /opt/app/manager/vars.conf", "cannot be read by a shell"),
        ("echo 'A=b no-such-command-of-ours' > /opt/app/manager/vars.conf", "cannot be read by a shell"),
        ("rm /opt/app/manager/vars.conf", "is not there, or app may not read it"),
    ] {
        host.must(wrong);
        let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
        assert!(out.stderr.contains(words) && !out.stderr.contains("no-such-command"), "{wrong}: {out}");
        host.assert_no_secret(&out);
        write();
    }
    before.assert_same(&host.snapshot());

    // Root's shell reads nothing that another account could have written, wherever it is.
    host.must(": > /tmp/read-by; install -o app -m 644 /opt/app/manager/vars.conf /etc/theirs.conf");
    let pinned = host.relift(&["trust", "pin", "app", "main", "--yes"]).exits(0);
    for file in ["/opt/app/manager/vars.conf", "/etc/theirs.conf"] {
        declare(&host, &hook.replace("\"vars.conf\"", &format!("\"{file}\"")).replace("at = ", "as = \"root\"\nat = "));
        let out = host.relift(&["upgrade", "app", "--yes"]);
        assert!(out.code != 0 && out.stderr.contains(&format!("root's shell does not read {file}")), "{pinned}{out}");
        assert_eq!(host.must("grep -c root /tmp/read-by || :"), "0");
    }
    before.assert_same(&host.snapshot());
}

#[test]
fn peers_that_a_release_does_not_go_with_refuse_it_and_a_backlog_must_be_worked_off() {
    let mut host = host();
    let peer = "[[compatibility.peer]]\nname = \"clients\"\ncommand = [\"cat\", \"/tmp/peers\"]\naccepts = [{ ours = \">=1.1, <2\", theirs = \">=1.0.5\" }]\n";
    let backlog =
        "\n[[component.health]]\ncommand = [\"sh\", \"-c\", \". /tmp/backlog.sh\"]\nbelow = 100\nwithin = \"8s\"\n";
    let manifest = host.must(&format!("cat {MANIFEST}"));
    let manifest = manifest.replacen("\n[compatibility]", &format!("{backlog}\n[compatibility]"), 1);
    host.write("/root/app.toml", manifest.replacen("\n[policy]", &format!("\n{peer}\n[policy]"), 1), 0o644, "root");
    declare(&host, "");
    host.release(|release| release.next("1.1.0"));
    host.must("install -m 666 /dev/null /tmp/backlog; echo 40 > /tmp/backlog; echo 'n=$(cat /tmp/backlog); echo jobs: $n; echo $((n - 100)) > /tmp/backlog' > /tmp/backlog.sh; printf '1.0.9\\n1.0.4\\n' > /tmp/peers");
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(2);
    assert!(out.to_string().contains("clients runs 1.0.4, and manager 1.1.0 needs >=1.0.5"), "{out}");
    host.must("rm /tmp/peers");
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(2);
    assert!(out.to_string().contains("clients does not tell its version: cat /tmp/peers exited with 1"), "{out}");
    let plan = host.relift(&["plan", "app"]).exits(0);
    assert!(plan.stdout.contains("warning: clients does not tell its version"), "{plan}");
    host.must("echo 1.0.9 > /tmp/peers");
    let plan = host.relift(&["plan", "app"]).exits(0);
    assert!(plan.stdout.contains("clients 1.0.9: fits manager 1.1.0 (>=1.0.5)"), "{plan}");

    // It falls below the bound while it is watched, and the trend is told.
    host.must("echo 1500 > /tmp/backlog");
    let out = host.sh("systemctl reset-failed; exec relift upgrade app --yes --json").exits(0);
    let told = out.stdout.lines().find(|line| line.contains("1400 -> ") && line.contains("wanted below 100, about "));
    assert!(told.is_some_and(|line| line.contains(" s left")), "{out}");

    for (said, words) in [
        ("400", "command sh -c . /tmp/backlog.sh: 400, wanted below 100, and it does not fall"),
        ("no idea", "printed no number: \"no idea\""),
    ] {
        host.release(|release| release.next(if said == "400" { "1.2.0" } else { "1.3.0" }));
        host.must(&format!("echo 'echo {said}' > /tmp/backlog.sh"));
        let out = upgrade(&host).exits(3);
        assert!(out.stderr.contains(words), "{out}");
        assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
    }
}

#[test]
fn a_hook_that_makes_a_service_take_new_code_is_proven_by_the_version_and_taken_back_in_the_old_tree() {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::boot();
    host.settle(site, |release| {
        release.behaviour("manager", "hand-over").unit_line("manager", "Service", "Type=notify")
    });
    host.must(&format!("sed -i '0,/restart = \"if-changed\"/s//restart = \"never\"/' {MANIFEST}"));
    let main = "systemctl show -P MainPID sample-manager.service";
    let hook = format!(
        "[[hook]]\nat = \"resume\"\ncomponent = \"manager\"\nrun = [\"sh\", \"-c\", \"kill -HUP $({main})\"]\nundo = \"rerun\"\n"
    );
    declare(&host, &hook);
    let process = host.must(main);
    host.release(|release| release.next("1.1.0"));
    let out = upgrade(&host).exits(0);
    assert_eq!((host.answers("manager").as_deref(), host.must(main)), (Some("1.1.0"), process.clone()), "{out}");
    assert!(out.stdout.contains("prove manager: sample-manager.service, 1 probe"), "{out}");

    // It takes files of which it says that they are another version.
    let before = host.snapshot();
    host.release(|release| release.next("1.2.0").behaviour("manager", "hand-over\nold-version 0.0.1"));
    let out = upgrade(&host).exits(3);
    assert!(out.stderr.contains("version is 0.0.1, wanted 1.2.0"), "{out}");
    assert_eq!((host.answers("manager").as_deref(), host.must(main)), (Some("1.1.0"), process.clone()), "{out}");
    before.assert_same(&host.snapshot());
    host.sh("systemctl reset-failed; exec relift rollback app --yes").exits(0);
    assert_eq!((host.answers("manager").as_deref(), host.must(main)), (Some("1.0.0"), process));
}
