//! `[monitoring]`.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use ureq::http::Uri;

use super::super::document::Key;
use super::super::problem::{Fault, Looked};
use super::super::{Monitoring, raw, words};
use super::Look;

/// How old the last check that got an answer may be where the manifest says nothing: a daily one may fail once.
pub(super) const STALE: Duration = Duration::from_secs(2 * 86_400);

/// The outer `None`: there was a fault.
pub(super) fn monitoring(look: &mut Look<'_>, key: &Key, raw: Option<&raw::Monitoring>) -> Option<Option<Monitoring>> {
    let Some(raw) = raw else { return Some(None) };
    let textfile = look.take_optional(&key.name("textfile"), raw.textfile.as_deref().map(directory));
    let otlp = look.take_optional(&key.name("otlp"), raw.otlp.as_deref().map(endpoint));
    let headers = raw.otlp_headers.as_deref().map(words::credential);
    let headers = look.take_optional(&key.name("otlp-headers"), headers);
    let stale = look.take_or(&key.name("stale"), raw.stale.as_deref().map(words::age), STALE);
    Some(Some(Monitoring { textfile: textfile?, otlp: otlp?, otlp_headers: headers?, stale: stale? }))
}

fn directory(text: &str) -> Looked<PathBuf> {
    let path = Path::new(text);
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    match path.is_absolute() && is_plain && path != Path::new("/") && !text.contains(char::is_control) {
        true => Ok(path.components().collect()),
        false => Err(Fault::new(format!("\"{text}\" is no directory of a collector"))
            .help("write an absolute path without `.` and `..`, such as \"/var/lib/prometheus/node-exporter\"")),
    }
}

/// Never quotes what is wrong: a password may be in it.
fn endpoint(text: &str) -> Looked<String> {
    let fault = |what: &str| Fault::new(what).help("write http://HOST:PORT, such as \"http://127.0.0.1:4318\"");
    let uri: Uri = text.parse().map_err(|_| fault("is no URL"))?;
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    match (uri.scheme_str(), authority) {
        (Some("http" | "https"), authority) if authority.contains('@') => {
            Err(Fault::new("holds a password, and every account may read a manifest").help("give it by `otlp-headers`"))
        }
        (Some("http" | "https"), authority) if !authority.is_empty() && uri.query().is_none() => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(fault("is no URL of an OTLP/HTTP endpoint")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_plain_url_and_holds_no_password() {
        assert_eq!(endpoint("http://127.0.0.1:4318/").ok().as_deref(), Some("http://127.0.0.1:4318"));
        assert_eq!(endpoint("https://otel.example.org/base").ok().as_deref(), Some("https://otel.example.org/base"));
        for wrong in ["", "127.0.0.1:4318", "grpc://a:1", "http://", "http://u:p@a/", "http://a/?x=y", "file:///x"] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_collectors_directory_is_absolute_and_plain() {
        assert!(directory("/var/lib/prometheus/node-exporter/").is_ok());
        for wrong in ["", "x", "/", "/a/../b", "/a\nb"] {
            assert!(directory(wrong).is_err(), "{wrong:?}");
        }
    }
}
