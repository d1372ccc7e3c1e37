//! The dead-man switch: a transient timer that recovers a run whose engine died and that nobody else recovered.
//!
//! It fires again and again; while the engine lives, the install's lock turns it away (exit status 75).

use std::path::Path;
use std::time::Duration;

use super::{Manager, Verb};
use crate::error::Result;
use crate::host::process::Command;

/// How long after the engine's death recovery begins, at most, in seconds.
const PERIOD: u32 = 60;
/// How long stopping a timer may take.
const STOP: Duration = Duration::from_secs(20);

/// Arms the switch of an install whose places are below `prefix`. An error means that nothing watches.
pub fn arm(install: &str, prefix: &Path) -> Result<()> {
    disarm(install)?;
    let program = crate::host::own::program()?;
    Command::new(["systemd-run", "--quiet", "--collect"])
        .args([format!("--unit={}", name(install)), format!("--description=Recover {install} when its upgrade dies")])
        .args([format!("--on-active={PERIOD}"), format!("--on-unit-inactive={PERIOD}")])
        .args(["--timer-property=AccuracySec=1s", "--property=Type=oneshot", "--property=SuccessExitStatus=75"])
        .args(["--"])
        .args([program])
        .args(["--root"])
        .args([prefix])
        .args(["recover", install, "--quiet"])
        .succeed()
        .map(drop)
        .map_err(|error| error.while_("the timer that would recover this run, should it die, cannot be started"))
}

/// Disarms it; one that is not armed is no error.
pub fn disarm(install: &str) -> Result<()> {
    let timer = format!("{}.timer", name(install));
    let mut manager = Manager::system()?;
    match manager.unit(&timer)?.load.as_str() {
        "not-found" => Ok(()),
        _ => manager.job(Verb::Stop, &timer, STOP).map(drop),
    }
}

fn name(install: &str) -> String {
    format!("relift-deadman-{install}")
}
