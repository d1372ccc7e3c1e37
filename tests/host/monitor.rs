//! What monitoring reads of an install: the real node_exporter, a receiver of spans, an account that may read nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::harness::{CANARY, Host, needs};

const MANIFEST: &str = "/etc/relift/app.toml";
const COLLECTOR: &str = "/var/lib/prometheus/node-exporter";

/// Keeps the body of each request, and answers as the file `mode` says.
const RECEIVER: &str = r#"
import http.server, os, sys, time
root = sys.argv[1]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        mode = open(root + '/mode').read().strip() if os.path.exists(root + '/mode') else ''
        number = len(os.listdir(root + '/got'))
        with open(f'{root}/got/.new', 'wb') as file: file.write(body)
        with open(root + '/heads', 'a') as file: file.write(f"{self.path} {self.headers['Content-Type']} {self.headers.get('X-Token')}\n")
        os.rename(f'{root}/got/.new', f'{root}/got/{number:03}')
        if mode == 'hang': time.sleep(3600)
        self.send_response(500 if mode == 'error' else 200)
        self.end_headers()
        self.wfile.write(b'x' * (64 << 20) if mode == 'huge' else b'{}')
    def log_message(self, *a): pass
os.makedirs(root + '/got', exist_ok=True)
http.server.ThreadingHTTPServer(('127.0.0.1', 4318), Handler).serve_forever()
"#;

fn declare(host: &Host, monitoring: &str) {
    let plain = host.must("cat /root/app.toml 2>/dev/null || tee /root/app.toml < /etc/relift/app.toml");
    host.write(MANIFEST, format!("{plain}\n[monitoring]\n{monitoring}\n"), 0o644, "root");
}

/// The series of the install, as node_exporter exposes them.
fn scraped(host: &Host) -> BTreeMap<String, f64> {
    let text = host.wait_for("curl --silent --fail http://127.0.0.1:9100/metrics");
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

fn spans(host: &Host, number: usize) -> Vec<Span> {
    let body = host.wait_for(&format!("cat /srv/otlp/got/{number:03}"));
    assert!(!body.contains(CANARY));
    let request: ExportTraceServiceRequest = serde_json::from_str(&body).unwrap();
    request.resource_spans[0].scope_spans[0].spans.clone()
}

#[test]
fn an_install_is_seen_by_node_exporter_by_a_plugin_and_by_an_account_that_reads_nothing_else() {
    needs(&[("prometheus-node-exporter", "prometheus-node-exporter"), ("python3", "python3")]);
    let mut host = Host::with_sample();
    host.must(&format!(
        "mkdir -p {COLLECTOR} && chown nobody {COLLECTOR} && useradd -r monitor && systemd-run --quiet --unit=exporter -p User=nobody prometheus-node-exporter \
         --collector.disable-defaults --collector.textfile --collector.textfile.directory={COLLECTOR} --web.listen-address=127.0.0.1:9100"
    ));
    // Without [monitoring] nothing is written, and only root is told anything.
    host.relift(&["check"]).exits(0);
    host.must(&format!("[ ! -e /run/relift-status ] && [ -z \"$(ls {COLLECTOR})\" ]"));
    let afar = |host: &Host| {
        host.run(
            &["setpriv", "--reuid=monitor", "--regid=monitor", "--clear-groups", "relift", "status", "--nagios"],
            b"",
        )
    };
    assert!(afar(&host).exits(3).stdout.starts_with("RELIFT UNKNOWN - no install is known"));

    declare(&host, &format!("textfile = \"{COLLECTOR}\""));
    host.relift(&["check"]).exits(0);
    let line = host.relift(&["status", "--nagios"]).exits(0).stdout;
    assert!(line.starts_with("RELIFT OK - app: nothing new") && line.contains(" | 'app_pending'=0 "), "{line}");
    assert_eq!(afar(&host).exits(0).stdout.split(" | ").next(), line.split(" | ").next(), "everybody is told the same");
    let seen = scraped(&host);
    assert_eq!(seen["node_textfile_scrape_error"], 0.0);
    assert_eq!(seen["relift_pending{install=\"app\"}"], 0.0);
    let now: f64 = host.must("date +%s").parse().unwrap();
    assert!((now - seen["relift_last_check_success_timestamp_seconds{install=\"app\"}"]).abs() < 60.0);

    // A check stays fast: two small files, one for each reader, and nothing is waited for.
    needs(&[("strace", "strace")]);
    host.must("strace -f -qq -o /tmp/trace -e trace=fsync,fdatasync,syncfs,sync,rename,renameat,renameat2 relift check app >/dev/null");
    let trace = host.read("/tmp/trace");
    assert_eq!((trace.matches("rename").count(), trace.matches("sync").count()), (2, 0), "{trace}");

    host.release(|release| release.next("1.1.0"));
    let line = host.relift(&["check", "--nagios"]).exits(1).stdout;
    assert!(line.contains("RELIFT WARNING - app: ") && line.contains("manager 1.0.0 to 1.1.0"), "{line}");
    host.relift(&["check", "--nagios", "--ok-if-new"]).exits(0);
    assert_eq!(scraped(&host)["relift_state{install=\"app\",state=\"available\"}"], 1.0);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let seen = scraped(&host);
    assert_eq!(seen["relift_runs_total{install=\"app\",outcome=\"done\"}"], 1.0);
    assert_eq!(seen["relift_component_info{component=\"manager\",install=\"app\",version=\"1.1.0\"}"], 1.0);
    assert!(seen["relift_last_run_phase_seconds{install=\"app\",phase=\"switch\"}"] > 0.0, "{seen:#?}");
    assert!(seen.contains_key("relift_last_run_without_service_seconds{install=\"app\"}"));

    // A release that fails, a hold, a source that does not answer, a run that died.
    host.release(|release| release.next("1.2.0").behaviour("manager", "exit-at-once 1"));
    host.relift(&["upgrade", "app", "--yes"]).exits(3);
    let seen = scraped(&host);
    assert_eq!(seen["relift_runs_total{install=\"app\",outcome=\"rolled-back\"}"], 1.0);
    assert_eq!(seen["relift_state{install=\"app\",state=\"failed\"}"], 1.0);
    assert!(afar(&host).exits(2).stdout.contains("failed here: relift show"));
    host.release(|release| release.next("1.3.0").behaviour("manager", "ok"));
    host.relift(&["hold", "app", "--reason", "s3cr3t-canary-reason"]).exits(0);
    assert_eq!(scraped(&host)["relift_held{install=\"app\"}"], 1.0);
    host.relift(&["unhold", "app"]).exits(0);
    host.must("mv /srv/git /srv/away");
    let line = host.relift(&["check", "--nagios"]).exits(3);
    assert!(line.stdout.starts_with("RELIFT UNKNOWN - app: ") && line.stdout.lines().count() == 1, "{line}");
    host.must("mv /srv/away /srv/git");
    host.run(&["env", "RELIFT_KILL_AT=before-gate", "relift", "upgrade", "app", "--yes"], b"");
    host.relift(&["check"]);
    assert!(afar(&host).exits(2).stdout.contains("was interrupted: relift recover app"));
    assert_eq!(scraped(&host)["relift_open_run{install=\"app\"}"], 1.0);
    host.relift(&["recover", "app"]).exits(0);
    assert_eq!(scraped(&host)["relift_open_run{install=\"app\"}"], 0.0);

    // Nothing of it is a secret, and what is not the monitoring account's to read stays closed.
    let all = host.must(&format!("cat {COLLECTOR}/*.prom /run/relift-status/*"));
    assert!(!all.contains(CANARY), "{all}");
    host.sh_as("nobody", "cat /var/lib/relift/app/ledger/monitoring.json").exits(1);
    assert_eq!(
        host.must(&format!("stat -c '%a %U' {COLLECTOR}/relift_app.prom /run/relift-status/app.json")),
        "644 root\n644 root"
    );

    // A directory that cannot be written to is a warning, and takes nothing from the summary.
    declare(&host, "textfile = \"/nowhere/at/all\"");
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert!(out.stderr.contains("monitoring of app: /nowhere/at/all cannot be opened"), "{out}");
    assert!(afar(&host).exits(0).stdout.contains("nothing new"), "the summary is written all the same");

    // After a boot the summary is back before anybody asks; with the manifest goes what monitoring had.
    declare(&host, &format!("textfile = \"{COLLECTOR}\""));
    host.must("rm -r /run/relift-status");
    host.relift(&["recover"]).exits(0);
    assert!(afar(&host).exits(0).stdout.contains("not checked since the boot"));
    host.must(&format!("cp {MANIFEST} /etc/relift/other.toml && mv {MANIFEST} /root/ && cp {COLLECTOR}/relift_app.prom {COLLECTOR}/relift_gone.prom"));
    host.relift(&["check"]);
    assert_eq!(
        host.must(&format!("ls {COLLECTOR} /run/relift-status | xargs")),
        format!("/run/relift-status: other.json {COLLECTOR}: relift_other.prom")
    );
}

#[test]
fn spans_of_runs_reach_a_receiver_and_one_that_is_ill_delays_nobody() {
    needs(&[("python3", "python3"), ("curl", "curl")]);
    let mut host = Host::with_sample();
    host.write("/srv/receiver.py", RECEIVER, 0o644, "root");
    host.must("mkdir -p /srv/otlp && systemd-run --quiet --unit=receiver python3 /srv/receiver.py /srv/otlp");
    host.wait_for(
        "[ -d /srv/otlp/got ] && curl --silent --max-time 1 -o /dev/null http://127.0.0.1:4318/; [ $? != 7 ]",
    );
    host.write("/etc/relift/otlp", "X-Token: s3cr3t-canary-otlp\n", 0o600, "root");
    declare(&host, "otlp = \"http://127.0.0.1:4318\"\notlp-headers = \"/etc/relift/otlp\"");
    host.release(|release| {
        release.next("1.1.0").edit("manager/scripts/build.sh", |text| format!("echo \"trace $TRACEPARENT\"\n{text}"))
    });
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let out = host.run(&["env", &format!("TRACEPARENT={caller}"), "relift", "upgrade", "app", "--yes"], b"").exits(0);
    host.assert_no_secret(&out);
    let got = spans(&host, 0);
    assert_eq!(host.read("/srv/otlp/heads"), "/v1/traces application/json s3cr3t-canary-otlp\n");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        (hex(&got[0].trace_id), hex(&got[0].parent_span_id)),
        (caller[3..35].to_owned(), caller[36..52].to_owned())
    );
    let names: Vec<&str> = got.iter().map(|span| span.name.as_str()).collect();
    for name in ["upgrade", "prepare", "switch", "manager: build", "gate", "commit"] {
        assert!(names.contains(&name), "{name} is missing: {names:?}");
    }
    let run = host.must("ls /var/lib/relift/app/runs | tail -n 1");
    let log = host.must(&format!("cat /var/lib/relift/app/runs/{run}/log/*build*"));
    assert!(log.contains(&format!("trace 00-{}-{}-01", &caller[3..35], hex(&got[0].span_id))), "{log}");

    // A run that died is told of by its recovery, in the same trace.
    host.release(|release| release.next("1.2.0"));
    host.run(&["env", "RELIFT_KILL_AT=before-gate", "relift", "upgrade", "app", "--yes"], b"");
    host.relift(&["recover", "app"]).exits(0);
    let run = host.must("ls /var/lib/relift/app/runs | tail -n 1");
    let got = spans(&host, 1);
    assert_eq!(got[0].name, "recover");
    assert_eq!(hex(&got[0].trace_id), hex(&ulid::Ulid::from_string(&run).unwrap().to_bytes()));
    assert!(!got[0].parent_span_id.is_empty() && got.iter().any(|span| span.name == "undo"));

    let mut took: Vec<Duration> = Vec::new();
    // Ill in every way: a warning, at most two seconds, and the run ends as it does.
    for (number, (mode, says)) in
        [("error", "the receiver answers 500"), ("hang", "no answer in time"), ("huge", "")].into_iter().enumerate()
    {
        host.write("/srv/otlp/mode", mode, 0o644, "root");
        host.release(|release| release.next(&format!("1.{}.0", number + 3)));
        let start = Instant::now();
        let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
        assert_eq!(out.stderr.contains("monitoring of app: the spans of run"), !says.is_empty(), "{mode}: {out}");
        assert!(out.stderr.contains(says), "{mode}: {out}");
        took.push(start.elapsed());
    }
    // Two seconds; what is beyond is room for a busy machine.
    assert!(took[1] < took[0] + Duration::from_secs(20), "one that hangs is waited for two seconds: {took:?}");
    host.must("systemctl stop receiver");
    host.release(|release| release.next("1.9.0").behaviour("manager", "exit-at-once 1"));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    assert!(out.stderr.contains("were not sent") && out.stderr.contains("connection refused"), "{out}");
    assert!(out.stderr.contains("everything was put back"), "{out}");
    host.write(
        MANIFEST,
        host.read(MANIFEST).replace("http://127.0.0.1:4318", "https://127.0.0.1:18080"),
        0o644,
        "root",
    );
    host.release(|release| release.next("1.10.0").behaviour("manager", "ok"));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert!(out.stderr.contains("were not sent"), "{out}");
}
