//! After a verb: what it did is told to who is to know. Nothing that fails here changes how the verb ended.

use std::time::Duration;

use super::globals::Globals;
use super::output;
use super::session::Session;
use super::style::{WARN, paint};
use crate::error::{Exit, Result};
use crate::host::paths::Paths;
use crate::manifest::Install;
use crate::notify;
use crate::report::Reporter;
use crate::unattended::{Happening, Timeline, Verb, monitor};

/// How long a verb that has ended waits for another one that tells.
const PATIENCE: Duration = Duration::from_secs(12);

/// Has a verb work on an install, and tells how that ended; a dry run did nothing.
pub fn told(
    session: Session,
    (verb, unattended): (Verb, bool),
    globals: &Globals,
    work: impl FnOnce(Session, &dyn Reporter, &mut Happening) -> Result<Exit>,
) -> Result<Exit> {
    let install = session.install.clone();
    let reporter = if unattended { output::unattended_reporter(globals) } else { output::reporter(globals) };
    let timeline = Timeline::over(&*reporter);
    let mut happening = Happening::begun(&install.name, verb, unattended);
    let ended = work(session, &timeline, &mut happening);
    if !globals.dry_run {
        tell(&globals.paths(), Some(&install), happening, Some(timeline), &ended);
    }
    ended
}

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
    if paths.is_host() {
        output::note_end(&happening);
    }
    if let Some(install) = install {
        warn(monitor::tell(paths, install, &happening));
        let lost = notify::note(paths, install, &happening);
        notify::deliver(paths, install, &lost, PATIENCE);
    }
}

/// Writes down what is to be told once the verb has ended: nothing is sent under a lock.
pub fn note(paths: &Paths, install: &Install, happening: Happening) {
    notify::note(paths, install, &happening.ended(&Ok(Exit::Done), jiff::Timestamp::now().as_second()));
}

/// Lets every account know of an install again after a boot, where there is nothing else to tell.
pub fn remind(paths: &Paths, install: &Install) {
    warn(monitor::remind(paths, install));
}

/// Lets monitoring know what is so by now, where no verb ran that is told of: a hold was set or lifted.
pub fn refresh(paths: &Paths, install: &Install) {
    warn(monitor::refresh(paths, install));
}

/// Takes away what monitoring has of installs that are gone.
pub fn forget_removed(paths: &Paths, installs: &[Install]) {
    warn(monitor::forget_removed(paths, installs).err().map(|error| format!("monitoring: {error}")));
}

fn warn(texts: impl IntoIterator<Item = String>) {
    for text in texts {
        output::message(&format!("{} {text}\n", paint(WARN, "warning:")));
    }
}
