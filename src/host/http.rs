//! HTTP requests, to services of our own and to webhooks: one connection each, no proxy, no redirects, everything bounded.

use std::io::Read;
use std::time::Duration;

use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// How much of a body is read.
pub const BODY: u64 = 1 << 20;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its body, up to [`BODY`].
    pub body: Vec<u8>,
    /// Whether the body goes on beyond that.
    pub is_cut: bool,
    /// After how many seconds it wants to be asked again (`Retry-After`, RFC 9110).
    pub retry_after: Option<u64>,
    /// What it asks for before it answers (`WWW-Authenticate`, RFC 9110).
    pub challenge: Option<String>,
}

/// Why there is no answer. Neither holds a part of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The request is none: what is wrong with it.
    Unusable(&'static str),
    /// Nobody answered, or not in HTTP.
    Unreachable(String),
}

/// A GET request that may take `timeout` from the look-up of the host to the last byte.
pub fn get(url: &str, headers: &[(String, String)], timeout: Duration) -> Result<Response, Fault> {
    let request = agent(timeout).get(url);
    answer(headers.iter().fold(request, |request, (name, value)| request.header(name, value)).call())
}

/// A POST request, bounded in the same way.
pub fn post(
    url: &str,
    headers: &[(String, String)],
    content: &str,
    body: &[u8],
    timeout: Duration,
) -> Result<Response, Fault> {
    let request = agent(timeout).post(url).content_type(content);
    answer(headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send(body))
}

fn agent(timeout: Duration) -> Agent {
    // A proxy would answer for a dead service; so would a connection that was kept from before a restart.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(timeout))
        .user_agent(concat!("relift/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build()
        .new_agent()
}

fn answer(response: Result<ureq::http::Response<Body>, ureq::Error>) -> Result<Response, Fault> {
    let response = response.map_err(fault)?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let challenge = response.headers().get("www-authenticate").and_then(|value| value.to_str().ok().map(str::to_owned));
    let (body, is_cut) = read(response.into_body())?;
    Ok(Response { status, body, is_cut, retry_after, challenge })
}

fn read(body: Body) -> Result<(Vec<u8>, bool), Fault> {
    let mut bytes = Vec::new();
    let mut reader = body.into_reader().take(BODY + 1);
    reader.read_to_end(&mut bytes).map_err(|error| match error.downcast::<ureq::Error>() {
        Ok(error) => fault(error),
        Err(error) => Fault::Unreachable(super::net::words(&error)),
    })?;
    let is_cut = bytes.len() as u64 > BODY;
    bytes.truncate(BODY as usize);
    Ok((bytes, is_cut))
}

/// The errors of the library whose text may hold the URL or a header are put in our own words.
fn fault(error: ureq::Error) -> Fault {
    match error {
        ureq::Error::BadUri(_) => Fault::Unusable("the URL is not one"),
        ureq::Error::Http(_) => Fault::Unusable("the URL or a header holds what HTTP does not allow"),
        ureq::Error::Timeout(_) => Fault::Unreachable("no answer in time".into()),
        ureq::Error::HostNotFound => Fault::Unreachable("the host is not known".into()),
        ureq::Error::ConnectionFailed => Fault::Unreachable("connection refused".into()),
        ureq::Error::Io(error) => Fault::Unreachable(super::net::words(&error)),
        ureq::Error::Protocol(_) => Fault::Unreachable("the answer is not HTTP".into()),
        ureq::Error::Rustls(error) => Fault::Unreachable(format!("TLS: {error}")),
        ureq::Error::Tls(error) => Fault::Unreachable(format!("TLS: {error}")),
        _ => Fault::Unreachable("the request failed".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::served;

    /// Answers one request with these bytes, a piece at a time, and gives back what was asked.
    fn server(pieces: Vec<Vec<u8>>, pause: Duration) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let (url, thread) = served::server(vec![pieces], pause);
        (format!("{url}/path"), thread)
    }

    const SECONDS: Duration = Duration::from_secs(5);

    #[test]
    fn an_answer_of_any_status_is_an_answer() {
        let answer = b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno".to_vec();
        let (url, thread) = server(vec![answer], Duration::ZERO);
        let response = get(&url, &[("X-Token".into(), "secret".into())], SECONDS).expect("an answer");
        assert_eq!(
            response,
            Response { status: 503, body: b"no".to_vec(), is_cut: false, retry_after: Some(7), challenge: None }
        );
        let asked = thread.join().expect("asked").remove(0);
        assert!(asked.starts_with("get /path http/1.1") && asked.contains("x-token: secret"), "{asked}");
    }

    #[test]
    fn a_redirect_is_not_followed() {
        let answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec();
        let (url, _thread) = server(vec![answer], Duration::ZERO);
        assert_eq!(get(&url, &[], SECONDS).expect("an answer").status, 302);
    }

    #[test]
    fn a_body_without_end_is_cut() {
        let mut pieces = vec![b"HTTP/1.1 200 OK\r\n\r\n".to_vec()];
        pieces.extend(std::iter::repeat_n(vec![b'x'; 64 << 10], 40));
        let (url, _thread) = server(pieces, Duration::ZERO);
        let response = get(&url, &[], SECONDS).expect("an answer");
        assert!(response.is_cut && response.body.len() as u64 == BODY);
    }

    #[test]
    fn an_answer_by_the_drop_ends_at_the_bound() {
        let mut pieces = vec![b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n".to_vec()];
        pieces.extend(std::iter::repeat_n(b"x".to_vec(), 20));
        let (url, _thread) = server(pieces, Duration::from_millis(100));
        let start = std::time::Instant::now();
        let fault = get(&url, &[], Duration::from_millis(400)).expect_err("too slow");
        assert_eq!(fault, Fault::Unreachable("no answer in time".into()));
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[test]
    fn faults_hold_no_part_of_the_request() {
        let header = [("X-Token".to_owned(), "sec\nret".to_owned())];
        let fault = get("http://127.0.0.1:1/", &header, SECONDS).expect_err("no header");
        assert!(matches!(fault, Fault::Unusable(_)) && !format!("{fault:?}").contains("sec"), "{fault:?}");
        let fault = get("http://user:sec ret@/x", &[], SECONDS).expect_err("no URL");
        assert!(matches!(fault, Fault::Unusable(_)) && !format!("{fault:?}").contains("sec"), "{fault:?}");
        let fault = get("http://127.0.0.1:1/sec", &[], SECONDS).expect_err("nobody is there");
        assert_eq!(fault, Fault::Unreachable("connection refused".into()));
    }

    #[test]
    fn what_is_not_http_is_said_to_be() {
        let (url, _thread) = server(vec![b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()], Duration::from_millis(20));
        assert!(matches!(get(&url, &[], SECONDS), Err(Fault::Unreachable(_))));
    }
}
