//! Git servers on hosts of their own.

use relift::sample::{Release, Site};

use crate::harness::{Host, Upstream, needs};
use crate::network::Network;

/// A git server that has the sample, in release 1.0.0 and what is released later.
pub struct GitServer {
    host: Host,
    network: Network,
    address: String,
    upstream: Upstream,
}

/// git http-backend behind Python's HTTP server; what it does besides is in the file `mode`.
const HTTP_SERVER: &str = r#"
import base64, http.server, os, socket, struct, subprocess, sys, time
root, credentials = sys.argv[1], base64.b64encode(sys.argv[2].encode()).decode()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.0'
    def mode(self):
        try: return open(root + '/mode').read().strip()
        except OSError: return ''
    def body(self):
        if self.headers.get('Transfer-Encoding', '').lower() != 'chunked':
            return self.rfile.read(int(self.headers.get('Content-Length') or 0))
        body = b''
        while size := int(self.rfile.readline().split(b';')[0], 16):
            body += self.rfile.read(size); self.rfile.readline()
        self.rfile.readline()
        return body
    def serve(self):
        body, mode = self.body(), self.mode()
        if mode == 'hang': time.sleep(3600)
        if mode == 'error': return self.send_error(500)
        cut = int(mode.split()[1]) if mode.startswith('cut ') else None
        private = next((base64.b64encode(word[8:].encode()).decode() for word in mode.split() if word.startswith('private=')), credentials)
        if mode.startswith('private') and self.headers.get('Authorization') != 'Basic ' + private:
            self.send_response(401); self.send_header('WWW-Authenticate', 'Basic realm="git"'); self.end_headers(); return
        path, _, query = self.path.partition('?')
        environment = dict(PATH=os.environ['PATH'], GIT_PROJECT_ROOT=root, GIT_HTTP_EXPORT_ALL='1', PATH_INFO=path,
            QUERY_STRING=query, REQUEST_METHOD=self.command, CONTENT_TYPE=self.headers.get('Content-Type', ''),
            CONTENT_LENGTH=str(len(body)), REMOTE_ADDR=self.client_address[0],
            HTTP_CONTENT_ENCODING=self.headers.get('Content-Encoding', ''), GIT_PROTOCOL='' if 'v0' in mode else self.headers.get('Git-Protocol', ''))
        answer = subprocess.run(['git', 'http-backend'], input=body, env=environment, stdout=subprocess.PIPE).stdout
        head, _, content = answer.partition(b'\r\n\r\n')
        fields = [line.split(': ', 1) for line in head.decode().split('\r\n') if line]
        self.send_response(next((int(v.split()[0]) for k, v in fields if k == 'Status'), 200))
        for key, value in fields:
            if key != 'Status': self.send_header(key, value)
        self.end_headers(); self.wfile.write(content[:cut])
        if cut is not None and cut < len(content):
            self.wfile.flush()
            # Every other time it is reset, and ends as if it were over otherwise.
            if cut // 16384 % 2: self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            self.connection.close(); self.close_connection = True
    def log_request(self, code='-', size='-'):
        with open(root + '/requests', 'a') as log: log.write(self.command + ' ' + self.path + '\n')
    do_GET = do_POST = serve

http.server.ThreadingHTTPServer(('', 80), Handler).serve_forever()
"#;

/// Serves the repositories of `/srv/git`, which has this one, as the account `git` of a host.
pub fn serve_http(host: &Host, name: &str) {
    needs(&[("python3", "python3")]);
    host.write("/srv/git/requests", "", 0o644, "git:git");
    host.write("/srv/git-server.py", HTTP_SERVER, 0o644, "root:root");
    host.must(
        "systemd-run --quiet --unit=git-http --uid=git -p AmbientCapabilities=CAP_NET_BIND_SERVICE python3 /srv/git-server.py /srv/git user:password",
    );
    host.wait_for(&format!(
        "curl --silent --fail 'http://127.0.0.1/{name}.git/info/refs?service=git-upload-pack' >/dev/null"
    ));
}

impl GitServer {
    /// Debian's OpenSSH server, with an account `git` that admits the keys of [`GitServer::admit`].
    pub fn ssh() -> GitServer {
        needs(&[("sshd", "openssh-server"), ("ssh", "openssh-client")]);
        let server = GitServer::with_url(|address| format!("ssh://git@{address}/srv/git/app.git"));
        let config = "Port 22\nHostKey /srv/ssh/key\nUsePAM no\nPasswordAuthentication no\nAuthorizedKeysFile /srv/ssh/keys\nStrictModes no\n";
        server.host.write("/srv/ssh/config", config, 0o644, "root:root");
        server.host.write("/srv/ssh/keys", "", 0o644, "root:root");
        server.host.must(
            "set -e; ssh-keygen -q -t ed25519 -N '' -f /srv/ssh/key; systemctl stop ssh.service ssh.socket 2>/dev/null || :
             usermod -p '*' git; systemd-run --quiet --unit=git-ssh -p RuntimeDirectory=sshd /usr/sbin/sshd -D -f /srv/ssh/config",
        );
        server.host.wait_for("ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null | grep -q ed25519");
        server
    }

    /// Smart HTTP by git http-backend. [`GitServer::behave`] makes it refuse, fail or hang.
    pub fn http() -> GitServer {
        let server = GitServer::with_url(|address| format!("http://{address}/app.git"));
        serve_http(&server.host, "app");
        server
    }

    fn with_url(url: impl FnOnce(&str) -> String) -> GitServer {
        let (host, network) = (Host::boot(), Network::new());
        let address = network.join(&host);
        let upstream = Upstream::create(&host, Site { url: url(&address), ..Site::new("app") });
        GitServer { host, network, address, upstream }
    }

    /// A host on the server's network that has the sample from it, installed and running.
    pub fn host_with_sample(&self) -> Host {
        let mut host = Host::boot();
        self.network.join(&host);
        host.must("useradd --create-home --shell /bin/sh app");
        if self.upstream.site.url.starts_with("ssh") {
            self.admit(&host, "root");
            self.admit(&host, "app");
        }
        host.install(&self.upstream.site);
        host
    }

    /// Runs a shell script on the server, as root.
    pub fn must(&self, script: &str) -> String {
        self.host.must(script)
    }

    /// Gives an account of `host` a key that the server admits, and the server's own key.
    pub fn admit(&self, host: &Host, account: &str) {
        let script = "mkdir -p -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519 && cat ~/.ssh/id_ed25519.pub";
        let key = host.sh_as(account, script).exits(0).stdout;
        let keys = self.host.read("/srv/ssh/keys") + &key;
        self.host.write("/srv/ssh/keys", keys, 0o644, "root:root");
        let own = self.host.read("/srv/ssh/key.pub");
        host.sh_as(account, &format!("echo '{} {}' >> ~/.ssh/known_hosts", self.address, own.trim())).exits(0);
    }

    /// Publishes a new release; the commit's id.
    pub fn release(&mut self, change: impl FnOnce(Release) -> Release) -> String {
        self.upstream.release(&self.host, change)
    }

    /// What the HTTP server does from now on: `private` (asks for user `user` and password `password`), `error`, `hang`,
    /// `private=USER:PASSWORD` (asks for these), `v0` (speaks the oldest protocol), `cut N` (no answer is longer than N bytes, its connection is dropped), or nothing of it (empty).
    pub fn behave(&self, mode: &str) {
        self.host.write("/srv/git/mode", mode, 0o644, "root:root");
    }

    /// What the HTTP server was asked so far, a line each: `GET /app.git/info/refs?...`.
    pub fn requests(&self) -> Vec<String> {
        self.host.read("/srv/git/requests").lines().map(str::to_owned).collect()
    }

    /// Takes the server off the network.
    pub fn unplug(&self) {
        self.network.cut(&self.address);
    }

    /// Where the sample is to be cloned from.
    pub fn url(&self) -> &str {
        &self.upstream.site.url
    }
}
