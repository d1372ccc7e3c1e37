//! Release archives: from a web server and from a directory, to a service that runs from `current`.

use std::io::Write;

use crate::crash::killed;
use crate::harness::{Host, Out};
use crate::rigs::figures::is_soak;

/// The service that every release ships: says its version, and runs from `current`.
const UNIT: &str = "[Unit]\nDescription=A service of an archive\n[Service]\nUser=app\nWorkingDirectory=/opt/app/current\n\
                    ExecStart=/usr/bin/python3 /opt/app/current/serve.py\nRestart=on-failure\n[Install]\nWantedBy=multi-user.target\n";

/// Answers with the version that was there when it was started; a release that is broken does not start.
const SERVE: &str = "import http.server, os\nversion = open('VERSION').read().strip()\n\
    if os.path.exists('broken'): raise SystemExit('it is broken')\n\
    class H(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n        body = ('{\"version\": \"' + version + '\"}').encode()\n        \
    self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)\n    \
    def log_message(self, *a): pass\nhttp.server.ThreadingHTTPServer(('127.0.0.1', 8099), H).serve_forever()\n";

/// A server of files that counts requests and connections, wants a token below /private, and misbehaves below other names.
const WEB: &str = r#"
import http.server, os, time
class H(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def setup(self):
        super().setup()
        open('/srv/log', 'a').write('connection\n')
    def do_GET(self):
        open('/srv/log', 'a').write('GET ' + self.path + '\n')
        if self.path.startswith('/private/') and self.headers.get('X-Token') != 's3cr3t-canary-token': return self.send_error(403)
        if self.path.startswith('/private/'): self.path = self.path[8:]
        if os.path.exists('/srv/endless') and '.tar' in self.path and not self.path.endswith('.minisig'):
            self.send_response(200); self.send_header('Connection', 'close'); self.end_headers()
            try:
                while True: self.wfile.write(b'x' * 65536)
            except OSError: return
        mode = open('/srv/mode').read().split() if os.path.exists('/srv/mode') else ['']
        if mode[0] == 'error': return self.send_error(500)
        if mode[0] == 'elsewhere':
            self.send_response(302); self.send_header('Location', mode[1] + self.path); self.end_headers(); return
        if mode[0] == 'cut' and self.path.endswith('.gz'):
            self.send_response(200); self.send_header('Content-Length', '1000000'); self.end_headers()
            self.wfile.write(b'x' * 1000); self.close_connection = True; return
        super().do_GET()
    def log_message(self, *a): pass
os.chdir('/srv/www'); http.server.ThreadingHTTPServer(('127.0.0.1', 8098), H).serve_forever()
"#;

/// A host with a web server of releases, and the key that signs them.
struct Archives {
    host: Host,
    pair: minisign::KeyPair,
    published: Vec<(String, String)>,
}

/// A file of a release.
type File<'a> = (&'a str, &'a [u8], u32);

fn packed(version: &str, more: &[File]) -> Vec<u8> {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let version_line = format!("{version}\n");
    let base: [File; 4] = [
        ("VERSION", version_line.as_bytes(), 0o644),
        ("serve.py", SERVE.as_bytes(), 0o755),
        ("units/app.service", UNIT.as_bytes(), 0o644),
        ("CHANGELOG.md", b"# Changelog\n\n## 1.1.0\n\n- Faster.\n", 0o644),
    ];
    for (path, bytes, mode) in base.iter().chain(more) {
        let mut header = tar::Header::new_ustar();
        let path = format!("app-{version}/{path}");
        header.as_ustar_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(*mode);
        header.set_mtime(1_700_000_000);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    relift::host::fs::sha256(bytes)
}

impl Archives {
    /// The account `app`, the server, the release 1.0.0 published and the manifest, with `source` in its [source.archive].
    fn new(source: &str) -> Archives {
        let host = Host::boot();
        let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        host.must("useradd --system --create-home app; install -d -o app -g app /opt/app; mkdir -p /srv/www");
        host.write("/srv/web.py", WEB, 0o644, "root:root");
        host.must("systemd-run --quiet --unit=web /usr/bin/python3 /srv/web.py");
        let mut archives = Archives { host, pair, published: Vec::new() };
        archives.configure(source);
        archives.publish("1.0.0", &[]);
        archives.host.wait_for("curl -sf http://127.0.0.1:8098/SHA256SUMS");
        archives
    }

    fn configure(&self, source: &str) {
        let source = source.replace("KEY", &self.pair.pk.to_base64());
        let manifest = format!(
            "schema = 1\n[install]\nroot = \"/opt/app\"\nowner = \"app\"\n\n[source.archive]\n{source}\n\n\
             [[component]]\nname = \"app\"\nversion = {{ file = \"VERSION\" }}\n\n[[component.unit]]\nfile = \"units/app.service\"\n\n\
             [[component.health]]\nhttp = \"http://127.0.0.1:8099/\"\nexpect = {{ status = 200, json = {{ version = \"{{version}}\" }} }}\nwithin = \"10s\"\n\n\
             [policy]\nsoak = \"0s\"\nunattended = \"minor\"\n"
        );
        self.host.write("/etc/relift/app.toml", manifest, 0o644, "root:root");
    }

    /// The manifest as the template has it, with this host's values in the place of those to be put in.
    fn configure_as_the_template_says(&self) {
        self.host.write("/etc/relift/app.pub", self.pair.pk.to_box().unwrap().to_string(), 0o644, "root:root");
        let values = [
            ("https://downloads.example.org/app/", "http://127.0.0.1:8098/"),
            ("# verify  = {", "verify  = {"),
            ("http://127.0.0.1:8080/version", "http://127.0.0.1:8099/"),
            ("unattended = \"none\"", "unattended = \"minor\""),
            ("soak       = \"2min\"", "soak       = \"0s\""),
        ];
        let manifest = values.into_iter().fold(TEMPLATE.to_owned(), |text, (of_template, of_host)| {
            assert!(text.contains(of_template), "the template has no {of_template}");
            text.replace(of_template, of_host)
        });
        self.host.write("/etc/relift/app.toml", manifest, 0o644, "root:root");
    }

    /// Publishes a release with these files besides, and the list and its signature anew.
    fn publish(&mut self, version: &str, more: &[File]) -> Vec<u8> {
        let bytes = packed(version, more);
        self.put(version, &bytes);
        bytes
    }

    fn put(&mut self, version: &str, bytes: &[u8]) {
        let name = format!("app-{version}.tar.gz");
        self.host.write(&format!("/srv/www/{name}"), bytes, 0o644, "root:root");
        self.published.retain(|(known, _)| *known != name);
        self.published.push((name, sha256(bytes)));
        self.list();
    }

    fn list(&self) {
        let mut list = Vec::new();
        for (name, sum) in &self.published {
            writeln!(list, "{sum}  {name}").unwrap();
        }
        self.host.write("/srv/www/SHA256SUMS", &list, 0o644, "root:root");
        self.sign("SHA256SUMS", &list, &self.pair);
    }

    fn sign(&self, name: &str, bytes: &[u8], pair: &minisign::KeyPair) {
        let comment = format!("timestamp:1700000000\tfile:{name}");
        let signature = minisign::sign(Some(&pair.pk), &pair.sk, bytes, Some(&comment), None).unwrap();
        self.host.write(&format!("/srv/www/{name}.minisig"), signature.to_string(), 0o644, "root:root");
    }

    #[track_caller]
    fn answers(&self, version: &str) {
        self.host.wait_for(&format!("curl -sf http://127.0.0.1:8099/ | grep -qF '\"{version}\"'"));
        assert_eq!(self.host.must("cat /opt/app/current/VERSION"), version);
    }

    /// Everything below the root of the install, and what the unit is.
    fn tree(&self) -> String {
        self.host.must("cd /opt/app; find . -printf '%p %y %m %U %l\\n' | sort; find . -type f -exec sha256sum {} + | sort; sha256sum /etc/systemd/system/app.service; readlink current")
    }

    /// An upgrade that is refused, with what it says in it, and changes nothing.
    #[track_caller]
    fn stops(&self, args: &[&str], code: i32, says: &str) -> Out {
        let before = self.tree();
        let out = self.host.relift(args).exits(code);
        let said = format!("{}{}", out.stdout, out.stderr);
        assert!(said.split_whitespace().collect::<Vec<_>>().join(" ").contains(says), "{says:?} is not in {out}");
        assert_eq!(self.tree(), before, "{out}");
        assert_eq!(self.host.must("ls /var/cache/relift/app 2>/dev/null || true"), "", "nothing is left in the cache");
        out
    }
}

const SIGNED: &str = "url = \"http://127.0.0.1:8098/app-{version}.tar.gz\"\nchecksums = \"http://127.0.0.1:8098/SHA256SUMS\"\n\
                      verify = { minisign = \"KEY\" }";
/// What is installed in `/usr/share/relift/templates`.
const TEMPLATE: &str = include_str!("../../templates/manifests/archive.toml");
const UPGRADE: &[&str] = &["upgrade", "app", "--yes"];

#[test]
fn a_signed_archive_is_installed_upgraded_undone_and_gone_back_to() {
    let mut app = Archives::new(SIGNED);
    app.configure_as_the_template_says();
    let out = app.host.relift(UPGRADE).exits(0);
    app.answers("1.0.0");
    assert!(out.stdout.contains("verified by minisign (SHA256SUMS, key "), "{out}");
    // Nothing new is one conversation, over one connection.
    app.host.must(": > /srv/log");
    app.host.relift(&["check", "app"]).exits(0);
    assert_eq!(app.host.read("/srv/log"), "connection\nGET /SHA256SUMS\nGET /SHA256SUMS.minisig\n");
    // A prerelease is not for everybody.
    app.publish("1.2.0-rc.1", &[]);
    app.host.relift(&["check", "app"]).exits(0);
    let bytes = app.publish("1.1.0", &[("lib/new", b"new", 0o644)]);
    let out = app.host.relift(&["check", "app"]).exits(100);
    assert!(out.stdout.contains("1.1.0") && !out.stdout.contains("commit"), "{out}");
    let plan = app.host.relift(&["plan", "app"]).exits(0);
    assert!(plan.stdout.contains(&sha256(&bytes)), "{plan}");
    // Signed, it may be taken with nobody there.
    app.host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    app.answers("1.1.0");
    let owner = app.host.must("stat -c %U /opt/app/current/ /opt/app/current/lib/new | sort -u");
    assert_eq!(owner, "app", "what is unpacked is the owner's");
    // A release that does not start comes to nothing.
    app.publish("1.3.0", &[("broken", b"", 0o644)]);
    let before = app.tree();
    app.host.relift(UPGRADE).exits(3);
    app.answers("1.1.0");
    assert_eq!(app.tree(), before);
    // Back, with the server gone.
    app.host.must("systemctl stop web");
    app.host.relift(&["rollback", "app", "--yes", "--offline"]).exits(0);
    app.answers("1.0.0");
    let history = app.host.relift(&["history", "app"]).exits(0);
    assert!(history.stdout.contains("1.1.0"), "{history}");
}

#[test]
fn what_is_wrong_with_a_release_stops_it_and_changes_nothing() {
    let mut app = Archives::new(SIGNED);
    app.host.relift(UPGRADE).exits(0);
    app.answers("1.0.0");
    // Another archive than the one that the list has the sum of.
    let good = app.publish("1.1.0", &[]);
    app.host.write("/srv/www/app-1.1.0.tar.gz", b"another", 0o644, "root:root");
    app.stops(UPGRADE, 2, "is not the archive of which http://127.0.0.1:8098/SHA256SUMS has the sum");
    // No archive, and no end of one.
    app.host.must("rm /srv/www/app-1.1.0.tar.gz");
    app.stops(UPGRADE, 1, "app-1.1.0.tar.gz is not there");
    app.host.must("touch /srv/endless");
    app.configure(&format!("{SIGNED}\nmax-fetch = \"1MiB\""));
    app.stops(UPGRADE, 2, "is longer than 1.00 MiB");
    app.host.must("rm /srv/endless");
    app.configure(SIGNED);
    app.stops(&["upgrade", "app", "--yes", "--to", "9.9.9"], 2, "SHA256SUMS has no sum of app-9.9.9.tar.gz");
    app.stops(&["upgrade", "app", "--yes", "--offline"], 1, "was not fetched yet");
    // Nobody's signature, and somebody else's.
    app.put("1.1.0", &good);
    app.host.must("rm /srv/www/SHA256SUMS.minisig");
    app.stops(UPGRADE, 2, "1.1.0 is not verified: SHA256SUMS is not signed");
    let list = app.host.read("/srv/www/SHA256SUMS");
    app.sign("SHA256SUMS", list.as_bytes(), &minisign::KeyPair::generate_unencrypted_keypair().unwrap());
    app.stops(UPGRADE, 2, "and the manifest names another");
    assert!(!app.host.read("/srv/log").contains("GET /app-1.1.0.tar.gz.minisig"));
    app.sign("SHA256SUMS", b"another list", &app.pair);
    app.stops(UPGRADE, 2, "its signature is of something else, or was damaged");
    app.host.write("/srv/www/SHA256SUMS", "<html>\n", 0o644, "root:root");
    app.stops(UPGRADE, 1, "line 1 is no sum and name: <html>");
    // What must not be unpacked.
    for (path, mode, why) in [
        ("../../etc/x", 0o644, "app-1.2.0/../../etc/x leaves the archive by `..`"),
        (".git/hooks/post-checkout", 0o755, "has the name of a repository's own directory"),
        ("su", 0o4755, "is setuid, setgid or sticky (mode 4755)"),
        ("VERSION", 0o644, "app-1.2.0/VERSION is there twice"),
        ("\u{1b}[2Jx", 0o644, "app-1.2.0/\\x1b[2Jx has control characters"),
    ] {
        app.publish("1.2.0", &[(path, b"x", mode)]);
        app.stops(UPGRADE, 2, why);
    }
    let bytes = packed("1.2.0", &[]);
    app.put("1.2.0", &bytes[..bytes.len() / 2]);
    app.stops(UPGRADE, 2, "app-1.2.0.tar.gz is not unpacked: it is cut off");
    assert_eq!(app.host.must("find / -xdev -path /proc -prune -o -name x -newer /srv/web.py -print"), "");
    app.published.retain(|(name, _)| !name.contains("1.2.0"));
    app.list();
    // Too little room, or memory.
    app.host.must("sed -i 's/^\\[policy\\]/[policy]\\nrequire = { disk = \"900000GiB\", memory = \"90000GiB\" }/' /etc/relift/app.toml");
    let out = app.stops(UPGRADE, 1, "`require` under [policy] wants");
    assert!(format!("{}{}", out.stdout, out.stderr).contains("of memory are available"), "{out}");
    app.configure(SIGNED);
    // A release does not change: another archive under a name that is known is an alarm, and is taken when it is approved.
    app.host.relift(&["plan", "app"]).exits(0);
    app.publish("1.1.0", &[("other", b"other", 0o644)]);
    let out = app.stops(UPGRADE, 2, "the release 1.1.0 was replaced: the SHA-256 of its archive was");
    assert!(
        out.stderr.contains("relift trust pin app 1.1.0") || out.stdout.contains("relift trust pin app 1.1.0"),
        "{out}"
    );
    app.host.relift(&["trust", "pin", "app", "1.1.0", "--yes"]).exits(0);
    app.host.relift(UPGRADE).exits(0);
    app.answers("1.1.0");
    assert_eq!(app.host.must("cat /opt/app/current/other"), "other");
    // Older is a step back, which a rollback does.
    let out = app.stops(&["upgrade", "app", "--yes", "--to", "1.0.0"], 2, "step back");
    assert!(out.stderr.contains("relift upgrade app --to 1.0.0 --allow-downgrades"), "{out}");
    app.host.relift(&["rollback", "app", "--yes"]).exits(0);
    app.answers("1.0.0");
}

#[test]
fn archives_come_from_a_directory_with_a_header_or_with_sums_of_their_own() {
    let unsigned = "url = \"/srv/www/app-{version}.tar.gz\"\nchecksums = \"/srv/www/SHA256SUMS\"";
    let mut app = Archives::new(unsigned);
    let out = app.host.relift(UPGRADE).exits(0);
    assert!(out.stdout.contains("unverified"), "{out}");
    app.answers("1.0.0");
    app.publish("1.1.0", &[]);
    app.stops(&["upgrade", "app", "--unattended"], 2, "releases of this source are not verified");
    app.host.relift(&["trust", "pin", "app", "1.1.0", "--yes"]).exits(0);
    app.host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    app.answers("1.1.0");
    // A header opens the server, and is never shown.
    let private = "url = \"http://127.0.0.1:8098/private/app-{version}.tar.gz\"\nchecksums = \"http://127.0.0.1:8098/private/SHA256SUMS\"";
    app.publish("1.2.0", &[]);
    app.configure(private);
    app.stops(UPGRADE, 1, "the server answers 403");
    app.host.write("/etc/relift/app.headers", "X-Token: s3cr3t-canary-token\n", 0o644, "root:root");
    app.configure(&format!("{private}\nheaders = \"/etc/relift/app.headers\""));
    app.stops(UPGRADE, 2, "root alone");
    app.host.must("chmod 600 /etc/relift/app.headers");
    let out = app.host.relift(UPGRADE).exits(0);
    app.host.assert_no_secret(&out);
    app.answers("1.2.0");
    // Sums of each release, a file that tells the newest, and a signature of the archive itself.
    let each = "url = \"http://127.0.0.1:8098/app-{version}.tar.gz\"\nchecksums = \"http://127.0.0.1:8098/app-{version}.tar.gz.sha256\"\n\
                latest = \"http://127.0.0.1:8098/latest.txt\"\nverify = { minisign = \"KEY\", over = \"archive\" }";
    app.configure(each);
    let bytes = app.publish("1.3.0", &[]);
    let sum = format!("{}  app-1.3.0.tar.gz\n", sha256(&bytes));
    app.host.write("/srv/www/app-1.3.0.tar.gz.sha256", sum, 0o644, "root:root");
    app.host.write("/srv/www/latest.txt", "v1.3.0\n", 0o644, "root:root");
    app.stops(UPGRADE, 2, "1.3.0 is not verified: app-1.3.0.tar.gz is not signed");
    app.sign("app-1.3.0.tar.gz", &bytes, &app.pair);
    let out = app.host.relift(UPGRADE).exits(0);
    assert!(out.stdout.contains("verified by minisign (app-1.3.0.tar.gz, key "), "{out}");
    app.answers("1.3.0");
    // An old archive as a new version: its signature is good, and neither names the other.
    let bytes = packed("1.2.0", &[]);
    let serve = |version: &str, comment: &str| {
        let name = format!("app-{version}.tar.gz");
        let signature =
            minisign::sign(Some(&app.pair.pk), &app.pair.sk, bytes.as_slice(), Some(comment), None).unwrap();
        app.host.write(&format!("/srv/www/{name}"), &bytes, 0o644, "root:root");
        app.host.write(&format!("/srv/www/{name}.minisig"), signature.to_string(), 0o644, "root:root");
        app.host.write(&format!("/srv/www/{name}.sha256"), format!("{}  {name}\n", sha256(&bytes)), 0o644, "root:root");
        app.host.write("/srv/www/latest.txt", format!("{version}\n"), 0o644, "root:root");
    };
    serve("1.4.0", "timestamp:1700000000\tfile:app-1.2.0.tar.gz");
    app.stops(UPGRADE, 2, "it was signed as app-1.2.0.tar.gz, and put under another name");
    serve("1.4.0", "timestamp:1700000000");
    app.stops(UPGRADE, 2, "1.4.0 is not verified: its archive is signed, and says that it is 1.2.0");
}

#[test]
fn a_source_that_does_not_answer_or_says_what_cannot_be_used_is_named_and_changes_nothing() {
    let mut app = Archives::new(SIGNED);
    app.host.relift(UPGRADE).exits(0);
    let noise: Vec<u8> = (0u32..100_000).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    app.publish("1.1.0", &[("noise", &noise, 0o644)]);
    let mode = |text: &str| app.host.write("/srv/mode", text, 0o644, "root");
    let list = "http://127.0.0.1:8098/SHA256SUMS cannot be fetched";
    mode("error");
    let out = app.stops(UPGRADE, 1, "the server answers 500");
    assert!(out.stderr.contains(list) && out.stderr.contains("curl -sSIL http://127.0.0.1:8098/SHA256SUMS"), "{out}");
    mode("elsewhere ftp://127.0.0.1:9");
    app.stops(UPGRADE, 1, "it is redirected to ftp://127.0.0.1:9, which is not https");
    mode("elsewhere http://127.0.0.1:9");
    app.stops(UPGRADE, 1, "connection refused");
    mode("elsewhere http://127.0.0.1:8098");
    app.stops(UPGRADE, 1, "it is redirected more than 5 times");
    mode("cut");
    app.stops(UPGRADE, 1, "app-1.1.0.tar.gz cannot be fetched");
    app.host.must("rm /srv/mode; mv /srv/www/SHA256SUMS /srv/away");
    app.stops(UPGRADE, 1, "http://127.0.0.1:8098/SHA256SUMS is not there");
    app.host.must("mv /srv/away /srv/www/SHA256SUMS");
    // Two archives of one version.
    let good = app.host.read("/srv/www/SHA256SUMS");
    app.host.write("/srv/www/SHA256SUMS", format!("{good}{}  app-1.1.0.tar.gz\n", sha256(b"other")), 0o644, "root");
    app.stops(UPGRADE, 1, "it has two sums of app-1.1.0.tar.gz");
    app.list();
    // What is called otherwise is no release; nothing is left of the list.
    app.configure(&format!("{SIGNED}\nallow = \"^7\""));
    app.stops(UPGRADE, 1, "offers no release within ^7");
    let newest = SIGNED.replace("SHA256SUMS\"", "app-{version}.sums\"\nlatest = \"http://127.0.0.1:8098/latest\"");
    app.configure(&newest);
    app.host.write("/srv/www/latest", "the newest\n", 0o644, "root");
    app.stops(UPGRADE, 1, "its first line is no version: the newest");
    // No room for the archive itself.
    app.configure(SIGNED);
    app.host.must("mkdir -p /var/cache/relift/app; mount -t tmpfs -o size=64k,mode=755 none /var/cache/relift/app");
    let out = app.stops(UPGRADE, 1, "it cannot be kept: No space left on device");
    assert!(out.stderr.contains("next:  make room for it: df -h /var/cache/relift"), "{out}");
    app.host.must("umount /var/cache/relift/app");
    // A certificate of nobody's, and nobody at all.
    app.host.must(
        "cd /srv; openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out certificate -subj /CN=localhost -days 3650 2>/dev/null
         systemd-run --quiet --unit=tls openssl s_server -accept 8443 -cert /srv/certificate -key /srv/key -WWW",
    );
    app.host.wait_for("ss -ltn | grep -q :8443");
    app.configure(&SIGNED.replace("http://127.0.0.1:8098", "https://localhost:8443"));
    let out = app.stops(UPGRADE, 1, "https://localhost:8443/SHA256SUMS cannot be fetched");
    assert!(out.stderr.to_lowercase().contains("certificate"), "{out}");
    app.configure(SIGNED);
    app.host.must("systemctl stop web");
    app.stops(UPGRADE, 1, "connection refused");
    app.answers("1.0.0");
}

#[test]
fn a_release_that_was_never_here_is_gone_down_to_only_when_that_is_asked_for() {
    let mut app = Archives::new(SIGNED);
    // What root does for a component that is the whole archive, in a copy that root wrote, and what undoes it.
    let of_root = |what: &str| {
        format!(
            "[\"sh\", \"-c\", \"echo {what} $(cat VERSION) as $(id -un) in $(dirname $PWD) for $RELIFT_CHECKOUT >> /tmp/root\"]"
        )
    };
    let of_root = format!(
        "\n[[component.step]]\nname = \"set-up\"\nrun = {}\nas = \"root\"\nundo = {{ run = {} }}\n",
        of_root("set up"),
        of_root("taken back")
    );
    app.publish("0.9.0", &[("broken", b"", 0o644)]);
    app.publish("1.1.0", &[]);
    let said = "sh\", \"-c\", \"echo ";
    let migration = format!(
        "{of_root}\n[[migration]]\nversion = \"1.2.0\"\nrun = [\"{said}up >> /tmp/migrations\"]\nundo = {{ run = [\"{said}down >> /tmp/migrations\"] }}\n"
    );
    let manifest = app.host.read("/etc/relift/app.toml");
    app.host.write("/etc/relift/app.toml", format!("{manifest}{migration}"), 0o644, "root:root");
    app.host.relift(UPGRADE).exits(0);
    app.publish("1.2.0", &[("lib/new", b"new", 0o644)]);
    app.host.relift(UPGRADE).exits(0);
    app.answers("1.2.0");
    assert_eq!(app.host.must("cat /tmp/migrations"), "up");
    let of_root = |did: &str| format!("{did} as root in /var/lib/relift/app/exports for /opt/app/");
    let root = app.host.must("cat /tmp/root");
    assert!(root.contains(&of_root("set up 1.2.0")) && !root.contains("taken back"), "{root}");

    // It is refused, and foretold with the flag that takes it; a timer never does.
    let to = |version: &'static str| ["upgrade", "app", "--yes", "--to", version, "--allow-downgrades"];
    let out = app.stops(&["plan", "app", "--to", "1.0.0"], 2, "1.0.0 is older than what is installed");
    assert!(out.stdout.contains("relift upgrade app --to 1.0.0 --allow-downgrades"), "{out}");
    let unattended = ["upgrade", "app", "--unattended", "--to", "1.0.0", "--allow-downgrades"];
    app.stops(&unattended, 2, "'--unattended' cannot be used with '--allow-downgrades'");
    app.stops(&["upgrade", "app", "--yes", "--allow-downgrades"], 2, "--to <REV>");
    // What nobody vouches for is refused as ever.
    let list = app.host.read("/srv/www/SHA256SUMS");
    app.sign("SHA256SUMS", list.as_bytes(), &minisign::KeyPair::generate_unencrypted_keypair().unwrap());
    app.stops(&to("1.0.0"), 2, "1.0.0 is not verified");
    app.sign("SHA256SUMS", list.as_bytes(), &app.pair);

    let plan = app.host.relift(&["plan", "app", "--to", "1.0.0", "--allow-downgrades"]).exits(0);
    let text = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "downgrade app 1.2.0 -> 1.0.0",
        "takes back what 1.2.0 asked for",
        "app 1.0.0 is below 1.2.0, which was proven here: it goes below the floor",
        "data stays as newer releases left it, but for migrations that are taken back, and 1.0.0 has to read it: no backup is declared",
    ] {
        assert!(text.contains(words), "{words:?} is not in {plan}");
    }

    // One that does not start comes back whole, and the migration is made again.
    let before = app.tree();
    let out = app.host.relift(&to("0.9.0")).exits(3);
    assert!(out.stderr.contains("the downgrade of app to 0.9.0 failed"), "{out}");
    assert_eq!(app.tree(), before);
    app.answers("1.2.0");
    assert_eq!(app.host.must("cat /tmp/migrations; rm /tmp/migrations"), "up\ndown\nup");
    let root = app.host.must("cat /tmp/root");
    assert!(root.contains(&of_root("set up 0.9.0")) && root.contains(&of_root("taken back 0.9.0")), "{root}");

    app.host.must("systemctl reset-failed");
    app.host.relift(&to("1.0.0")).exits(0);
    app.answers("1.0.0");
    assert_eq!(app.host.must("cat /tmp/migrations"), "down");
    assert!(app.host.relift(&["history", "app"]).exits(0).stdout.contains("downgrade to 1.0.0"));
    // No timer undoes what an operator decided; the operator does, either way.
    let out = app.host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert!(out.stderr.contains("it was left for an older release"), "{out}");
    app.answers("1.0.0");
    app.host.relift(&["rollback", "app", "--yes"]).exits(0);
    app.answers("1.2.0");
}

#[test]
fn a_kill_at_any_record_or_while_an_archive_comes_leaves_one_release_or_the_other() {
    let mut app = Archives::new(SIGNED);
    app.host.relift(UPGRADE).exits(0);
    app.answers("1.0.0");
    app.publish("1.1.0", &[("lib/a", b"a", 0o644)]);
    // While it is fetched: nothing is left, and nothing has to be recovered.
    app.configure(&format!("{SIGNED}\nmax-fetch = \"9GiB\""));
    let before = app.tree();
    app.host.must("touch /srv/endless; : > /srv/log; systemd-run --quiet --unit=fetch relift upgrade app --yes");
    app.host.wait_for("grep -q app-1.1.0 /srv/log");
    app.host.must("sleep 0.2; systemctl kill --signal=KILL fetch; rm /srv/endless");
    assert_eq!(app.host.must("ls /var/cache/relift/app"), "");
    assert_eq!(app.tree(), before);
    // While it is imported.
    let mut rounds = 0;
    for wait in ["0.05", "0.1", "0.15", "0.2", "0.3"] {
        let out = app.host.sh(&format!("timeout --signal=KILL {wait} relift check app"));
        if out.code != 137 {
            break;
        }
        rounds += 1;
    }
    assert!(rounds > 0, "it was too fast to be killed");
    let step = if is_soak() { 1 } else { 11 };
    let mut ended = [0, 0];
    for at in (2..).step_by(step) {
        let point = format!("{}-{:05}", ["before", "after"][at % 2], at / 2);
        let out = killed(&app.host, &point, "upgrade app --yes");
        if out.code != 137 {
            assert_eq!(out.code, 0, "{point}: {out}");
            break;
        }
        app.host.relift(&["recover", "app"]);
        let version = app.host.must("cat /opt/app/current/VERSION");
        app.answers(&version);
        if version == "1.0.0" {
            assert_eq!(app.tree(), before, "{point}");
            ended[0] += 1;
        } else {
            app.host.relift(&["rollback", "app", "--yes"]).exits(0);
            ended[1] += 1;
            break;
        }
    }
    assert!(ended[0] > 1, "only {ended:?} points were reached");
}
