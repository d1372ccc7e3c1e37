//! The trace that a run belongs to, as W3C Trace Context writes it (`TRACEPARENT`), and the ids of its spans. They follow from
//! the run's id: whoever tells of the run later, such as its recovery, tells of the same trace.

use serde::{Deserialize, Serialize};

use crate::host::fs::{hex, sha256};

/// That a run is traced; recorded with its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The caller's `TRACEPARENT`, whose child the run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// Where a run stands in its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// 32 hex digits.
    pub trace: String,
    /// The caller's span, 16 hex digits.
    pub parent: Option<String>,
    /// The run's own span, 16 hex digits.
    pub root: String,
}

impl Trace {
    /// Of a run that this process begins: traced where the caller is, or where spans are sent somewhere.
    pub fn of_caller(is_sent: bool) -> Option<Trace> {
        let parent = std::env::var("TRACEPARENT").ok().filter(|text| parsed(text).is_some());
        (is_sent || parent.is_some()).then_some(Trace { parent })
    }
}

impl Context {
    /// Of a run; `None` for what is no ULID.
    pub fn of(run: &str, trace: Option<&Trace>) -> Option<Context> {
        let own = hex(&ulid::Ulid::from_string(run).ok()?.to_bytes());
        let caller = trace.and_then(|trace| parsed(trace.parent.as_deref()?));
        let root = span_id(&[run]);
        Some(match caller {
            Some((trace, parent)) => Context { trace, parent: Some(parent), root },
            None => Context { trace: own, parent: None, root },
        })
    }

    /// What a child of the run gets as `TRACEPARENT`; `01`: it is recorded.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.root)
    }
}

/// An id for a span that these words tell from all others.
pub fn span_id(words: &[&str]) -> String {
    sha256(words.join("\0").as_bytes())[..16].to_owned()
}

/// Trace and span of a `TRACEPARENT`; later versions of the format begin as this one does.
fn parsed(text: &str) -> Option<(String, String)> {
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = text.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_whole = version != "00" || parts.next().is_none();
    let is_set = |text: &str| text.bytes().any(|byte| byte != b'0');
    (is_hex(version, 2) && version != "ff" && is_whole && is_hex(flags, 2))
        .then_some(())
        .filter(|()| is_hex(trace, 32) && is_hex(span, 16) && is_set(trace) && is_set(span))
        .map(|()| (trace.to_owned(), span.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "01JAB3VXQ8ZJ4M7K2N5P6R9T0W";

    #[test]
    fn a_runs_trace_follows_from_its_id_and_a_caller_has_the_say() {
        let own = Context::of(RUN, None).unwrap();
        assert_eq!(own, Context::of(RUN, Some(&Trace { parent: None })).unwrap());
        assert_eq!(own.trace, hex(&ulid::Ulid::from_string(RUN).unwrap().to_bytes()));
        assert_eq!((own.trace.len(), own.root.len(), own.parent.as_ref()), (32, 16, None));
        assert_eq!(own.traceparent(), format!("00-{}-{}-01", own.trace, own.root));
        let caller = Trace { parent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()) };
        let child = Context::of(RUN, Some(&caller)).unwrap();
        assert_eq!(child.trace, "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((child.parent.as_deref(), &child.root), (Some("b7ad6b7169203331"), &own.root));
        assert_eq!(Context::of("no-run", None), None);
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        assert!(parsed(&format!("00-{trace}-{span}-00")).is_some());
        assert!(parsed(&format!("cc-{trace}-{span}-01-more")).is_some(), "a later version");
        let (zeros, none) = ("0".repeat(32), "0".repeat(16));
        for wrong in [
            String::new(),
            format!("ff-{trace}-{span}-01"),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-more"),
            format!("00-{zeros}-{span}-01"),
            format!("00-{trace}-{none}-01"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}\n-{span}-01"),
        ] {
            assert_eq!(parsed(&wrong), None, "{wrong}");
        }
    }
}
