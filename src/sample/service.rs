//! The sample's service: a small HTTP server over the standard library.
//!
//! `/api/version` says the version that was in `VERSION` when it started, to who sends the `X-API-Token` of `.env`;
//! `/healthz` says that it is there. What it does besides is in `behaviour`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::behaviour::{Behaviour, parse};
use super::drain;
use crate::error::{Context, Error, Result};

/// How many bytes of a request's head are read.
const HEAD_BYTES: u64 = 16 << 10;
/// How long a client may take to send one.
const CLIENT_BOUND: Duration = Duration::from_secs(10);

/// What a started service knows.
#[derive(Debug)]
struct Service {
    name: String,
    version: String,
    token: Option<String>,
    port: u16,
    behaviours: Vec<Behaviour>,
}

/// Serves the component in `dir` until it is killed or its behaviour ends it.
pub fn serve(dir: &Path) -> Result<()> {
    let service = Arc::new(Service::start(dir)?);
    before_listening(&service)?;
    let hands_over = service.does(&Behaviour::HandOver);
    if hands_over {
        drain::heed_signals()?;
    }
    let passed = if hands_over { drain::passed() } else { None };
    let listener = match passed {
        Some(listener) => listener,
        None => service.listen()?,
    };
    if service.does(&Behaviour::StoreListener) {
        drain::store(&listener)?;
    }
    say(&format!("{} {} listens on port {}", service.name, service.version, service.port));
    if !service.does(&Behaviour::NeverReady) {
        notify_ready()?;
    }
    for behaviour in &service.behaviours {
        if let Behaviour::ReadyThenDie(after, code) = *behaviour {
            std::thread::spawn(move || {
                std::thread::sleep(after);
                say("it ends, as it was told");
                std::process::exit(code)
            });
        }
    }
    if hands_over {
        return handing_over(service, &listener, dir);
    }
    for stream in listener.incoming() {
        let service = Arc::clone(&service);
        let stream = stream.context("a connection cannot be accepted")?;
        // A client that goes away is its own affair.
        std::thread::spawn(move || service.answer(&stream).unwrap_or_default());
    }
    Ok(())
}

/// Serves until SIGTERM, and leaves no answer that was begun.
fn handing_over(mut service: Arc<Service>, listener: &TcpListener, dir: &Path) -> Result<()> {
    loop {
        match drain::next(listener)? {
            drain::Next::Client(stream) => {
                let (service, answering) = (Arc::clone(&service), drain::Answering::begin());
                std::thread::spawn(move || {
                    service.answer(&stream).unwrap_or_default();
                    drop((stream, answering));
                });
            }
            drain::Next::Reload if service.does(&Behaviour::RefuseReload) => std::process::exit(1),
            drain::Next::Reload => service = Arc::new(Service::start(dir)?),
            drain::Next::End => return Ok(()),
        }
    }
}

impl Service {
    fn start(dir: &Path) -> Result<Service> {
        let read = |name: &str| std::fs::read_to_string(dir.join(name));
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let version = read("VERSION").with_context(|| format!("{name} has no VERSION"))?.trim().to_owned();
        let behaviours = match read("behaviour") {
            Err(error) if error.kind() == ErrorKind::NotFound => vec![Behaviour::Ok],
            text => parse(&text.with_context(|| format!("{name} has no readable behaviour"))?)?,
        };
        let settings = settings(&read(".env").unwrap_or_default());
        act_before_settings(&behaviours)?;
        for behaviour in &behaviours {
            if let Behaviour::StrictEnv(key) = behaviour {
                strict(&settings, key)?;
            }
        }
        if dir.join("scripts/build.sh").exists() {
            built_for(&version, read("build/version").ok())?;
        }
        let port = settings.get("PORT").ok_or_else(|| Error::failed("PORT is not set"))?;
        let port = port.parse().map_err(|_| Error::failed("PORT is no port number"))?;
        let token = settings.get("API_TOKEN").filter(|token| !token.is_empty()).cloned();
        Ok(Service { name, version, token, port, behaviours })
    }

    fn does(&self, behaviour: &Behaviour) -> bool {
        self.behaviours.contains(behaviour)
    }

    fn listen(&self) -> Result<TcpListener> {
        let open = || {
            TcpListener::bind(("127.0.0.1", self.port)).with_context(|| format!("port {} cannot be opened", self.port))
        };
        let first = open()?;
        match self.does(&Behaviour::PortTaken) {
            true => open(),
            false => Ok(first),
        }
    }

    fn answer(&self, stream: &TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(CLIENT_BOUND))?;
        let mut lines = BufReader::new(stream.take(HEAD_BYTES)).lines();
        let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let mut token = None;
        for line in lines {
            let line = line?;
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("X-API-Token") => {
                    token = Some(value.trim().to_owned())
                }
                _ if line.is_empty() => break,
                _ => {}
            }
        }
        if self.does(&Behaviour::Hang) {
            loop {
                std::thread::park();
            }
        }
        let (status, body) = self.reply(request.split(' ').nth(1).unwrap_or_default(), token);
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn reply(&self, path: &str, token: Option<String>) -> (&'static str, String) {
        let shown = self.behaviours.iter().find_map(|behaviour| match behaviour {
            Behaviour::OldVersion(version) => Some(version),
            _ => None,
        });
        match path {
            _ if self.does(&Behaviour::Error500) => ("500 Internal Server Error", r#"{"error":"internal"}"#.into()),
            "/healthz" => ("200 OK", r#"{"status":"ok"}"#.into()),
            "/api/version" if self.token.is_some() && token != self.token => {
                ("401 Unauthorized", r#"{"error":"X-API-Token"}"#.into())
            }
            "/api/version" => {
                let version = shown.unwrap_or(&self.version);
                ("200 OK", serde_json::json!({ "name": self.name, "version": version }).to_string())
            }
            _ => ("404 Not Found", r#"{"error":"not found"}"#.into()),
        }
    }
}

/// What a service does before it looks at its settings.
fn act_before_settings(behaviours: &[Behaviour]) -> Result<()> {
    for behaviour in behaviours {
        match behaviour {
            Behaviour::Log(text) => say(text),
            Behaviour::ExitAtOnce(code) => std::process::exit(*code),
            Behaviour::IgnoreTerm => {
                let ignore = nix::sys::signal::SigHandler::SigIgn;
                // SAFETY: no handler is installed, the signal is ignored.
                unsafe { nix::sys::signal::signal(nix::sys::signal::Signal::SIGTERM, ignore) }
                    .context("SIGTERM cannot be ignored")?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn before_listening(service: &Service) -> Result<()> {
    for behaviour in &service.behaviours {
        match *behaviour {
            Behaviour::DieAfter(after, code) => {
                std::thread::sleep(after);
                std::process::exit(code);
            }
            Behaviour::SlowStart(after) => std::thread::sleep(after),
            Behaviour::NeverListen => {
                notify_ready()?;
                loop {
                    std::thread::park();
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The journal shows it line by line, whatever standard output is.
fn say(text: &str) {
    let mut stdout = std::io::stdout();
    // A service does not end because nobody listens to it.
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).unwrap_or_default();
}

/// `KEY=VALUE` lines of `.env`, under what the environment says.
fn settings(env: &str) -> BTreeMap<String, String> {
    let lines = env.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let unquoted = pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()));
    unquoted.chain(std::env::vars()).collect()
}

fn strict(settings: &BTreeMap<String, String>, key: &str) -> Result<()> {
    match settings.get(key).map(String::as_str) {
        None | Some("") => Err(Error::failed(format!("{key} is missing in .env"))),
        Some(value) if value.starts_with("CHANGE_ME") => Err(Error::failed(format!("{key} must be replaced in .env"))),
        Some(_) => Ok(()),
    }
}

fn built_for(version: &str, built: Option<String>) -> Result<()> {
    match built.as_deref().map(str::trim) {
        Some(built) if built == version => Ok(()),
        Some(built) => Err(Error::failed(format!("build/ is of {built}, the tree of {version}"))),
        None => Err(Error::failed("nothing is built: run scripts/build.sh")),
    }
}

/// sd_notify(3), where systemd asked for it.
fn notify_ready() -> Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&path),
    };
    address
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address))
        .map(drop)
        .context("systemd cannot be told that the service is ready")
}
