//! Questions about keys of a `.env`: at a terminal, and where there is none.

use crate::harness::Host;
use crate::terminal::dialogue;

const ENV: &str = "/opt/app/manager/.env";
/// The sample's own check wants every key; these releases let the operator leave one out.
const CHECK: &str = "manager/scripts/check_config.sh";

/// A host on which a release waits that asks about a new key, a changed default and a renamed key.
fn asking() -> Host {
    let mut host = Host::with_sample();
    host.release(|release| {
        release
            .next("1.1.0")
            .env_key("manager", "OLD_SMTP", "mail.example.org", "Where mail goes.")
            .env_key("manager", "DEPTH", "3", "How deep.")
            .edit(CHECK, |_| "exit 0\n".into())
    });
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host.must(&format!("sed -i 's/^OLD_SMTP=.*/OLD_SMTP=s3cr3t-canary-smtp/' {ENV}; systemctl restart sample-manager"));
    host.release(|release| {
        release.next("1.2.0").edit("manager/.env.example", |text| {
            let renamed = "# Where mail goes; formerly OLD_SMTP.\nSMTP_SERVER=mail.example.org";
            text.replace("# Where mail goes.\nOLD_SMTP=mail.example.org", renamed).replace("DEPTH=3", "DEPTH=4")
                + "\n# For mail.\nSMTP_PASSWORD=CHANGE_ME\n\n# What mail is from.\n# SMTP_FROM=app@example.org\n"
        })
    });
    host
}

#[test]
fn each_key_that_needs_a_decision_is_asked_for_and_what_was_approved_is_what_is_done() {
    let host = asking();
    let out = dialogue(
        &host,
        "relift upgrade app",
        &[
            ("arry my value over to the new key: ", "x\\n"),
            ("answer with one of the letters", "c\\n"),
            ("take the new [d]efault, [e]nter a value: ", "d\\n"),
            ("take the [d]efault as it is: ", "e\\n"),
            ("SMTP_PASSWORD (not shown", "it'\"'\"'s no good\\n"),
            ("which readers of such files take differently", "s3cr3t-canary-tyyped\\177\\177\\177\\177ped\\n"),
            ("Go on?", "y"),
        ],
    )
    .exits(0);
    for words in [
        "# Where mail goes; formerly OLD_SMTP.",
        "# For mail.",
        "SMTP_SERVER: new, with the value of the old key",
        "SMTP_PASSWORD: new, with the value you gave",
        "DEPTH: takes upstream's new default",
        "OLD_SMTP: its value goes to SMTP_SERVER as well; your line is kept",
        "SMTP_FROM: optional, new in the example; not added",
        "every line kept but those you decided about",
    ] {
        assert!(out.stdout.contains(words), "missing: {words}\n{out}");
    }
    host.assert_no_secret(&out);
    let env = host.read(ENV);
    for line in [
        "OLD_SMTP=s3cr3t-canary-smtp\n",
        "SMTP_SERVER=s3cr3t-canary-smtp\n",
        "\nDEPTH=4\n",
        "SMTP_PASSWORD=s3cr3t-canary-typed\n",
    ] {
        assert!(env.contains(line), "missing: {line}\n{env}");
    }
    assert!(!env.contains("SMTP_FROM"));
    assert_eq!(host.answers("manager").as_deref(), Some("1.2.0"));
}

#[test]
fn who_does_not_answer_changes_nothing() {
    let host = asking();
    let before = host.snapshot();
    let carry = ("arry my value over to the new key: ", "k\\n");
    let depth = ("take the new [d]efault, [e]nter a value: ", "k\\n");
    let password = ("take the [d]efault as it is: ", "e\\n");
    for (last, verb) in [
        (vec![("arry my value over to the new key: ", "\\004")], "upgrade"),
        (vec![("arry my value over to the new key: ", "\\003")], "upgrade"),
        (vec![carry, depth, password, ("SMTP_PASSWORD (not shown", "s3cr3t-canary\\003")], "upgrade"),
        (vec![carry, depth, password, ("SMTP_PASSWORD (not shown", "\\004")], "env merge"),
        (vec![carry, depth, ("take the [d]efault as it is: ", "l\\n"), ("Go on?", "n")], "upgrade"),
    ] {
        let out = dialogue(&host, &format!("relift {verb} app"), &last);
        assert!(matches!(out.code, 2 | 130), "{out}");
        assert!(out.code == 130 || out.stdout.contains(" echo "), "the terminal shows what is typed again\n{out}");
        host.assert_no_secret(&out);
        before.assert_same(&host.snapshot());
    }
}

#[test]
fn a_merge_alone_asks_the_same_and_restarts_nothing() {
    let host = asking();
    let pid = host.must("systemctl show -P MainPID sample-manager");
    let answers = [
        ("arry my value over to the new key: ", "k\\n"),
        ("take the new [d]efault, [e]nter a value: ", "e\\n"),
        ("DEPTH (not shown", "\\n"),
        ("take the new [d]efault, [e]nter a value: ", "e\\n"),
        ("DEPTH (not shown", "7\\n"),
        ("take the [d]efault as it is: ", "l\\n"),
    ];
    let before = host.read(ENV);
    let out = dialogue(&host, "relift env merge app", &answers).exits(0);
    host.assert_no_secret(&out);
    let env = host.read(ENV);
    let expected = before.replace("DEPTH=3", "DEPTH=7");
    let added = env.replacen("# Where mail goes; formerly OLD_SMTP.\nSMTP_SERVER=mail.example.org\n\n", "", 1);
    assert_eq!(added, expected, "{env}");
    assert_eq!(host.must("systemctl show -P MainPID sample-manager"), pid);
    // Without a terminal a placeholder stops the merge, and nothing of it is written.
    host.must(&format!("sed -i /SMTP_SERVER/d {ENV}"));
    let before = host.read(ENV);
    let out = host.relift(&["env", "merge", "app"]).exits(2);
    assert!(out.stderr.contains("app needs values of yours: SMTP_PASSWORD in manager/.env"), "{out}");
    assert_eq!(host.read(ENV), before);
}

#[test]
fn the_screens_are_as_a_person_reads_them() {
    let host = asking();
    let out = host.relift(&["env", "diff", "app"]).exits(2);
    assert_eq!(out.stdout, DIFF, "{out}");
    assert!(
        out.stderr.contains("next:  set them in the file, or run on a terminal to be asked: relift env merge app"),
        "{out}"
    );
    host.must(&format!("printf 'MAIL=a b # c\\nexport DIR=x\\n' >> {ENV}"));
    let out = host.relift(&["env", "lint", "app"]).exits(1);
    assert_eq!(out.stdout, LINT, "{out}");
    let json = host.relift(&["env", "lint", "app", "--json"]).exits(1).stdout;
    assert!(json.contains("\"ends-at-hash\"") && json.contains("\"dialect\": \"systemd\""), "{json}");
}

const DIFF: &str = "\
manager/.env
  + SMTP_SERVER: new, with upstream's default
  ~ DEPTH: upstream's default changed; you had the old one, which is kept
  ? SMTP_PASSWORD: new, and needs a value of yours
  # SMTP_FROM: optional, new in the example; not added
  ~ OLD_SMTP: perhaps renamed to SMTP_SERVER; your line is kept
@@ -9,8 +9,14 @@
 # <comment>
 LOG_LEVEL=<set, under 8 chars>
 
+# Where mail goes; formerly OLD_SMTP.
+SMTP_SERVER=<set, 8 to 31 chars>
+
 # <comment>
 OLD_SMTP=<set, 8 to 31 chars>
 
 # <comment>
 DEPTH=<set, under 8 chars>
+
+# For mail.
+SMTP_PASSWORD=<placeholder>
";
const LINT: &str = "\
manager/.env (read by systemd) 3 disagreements
  line 17
    systemd         reads on
    dotenvy         refuses the file
    python-dotenv   reads on
    docker-compose  reads on
  line 17 MAIL
    systemd         set
    python-dotenv   ends at #
    docker-compose  ends at #
  line 18 DIR
    systemd         not set
    python-dotenv   set
    docker-compose  set
  next: KEY='value', without export and with comments on lines of their own, is read alike by all
runner/.env (read by a dotenv library) all readers agree
";

#[test]
fn the_policy_says_what_an_unattended_run_does_about_new_keys() {
    let mut host = Host::with_sample();
    let policy = |host: &Host, words: &str| {
        host.must(&format!(
            "sed -i '/^env = \"/d; s/^\\[policy\\]$/[policy]\\nenv = \"{words}\"/' /etc/relift/app.toml"
        ));
    };
    host.release(|release| {
        release.next("1.1.0").env_key("manager", "FIRST", "1", "One.").edit(CHECK, |_| "exit 0\n".into())
    });
    policy(&host, "stop");
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(2);
    assert!(out.stderr.contains("manager/.env has new keys upstream, and [policy] env = \"stop\": FIRST"), "{out}");
    before.assert_same(&host.snapshot());

    policy(&host, "report");
    let env = host.read(ENV);
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert!(
        out.stdout.contains("manager/.env: new upstream and not added, as [policy] env = \"report\" asks: FIRST"),
        "{out}"
    );
    assert_eq!((host.read(ENV), host.answers("manager").as_deref()), (env, Some("1.1.0")));

    policy(&host, "add-new");
    host.release(|release| release.next("1.2.0").env_key("manager", "SECOND", "2", "Two."));
    host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert!(host.read(ENV).contains("SECOND=2\n"), "{}", host.read(ENV));

    for words in ["add-new", "report", "stop"] {
        policy(&host, words);
        host.release(|release| release.next("1.3.0").env_key("manager", "THIRD", "CHANGE_ME", "Three."));
        let out = host.relift(&["upgrade", "app", "--unattended"]).exits(2);
        assert!(out.stderr.contains("manager/.env needs a value for the new key THIRD"), "{words}: {out}");
    }
}
