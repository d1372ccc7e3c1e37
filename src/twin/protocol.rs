//! What a caller and its supervisor say to each other: one JSON document per line, one reply per request.

use serde::{Deserialize, Serialize};

use super::Spec;
use crate::error::Error;

/// What the caller wants. The end of the supervisor's standard input ends the twin.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Try whether a twin can be had here.
    Probe,
    /// Prepare the disk.
    Setup(Spec),
    /// Start PID 1.
    Boot,
    /// Kill PID 1.
    Cut,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It is done; after `Boot` the pid of PID 1 as the caller sees it, otherwise 0.
    Done(i32),
    /// It is not.
    Failed {
        /// One sentence.
        what: String,
        /// Why.
        causes: Vec<String>,
        /// What to do.
        hints: Vec<String>,
    },
}

impl From<Error> for Reply {
    fn from(error: Error) -> Reply {
        Reply::Failed { what: error.what, causes: error.causes, hints: error.hints }
    }
}

impl Reply {
    /// The caller's side of it.
    pub(super) fn into_result(self) -> crate::Result<i32> {
        match self {
            Reply::Done(pid) => Ok(pid),
            Reply::Failed { what, causes, hints } => {
                let error = causes.into_iter().fold(Error::failed(what), Error::because);
                Err(hints.into_iter().fold(error, Error::hint))
            }
        }
    }
}
