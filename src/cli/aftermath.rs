//! After a verb: what it did is told to who is to know. Nothing that fails here changes how the verb ended.

use std::time::Duration;

use crate::error::{Exit, Result};
use crate::host::paths::Paths;
use crate::manifest::Install;
use crate::notify;
use crate::unattended::{Happening, Timeline};

/// How long a verb that has ended waits for another one that tells.
const PATIENCE: Duration = Duration::from_secs(12);

/// Ends what was begun, and tells of it. `install` is its declaration, where it could be read.
pub fn tell(
    paths: &Paths,
    install: Option<&Install>,
    mut happening: Happening,
    timeline: Option<Timeline>,
    ended: &Result<Exit>,
) {
    if let Some(timeline) = timeline {
        timeline.fill(&mut happening);
    }
    let happening = happening.ended(ended, jiff::Timestamp::now().as_second());
    if let Some(install) = install {
        let lost = notify::note(paths, install, &happening);
        notify::deliver(paths, install, &lost, PATIENCE);
    }
}

/// Writes down what is to be told once the verb has ended: nothing is sent under a lock.
pub fn note(paths: &Paths, install: &Install, happening: Happening) {
    notify::note(paths, install, &happening.ended(&Ok(Exit::Done), jiff::Timestamp::now().as_second()));
}
