//! Spans of a run for OpenTelemetry, sent as OTLP over HTTP in its JSON form, once, when the run has ended.
//!
//! Hand-made: one request of one shape, which the tests read with the definitions of `opentelemetry-proto`.

use std::time::Duration;

use serde_json::{Value, json};

use super::trace::{Context, span_id};
use crate::error::{Error, Result};
use crate::host::paths::Paths;
use crate::host::{credential, http, identity};
use crate::manifest::Install;
use crate::run::journal::Journal;
use crate::unattended::{Happening, Outcome, Span, Verb};

/// How long sending may take, from the look-up of the host to the last byte of the answer.
const BOUND: Duration = Duration::from_secs(2);
/// The most headers that are sent.
const HEADERS: usize = 32;
/// `SPAN_KIND_INTERNAL` and `STATUS_CODE_ERROR` of opentelemetry-proto.
const INTERNAL: u8 = 1;
const ERROR: u8 = 2;

/// Where spans go: what the manifest says, else the environment, as OpenTelemetry's "Protocol Exporter" defines it.
pub fn endpoint(install: &Install) -> Option<String> {
    let declared = install.monitoring.as_ref().and_then(|monitoring| monitoring.otlp.clone());
    let of = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let base = |base: String| format!("{}/v1/traces", base.trim_end_matches('/'));
    declared
        .map(base)
        .or_else(|| of("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        .or_else(|| of("OTEL_EXPORTER_OTLP_ENDPOINT").map(base))
}

/// Sends the spans of what happened, where there was a run and somebody wants them.
pub fn tell(paths: &Paths, install: &Install, happening: &Happening) -> Result<()> {
    let (Some(run), Some(url)) = (&happening.run, endpoint(install)) else { return Ok(()) };
    if happening.verb == Verb::Check || happening.spans.is_empty() {
        return Ok(());
    }
    let begun = Journal::open(&paths.state(&install.name).join("runs").join(run))?;
    let trace = begun.start().and_then(|begin| begin.trace.clone());
    let Some(context) = Context::of(run, trace.as_ref()) else { return Ok(()) };
    let host = identity::name().to_string_lossy().into_owned();
    let body = request(happening, &context, &host).to_string();
    let failed = |why: String| Error::failed(format!("the spans of run {run} were not sent")).because(why);
    let headers = headers(install)?;
    match http::post(&url, &headers, "application/json", body.as_bytes(), BOUND) {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        Ok(answer) => Err(failed(format!("the receiver answers {}", answer.status))),
        Err(http::Fault::Unusable(why)) => Err(failed(why.to_owned())),
        Err(http::Fault::Unreachable(why)) => Err(failed(why)),
    }
}

fn headers(install: &Install) -> Result<Vec<(String, String)>> {
    let Some(place) = install.monitoring.as_ref().and_then(|monitoring| monitoring.otlp_headers.as_ref()) else {
        return Ok(Vec::new());
    };
    let text = credential::read(place)?;
    let pairs = text.lines().take(HEADERS).filter_map(|line| line.split_once(':'));
    Ok(pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect())
}

/// The body: `ExportTraceServiceRequest`. Ids are hex, numbers of 64 bits are text, as OTLP's JSON has them.
pub fn request(happening: &Happening, context: &Context, host: &str) -> Value {
    let resource = [("service.name", "relift"), ("service.version", env!("CARGO_PKG_VERSION")), ("host.name", host)];
    let scope = json!({"name": "relift", "version": env!("CARGO_PKG_VERSION")});
    let spans = spans(happening, context);
    json!({"resourceSpans": [{
        "resource": {"attributes": resource.map(|(key, value)| attribute(key, value))},
        "scopeSpans": [{"scope": scope, "spans": spans}],
    }]})
}

fn spans(happening: &Happening, context: &Context) -> Vec<Value> {
    let run = happening.run.as_deref().unwrap_or_default();
    let begun = happening.spans.iter().map(|span| span.begun).min().unwrap_or_default();
    let ended = happening.spans.iter().map(|span| span.ended).max().unwrap_or_default();
    // What finishes or undoes a run later is a part of it.
    let (root, parent) = match happening.verb {
        Verb::Recover => (span_id(&[run, "recover", &begun.to_string()]), Some(&context.root)),
        _ => (context.root.clone(), context.parent.as_ref()),
    };
    let whole =
        Span { name: happening.verb.word().into(), is_phase: true, begun, ended, failed: is_failed(happening.outcome) };
    let mut top = span(&whole, context, &root, parent.map(String::as_str));
    let about = [
        ("relift.install", Some(happening.install.as_str())),
        ("relift.run", Some(run)),
        ("relift.target", happening.target.as_deref()),
        ("relift.revision", happening.revision.as_deref()),
    ];
    let mut attributes: Vec<Value> =
        about.into_iter().filter_map(|(key, value)| Some(attribute(key, value?))).collect();
    attributes.push(attribute("relift.outcome", &word(happening.outcome)));
    attributes.push(json!({"key": "relift.unattended", "value": {"boolValue": happening.unattended}}));
    top["attributes"] = attributes.into();
    if let Some(error) = &happening.error {
        let why: Vec<&str> = [error.what.as_str()].into_iter().chain(error.causes.iter().map(String::as_str)).collect();
        top["status"] = json!({"code": ERROR, "message": why.join(": ")});
    }
    let mut all = vec![top];
    let mut phase = root.clone();
    for (at, one) in happening.spans.iter().enumerate() {
        let id = span_id(&[run, &at.to_string(), &one.name, &one.begun.to_string()]);
        let parent = if one.is_phase { &root } else { &phase };
        all.push(span(one, context, &id, Some(parent)));
        if one.is_phase {
            phase = id;
        }
    }
    all
}

fn span(span: &Span, context: &Context, id: &str, parent: Option<&str>) -> Value {
    let mut value = json!({
        "traceId": context.trace,
        "spanId": id,
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": span.begun.max(0).to_string(),
        // A clock that was set back makes no span end before it began.
        "endTimeUnixNano": span.ended.max(span.begun).max(0).to_string(),
    });
    if let Some(parent) = parent {
        value["parentSpanId"] = parent.into();
    }
    if span.failed {
        value["status"] = json!({"code": ERROR});
    }
    value
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn word(outcome: Outcome) -> String {
    // Plain values always have a JSON form.
    serde_json::to_value(outcome).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn is_failed(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::PutBack | Outcome::NeedsOperator)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

    use super::*;
    use crate::error::{Error, Kind};
    use crate::unattended::monitor::trace::Trace;

    const RUN: &str = "01JAB3VXQ8ZJ4M7K2N5P6R9T0W";

    fn failed(verb: Verb) -> Happening {
        let span = |name: &str, is_phase, begun: i128, ended: i128, failed| Span {
            name: name.into(),
            is_phase,
            begun: 1_790_000_000_000_000_000 + begun,
            ended: 1_790_000_000_000_000_000 + ended,
            failed,
        };
        let mut happening = Happening::begun("app", verb, true);
        happening.run = Some(RUN.into());
        happening.target = Some("v1.1.0".into());
        happening.spans = vec![
            span("prepare", true, 0, 10, false),
            span("fetch", false, 1, 9, false),
            span("switch", true, 10, 20, true),
            span("manager: sync", false, 12, 19, true),
            span("undo", true, 20, 15, false),
        ];
        happening.ended(&Err(Error::failed("the upgrade failed").kind(Kind::PutBack).because("sync exited with 2")), 7)
    }

    fn read(happening: &Happening, trace: Option<Trace>) -> Vec<opentelemetry_proto::tonic::trace::v1::Span> {
        let context = Context::of(RUN, trace.as_ref()).unwrap();
        let body = request(happening, &context, "host1").to_string();
        let request: ExportTraceServiceRequest = serde_json::from_str(&body).unwrap();
        let resource = request.resource_spans[0].resource.clone().unwrap();
        let names: Vec<&str> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(names, ["service.name", "service.version", "host.name"]);
        assert!(resource.attributes.iter().all(|attribute| attribute.value.is_some()));
        request.resource_spans[0].scope_spans[0].spans.clone()
    }

    #[test]
    fn a_run_is_a_trace_that_the_protocols_own_definitions_read() {
        let context = Context::of(RUN, None).unwrap();
        let request = request(&failed(Verb::Upgrade), &context, "host1");
        let text = serde_json::to_string_pretty(&request).unwrap();
        insta::assert_snapshot!("monitor_otlp", text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }

    #[test]
    fn spans_hang_together_and_say_what_failed() {
        let spans = read(&failed(Verb::Upgrade), None);
        let [root, prepare, fetch, switch, sync, undo] = spans.as_slice() else { panic!("{spans:#?}") };
        assert!(root.parent_span_id.is_empty());
        assert_eq!(
            (&*root.name, &root.trace_id[..]),
            ("upgrade", &ulid::Ulid::from_string(RUN).unwrap().to_bytes()[..])
        );
        assert!([prepare, switch, undo].iter().all(|phase| phase.parent_span_id == root.span_id));
        assert_eq!((&fetch.parent_span_id, &sync.parent_span_id), (&prepare.span_id, &switch.span_id));
        let status = root.status.clone().unwrap();
        assert_eq!((status.code(), &*status.message), (StatusCode::Error, "the upgrade failed: sync exited with 2"));
        assert_eq!(sync.status.as_ref().unwrap().code(), StatusCode::Error);
        assert_eq!(fetch.status, None);
        assert!(
            spans
                .iter()
                .all(|span| span.end_time_unix_nano >= span.start_time_unix_nano && span.trace_id == root.trace_id)
        );
        let mut ids: Vec<_> = spans.iter().map(|span| span.span_id.clone()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), spans.len());
        assert!(ids.iter().all(|id| id.len() == 8));
        assert_eq!(root.start_time_unix_nano, 1_790_000_000_000_000_000);
        assert!(root.attributes.iter().any(|attribute| attribute.key == "relift.outcome"));
    }

    #[test]
    fn a_recovery_joins_the_trace_of_its_run_and_a_run_that_of_its_caller() {
        let run = read(&failed(Verb::Upgrade), None).remove(0);
        let recovery = read(&failed(Verb::Recover), None).remove(0);
        assert_eq!((recovery.trace_id, recovery.parent_span_id), (run.trace_id, run.span_id.clone()));
        assert_ne!(recovery.span_id, run.span_id);
        let caller = Trace { parent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()) };
        let child = read(&failed(Verb::Upgrade), Some(caller)).remove(0);
        assert_eq!(crate::host::fs::hex(&child.trace_id), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(crate::host::fs::hex(&child.parent_span_id), "b7ad6b7169203331");
    }
}
