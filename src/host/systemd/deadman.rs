//! The dead-man switch: a transient timer that recovers a run whose engine died and that nobody else recovered.
//!
//! It fires again and again; while the engine lives, the install's lock turns it away (exit status 75).

use std::path::Path;
use std::time::Duration;

use super::{Manager, Timer};
use crate::error::Result;

/// How long after the engine's death recovery begins, at most.
const PERIOD: Duration = Duration::from_secs(60);
/// The exit status of a recovery that the install's lock turns away.
const LOCKED: i32 = 75;

/// Arms the switch of an install whose places are below `prefix`. An error means that nothing watches.
pub fn arm(install: &str, prefix: &Path) -> Result<()> {
    let program = crate::host::own::program()?.display().to_string();
    let prefix = prefix.display().to_string();
    let timer = Timer {
        name: name(install),
        description: format!("Recover {install} when its upgrade dies"),
        argv: [&program, "--root", &prefix, "recover", install, "--quiet"].map(str::to_owned).into(),
        period: PERIOD,
        also_success: LOCKED,
    };
    Manager::system()
        .and_then(|mut manager| manager.start_timer(&timer))
        .map_err(|error| error.while_("the timer that would recover this run, should it die, cannot be started"))
}

/// Disarms it; one that is not armed is no error.
pub fn disarm(install: &str) -> Result<()> {
    Manager::system()?.stop_timer(&format!("{}.timer", name(install)))
}

fn name(install: &str) -> String {
    format!("relift-deadman-{install}")
}
