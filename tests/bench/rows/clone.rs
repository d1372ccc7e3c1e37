//! The first mirror of an install beside a clone of it.

use crate::Effort;
use crate::clock::{Task, duel, host_on};
use crate::harness::Host;
use crate::monorepo::{self, COMPONENTS, INSTALLED};
use crate::server::serve_http;
use crate::table::{Row, Target};

/// Counts what the remote sends, whoever asks it, git-config(1) `uploadpack.packObjectsHook`.
const COUNTED: &str = "#!/bin/sh\ncase $PWD in /srv/git/*) \"$@\" | tee /srv/sent/$$ ;; *) exec \"$@\" ;; esac\n";

pub fn measure(effort: Effort) -> Vec<Row> {
    let disk = tempfile::tempdir_in("/var/tmp").unwrap();
    let host = host_on(disk.path());
    monorepo::create(&host, "large", COMPONENTS, effort.files / COMPONENTS);
    monorepo::publish(&host, "large");
    let name = format!("first mirror and plan, 1 of 50 components, {} files", effort.files);
    let against = "`git clone --sparse`, `sparse-checkout set`";
    let near = times(effort, &host, "file:///srv/git");
    host.must("useradd --system git");
    serve_http(&host, "large");
    let far = times(effort, &host, "http://127.0.0.1");
    host.write("/usr/bin/counted", COUNTED, 0o755, "root");
    host.must("mkdir -m 1777 /srv/sent; git config --system uploadpack.packObjectsHook /usr/bin/counted");
    let (plan, clone) = contenders(&host, "http://127.0.0.1");
    let sizes = [sent(&host, &plan), sent(&host, &clone)].map(|size| vec![size]);
    vec![
        Row::new(&name, against, "ms", Target::Ratio(1.0), near),
        Row::new(&format!("{name}, over smart HTTP"), against, "ms", Target::Ratio(1.0), far),
        Row::new("what the remote sent for the first mirror", against, "MiB", Target::Ratio(0.2), sizes),
    ]
}

fn times(effort: Effort, host: &Host, from: &str) -> [Vec<f64>; 2] {
    let (plan, clone) = contenders(host, from);
    duel(effort.rounds, [&mut || plan(), &mut || clone()])
}

/// The first plan of an install, and a clone beside it, from a server; what is fetched once is gone before.
fn contenders(host: &Host, from: &str) -> (impl Fn() -> f64, impl Fn() -> f64) {
    let url = format!("{from}/large.git");
    host.must(&format!(
        "sed -i 's|^url = .*|url = \"{url}\"|' /etc/relift/large.toml; git -C /opt/large remote set-url origin {url}"
    ));
    let plan = move || {
        host.must("rm -rf /var/lib/relift/large; sync -f /var/lib");
        Task::new(&["relift", "plan", "large"]).exits(0, host).wall
    };
    let clone =
        Task::sh(&format!("cd; git clone -q --sparse {url} cloned; git -C cloned sparse-checkout set {INSTALLED}"))
            .of("large");
    let clone = move || {
        host.must("rm -rf ~large/cloned; sync -f /home");
        clone.exits(0, host).wall
    };
    (plan, clone)
}

/// What the remote sends for something, MiB.
fn sent(host: &Host, does: &dyn Fn() -> f64) -> f64 {
    host.must("rm -f /srv/sent/*");
    does();
    host.must("cat /srv/sent/* | wc -c").parse::<f64>().unwrap() / 1_048_576.0
}
