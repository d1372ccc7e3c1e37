//! What a release's service does, one behaviour per line of its `behaviour` file.

use std::time::Duration;

use crate::error::{Error, Result};

/// One behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// `ok`: serve.
    Ok,
    /// `exit-at-once [CODE]`: end before anything else.
    ExitAtOnce(i32),
    /// `die-after TIME [CODE]`: end so long after the start, without ever having listened.
    DieAfter(Duration, i32),
    /// `ready-then-die TIME [CODE]`: serve, and end so long after.
    ReadyThenDie(Duration, i32),
    /// `never-listen`: run, and open no port.
    NeverListen,
    /// `old-version VERSION`: serve, and say that it is this version.
    OldVersion(String),
    /// `error-500`: answer every request so.
    Error500,
    /// `hang`: accept connections and answer none.
    Hang,
    /// `port-taken`: find the port in use.
    PortTaken,
    /// `slow-start TIME`: listen only then.
    SlowStart(Duration),
    /// `log TEXT`: say it before anything else.
    Log(String),
    /// `strict-env KEY`: refuse to start without a value for it that is no placeholder.
    StrictEnv(String),
    /// `never-ready`: serve, and never tell systemd that it is ready (sd_notify(3)).
    NeverReady,
    /// `ignore-term`: do not end on SIGTERM.
    IgnoreTerm,
    /// `hand-over`: take the listener that systemd passes; on SIGTERM give the answers that were begun, then end; on SIGHUP
    /// read `VERSION` and `behaviour` again.
    HandOver,
    /// `store-listener`: have systemd keep the listener for the next process (`FileDescriptorStoreMax=`).
    StoreListener,
    /// `refuse-reload`: end on SIGHUP.
    RefuseReload,
}

/// Parses the whole file; empty lines count for nothing.
pub(super) fn parse(text: &str) -> Result<Vec<Behaviour>> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(parse_line).collect()
}

fn parse_line(line: &str) -> Result<Behaviour> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    Ok(match word {
        "ok" => Behaviour::Ok,
        "exit-at-once" => Behaviour::ExitAtOnce(code(rest)?),
        "die-after" => timed(rest).map(|(after, code)| Behaviour::DieAfter(after, code))?,
        "ready-then-die" => timed(rest).map(|(after, code)| Behaviour::ReadyThenDie(after, code))?,
        "never-listen" => Behaviour::NeverListen,
        "old-version" if !rest.is_empty() => Behaviour::OldVersion(rest.to_owned()),
        "error-500" => Behaviour::Error500,
        "hang" => Behaviour::Hang,
        "port-taken" => Behaviour::PortTaken,
        "slow-start" => Behaviour::SlowStart(timed(rest)?.0),
        "log" => Behaviour::Log(rest.trim_matches('"').to_owned()),
        "strict-env" if !rest.is_empty() => Behaviour::StrictEnv(rest.to_owned()),
        "never-ready" => Behaviour::NeverReady,
        "ignore-term" => Behaviour::IgnoreTerm,
        "hand-over" => Behaviour::HandOver,
        "store-listener" => Behaviour::StoreListener,
        "refuse-reload" => Behaviour::RefuseReload,
        _ => return Err(Error::failed(format!("`{line}` is no behaviour of the sample service"))),
    })
}

/// `TIME [CODE]`; the code is 1 where nothing is said.
fn timed(text: &str) -> Result<(Duration, i32)> {
    let (time, rest) = text.split_once(' ').unwrap_or((text, ""));
    let span: Option<jiff::SignedDuration> = time.parse().ok();
    let time = span.and_then(|span| Duration::try_from(span).ok());
    let time = time.ok_or_else(|| Error::failed(format!("`{text}` is no time such as 300ms or 2s")))?;
    Ok((time, code(rest)?))
}

fn code(text: &str) -> Result<i32> {
    match text {
        "" => Ok(1),
        text => text.parse().map_err(|_| Error::failed(format!("`{text}` is no exit status"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviours_are_read_line_by_line() {
        let text = "log \"hello there\"\nready-then-die 300ms 3\n\nslow-start 2s\n";
        let expected = [
            Behaviour::Log("hello there".into()),
            Behaviour::ReadyThenDie(Duration::from_millis(300), 3),
            Behaviour::SlowStart(Duration::from_secs(2)),
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn an_unknown_behaviour_is_refused() {
        assert!(parse("redy-then-die 3s").is_err());
        assert!(parse("old-version").is_err());
        assert!(parse("slow-start soon").is_err());
    }
}
