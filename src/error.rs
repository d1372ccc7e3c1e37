//! The one error of the crate: what happened, what state things are in, what to do next.
//!
//! `cli::error` is the only place that prints it; everything else builds one and passes it up.

use std::fmt;

/// What a failure means for the operator. The kind decides the exit status and the line that tells
/// what state the host is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Failed, and nothing that a user or a service can see was changed.
    Failed,
    /// The command line or the manifest is wrong.
    Usage,
    /// Possible, but not allowed: no `--yes`, a hold, a window, an irreversible step, below the floor.
    Refused,
    /// Failed after the first change; everything was put back and checked.
    PutBack,
    /// As `PutBack`, the data from a backup: what was written in these minutes is not in it.
    Restored {
        /// Rounded up.
        minutes: u64,
    },
    /// Not everything could be put back.
    NeedsOperator,
    /// Another run holds the lock of the install.
    Busy,
    /// The caller may not do this.
    NotPermitted,
}

/// The exit statuses of the command line, DESIGN section 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed, nothing was changed.
    Failed = 1,
    /// Usage, or refused.
    Refused = 2,
    /// Failed, everything put back.
    PutBack = 3,
    /// Could not put everything back.
    NeedsOperator = 4,
    /// Another run holds the lock (`EX_TEMPFAIL` of sysexits(3)).
    Busy = 75,
    /// Not permitted (`EX_NOPERM` of sysexits(3)).
    NotPermitted = 77,
    /// `check` alone: something is new.
    Available = 100,
}

impl Kind {
    /// The exit status that tells this kind.
    pub fn exit(self) -> Exit {
        match self {
            Kind::Failed => Exit::Failed,
            Kind::Usage | Kind::Refused => Exit::Refused,
            Kind::PutBack | Kind::Restored { .. } => Exit::PutBack,
            Kind::NeedsOperator => Exit::NeedsOperator,
            Kind::Busy => Exit::Busy,
            Kind::NotPermitted => Exit::NotPermitted,
        }
    }
}

/// A failure as the operator reads it.
#[derive(Debug, Clone)]
pub struct Error {
    /// What it means for the host.
    pub kind: Kind,
    /// What happened, one sentence without a final stop.
    pub what: String,
    /// Why, outermost first, each one line.
    pub causes: Vec<String>,
    /// The last lines of a log or a journal, already redacted.
    pub detail: Vec<String>,
    /// What to do next: exact commands where there are any.
    pub hints: Vec<String>,
}

/// The result of everything that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` that says `what` happened.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error { kind, what: what.into(), causes: Vec::new(), detail: Vec::new(), hints: Vec::new() }
    }

    /// Shorthand for [`Kind::Failed`].
    pub fn failed(what: impl Into<String>) -> Self {
        Error::new(Kind::Failed, what)
    }

    /// Shorthand for [`Kind::Refused`].
    pub fn refused(what: impl Into<String>) -> Self {
        Error::new(Kind::Refused, what)
    }

    /// Shorthand for [`Kind::Usage`].
    pub fn usage(what: impl Into<String>) -> Self {
        Error::new(Kind::Usage, what)
    }

    /// Adds a cause.
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds log lines.
    pub fn detail(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.detail.extend(lines);
        self
    }

    /// The same failure with another meaning for the host.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Puts a wider sentence in front: what was being done when this happened.
    pub fn while_(mut self, what: impl Into<String>) -> Self {
        self.causes.insert(0, std::mem::replace(&mut self.what, what.into()));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl std::error::Error for Error {}

/// What a thread gave. Its panic goes on in the thread that waits: what has not answered is never taken for one that was not asked.
pub fn ended<T>(thread: std::thread::Result<T>) -> T {
    thread.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Gives any library error its sentence.
pub trait Context<T> {
    /// Turns the error into [`Kind::Failed`] that says `what` was being done.
    fn context(self, what: impl Into<String>) -> Result<T>;
    /// The same with a sentence that is only made when it is needed.
    fn with_context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|error| Error::failed(what).because(error))
    }
    fn with_context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Error::failed(what()).because(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panicked_has_not_answered() {
        let asked = || ended(std::thread::spawn(|| -> Vec<u8> { panic!("of a defect") }).join());
        assert!(std::panic::catch_unwind(asked).is_err());
        assert_eq!(ended(std::thread::spawn(|| 7).join()), 7);
    }
}
