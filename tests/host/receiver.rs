//! Who is told, on the host itself: an SMTP server of Debian's with TLS and passwords, an HTTP server, and servers that misbehave.

use std::time::{Duration, Instant};

use crate::harness::{Host, needs};

/// The value of the header that `headers.secret` holds.
pub const HEADER: &str = "s3cr3t-canary-header";

/// aiosmtpd with STARTTLS and AUTH on 2525, with a certificate of nobody's on 2526, plain on 2527; from 2530 on one that hangs or
/// refuses at each stage; HTTP on 8080, which does what the path says, and on 8081, where redirects lead to.
const PROGRAM: &str = r#"
import base64, email, http.server, json, os, socket, ssl, threading, time
from email import policy
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, SMTP
ROOT = '/srv/rx'
lock = threading.Lock()
def note(name, value):
    with lock, open(ROOT + '/' + name, 'a') as log: log.write(json.dumps(value) + '\n')

class Mails:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=policy.default)
        parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
        note('mails', dict(to=envelope.rcpt_tos, sender=envelope.mail_from, subject=mail['Subject'], id=mail['Message-ID'],
            thread=mail['References'], auto=mail['Auto-Submitted'], text=parts.get('text/plain'), html=parts.get('text/html'),
            tls=session.ssl is not None, user=session.auth_data and session.auth_data.decode()))
        return '250 OK'

def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b'relift' and data.password == b's3cr3t-canary-smtp'
    return AuthResult(success=good, handled=False, auth_data=data.login)

def tls(name):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(f'{ROOT}/{name}.crt', f'{ROOT}/{name}.key')
    return context

for port, name in (2525, 'server'), (2526, 'nobody'):
    Controller(Mails(), hostname='127.0.0.1', port=port, tls_context=tls(name), require_starttls=True, auth_required=True,
        authenticator=authenticate, ready_timeout=20).start()
Controller(Mails(), hostname='127.0.0.1', port=2527, ready_timeout=20).start()

def misbehave(port, answers):
    """Answers each line with the next of these; where there are none left, it hangs."""
    listener = socket.create_server(('127.0.0.1', port))
    def serve(connection):
        left = list(answers)
        lines = connection.makefile('rb')
        if not left: time.sleep(3600)
        connection.sendall(left.pop(0))
        in_data = False
        for line in lines:
            if in_data and line != b'.\r\n': continue
            if not left: time.sleep(3600)
            answer = left.pop(0)
            in_data = answer.startswith(b'354')
            connection.sendall(answer)
    def accept():
        while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()

ok = b'250 ok\r\n'
misbehave(2531, [])
misbehave(2532, [b'220 hello\r\n'])
misbehave(2533, [b'220 hello\r\n', ok, ok, ok])
misbehave(2534, [b'220 hello\r\n', ok, ok, ok, b'354 go on\r\n'])
misbehave(2535, [b'220 hello\r\n', ok, ok, b'451 greylisted, try later\r\n'] + [ok] * 9)
misbehave(2536, [b'220 hello\r\n', ok, ok, b'550 no such user\r\n'] + [ok] * 9)
# Says the password back, as it is and as it came.
encoded = base64.b64encode(b'\0relift\0s3cr3t-canary-smtp')
misbehave(2537, [b'220 hello\r\n', b'250-hello\r\n250 AUTH PLAIN\r\n', b'454 not s3cr3t-canary-smtp nor ' + encoded + b'\r\n'] + [ok] * 9)
# A resolver that never answers.
resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
resolver.bind(('127.0.0.1', 53))
# Nobody accepts, and there is no room for another: who connects hangs.
full = socket.create_server(('127.0.0.1', 2530), backlog=0)
crowd = [socket.socket() for _ in range(4)]
for one in crowd:
    one.setblocking(False)
    try: one.connect(('127.0.0.1', 2530))
    except BlockingIOError: pass

class Hooks(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0)).decode()
        path = self.path.split('/')[1]
        mode = open(ROOT + '/mode').read().strip() if os.path.exists(ROOT + '/mode') else ''
        note('hooks', dict(port=self.server.server_port, path=self.path, headers={name.lower(): value for name, value in self.headers.items()}, body=body))
        if path == 'hang': time.sleep(3600)
        if path == 'slow': time.sleep(0.3)
        status = {'down': 500, 'busy': 429, 'redirect': 307, 'gone': 404}.get(path, 200)
        if path == 'switch' and mode: status = int(mode)
        self.send_response(status)
        if path == 'busy': self.send_header('Retry-After', '1800')
        if path == 'redirect': self.send_header('Location', 'http://127.0.0.1:8081/elsewhere')
        self.end_headers()
        if path == 'endless':
            while True: self.wfile.write(b'x' * 65536)
    def log_message(self, *_): pass
for port in 8081, 8080:
    threading.Thread(target=http.server.ThreadingHTTPServer(('127.0.0.1', port), Hooks).serve_forever, daemon=True).start()
open(ROOT + '/ready', 'w').close()
threading.Event().wait()
"#;

/// Makes a CA that the host trusts and a certificate by it, one that it does not trust, and starts the servers.
pub fn start(host: &Host) {
    needs(&[("openssl", "openssl"), ("msmtp", "msmtp"), ("curl", "curl")]);
    host.write("/srv/rx/program", PROGRAM, 0o644, "root:root");
    host.must(
        "set -e; cd /srv/rx
         key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $1.key 2>/dev/null || openssl ecparam -name prime256v1 -genkey -noout -out $1.key; }
         key ca; openssl req -x509 -key ca.key -subj '/CN=The CA of this test' -days 30 -out ca.crt
         printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' > names
         for name in server nobody; do key $name; done
         openssl req -new -key server.key -subj /CN=localhost | openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.crt 2>/dev/null
         openssl req -x509 -key nobody.key -subj /CN=nobody -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -days 30 -out nobody.crt
         cat ca.crt >> /etc/ssl/certs/ca-certificates.crt
         chmod 600 *.key
         ln -sf /usr/bin/msmtp /usr/sbin/sendmail
         printf 'account default\nhost 127.0.0.1\nport 2527\ntls off\nauth off\n' > /etc/msmtprc
         mkdir -p /etc/relift; cd /etc/relift; umask 077
         echo s3cr3t-canary-smtp > smtp.secret; echo http://127.0.0.1:8080/ok/s3cr3t-canary-url > url.secret
         echo 'X-Token: s3cr3t-canary-header' > headers.secret; echo s3cr3t-canary-key > key.secret
         systemd-run --quiet --unit=rx /usr/bin/python3 /srv/rx/program",
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    while host.sh("test -e /srv/rx/ready").code != 0 {
        assert!(Instant::now() < deadline, "{}", host.must("journalctl --no-pager -u rx"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What came in, in order: `mails` or `hooks`.
pub fn received(host: &Host, what: &str) -> Vec<serde_json::Value> {
    let text = host.must(&format!("cat /srv/rx/{what} 2>/dev/null || :"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Forgets what came in.
pub fn forget(host: &Host) {
    host.must("rm -f /srv/rx/mails /srv/rx/hooks");
}

/// Appends ways to the manifest.
pub fn declare(host: &Host, ways: &str) {
    host.must("cp -n /etc/relift/app.toml /root/app.toml; cp /root/app.toml /etc/relift/app.toml");
    let manifest = host.read("/root/app.toml") + ways;
    host.write("/etc/relift/app.toml", manifest, 0o644, "root:root");
    host.relift(&["config", "check", "app"]).exits(0);
}
