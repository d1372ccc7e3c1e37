//! `relift check` when nothing is new.

use crate::Effort;
use crate::clock::{Task, duel};
use crate::harness::Host;
use crate::server::GitServer;
use crate::table::{Row, Target};

/// What stands in the cron job of somebody who upgrades by script, up to where it finds nothing to do.
const SCRIPT: &str = r#"
cd /opt/app
git fetch --quiet --tags origin
[ -z "$(git status --porcelain --untracked-files=no)" ] || exit 1
local=$(git rev-parse HEAD); remote=$(git rev-parse origin/main)
echo "installed: $(git describe --tags --always HEAD), offered: $(git describe --tags --always origin/main)"
for component in manager runner; do
  git show origin/main:$component/VERSION | cmp -s - $component/VERSION || echo "$component: new version"
  git show origin/main:$component/.env.example | sed -n 's/^\([A-Z_]*\)=.*/\1/p' | sort >/tmp/keys
  sed -n 's/^\([A-Z_]*\)=.*/\1/p' $component/.env | sort | comm -23 /tmp/keys - | sed 's/^/new key: /'
done
git show origin/main:manager/production/sample-manager.service | cmp -s - /etc/systemd/system/sample-manager.service
systemctl is-active --quiet sample-manager.service
systemctl --user is-active --quiet sample-runner.service
[ "$local" = "$remote" ] && echo "up to date"
"#;

const PLAYBOOK: &str = "- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - copy: {src: manager/production/sample-manager.service, dest: /etc/systemd/system/sample-manager.service}
    - systemd: {name: sample-manager.service, state: started}
";

pub fn measure(effort: Effort) -> Vec<Row> {
    let mut rows = vec![over_file(effort)];
    let mut server = GitServer::ssh();
    let host = settled(&mut server);
    let asked = format!("GIT_SSH_COMMAND='ssh -oBatchMode=yes' git ls-remote {} refs/heads/main", server.url());
    rows.push(beside_ls_remote("ssh", effort, &host, &Task::sh(&asked).of("app")));
    drop((server, host));
    let mut server = GitServer::http();
    let host = settled(&mut server);
    let asked = Task::new(&["git", "ls-remote", server.url(), "refs/heads/main"]);
    rows.push(beside_ls_remote("smart HTTP", effort, &host, &asked));
    rows.push(beside_one_request(effort, &host, server.url()));
    rows.extend(beside_scripts(effort, &host, server.url()));
    rows
}

fn over_file(effort: Effort) -> Row {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host.must("git config --global --add safe.directory '*'");
    let asked = "HOME=/root git ls-remote file:///srv/git/app.git refs/heads/main";
    beside_ls_remote("file", effort, &host, &Task::sh(&format!("exec env {asked}")))
}

/// A host that runs the newest release of a server.
fn settled(server: &mut GitServer) -> Host {
    let host = server.host_with_sample();
    server.release(|release| release.next("1.1.0").file("local.yml", PLAYBOOK));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host
}

fn check(host: &Host) -> f64 {
    Task::new(&["relift", "check", "app"]).exits(0, host).wall
}

fn beside_ls_remote(protocol: &str, effort: Effort, host: &Host, ls_remote: &Task) -> Row {
    let times = duel(effort.rounds, [&mut || check(host), &mut || ls_remote.exits(0, host).wall]);
    let name = format!("`check`, nothing new, over {protocol}");
    Row::new(&name, "`git ls-remote` of the branch", "ms", Target::Ratio(1.1), times)
}

/// The least that asking takes: a program, a connection, a request.
fn one_request(url: &str) -> Task {
    let refs = format!("{url}/info/refs?service=git-upload-pack");
    Task::new(&["curl", "--silent", "--fail", "--output", "/dev/null", &refs])
}

fn beside_one_request(effort: Effort, host: &Host, url: &str) -> Row {
    let request = one_request(url);
    let times = duel(effort.rounds, [&mut || check(host), &mut || request.exits(0, host).wall]);
    Row::new("`check`, nothing new, over smart HTTP", "one request by curl", "ms", Target::Limit, times)
}

fn beside_scripts(effort: Effort, host: &Host, url: &str) -> Vec<Row> {
    let fetch = Task::sh("cd /opt/app; git fetch; git status").of("app");
    let script = Task::sh(SCRIPT).of("app");
    let pull = Task::sh(&format!(
        "export HOME=/root; ansible-pull --check -U {url} -C main -d /root/pulled -i localhost, local.yml >/dev/null"
    ));
    // Its first run clones.
    if !effort.is_short {
        pull.exits(0, host);
    }
    let request = one_request(url);
    let [ours, fetch, script, least] = duel(
        effort.rounds,
        [&mut || check(host), &mut || fetch.exits(0, host).wall, &mut || script.exits(0, host).wall, &mut || {
            request.exits(0, host).wall
        }],
    );
    // By itself: what runs next finds nothing of its own in the processor's caches.
    let beside_pull = duel(effort.rounds, [&mut || check(host), &mut || pull.exits(0, host).wall]);
    let row = |against: &str, most: f64, times: [Vec<f64>; 2]| {
        Row::new("`check`, nothing new", against, "ms", Target::Ratio(most), times)
    };
    vec![
        row("`git fetch; git status`", 0.5, [ours.clone(), fetch]),
        row("a script that compares commits, versions, keys and units", 0.25, [ours.clone(), script]),
        Row::new("`check`, nothing new", "one request by curl", "ms", Target::Limit, [ours, least]),
        row("`ansible-pull --check`", 0.05, beside_pull),
    ]
}
