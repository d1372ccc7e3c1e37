//! Real connections to servers that behave badly.

use super::*;
use crate::host::served::server;

fn got(conversation: &Conversation, url: &str, most: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let sink = &mut |piece: &[u8], _: Option<u64>| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    conversation.get(url, most, sink).map(|()| bytes)
}

fn plain(text: &str) -> Vec<Vec<u8>> {
    vec![text.as_bytes().to_vec()]
}

fn quick() -> Conversation {
    Conversation { silence: Duration::from_secs(1), ..Conversation::new(vec![("X-Token".into(), "s3cr3t".into())]) }
}

#[test]
fn a_file_comes_whole_and_with_its_headers() {
    let (url, thread) = server(vec![plain("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")], Duration::ZERO);
    assert_eq!(got(&quick(), &format!("{url}/a"), 5).unwrap(), b"hello");
    let asked = thread.join().unwrap().remove(0);
    assert!(asked.starts_with("get /a http/1.1") && asked.contains("x-token: s3cr3t"), "{asked}");
}

#[test]
fn no_more_comes_than_is_wanted_whatever_the_server_says() {
    let (url, _thread) = server(vec![plain("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!")], Duration::ZERO);
    assert_eq!(got(&quick(), &url, 5), Err(Fault::TooLong));
    let mut endless = plain("HTTP/1.1 200 OK\r\n\r\n");
    endless.extend(std::iter::repeat_n(vec![b'x'; 64 << 10], 40));
    let (url, _thread) = server(vec![endless], Duration::ZERO);
    assert_eq!(got(&quick(), &url, 1 << 20), Err(Fault::TooLong));
}

#[test]
fn half_an_answer_is_none() {
    let (url, _thread) = server(vec![plain("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")], Duration::ZERO);
    assert!(matches!(got(&quick(), &url, 100), Err(Fault::Unreachable(_))));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let (url, _thread) = server(vec![plain(chunked)], Duration::ZERO);
    assert!(matches!(got(&quick(), &url, 100), Err(Fault::Unreachable(_))));
}

#[test]
fn a_server_that_falls_silent_or_drips_is_left() {
    let mut silent = plain("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    silent.extend(std::iter::repeat_n(Vec::new(), 30));
    let (url, _thread) = server(vec![silent], Duration::from_millis(100));
    let begun = Instant::now();
    assert_eq!(got(&quick(), &url, 100), Err(Fault::Stalled));
    let mut drip = plain("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
    drip.extend(std::iter::repeat_n(b"x".to_vec(), 60));
    let (url, _thread) = server(vec![drip], Duration::from_millis(50));
    assert_eq!(got(&quick(), &url, 5000), Err(Fault::Stalled));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[test]
fn a_redirect_is_followed_and_takes_no_header_to_another_host() {
    let (other, elsewhere) = server(vec![plain("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")], Duration::ZERO);
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {other}/b?x=1\r\nContent-Length: 0\r\n\r\n");
    let (url, here) = server(vec![plain(&answer)], Duration::ZERO);
    assert_eq!(got(&quick(), &format!("{url}/a"), 10).unwrap(), b"ok");
    assert!(here.join().unwrap()[0].contains("s3cr3t"));
    let asked = elsewhere.join().unwrap().remove(0);
    assert!(asked.starts_with("get /b?x=1") && !asked.contains("s3cr3t"), "{asked}");
}

#[test]
fn redirects_end_and_lead_from_https_to_https_alone() {
    let to = |from: &str, place: &str| redirected(from, place);
    assert_eq!(to("https://a/x/y?q", "z").unwrap(), "https://a/x/z");
    assert_eq!(to("https://a/x/y", "/z").unwrap(), "https://a/z");
    assert_eq!(to("https://a/x", "//b/z").unwrap(), "https://b/z");
    assert_eq!(to("https://a", "z").unwrap(), "https://a/z");
    assert_eq!(to("http://a/x", "https://b/z").unwrap(), "https://b/z");
    assert_eq!(to("http://a/x", "http://b/z").unwrap(), "http://b/z");
    for (from, place) in [
        ("https://a/x", "http://a/x"),
        ("https://a/x", "file:///etc/passwd"),
        ("http://a/x", "ftp://a/x"),
        ("http://a/x", "http://u:p@a/x"),
        ("https://a/x", ""),
    ] {
        assert!(matches!(to(from, place), Err(Fault::Redirect(_))), "{from} {place}");
    }
    let loops = |url: &str| {
        plain(&format!("HTTP/1.1 302 Found\r\nLocation: {url}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    };
    let (url, _thread) = server((0..6).map(|_| loops("")).collect(), Duration::ZERO);
    assert!(matches!(got(&quick(), &url, 10), Err(Fault::Redirect(_))));
}

#[test]
fn faults_hold_no_part_of_the_request() {
    let (url, _thread) = server(vec![plain("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")], Duration::ZERO);
    assert_eq!(got(&quick(), &format!("{url}/?token=s3cr3t"), 10), Err(Fault::Status(403)));
    let conversation = Conversation::new(vec![("X-Token".into(), "s3c\nr3t".into())]);
    let fault = got(&conversation, "http://127.0.0.1:1/?s3cr3t", 10).unwrap_err();
    assert!(!format!("{fault:?}").contains("s3c"), "{fault:?}");
    let fault = got(&quick(), "http://127.0.0.1:1/?s3cr3t", 10).unwrap_err();
    assert_eq!(fault, Fault::Unreachable("connection refused".into()));
}
