//! Which units a changed `.env` restarts, and what `status` says of those that run with an older one.

use crate::harness::Host;

const ENV: &str = "/opt/app/manager/.env";
const UNITS: [&str; 3] = ["sample-manager", "sample-mail", "sample-helper"];

/// A unit that only sleeps.
fn sleeper(more: &str) -> String {
    format!("[Service]\n{more}ExecStart=/usr/bin/sleep infinity\n\n[Install]\nWantedBy=multi-user.target\n")
}

/// The sample with two more units: one of the runner that reads the manager's `.env` by a pattern, and one of the manager that
/// reads none.
fn host() -> Host {
    let mut host = Host::with_sample();
    let manifest = host.read("/etc/relift/app.toml");
    let more = |text: String, component: &str, unit: &str| {
        let own = format!("file    = \"production/sample-{component}.service\"");
        let at = text.find(&own).unwrap_or_else(|| panic!("no {own} in {text}"));
        let start = text[..at].rfind("[[component.unit]]").unwrap();
        let block = format!("[[component.unit]]\nfile = \"production/{unit}.service\"\nscope = \"system\"\n\n");
        format!("{}{block}{}", &text[..start], &text[start..])
    };
    let manifest = more(manifest, "manager", "sample-helper");
    host.write("/etc/relift/app.toml", more(manifest, "runner", "sample-mail"), 0o644, "root");
    host.release(|release| {
        release
            .next("1.1.0")
            .file("manager/production/sample-helper.service", &sleeper(""))
            .file("runner/production/sample-mail.service", &sleeper("EnvironmentFile=-/opt/app/*/.e*\n"))
    });
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host
}

fn processes(host: &Host) -> Vec<String> {
    let mut processes: Vec<String> =
        UNITS.iter().map(|unit| host.must(&format!("systemctl show -P MainPID {unit}"))).collect();
    processes.push(host.sh_as("app", "systemctl --user show -P MainPID sample-runner").exits(0).stdout);
    processes
}

/// Which of the processes are others than before.
fn restarted(before: &[String], after: &[String]) -> Vec<bool> {
    before.iter().zip(after).map(|(before, after)| before != after).collect()
}

fn older(host: &Host) -> Vec<String> {
    let out = host.relift(&["status", "app"]).exits(0);
    let lines = out.stdout.lines().filter(|line| line.contains("is running with an older"));
    lines.map(|line| line.trim().trim_start_matches("! ").to_owned()).collect()
}

#[test]
fn an_edited_env_restarts_the_units_that_read_it_and_no_other() {
    let host = host();
    assert_eq!(older(&host), Vec::<String>::new());
    let before = processes(&host);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(restarted(&before, &processes(&host)), [false; 4], "nothing was edited");

    host.must(&format!("sed -i s/^LOG_LEVEL=.*/LOG_LEVEL=debug/ {ENV}"));
    let says =
        |unit: &str| format!("{unit}.service is running with an older manager/.env: the next upgrade restarts it");
    assert_eq!(older(&host), [says("sample-manager"), says("sample-mail")]);
    let document = host.relift(&["status", "app", "--json"]).exits(0).stdout;
    assert!(document.contains(&says("sample-mail")), "{document}");
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert!(out.stdout.contains(".env changed"), "{out}");
    let after = processes(&host);
    assert_eq!(restarted(&before, &after), [true, true, false, false], "{out}");
    assert_eq!(older(&host), Vec::<String>::new());

    // Who restarts by hand after an edit has done the job for that unit.
    host.must(&format!("sed -i s/^LOG_LEVEL=.*/LOG_LEVEL=info/ {ENV}; sleep 0.1; systemctl restart sample-manager"));
    assert_eq!(older(&host), [says("sample-mail")]);
    let by_hand = processes(&host);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(restarted(&by_hand, &processes(&host)), [false, true, false, false]);
    assert_eq!(older(&host), Vec::<String>::new());

    // A file of the runner's is read by the runner itself, since no unit but the pattern of sample-mail names it.
    host.must("printf '# mine\\n' >> /opt/app/runner/.env");
    let says =
        |unit: &str| format!("{unit}.service is running with an older runner/.env: the next upgrade restarts it");
    assert_eq!(older(&host), [says("sample-mail")], "a unit names it, so that systemd reads it");
    host.must("sed -i 's/env = \\[{ file = \".env\", example = \".env.example\" }\\]/env = [{ file = \".env\", example = \".env.example\", dialect = \"dotenv\" }]/' /etc/relift/app.toml");
    let found = older(&host);
    assert!(found.contains(&says("sample-runner")) && found.contains(&says("sample-mail")), "{found:?}");
}
