//! The hidden verbs: what this program starts of itself.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

use clap::Subcommand;
use serde::de::DeserializeOwned;

use super::globals::Globals;
use super::output;
use crate::error::{Context, Result};
use crate::run::rehearse::{Way, rehearse};
use crate::sample::{Release, Site};

/// Verbs that are not for people.
#[derive(Debug, Clone, Subcommand)]
pub enum Internal {
    /// What a child that has become an account runs: the face of its user manager, see `host::systemd`
    Agent,
    /// What a child that has become an account runs: copies a SQLite database to standard output, see `backup`
    SqliteCopy {
        /// The database
        source: PathBuf,
        /// A file that is not there yet, in a directory of the account
        scratch: PathBuf,
    },
    /// What a child that has become an account runs: tells what the archive on standard input holds, see `source::archive`
    Unpack {
        /// Its length, bytes
        packed: u64,
        /// The most that it may come to, bytes
        most: u64,
    },
    /// Supervise a throw-away twin of this host; requests come on standard input
    TwinInit,
    /// Serve the sample component in DIR over HTTP
    SampleService {
        /// The component's directory
        dir: PathBuf,
    },
    /// Undo or redo the actions of an open run once more and tell what is seen of each
    Rehearse {
        /// The install
        name: String,
        /// Which way
        way: Way,
    },
    /// Publish a release of the sample; a site and a release come on standard input, the commit goes to standard output
    SamplePublish,
    /// Install the sample on this host; a site comes on standard input
    SampleInstall,
    /// Write the manual pages and the completion scripts of this program below DIR, for a package
    Pages {
        /// A directory, made where it is not there
        dir: PathBuf,
    },
    /// Look at the sample on this host; a site comes on standard input, what is found goes to standard output
    SampleLook,
}

/// `relift internal list-refs URL -- GIT...`: what a child that has become an account runs, to tell the refs of a server over HTTP,
/// see `source::git::plain`; the last is git's own helper, which takes over where one plain request is not enough. Every check
/// waits for it, so its words, which are always ours, are not read as those of people are. `None`: these are others.
pub fn list_refs(words: &[OsString]) -> Option<Result<()>> {
    match words {
        [_, internal, verb, url, end, git @ ..] if internal == "internal" && verb == "list-refs" && end == "--" => {
            Some(crate::source::git::list_plainly(url.to_str()?, git))
        }
        _ => None,
    }
}

/// Does it.
pub fn run(verb: &Internal, globals: &Globals) -> Result<()> {
    match verb {
        Internal::Agent => crate::host::systemd::serve_agent(),
        Internal::SqliteCopy { source, scratch } => {
            crate::backup::copy_database(source, scratch, &mut std::io::stdout().lock())
        }
        Internal::Unpack { packed, most } => crate::source::archive::tell(*packed, *most),
        Internal::TwinInit => crate::twin::supervise(),
        Internal::SampleService { dir } => crate::sample::serve(dir),
        Internal::Rehearse { name, way } => {
            let reporter = output::reporter(globals);
            output::document(&rehearse(&globals.paths().state(name), *way, &*reporter)?);
            Ok(())
        }
        Internal::Pages { dir } => super::pages::write(dir),
        Internal::SamplePublish => {
            let (site, release): (Site, Release) = document()?;
            output::data(&format!("{}\n", site.publish(&release)?));
            Ok(())
        }
        Internal::SampleInstall => document::<Site>()?.install(),
        Internal::SampleLook => {
            output::document(&document::<Site>()?.look()?);
            Ok(())
        }
    }
}

fn document<T: DeserializeOwned>() -> Result<T> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
    serde_json::from_str(&text).context("standard input is not what this verb reads")
}
