//! Files of a web server: as many bytes as are wanted and no more, at a pace that ends, over redirects that give nothing away.

use std::io::Read;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// How long a connection, and the beginning of an answer, may take.
const FIRST: Duration = Duration::from_secs(30);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a file may take in all.
const WHOLE: Duration = Duration::from_secs(3600);
/// The slowest that counts as progress, bytes a second, seen over [`SILENCE`].
const SLOWEST: u64 = 1 << 10;
/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// Takes what comes, a piece at a time, and how many bytes there are in all where that is known.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8], Option<u64>) -> std::io::Result<()>;

/// One conversation with web servers: what one of them keeps open is used again.
pub struct Conversation {
    agent: Agent,
    headers: Vec<(String, String)>,
    silence: Duration,
}

/// Why a file did not come. Nothing of it holds a header or the query of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The server answers with this status.
    Status(u16),
    /// It is not followed to where it leads, and why.
    Redirect(String),
    /// There is more than is wanted.
    TooLong,
    /// The server is silent, or nearly so.
    Stalled,
    /// Nobody answers, or the answer breaks off.
    Unreachable(String),
    /// What came cannot be put anywhere.
    Sink(String),
}

impl Fault {
    /// In words, the end of a sentence that begins with the URL.
    pub fn words(&self) -> String {
        match self {
            Fault::Status(status) => format!("the server answers {status}"),
            Fault::Redirect(why) => why.clone(),
            Fault::TooLong => "the server sends more than is wanted".into(),
            Fault::Stalled => "the server sends nothing, or next to nothing".into(),
            Fault::Unreachable(why) => why.clone(),
            Fault::Sink(why) => format!("it cannot be kept: {why}"),
        }
    }
}

impl Conversation {
    /// A conversation in which each host that is named first gets `headers`, and none that it redirects to.
    pub fn new(headers: Vec<(String, String)>) -> Conversation {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_connect(Some(FIRST))
            .timeout_send_request(Some(FIRST))
            .timeout_recv_response(Some(FIRST))
            .timeout_global(Some(WHOLE))
            .user_agent(concat!("relift/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build()
            .new_agent();
        Conversation { agent, headers, silence: SILENCE }
    }

    /// Gets at most `most` bytes and gives them to `sink` as they come, telling how many there are in all where the server says.
    pub fn get(&self, url: &str, most: u64, sink: Sink) -> Result<(), Fault> {
        let mut at = url.to_owned();
        for _ in 0..=REDIRECTS {
            let response = self.ask(&at, authority(&at) == authority(url))?;
            let status = response.status().as_u16();
            match status {
                200 => return self.body(response, most, sink),
                301 | 302 | 303 | 307 | 308 => {
                    let place = response.headers().get("location").and_then(|value| value.to_str().ok());
                    at = redirected(&at, place.unwrap_or_default())?;
                }
                status => return Err(Fault::Status(status)),
            }
        }
        Err(Fault::Redirect(format!("it is redirected more than {REDIRECTS} times")))
    }

    fn ask(&self, url: &str, is_known: bool) -> Result<Response<Body>, Fault> {
        let request = self.agent.get(url).header("accept-encoding", "identity");
        let headers = self.headers.iter().filter(|_| is_known);
        let request = headers.fold(request, |request, (name, value)| request.header(name, value));
        request.call().map_err(|error| Fault::Unreachable(words(&error)))
    }

    fn body(&self, response: Response<Body>, most: u64, sink: Sink) -> Result<(), Fault> {
        let total = response.body().content_length();
        if total.is_some_and(|total| total > most) {
            return Err(Fault::TooLong);
        }
        let pieces = read(response.into_body());
        let (mut sum, mut since, mut come) = (0u64, Instant::now(), 0u64);
        loop {
            let piece = match pieces.recv_timeout(self.silence) {
                Ok(Ok(piece)) if piece.is_empty() => break,
                Ok(Ok(piece)) => piece,
                Ok(Err(why)) => return Err(Fault::Unreachable(why)),
                Err(RecvTimeoutError::Timeout) => return Err(Fault::Stalled),
                Err(RecvTimeoutError::Disconnected) => return Err(Fault::Unreachable("the answer breaks off".into())),
            };
            sum += piece.len() as u64;
            come += piece.len() as u64;
            if sum > most {
                return Err(Fault::TooLong);
            }
            if since.elapsed() >= self.silence {
                if come < SLOWEST * self.silence.as_secs().max(1) {
                    return Err(Fault::Stalled);
                }
                (since, come) = (Instant::now(), 0);
            }
            sink(&piece, total).map_err(|error| Fault::Sink(super::net::words(&error)))?;
        }
        match total {
            Some(total) if total != sum => Err(Fault::Unreachable("the answer breaks off".into())),
            _ => Ok(()),
        }
    }
}

/// Reads on a thread of its own, since a read of the library may take as long as the whole. An empty piece is the end.
fn read(body: Body) -> mpsc::Receiver<Result<Vec<u8>, String>> {
    let (sender, pieces) = mpsc::sync_channel(4);
    std::thread::spawn(move || {
        let mut reader = body.into_reader();
        loop {
            let mut piece = vec![0; 64 << 10];
            let read = reader.read(&mut piece);
            let is_last = !matches!(read, Ok(1..));
            let read = read.map_err(|error| match error.downcast::<ureq::Error>() {
                Ok(error) => words(&error),
                Err(error) => super::net::words(&error),
            });
            let sent = sender.send(read.map(|count| {
                piece.truncate(count);
                piece
            }));
            if is_last || sent.is_err() {
                return;
            }
        }
    });
    pieces
}

/// The errors of the library whose text may hold the URL or a header are put in our own words.
fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::BadUri(_) => "the URL is not one".into(),
        ureq::Error::Http(_) => "the URL or a header holds what HTTP does not allow".into(),
        ureq::Error::Timeout(_) => "no answer in time".into(),
        ureq::Error::HostNotFound => "the host is not known".into(),
        ureq::Error::ConnectionFailed => "connection refused".into(),
        ureq::Error::Io(error) => super::net::words(error),
        ureq::Error::Protocol(_) => "the answer is not HTTP".into(),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        ureq::Error::Tls(error) => format!("TLS: {error}"),
        _ => "the request failed".into(),
    }
}

/// Scheme, host and port.
fn authority(url: &str) -> &str {
    let after = url.find("://").map_or(0, |at| at + 3);
    let end = url[after..].find(['/', '?', '#']).map_or(url.len(), |at| after + at);
    &url[..end]
}

/// Where a redirect leads; never from https to anything else. Pure.
fn redirected(from: &str, place: &str) -> Result<String, Fault> {
    let place = place.split('#').next().unwrap_or_default();
    let base = authority(from);
    let scheme = from.split_once("://").map_or("", |(scheme, _)| scheme);
    let to = match () {
        () if place.is_empty() => return Err(Fault::Redirect("it is redirected to nowhere".into())),
        () if place.contains("://") => place.to_owned(),
        () if place.starts_with("//") => format!("{scheme}:{place}"),
        () if place.starts_with('/') => format!("{base}{place}"),
        () => {
            let path = from.split(['?', '#']).next().unwrap_or_default();
            let directory = path.rsplit_once('/').filter(|(directory, _)| directory.len() >= base.len());
            format!("{}/{place}", directory.map_or(base, |(directory, _)| directory))
        }
    };
    let (to_scheme, shown) = (to.split_once("://").map_or("", |(scheme, _)| scheme), authority(&to));
    match (scheme, to_scheme.to_ascii_lowercase().as_str()) {
        (_, "https") | ("http", "http") if !authority(&to).contains('@') => Ok(to),
        _ => Err(Fault::Redirect(format!("it is redirected to {}, which is not https", crate::text::harmless(shown)))),
    }
}

#[cfg(test)]
mod tests;
