//! A request: what a hook leaves for the worker. Versioned; what cannot be understood is garbage.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::given::{MOST, Manager};
use crate::error::{Context, Error, Result};
use crate::manifest::is_install_name;
use crate::survey::host::Touched;

/// The format that this version writes.
const FORMAT: u32 = 1;
/// No request is longer, bytes.
pub(super) const LONGEST: u64 = 4 << 20;

/// What a hook asks for: that an install be looked at after packages changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub(super) format: u32,
    /// The install.
    pub install: String,
    /// The package managers that called.
    pub by: Vec<Manager>,
    /// When the first one did, microseconds of the realtime clock.
    pub since_us: u64,
    /// When the last one did.
    pub until_us: u64,
    /// What they told.
    pub paths: Vec<PathBuf>,
    /// Why it waits, in words; nothing where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

impl Request {
    /// A request of now.
    pub fn new(install: &str, by: Manager, now_us: u64, paths: Vec<PathBuf>) -> Request {
        let (install, by) = (install.to_owned(), vec![by]);
        Request { format: FORMAT, install, by, since_us: now_us, until_us: now_us, paths, waits: None }
    }

    /// Reads one.
    pub fn parse(bytes: &[u8]) -> Result<Request> {
        let request: Request = serde_json::from_slice(bytes).context("it is no request")?;
        match request.format {
            FORMAT if is_install_name(&request.install) => Ok(request),
            FORMAT => Err(Error::failed("it names no install")),
            format => Err(Error::failed(format!("it is of format {format}, and this relift reads format {FORMAT}"))),
        }
    }

    /// Both as one: a hundred packages make one run.
    pub fn merge(mut self, other: Request) -> Request {
        self.since_us = self.since_us.min(other.since_us);
        self.until_us = self.until_us.max(other.until_us);
        self.by.extend(other.by);
        self.by.sort();
        self.by.dedup();
        for path in other.paths {
            if self.paths.len() < MOST && !self.paths.contains(&path) {
                self.paths.push(path);
            }
        }
        self
    }

    /// What was touched.
    pub fn touched(&self) -> Touched {
        Touched { since_us: self.since_us, until_us: self.until_us, paths: self.paths.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_one_that_holds_what_both_told_and_no_more_than_it_may() {
        let one = Request::new("app", Manager::Rpm, 20, vec!["/a".into(), "/b".into()]);
        let both = one.clone().merge(Request::new("app", Manager::Apt, 10, vec!["/b".into(), "/c".into()]));
        assert_eq!((both.since_us, both.until_us), (10, 20));
        assert_eq!(both.by, [Manager::Apt, Manager::Rpm]);
        assert_eq!(both.paths, ["/a", "/b", "/c"].map(PathBuf::from));
        let flood = (0..2 * MOST).map(|at| PathBuf::from(format!("/usr/{at}"))).collect();
        assert_eq!(one.merge(Request::new("app", Manager::Rpm, 1, flood)).paths.len(), MOST);
    }

    #[test]
    fn what_is_no_request_of_this_format_is_garbage() {
        let good = serde_json::to_value(Request::new("app", Manager::Apt, 1, Vec::new())).unwrap();
        let parse = |value: &serde_json::Value| Request::parse(value.to_string().as_bytes());
        assert_eq!(parse(&good).unwrap().install, "app");
        let with = |key: &str, value: serde_json::Value| {
            let mut bad = good.clone();
            bad[key] = value;
            parse(&bad)
        };
        assert!(with("format", 2.into()).unwrap_err().to_string().contains("format 2"));
        assert!(with("install", "../x".into()).is_err() && with("install", "".into()).is_err());
        assert!(with("by", "apt".into()).is_err());
        assert!(Request::parse(b"").is_err() && Request::parse(b"{\"format\":1").is_err());
    }
}
