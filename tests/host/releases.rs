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

    /// What must be as it was when a run is undone: links, directories, shared files, units.
    fn picture(&self) -> String {
        self.host.must(
            "cd /opt/app; readlink current || echo none; readlink previous || echo none; ls -A . releases; \
             find releases shared -type f ! -path '*/data/*' -exec sha256sum {} + | sort -k2; find releases shared -type l -printf '%p %l\\n' | sort; \
             sha256sum /etc/systemd/system/sample-manager.service /home/app/.config/systemd/user/sample-runner.service 2>&1 || true",
        )
    }
}

#[test]
fn a_first_release_an_upgrade_its_undo_and_the_way_back_each_in_a_directory_of_its_own() {
    let mut bed = Bed::new();
    let missing = bed.upgrade();
    println!("{missing}");
    assert_ne!(missing.code, 0, "{missing}");
    bed.configure();
    let out = bed.host.relift(&["plan", "app"]);
    println!("{out}");
    let out = bed.upgrade();
    println!("{out}");
    out.exits(0);
    bed.answers("1.0.0");
    println!("{}", bed.picture());
    bed.release("1.1.0");
    let out = bed.upgrade();
    println!("{out}\n{}", bed.picture());
    out.exits(0);
    let _ = bed.current();
    let _ = Bed::installed;
}
