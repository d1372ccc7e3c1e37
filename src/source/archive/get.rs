//! Getting the files of a source: from a web server, or from a directory.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use crate::error::{Context, Error, Result};
use crate::host::credential;
use crate::host::download::{Conversation, Fault, Sink};
use crate::manifest::{ArchiveSource, Location};
use crate::report::{Event, Reporter};

/// No list of sums is longer, bytes, and no signature.
pub const LONGEST_LIST: u64 = 4 << 20;
/// How many headers are sent.
const HEADERS: usize = 16;

/// One conversation with a source.
pub struct Getter {
    web: Conversation,
}

impl Getter {
    /// Begins it. The headers are read now, and kept for as long as it takes.
    pub fn new(source: &ArchiveSource) -> Result<Getter> {
        let text = source.headers.as_ref().map(credential::read).transpose()?.unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.split_once(':')).take(HEADERS);
        let headers = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
        Ok(Getter { web: Conversation::new(headers) })
    }

    /// A small text file; `None`: it is not there.
    pub fn text(&self, place: &Location) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        let got = self.get(place, LONGEST_LIST, &mut |piece, _| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        match got {
            Ok(()) => {}
            Err(Fault::Status(404 | 410)) => return Ok(None),
            Err(fault) => return Err(failed(place, &fault)),
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Error::failed(format!("{} is no text", place.shown()))),
        }
    }

    /// A large file into `file`, telling how far it is: at most `most` bytes. Its length and SHA-256 come back.
    pub fn file(&self, place: &Location, most: u64, file: &mut File, reporter: &dyn Reporter) -> Result<(u64, String)> {
        let (mut done, mut told, mut hash) = (0u64, 0u64, sha2::Sha256::default());
        let got = self.get(place, most, &mut |piece, total| {
            use sha2::Digest;
            hash.update(piece);
            done += piece.len() as u64;
            if done - told >= 1 << 20 {
                told = done;
                reporter.tell(Event::Progress { what: "download".into(), done, total, unit: "bytes" });
            }
            file.write_all(piece)
        });
        match got {
            Ok(()) => Ok((done, crate::host::fs::hex(&sha2::Digest::finalize(hash)))),
            Err(Fault::TooLong) => {
                Err(Error::refused(format!("{} is longer than {}", place.shown(), crate::text::bytes(most)))
                    .hint("where that is right, raise `max-fetch` in the manifest"))
            }
            Err(Fault::Status(404 | 410)) => Err(Error::failed(format!("{} is not there", place.shown()))
                .because("the list of sums names it")
                .hint("correct `url` in the manifest, or ask upstream")),
            Err(fault) => Err(failed(place, &fault)),
        }
    }

    fn get(&self, place: &Location, most: u64, sink: Sink) -> std::result::Result<(), Fault> {
        if place.is_remote() {
            return self.web.get(&place.0, most, sink);
        }
        local(place, most, sink).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Fault::Status(404),
            std::io::ErrorKind::FileTooLarge => Fault::TooLong,
            _ => Fault::Unreachable(error.to_string()),
        })
    }
}

/// A file of this host. A pipe in its place would keep us waiting.
fn local(place: &Location, most: u64, sink: Sink) -> std::io::Result<()> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut file = File::options().read(true).custom_flags(flags).open(&place.0)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(std::io::Error::other("it is no plain file"));
    }
    let (mut piece, mut done) = (vec![0; 64 << 10], 0u64);
    loop {
        let count = file.read(&mut piece)?;
        done += count as u64;
        if done > most {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        if count == 0 {
            return Ok(());
        }
        sink(&piece[..count], Some(meta.len()))?;
    }
}

fn failed(place: &Location, fault: &Fault) -> Error {
    let error = Error::failed(format!("{} cannot be fetched", place.shown())).because(fault.words());
    match fault {
        Fault::Status(401 | 403) => {
            error.hint("name the headers that open it: `headers` of [source.archive] in the manifest")
        }
        Fault::Sink(_) => error.hint("make room for it: df -h /var/cache/relift; and see who may write there"),
        _ if place.is_remote() => error.hint(format!("try it by hand: curl -sSIL {}", place.shown())),
        _ => error,
    }
}

/// A file that is gone when it is closed.
pub fn scratch(cache: &std::path::Path) -> Result<File> {
    crate::host::fs::make_private(cache, 0o755)?;
    tempfile::tempfile_in(cache).with_context(|| format!("no file can be made in {}", cache.display()))
}
