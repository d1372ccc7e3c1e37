//! Reading an archive, in a child that is the owner: what is unpacked was made by others, and so was what unpacks it.
//! The child tells what is there, frame by frame; what may be, its parent says (`entry`).

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use tar::{Archive, EntryType};

use super::entry::Type;

/// How many times its own length an archive may come to, beyond [`FREE`].
const RATIO: u64 = 200;
/// What any archive may come to, bytes: small ones of much text are packed well.
const FREE: u64 = 64 << 20;
/// The most memory that a format may ask for to be unpacked, bytes; `xz -9` asks for 65 MiB.
const MEMORY: u64 = 256 << 20;
/// The same as zstd tells it, as a power of two: what `zstd` itself reads without being asked to.
const WINDOW_LOG: u32 = 27;
/// Two blocks of zeros end an archive, tar(5).
const END: u64 = 1024;

/// What the child tells, a line of JSON each; the bytes of a file follow in pieces, so that it can stop at any of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "kebab-case")]
pub enum Frame {
    /// An entry, as its header has it.
    Entry {
        /// Its path.
        path: String,
        /// What it is.
        kind: Kind,
        /// Its permissions.
        mode: u32,
        /// Its length, bytes.
        size: u64,
        /// Where it leads.
        #[serde(default)]
        link: Option<String>,
        /// When it was last changed, seconds since the epoch.
        time: u64,
    },
    /// So many bytes of the file follow this line.
    Piece {
        /// How many.
        size: u64,
    },
    /// The archive ended as it should.
    End,
    /// It did not, or is none: why.
    Refused {
        /// In words.
        why: String,
    },
}

/// What an entry says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    File,
    Directory,
    Link,
    HardLink,
    Device,
    Pipe,
    Sparse,
    Unknown,
}

impl Kind {
    /// As `entry` judges it.
    pub fn as_type(self) -> Type {
        match self {
            Kind::File => Type::File,
            Kind::Directory => Type::Directory,
            Kind::Link => Type::Link,
            Kind::HardLink => Type::HardLink,
            Kind::Device => Type::Other("a device"),
            Kind::Pipe => Type::Other("a pipe"),
            Kind::Sparse => Type::Other("a sparse file"),
            Kind::Unknown => Type::Other("of a kind that is not known"),
        }
    }
}

/// What the child does: tells what the archive `input`, of `packed` bytes, holds, and no more than `most` bytes of it.
pub fn unpack(input: impl Read, packed: u64, most: u64, out: &mut dyn Write) -> io::Result<()> {
    let last = match read(BufReader::with_capacity(64 << 10, input), packed, most, out) {
        Ok(()) => Frame::End,
        Err(Trouble::Refused(why)) => Frame::Refused { why },
        Err(Trouble::Output(error)) => return Err(error),
    };
    tell(out, &last)?;
    out.flush()
}

enum Trouble {
    Refused(String),
    /// Nobody listens any more.
    Output(io::Error),
}

fn refused(why: impl Into<String>) -> Trouble {
    Trouble::Refused(why.into())
}

fn damaged(error: &io::Error) -> Trouble {
    let said = error.to_string();
    let is_cut = error.kind() == io::ErrorKind::UnexpectedEof || said.contains("unexpected EOF");
    // Else the formats' own words.
    refused(if is_cut { "it is cut off".to_owned() } else { said })
}

fn tell(out: &mut dyn Write, frame: &Frame) -> io::Result<()> {
    serde_json::to_writer(&mut *out, frame)?;
    out.write_all(b"\n")
}

fn read(mut input: impl BufRead, packed: u64, most: u64, out: &mut dyn Write) -> Result<(), Trouble> {
    let start = input.fill_buf().map_err(|error| damaged(&error))?;
    let decoder: Box<dyn Read + '_> = match start {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(input)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let stream = liblzma::stream::Stream::new_stream_decoder(MEMORY, liblzma::stream::CONCATENATED);
            let stream = stream.map_err(|error| refused(format!("xz: {error}")))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = zstd::Decoder::with_buffer(input).map_err(|error| damaged(&error))?;
            decoder.window_log_max(WINDOW_LOG).map_err(|error| damaged(&error))?;
            Box::new(decoder)
        }
        [b'P', b'K', 3, 4, ..] => return Err(refused("it is a zip archive; what is read are tar archives")),
        _ => Box::new(input),
    };
    let bound = most.min(FREE.saturating_add(packed.saturating_mul(RATIO)));
    let mut archive = Archive::new(Bounded { inner: decoder, bound, most, read: 0, last: 0 });
    let mut end = 0;
    for entry in archive.entries().map_err(|error| damaged(&error))? {
        end = one(entry.map_err(|error| damaged(&error))?, out)?;
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|error| damaged(&error))?;
    match () {
        () if rest.read < end.saturating_add(END) => Err(refused("it is cut off: its end is missing")),
        () if rest.last > end => Err(refused("something follows its end")),
        () => Ok(()),
    }
}

/// Tells one entry; where it ends comes back.
fn one<R: Read>(mut entry: tar::Entry<R>, out: &mut dyn Write) -> Result<u64, Trouble> {
    let end = entry.raw_file_position().saturating_add(entry.size().next_multiple_of(512));
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        global(entry)?;
        return Ok(end);
    }
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec())
            .map_err(|_| refused(format!("{} has a name that is not UTF-8", String::from_utf8_lossy(bytes))))
    };
    let path = text(&entry.path_bytes())?;
    let link = entry.link_name_bytes().map(|bytes| text(&bytes)).transpose()?;
    local(&mut entry, &path)?;
    let odd = |what: &str| refused(format!("{path} has {what} that is no number"));
    let (size, mode) = (entry.size(), entry.header().mode().map_err(|_| odd("a mode"))?);
    let time = entry.header().mtime().map_err(|_| odd("a time"))?;
    let kind = match kind {
        // As tar before POSIX wrote them.
        EntryType::Regular if path.ends_with('/') => Kind::Directory,
        EntryType::Regular => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Link,
        EntryType::Link => Kind::HardLink,
        EntryType::Char | EntryType::Block => Kind::Device,
        EntryType::Fifo => Kind::Pipe,
        EntryType::GNUSparse => Kind::Sparse,
        _ => Kind::Unknown,
    };
    let told = tell(out, &Frame::Entry { path: path.clone(), kind, mode, size, link, time });
    told.map_err(Trouble::Output)?;
    if kind != Kind::File {
        return Ok(end);
    }
    let mut buffer = vec![0; 64 << 10];
    let mut left = size;
    while left > 0 {
        let count = entry.read(&mut buffer).map_err(|error| damaged(&error))?;
        if count == 0 {
            return Err(refused(format!("it is cut off within {path}")));
        }
        let piece = tell(out, &Frame::Piece { size: count as u64 }).and_then(|()| out.write_all(&buffer[..count]));
        piece.map_err(Trouble::Output)?;
        left = left.saturating_sub(count as u64);
    }
    Ok(end)
}

/// The longest extended header of the whole archive that is read, bytes; git's holds a commit.
const GLOBAL: u64 = 64 << 10;

/// What applies to every entry after it may not say what they are.
fn global<R: Read>(entry: tar::Entry<R>) -> Result<(), Trouble> {
    let mut text = Vec::new();
    entry.take(GLOBAL + 1).read_to_end(&mut text).map_err(|error| damaged(&error))?;
    let extensions = tar::PaxExtensions::new(&text);
    for extension in extensions {
        let extension = extension.map_err(|error| damaged(&error))?;
        let key = String::from_utf8_lossy(extension.key_bytes()).into_owned();
        if is_about_entries(&key) {
            return Err(refused(format!("a header of the whole archive sets `{key}`")));
        }
    }
    match text.len() as u64 > GLOBAL {
        true => Err(refused("a header of the whole archive is too long")),
        false => Ok(()),
    }
}

/// What an entry's own extended header says of it, it says once; and nothing of holes.
fn local<R: Read>(entry: &mut tar::Entry<R>, path: &str) -> Result<(), Trouble> {
    let Some(extensions) = entry.pax_extensions().map_err(|error| damaged(&error))? else { return Ok(()) };
    let mut seen = Vec::new();
    for extension in extensions {
        let extension = extension.map_err(|error| damaged(&error))?;
        let key = String::from_utf8_lossy(extension.key_bytes()).into_owned();
        if key.starts_with("GNU.sparse") {
            return Err(refused(format!("{path} is a sparse file")));
        }
        if is_about_entries(&key) && seen.contains(&key) {
            return Err(refused(format!("{path} has two values of `{key}`")));
        }
        seen.push(key);
    }
    Ok(())
}

fn is_about_entries(key: &str) -> bool {
    matches!(key, "path" | "linkpath" | "size" | "hdrcharset") || key.starts_with("GNU.sparse")
}

/// What comes out of a decoder: so much and no more.
struct Bounded<R> {
    inner: R,
    bound: u64,
    most: u64,
    read: u64,
    /// Where the last byte ended that is not zero.
    last: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(at) = buffer[..count].iter().rposition(|byte| *byte != 0) {
            self.last = self.read + at as u64 + 1;
        }
        self.read += count as u64;
        match self.read {
            read if read > self.most => Err(io::Error::other(format!(
                "it comes to more than {} (`max-unpacked`)",
                crate::text::bytes(self.most)
            ))),
            read if read > self.bound => {
                Err(io::Error::other(format!("it comes to more than {RATIO} times its own length, as no release does")))
            }
            _ => Ok(count),
        }
    }
}
