//! Releases beside one another: `releases/NAME`, `current`, `previous` and `shared`, with the sample from git.

use relift::sample::Site;

use crate::harness::{Host, Out, Upstream};

/// A host with the sample's upstream and a manifest, and nothing installed.
struct Bed {
    host: Host,
    upstream: Upstream,
}

const MANIFEST: &str = "/etc/relift/app.toml";

impl Bed {
    fn new() -> Bed {
        let host = Host::boot();
        // The release's units name what they find on a host: `current`.
        let site = Site { root: "/opt/app/current".into(), ..Site::new("app") };
        let upstream = Upstream::create(&host, site);
        host.must(
            "useradd --create-home --shell /bin/sh app; loginctl enable-linger app; install -d -o app -g app /opt/app",
        );
        host.wait_for("test -e /run/user/$(id -u app)/systemd/private");
        let manifest = upstream.site.manifest();
        let manifest = manifest.replace(
            "root  = \"/opt/app/current\"",
            "root  = \"/opt/app\"\nlayout = \"releases\"\nshared = [\"manager/data\"]",
        );
        host.write(MANIFEST, manifest, 0o644, "root");
        Bed { host, upstream }
    }

    /// The operator's files, made once.
    fn configure(&self) {
        for (component, text) in &self.upstream.site.env {
            self.host.write(&format!("/opt/app/shared/{component}/.env"), text, 0o600, "app");
        }
        self.host.must("chown -R app:app /opt/app/shared");
    }

    fn installed() -> Bed {
        let bed = Bed::new();
        bed.configure();
        bed.upgrade().exits(0);
        bed
    }

    fn upgrade(&self) -> Out {
        self.host.relift(&["upgrade", "app", "--yes"])
    }

    fn release(&mut self, version: &str) -> String {
        let Bed { host, upstream } = self;
        upstream.release(host, |release| release.next(version))
    }

    fn current(&self) -> String {
        self.host.must("readlink /opt/app/current")
    }

    #[track_caller]
    fn answers(&self, version: &str) {
        for component in ["manager", "runner"] {
            self.host.wait_for(&format!(
                r#"set -eu; cd /opt/app/current/{component}
                   port=$(sed -n 's/^PORT=//p' .env); token=$(sed -n 's/^API_TOKEN=//p' .env)
                   curl --silent --fail --max-time 5 -H "X-API-Token: $token" http://127.0.0.1:$port/api/version | grep -F '"{version}"'"#
            ));
        }
    }

    /// What must be as it was when a run is undone: links, directories, shared files, units. Names of directories of one release
    /// count as the same.
    fn picture(&self) -> String {
        let text = self.host.must(
            "cd /opt/app; echo current $(readlink current); echo previous $(readlink previous); ls -A . releases; \
             find releases shared -type f -exec sha256sum {} +; find releases shared -type l -printf '%p %l\\n'; \
             sha256sum /etc/systemd/system/sample-manager.service /home/app/.config/systemd/user/sample-runner.service",
        );
        let mut lines: Vec<String> = text.replace("-2", "").lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    }

    fn directories(&self) -> Vec<String> {
        self.host.must("ls -A /opt/app/releases").lines().map(str::to_owned).collect()
    }
}

/// The directory of a commit.
fn named(commit: &str) -> String {
    format!("releases/{}", &commit[..10])
}

#[test]
fn releases_are_installed_upgraded_undone_and_gone_back_to_each_in_a_directory_of_its_own() {
    let mut bed = Bed::new();
    let first = bed.host.must("git --git-dir=/srv/git/app.git -c safe.directory='*' rev-parse main");

    // The operator makes the configuration: the plan says how, and the command does it.
    bed.host.must("install -d -o app -g app /opt/app/shared/manager /opt/app/shared/runner; touch /opt/app/shared/runner/.env; chown app: /opt/app/shared/runner/.env");
    bed.host.must("sed -i 's/^installed-if.*//' /etc/relift/app.toml");
    let out = bed.upgrade().exits(1);
    let make = out.stderr.lines().find_map(|line| line.split_once("fill it in: ")).unwrap_or_else(|| panic!("{out}")).1;
    assert!(make.contains("shared/manager/.env"), "{out}");
    bed.host.must(make);
    assert!(bed.host.read("/opt/app/shared/manager/.env").contains("API_TOKEN=CHANGE_ME"));
    assert!(!bed.host.must("ls -A /opt/app").contains("current"));
    bed.configure();

    // Nothing, then the first release.
    let out = bed.upgrade().exits(0);
    assert!(out.stdout.contains("nothing -> "), "{out}");
    bed.host.assert_no_secret(&out);
    bed.answers("1.0.0");
    assert_eq!((bed.current(), bed.directories().len()), (named(&first), 1));
    assert_eq!(bed.host.must("stat -c %U /opt/app/current/README.md /opt/app/current/manager/.env"), "app\napp");
    assert_eq!(bed.host.must("cat /opt/app/current/manager/build/version"), "1.0.0", "the step ran in the release");
    bed.host.must("echo precious > /opt/app/current/manager/data/db; chown app: /opt/app/current/manager/data/db");
    let status = bed.host.relift(&["status", "app"]).exits(0);
    assert!(status.stdout.contains(&named(&first)[9..]) && !status.stdout.contains("detached"), "{status}");
    assert_eq!(bed.upgrade().exits(0).stdout, "app: nothing to do, 1.0.0 is activated\n");
    let doctor = bed.host.relift(&["doctor", "--offline"]);
    assert!(!doctor.stdout.contains("/opt/app/.git"), "{doctor}");
    bed.host.relift(&["check", "app"]).exits(0);

    // The next one, whose key arrives in what all releases share.
    let Bed { host, upstream } = &mut bed;
    let second = upstream.release(host, |release| release.next("1.1.0").env_key("manager", "LATE", "1", "Late."));
    let before = bed.host.read("/opt/app/shared/manager/.env");
    bed.upgrade().exits(0);
    bed.answers("1.1.0");
    let after = bed.host.read("/opt/app/shared/manager/.env");
    assert!(after.starts_with(&before) && after.contains("LATE=1"), "{after}");
    assert_eq!(bed.current(), named(&second));
    assert_eq!(bed.host.must("readlink /opt/app/previous"), named(&first));
    assert_eq!(bed.host.read("/opt/app/current/manager/data/db"), "precious\n");

    // What cannot run is undone, and its directory is gone.
    let Bed { host, upstream } = &mut bed;
    let bad = upstream.release(host, |release| {
        release
            .next("1.2.0")
            .behaviour("manager", "die-after 20ms")
            .env_key("manager", "LATER", "1", "Later.")
            .tag("bad")
    });
    let before = bed.picture();
    let out = bed.upgrade().exits(3);
    assert!(out.stderr.contains(&format!("lead current back to {}", named(&second))), "{out}");
    assert!(out.stderr.contains(&format!("remove {}", named(&bad))), "{out}");
    assert_eq!(bed.picture(), before);
    bed.answers("1.1.0");

    // A step that fails touches nothing that is live: the link is not even led there.
    let Bed { host, upstream } = &mut bed;
    let broken = upstream.release(host, |release| {
        release.next("1.3.0").behaviour("manager", "").program("runner/scripts/build.sh", "#!/bin/sh\nexit 1\n")
    });
    let out = bed.upgrade().exits(3);
    assert!(
        !out.stderr.contains("lead current") && out.stderr.contains(&format!("remove {}", named(&broken))),
        "{out}"
    );
    assert_eq!(bed.picture(), before);

    // What somebody edited in the release that runs stops the next one, with the command that mends it.
    bed.host.must("echo edited >> /opt/app/current/README.md");
    let out = bed.upgrade().exits(1);
    assert!(out.stderr.contains(&format!("{}/README.md", named(&second))), "{out}");
    let show = format!("git --git-dir=/var/lib/relift/app/mirror.git show {}:", &second[..10]);
    assert!(out.stderr.contains(&show), "{out}");
    bed.host.must(&format!("{show}README.md > /opt/app/current/README.md"));

    // Back, without the network, by the link alone: what a step made is still there.
    bed.host.must("mv /srv/git/app.git /srv/git/away; echo kept > /opt/app/previous/manager/build/kept");
    let out = bed.host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert!(!out.stderr.contains("unpack") && !out.stderr.contains("build"), "{out}");
    assert_eq!(bed.current(), named(&first));
    assert_eq!(bed.host.must("readlink /opt/app/previous"), named(&second));
    assert_eq!(bed.host.read("/opt/app/current/manager/build/kept"), "kept\n");
    assert!(!bed.host.read("/opt/app/shared/manager/.env").contains("LATE"), "the configuration of that time is back");
    bed.answers("1.0.0");
    bed.host.must("mv /srv/git/away /srv/git/app.git");

    // Directories go with what is known-good; what is none of ours stays, and is told.
    bed.host.must("runuser -u app -- mkdir /opt/app/releases/byhand; sed -i 's/^soak .*/soak = \"0s\"\\nkeep-known-good = 2/' /etc/relift/app.toml");
    for version in ["2.0.0", "2.1.0", "2.2.0"] {
        let Bed { host, upstream } = &mut bed;
        upstream.release(host, |release| {
            release
                .next(version)
                .program("runner/scripts/build.sh", "#!/bin/sh\nmkdir -p build\ncp VERSION build/version\n")
        });
        let out = bed.host.relift(&["upgrade", "app", "--yes", "--to", "main"]);
        let out = if out.code == 0 { out } else { bed.upgrade().exits(0) };
        assert!(out.stdout.contains("releases/byhand is none of ours"), "{out}");
    }
    bed.answers("2.2.0");
    let left = bed.directories();
    assert!(left.len() == 3 && left.contains(&"byhand".to_owned()), "{left:?}");
    assert!(!left.contains(&named(&first)[9..].to_owned()), "{left:?}");
}

#[test]
fn a_checkout_is_not_moved_and_a_release_that_was_unpacked_by_hand_is_known() {
    let mut bed = Bed::new();
    let first = bed.host.must("git --git-dir=/srv/git/app.git -c safe.directory='*' rev-parse main");
    bed.configure();
    bed.host.must("install -d -o app -g app /opt/app/.git");
    let out = bed.upgrade().exits(1);
    assert!(out.stderr.contains("is a git checkout itself"), "{out}");
    bed.host.must("rmdir /opt/app/.git");

    // As an administrator did it until now.
    bed.host.must(
        "cd /opt/app; runuser -u app -- mkdir -p releases/old; git --git-dir=/srv/git/app.git -c safe.directory='*' archive main | runuser -u app -- tar -xC releases/old
         for part in manager runner; do runuser -u app -- ln -s ../../../shared/$part/.env releases/old/$part/.env; (cd releases/old/$part; runuser -u app -- sh scripts/build.sh); done
         runuser -u app -- ln -s releases/old current",
    );
    assert!(bed.host.relift(&["plan", "app"]).exits(0).stdout.contains(&first[..10]));
    bed.host.must("echo more >> /opt/app/current/README.md");
    let out = bed.host.relift(&["plan", "app"]);
    assert_ne!(out.code, 0, "what no release is: {out}");
    bed.host.must(
        "cd /opt/app/current; git --git-dir=/srv/git/app.git -c safe.directory='*' show main:README.md > README.md",
    );
    let second = bed.release("1.1.0");
    bed.upgrade().exits(0);
    bed.answers("1.1.0");
    assert_eq!((bed.current(), bed.host.must("readlink /opt/app/previous")), (named(&second), "releases/old".into()));
}

#[test]
fn a_run_killed_at_any_record_leaves_current_at_a_whole_release_and_recovery_leaves_nothing_else() {
    let mut bed = Bed::installed();
    let second = bed.release("1.1.0");
    let Bed { host, upstream } = &mut bed;
    upstream.release(host, |release| {
        release.next("1.2.0").behaviour("manager", "die-after 20ms").on_branch("next").tag("bad")
    });
    bed.host.must("sed -i 's/^soak .*/soak = \"0s\"/' /etc/relift/app.toml");
    let go = |bed: &Bed, arguments: &str| bed.host.sh(&format!("relift {arguments}"));
    go(&bed, "upgrade app --yes").exits(0);
    let new = bed.picture();
    assert_eq!(bed.current(), named(&second));
    go(&bed, "rollback app --yes").exits(0);
    let old = bed.picture();
    // The owner's tar dies while it unpacks: nothing was changed, and nothing is left.
    bed.host.must("mv /usr/bin/tar /usr/bin/tar.whole; printf '#!/bin/sh\nhead -c 4000 | /usr/bin/tar.whole -x 2>&1\nkill -9 $$\n' > /usr/bin/tar; chmod 755 /usr/bin/tar");
    let out = go(&bed, "upgrade app --yes").exits(1);
    assert!(out.stderr.contains("stopped before any change") && out.stderr.contains("cannot be unpacked"), "{out}");
    bed.host.must("mv /usr/bin/tar.whole /usr/bin/tar");
    assert_eq!(bed.picture(), old);
    // Its power goes when the link was led to the new release.
    let out = bed.host.sh("RELIFT_KILL_AT=after-00012 exec relift upgrade app --yes");
    assert_eq!(out.code, 137, "{out}");
    assert!(bed.current().starts_with(&named(&second)), "{}", bed.current());
    bed.host.cut();
    bed.host.boot_again();
    bed.host.relift(&["recover", "app"]).exits(0);
    assert_eq!(bed.picture(), old);
    bed.answers("1.0.0");
    let mut points = 0;
    let step = if std::env::var("RELIFT_SOAK").is_ok_and(|soak| soak == "1") { 1 } else { 19 };
    for run in ["upgrade app --yes", "upgrade app --yes --to bad", "rollback app --yes"] {
        for at in (3..).step_by(step) {
            let point = format!("{}-{:05}", ["before", "after"][at % 2], at / 2);
            if run.starts_with("rollback") && bed.picture() == old {
                go(&bed, "upgrade app --yes").exits(0);
            }
            let out = bed.host.sh(&format!("systemctl reset-failed; RELIFT_KILL_AT={point} exec relift {run}"));
            if out.code != 137 {
                assert_eq!(out.code, if run.ends_with("bad") { 3 } else { 0 }, "{point}: {out}");
                break;
            }
            points += 1;
            // Whenever it died, what starts now finds a whole release.
            bed.host.must("test -e /opt/app/current/manager/VERSION && test -e /opt/app/current/manager/build/version");
            bed.host.relift(&["recover", "app"]).exits(0);
            let now = bed.picture();
            let is_new = now.contains(&format!("current {}", named(&second)));
            let expected = if is_new { &new } else { &old };
            assert!(
                now == *expected || is_new && run.starts_with("rollback"),
                "{run} {point}:\n{now}\n-- instead of\n{expected}"
            );
            bed.answers(if is_new { "1.1.0" } else { "1.0.0" });
            if is_new && run.starts_with("upgrade") {
                go(&bed, "rollback app --yes").exits(0);
            }
        }
        if bed.current()
            != named(&bed.host.must("git --git-dir=/srv/git/app.git -c safe.directory='*' rev-parse main~1"))
            && !run.starts_with("upgrade app --yes --to")
        {
            go(&bed, "rollback app --yes");
        }
    }
    assert!(points > 4, "only {points} points were reached");
}

#[test]
fn an_owner_who_swaps_links_and_directories_meanwhile_gets_at_nothing_of_roots() {
    let mut bed = Bed::installed();
    bed.host.must("sed -i 's/^soak .*/soak = \"0s\"/' /etc/relift/app.toml");
    let outside = "cd /etc; find . -xdev -path ./relift -prune -o -path ./systemd/system -prune -o -printf '%p %u %g %m %s %l\\n' | sort | sha256sum";
    let before = bed.host.must(outside);
    let racer = r#"
import os, random, sys, time
os.chdir('/opt/app'); os.makedirs('/home/app/aside', exist_ok=True)
count = 0
def names():
    for top in ('current', 'previous', 'shared', 'releases', '.current.relift-new'): yield top
    try:
        for name in os.listdir('releases'): yield 'releases/' + name
    except OSError: pass
end = time.time() + float(sys.argv[1])
while time.time() < end:
    if count % 10 == 0: print(10, flush=True)
    path = random.choice(list(names()))
    aside = '/opt/app/.aside'
    try:
        os.rename(path, aside)
        try:
            os.symlink(random.choice(['/etc', '/etc/systemd', '/', '../../etc']), path)
            time.sleep(random.random() / 500)
            os.unlink(path)
        finally:
            try: os.rename(aside, path)
            except OSError: os.rename(aside, '/home/app/aside/%d' % count)
        count += 1
    except OSError: pass
    time.sleep(random.random() / 200)
print(count)
"#;
    bed.host.write("/tmp/racer.py", racer, 0o644, "root");
    let rounds = if std::env::var("RELIFT_SOAK").is_ok_and(|soak| soak == "1") { 20 } else { 2 };
    for round in 0..rounds {
        bed.release(&format!("1.{}.0", round + 1));
        bed.host.must("cp -a /opt/app /opt/kept");
        bed.host.must("systemd-run --quiet --unit=racer --uid=app python3 /tmp/racer.py 3");
        let out = bed.upgrade();
        bed.host.relift(&["recover", "app"]);
        bed.host.sh("systemctl stop racer; systemctl reset-failed");
        let swaps = bed.host.journal_of("racer");
        let swaps = swaps.lines().filter_map(|line| line.parse::<u32>().ok()).sum::<u32>();
        println!("round {round}: {swaps} swaps, exit {}", out.code);
        assert_eq!(bed.host.must(outside), before, "round {round}: {out}");
        assert!(!out.stdout.contains("root:") && !out.stderr.contains("root:x"), "{out}");
        bed.host.assert_no_secret(&out);
        // Whatever the owner made of its own files, it puts right again; what the run says is its own affair.
        bed.host.must("rm -rf /opt/app; mv /opt/kept /opt/app; rm -rf /home/app/aside");
        bed.host.sh("relift recover app || relift recover app --close");
        bed.host.must("rm -rf /var/lib/relift/app/ledger/failed.json");
    }
}
