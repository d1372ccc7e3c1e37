//! People hear of what happens with nobody there: by real mail servers and HTTP servers, which fail in every way.

use std::time::{Duration, Instant};

use relift::sample::Site;
use serde_json::Value;

use crate::crash::killed;
use crate::harness::{CANARY, Host, Out};
use crate::receiver::{self, HEADER, declare, forget, received};

fn quick() -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    let host = Host::with_site(site);
    receiver::start(&host);
    host
}

/// A way by webhook.
fn hook(path: &str, more: &str) -> String {
    format!("\n[[notify]]\nwebhook = {{ url = \"http://127.0.0.1:8080/{path}\" }}\n{more}\n")
}

/// Nobody is there.
fn tick(host: &Host) -> Out {
    host.sh("systemctl reset-failed; relift upgrade app --unattended")
}

/// A check that fails, by cron.
fn failing_check(host: &Host) -> Out {
    host.must("mv /srv/git/app.git /srv/git/gone.git");
    let out = host.relift(&["check", "app"]);
    host.must("mv /srv/git/gone.git /srv/git/app.git");
    out
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// No secret of the ways is anywhere but in its file, and where it belongs on the wire.
fn assert_no_secret(host: &Host, outs: &[&Out]) {
    outs.iter().for_each(|out| host.assert_no_secret(out));
    let places = host.sh(&format!(
        "grep -rlF {CANARY} /var/lib/relift/app/notify /var/lib/relift/app/runs /run/relift /run/motd.d /tmp/argv 2>/dev/null"
    ));
    assert_eq!(places.stdout, "", "{places}");
}

#[test]
fn a_release_that_fails_by_itself_is_told_once_by_every_way_and_so_is_the_one_that_works() {
    let mut host = quick();
    let on = r#"on = ["failure", "success", "new"]"#;
    declare(
        &host,
        &format!(
            r#"
[[notify]]
{on}
mail = {{ to = ["ops@example.org"], from = "relift@example.org", smtp = "smtp://relift@localhost:2525", credential = "/etc/relift/smtp.secret" }}

[[notify]]
{on}
mail = {{ to = ["local@example.org", "second@example.org"], sendmail = true }}

[[notify]]
{on}
webhook = {{ url-file = "/etc/relift/url.secret", headers-file = "/etc/relift/headers.secret", secret-file = "/etc/relift/key.secret" }}

[[notify]]
{on}
webhook = {{ url = "http://127.0.0.1:8080/slack", format = "slack" }}

[[notify]]
{on}
command = ["/usr/local/bin/told", "x"]
"#
        ),
    );
    host.write("/usr/local/bin/told", "#!/bin/sh\n(id -un; cat; echo) >> /tmp/told\n", 0o755, "root:root");
    host.must("(while :; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' >> /tmp/argv; sleep 0.05; done) >/dev/null 2>&1 & echo $! > /root/sampler");
    host.release(|release| release.next("1.1.0").behaviour("manager", "die-after 0s"));
    let failed = tick(&host).exits(3);
    let run = host.must("ls /var/lib/relift/app/runs | tail -n 1");

    let mails = received(&host, "mails");
    assert_eq!(mails.len(), 2, "{mails:#?}");
    let by = |user: bool| mails.iter().find(|mail| mail["tls"] == user).unwrap();
    let (smtp, sendmail) = (by(true), by(false));
    assert_eq!(smtp["user"], "relift");
    assert_eq!(sendmail["to"], serde_json::json!(["local@example.org", "second@example.org"]));
    for mail in &mails {
        let subject = text(mail, "subject");
        assert!(
            subject.starts_with("[relift] ") && subject.ends_with(": app 1.0.0 -> 1.1.0 failed, put back"),
            "{subject}"
        );
        assert_eq!(text(mail, "auto"), "auto-generated");
        assert!(text(mail, "thread").starts_with(&format!("<{run}@")), "{mail:#?}");
        for part in ["text", "html"] {
            let body = text(mail, part);
            for words in ["put back as it was, and checked", &format!("relift logs {run}"), "sample-manager.service"] {
                assert!(body.contains(words), "{words}: {body}");
            }
        }
    }
    let hooks = received(&host, "hooks");
    assert_eq!(hooks.len(), 2, "{hooks:#?}");
    let json = hooks.iter().find(|hook| text(hook, "path").starts_with("/ok/")).unwrap();
    assert_eq!(text(&json["headers"], "x-token"), HEADER);
    let body: Value = serde_json::from_str(text(json, "body")).unwrap();
    assert_eq!((&body["version"], text(&body, "topic"), text(&body, "stage")), (&Value::from(1), "failure", "new"));
    assert_eq!((text(&body["happening"], "outcome"), text(&body["happening"], "run")), ("put-back", run.as_str()));
    assert_eq!(text(&json["headers"], "idempotency-key"), text(&body, "id"));
    host.write("/srv/rx/body", text(json, "body"), 0o600, "root:root");
    let hmac = "import hmac; print(hmac.new(open('/etc/relift/key.secret','rb').read().strip(), open('/srv/rx/body','rb').read(), 'sha256').hexdigest())";
    let hmac = host.run(&["/usr/bin/python3", "-c", hmac], b"").exits(0).stdout.trim().to_owned();
    assert_eq!(text(&json["headers"], "x-relift-signature"), format!("sha256={hmac}"), "Python agrees");
    let told = host.read("/tmp/told");
    assert!(told.starts_with("nobody\n{") && told.contains(r#""outcome":"put-back""#), "{told}");
    let motd = host.read("/run/motd.d/relift");
    assert!(motd.starts_with("relift: app 1.0.0 -> 1.1.0 failed, put back: ") && motd.lines().count() == 1, "{motd}");

    // The timer goes on: nobody is told again.
    forget(&host);
    for _ in 0..3 {
        tick(&host).exits(0);
        host.relift(&["notify", "flush"]).exits(0);
    }
    assert!(received(&host, "mails").is_empty() && received(&host, "hooks").is_empty());
    host.release(|release| release.next("1.2.0").behaviour("manager", ""));
    let checked = host.relift(&["check", "app"]).exits(100);
    assert_eq!(received(&host, "mails").len(), 2, "something new is told");
    let done = tick(&host).exits(0);
    let subjects: Vec<String> = received(&host, "mails").iter().map(|mail| text(mail, "subject").to_owned()).collect();
    assert_eq!(subjects.len(), 4, "{subjects:?}");
    assert!(
        subjects[0].ends_with("app 1.0.0 -> 1.2.0 is available") && subjects[3].ends_with("app 1.0.0 -> 1.2.0 done"),
        "{subjects:?}"
    );
    assert_eq!(host.sh("test -e /run/motd.d/relift").code, 1, "nothing is to be said any more");

    // Each way is tried out; one that is not taken is told.
    forget(&host);
    let test = host.relift(&["notify", "test", "app", "--on", "failure"]).exits(0);
    assert_eq!(test.stdout.matches("taken").count(), 5, "{test}");
    let subject = text(&received(&host, "mails")[0], "subject").to_owned();
    assert!(subject.contains(": test: app"), "{subject}");
    host.must("echo wrong > /etc/relift/smtp.secret");
    let wrong = host.relift(&["notify", "test"]).exits(1);
    assert!(wrong.stdout.contains("not taken: ") && wrong.stdout.contains("535"), "{wrong}");
    host.must("kill $(cat /root/sampler)");
    assert!(host.read("/tmp/argv").contains("relift upgrade app --unattended"));
    assert_no_secret(&host, &[&failed, &checked, &done, &test, &wrong]);
    let shown = host.relift(&["config", "show", "app"]).exits(0);
    assert!(shown.stdout.contains("[[notify]]") && !shown.stdout.contains("8080/slack"), "{shown}");
}

#[test]
fn servers_that_hang_refuse_or_lie_delay_nothing_and_fail_nothing() {
    let host = quick();
    let mut ways = String::new();
    for (port, to) in
        [2530, 2531, 2532, 2533, 2534, 2535, 2536, 2599].map(|port| (port, format!("p{port}@example.org")))
    {
        ways += &format!("\n[[notify]]\nmail = {{ to = [\"{to}\"], smtp = \"smtp://127.0.0.1:{port}\" }}\n");
    }
    ways += "\n[[notify]]\nmail = { to = [\"tls@example.org\"], smtp = \"smtp://relift@localhost:2526\", credential = \"/etc/relift/smtp.secret\" }\n";
    ways += "\n[[notify]]\nmail = { to = [\"notls@example.org\"], smtp = \"smtp://relift@localhost:2527\", credential = \"/etc/relift/smtp.secret\" }\n";
    ways += "\n[[notify]]\nmail = { to = [\"echo@example.org\"], smtp = \"smtp://relift@127.0.0.1:2537\", tls = \"none\", credential = \"/etc/relift/smtp.secret\" }\n";
    ways += "\n[[notify]]\nwebhook = { url = \"https://nowhere.invalid/x\" }\n";
    ways += "\n[[notify]]\ncommand = [\"/bin/sleep\", \"3600\"]\n";
    for path in ["down", "busy", "hang", "redirect", "gone", "endless"] {
        ways += &hook(path, "");
    }
    ways += "\n[[notify]]\nmail = { to = [\"dns@example.org\"], smtp = \"smtps://mail.invalid\" }\n";
    declare(&host, &ways);
    host.must("rm -f /etc/resolv.conf; echo nameserver 127.0.0.1 > /etc/resolv.conf");
    let begun = Instant::now();
    let failed = failing_check(&host).exits(1);
    let took = begun.elapsed();
    // Ten seconds for all of them at once: one after the other would take minutes.
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(failed.stderr.contains("app could not be checked"), "{failed}");
    assert_eq!(host.sh("pgrep -xf '/bin/sleep 3600'").code, 1, "the command is ended");

    let waiting: Value = serde_json::from_str(&host.relift(&["notify", "list", "--json"]).exits(0).stdout).unwrap();
    let waiting = waiting["installs"][0]["messages"].as_array().unwrap().clone();
    let fault = |way: &str| {
        let found =
            waiting.iter().filter(|message| text(message, "way").contains(way)).map(|message| text(message, "fault"));
        found.map(str::to_owned).collect::<Vec<_>>().join(" / ")
    };
    for port in [2530, 2531, 2532, 2533, 2534] {
        let said = fault(&format!("p{port}@"));
        assert!(said.contains("time") || said.contains("no end within"), "{port}: {said}");
    }
    assert!(fault("p2535@").contains("451"), "{waiting:#?}");
    assert!(fault("p2599@").to_lowercase().contains("refused"), "{waiting:#?}");
    assert!(fault("mail to tls@").to_lowercase().contains("certificate"), "{waiting:#?}");
    assert!(fault("mail to notls@").to_lowercase().contains("starttls"), "{waiting:#?}");
    assert!(
        fault("mail to echo@").contains("454") && fault("mail to echo@").contains("not <redacted> nor <redacted>"),
        "{waiting:#?}"
    );
    assert!(fault("mail to dns@").contains("no end within 10 s"), "{waiting:#?}");
    assert!(fault("nowhere.invalid").contains("no answer in time"), "{waiting:#?}");
    assert!(fault("/bin/sleep").contains("did not end in time"), "{waiting:#?}");
    let hooks = fault("127.0.0.1:8080");
    for said in ["it answered 500", "it answered 429", "no answer in time"] {
        assert!(hooks.contains(said), "{said}: {hooks}");
    }
    let busy = waiting.iter().find(|message| text(message, "fault").contains("429")).unwrap();
    let pause = busy["next"].as_i64().unwrap() - busy["created"].as_i64().unwrap();
    assert!((1_800..1_860).contains(&pause), "Retry-After is kept to: {pause}");
    // What is refused for good is told in the journal and in the status, and is not tried again.
    let journal = host.must("journalctl --sync; journalctl --no-pager -t relift -o cat");
    for words in ["it answered 404", "it answered 307: a redirect, which is not followed", "550"] {
        assert!(journal.contains(words), "{words}: {journal}");
    }
    let status = host.relift(&["status", "app"]).exits(0);
    assert!(
        status.stdout.contains("notify: 3 messages were never delivered")
            && status.stdout.contains("1 message waits for mail to p2535@example.org: "),
        "{status}"
    );
    assert!(!received(&host, "hooks").iter().any(|hook| hook["port"] == 8081), "no redirect is followed");
    assert!(
        host.must(
            "find /var/lib/relift/app/notify -type f ! -perm 600; find /var/lib/relift/app/notify -type d ! -perm 700"
        )
        .is_empty()
    );
    assert_no_secret(&host, &[&failed, &status]);
}

#[test]
fn what_could_not_be_delivered_is_delivered_once_when_it_can_be_whoever_dies_meanwhile() {
    let host = quick();
    declare(&host, &(hook("switch", "") + &hook("slow", "")));
    host.must("echo 503 > /srv/rx/mode");
    failing_check(&host).exits(1);
    assert_eq!(received(&host, "hooks").len(), 2);
    host.relift(&["notify", "flush"]).exits(0);
    assert_eq!(received(&host, "hooks").len(), 2, "its time has not come");
    // Later, five at once, which wait for each other: one of them delivers.
    host.must("rm /srv/rx/mode");
    let soon = "sed -i 's/\"next\": [0-9][0-9]*/\"next\": 0/' /var/lib/relift/app/notify/spool/*.json";
    host.must(&format!("{soon}; for i in 1 2 3 4 5; do relift notify flush & done; wait"));
    let hooks = received(&host, "hooks");
    assert_eq!(hooks.len(), 3, "{hooks:#?}");
    let id = |hook: &Value| text(&hook["headers"], "idempotency-key").to_owned();
    assert!(id(&hooks[0]) == id(&hooks[2]) || id(&hooks[1]) == id(&hooks[2]), "the same message has the same key");
    assert!(host.relift(&["notify", "list"]).exits(0).stdout.contains("nothing waits"));

    // Its end is told, too; and killed at whatever moment, nothing is lost.
    forget(&host);
    for delay in 0..12 {
        let verb = "for word in check; do relift check app; done";
        host.must("rm -rf /var/lib/relift/app/notify; mv /srv/git/app.git /srv/git/gone.git");
        host.sh(&format!(
            "timeout -s KILL 0.{:02} sh -c 'exec relift check app'; :; {verb} >/dev/null 2>&1",
            delay * 6
        ));
        host.must("mv /srv/git/gone.git /srv/git/app.git");
        host.sh("sed -i 's/\"next\": [0-9][0-9]*/\"next\": 0/' /var/lib/relift/app/notify/spool/*.json 2>/dev/null; relift notify flush");
        let hooks = received(&host, "hooks");
        for path in ["/switch", "/slow"] {
            let ids: Vec<String> = hooks.iter().filter(|hook| text(hook, "path") == path).map(id).collect();
            assert!(!ids.is_empty(), "after {delay}: {path} was not told");
        }
        assert!(host.relift(&["notify", "list"]).exits(0).stdout.contains("nothing waits"), "after {delay}");
        forget(&host);
    }

    // A disk that is full, and a spool that is a link: the message goes out all the same, and the exit status is the check's.
    host.must("rm -rf /var/lib/relift/app/notify; mkdir -m 700 /var/lib/relift/app/notify; mount -t tmpfs -o size=4k,mode=700 none /var/lib/relift/app/notify; cat /dev/zero > /var/lib/relift/app/notify/full 2>/dev/null || :");
    failing_check(&host).exits(1);
    assert_eq!(received(&host, "hooks").len(), 2);
    failing_check(&host).exits(1);
    assert_eq!(received(&host, "hooks").len(), 2, "and it is told once");
    host.must("umount /var/lib/relift/app/notify; rm -f /run/relift/app~notify.json; ln -s /tmp /var/lib/relift/app/notify/spool");
    failing_check(&host).exits(1);
    assert_eq!(received(&host, "hooks").len(), 4);
    assert!(host.must("journalctl --sync; journalctl --no-pager -t relift -o cat").contains("symbolic link"));
    assert_eq!(host.must("ls /tmp | grep -c json || :"), "0");
}

#[test]
fn a_run_that_died_and_checks_that_are_missed_are_told_by_the_timer() {
    let mut host = quick();
    let on = "on = [\"recovered\", \"stale\", \"failure\"]\nexpect-check = \"1h\"";
    let looks = format!("\n[[notify]]\n{on}\ncommand = [\"/usr/local/bin/looks\"]\nas = \"root\"\n");
    declare(&host, &(hook("ok", on) + &looks));
    let script = "#!/bin/sh\nflock -n /run/relift/app.lock echo free >> /tmp/lock || echo held >> /tmp/lock\n";
    host.write("/usr/local/bin/looks", script, 0o755, "root:root");
    for unit in ["relift-notify.service", "relift-notify.timer"] {
        let text = std::fs::read_to_string(format!("{}/units/{unit}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        host.write(&format!("/usr/lib/systemd/system/{unit}"), text, 0o644, "root:root");
    }
    host.must("systemctl daemon-reload; systemd-analyze verify --man=no /usr/lib/systemd/system/relift-notify.timer; systemctl start relift-notify.timer");
    host.must("systemctl start relift-notify.service");
    assert!(received(&host, "hooks").is_empty());
    let flush = |host: &Host, later: &str| {
        let preload = "$(dpkg -L libfaketime | grep -m 1 'libfaketime.so.1$')";
        host.must(&format!("LD_PRELOAD={preload} FAKETIME='{later}' relift notify flush"));
        let hooks = received(host, "hooks");
        forget(host);
        hooks.iter().map(|hook| serde_json::from_str::<Value>(text(hook, "body")).unwrap()).collect::<Vec<_>>()
    };
    assert!(flush(&host, "+2h").is_empty());
    let stale = flush(&host, "+4h");
    assert_eq!(stale.len(), 1, "{stale:#?}");
    assert!(
        text(&stale[0], "headline").starts_with("app was not checked for 3 hours")
            || text(&stale[0], "headline").starts_with("app was not checked for 4 hours"),
        "{stale:#?}"
    );
    assert!(flush(&host, "+5h").is_empty(), "once");
    assert!(host.read("/run/motd.d/relift").contains("was not checked"));
    host.relift(&["check", "app"]).exits(0);
    let over = received(&host, "hooks");
    assert!(over.len() == 1 && text(&over[0], "body").contains(r#""stage":"resolved""#), "{over:#?}");
    assert_eq!(host.sh("test -e /run/motd.d/relift").code, 1);
    forget(&host);

    // A hold that is over is told once.
    let hold = r#"{"format": 1, "content": {"reason": "exams", "since": 1, "until": 2}}"#;
    host.write("/var/lib/relift/app/ledger/hold.json", hold, 0o600, "root:root");
    let over = flush(&host, "+0s");
    assert!(over.len() == 1 && text(&over[0], "headline") == "app: its hold (exams) is over", "{over:#?}");
    assert!(flush(&host, "+2d").iter().all(|news| text(news, "headline").contains("not checked")));
    host.must("rm /var/lib/relift/app/ledger/hold.json");
    host.relift(&["check", "app"]);
    assert!(flush(&host, "+0s").iter().all(|news| text(news, "headline").contains("not checked")));

    // A run dies; nobody recovers it.
    host.release(|release| release.next("1.1.0"));
    killed(&host, "before-00014", "upgrade app --unattended").exits(137);
    host.must("systemctl stop 'relift-deadman-*'");
    host.must("systemctl start relift-notify.service");
    assert!(received(&host, "hooks").is_empty(), "the dead-man has its chance first");
    let run = host.must("ls /var/lib/relift/app/runs | tail -n 1");
    let died = flush(&host, "+10m");
    assert!(
        died.len() == 1 && text(&died[0], "headline") == format!("app: run {run} died and is still open"),
        "{died:#?}"
    );
    assert!(host.read("/run/motd.d/relift").contains("relift recover app"));
    // The next unattended run settles it, and goes on.
    tick(&host).exits(0);
    let hooks = received(&host, "hooks");
    let bodies: Vec<Value> = hooks.iter().map(|hook| serde_json::from_str(text(hook, "body")).unwrap()).collect();
    assert_eq!(bodies.len(), 1, "{bodies:#?}");
    assert_eq!((text(&bodies[0], "topic"), text(&bodies[0]["happening"], "run")), ("recovered", run.as_str()));
    assert_eq!(host.sh("test -e /run/motd.d/relift").code, 1);
    forget(&host);
    // And so does recovery by itself.
    host.release(|release| release.next("1.2.0"));
    killed(&host, "before-00014", "upgrade app --unattended").exits(137);
    host.relift(&["recover", "app"]).exits(0);
    let hooks = received(&host, "hooks");
    assert!(hooks.len() == 1 && text(&hooks[0], "body").contains(r#""topic":"recovered""#), "{hooks:#?}");
    let locks = host.read("/tmp/lock");
    assert!(
        locks.lines().count() >= 5 && locks.lines().all(|line| line == "free"),
        "nothing is sent under the lock: {locks}"
    );
}
