//! The files of a backup: zstd over plain bytes, hashed on both sides.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::listing::Archive;
use crate::error::{Context, Error, Result};
use crate::host::fs::hex;

/// zstd's own default: fast, and most of what it can win.
const LEVEL: i32 = 3;

/// Counts and hashes what passes through it.
pub(super) struct Counted<T> {
    inner: T,
    hasher: Sha256,
    /// How many bytes passed.
    pub bytes: u64,
}

impl<T> Counted<T> {
    pub fn new(inner: T) -> Counted<T> {
        Counted { inner, hasher: Sha256::new(), bytes: 0 }
    }

    /// What was inside, and the SHA-256 of what passed.
    pub fn finish(self) -> (T, String) {
        (self.inner, hex(&self.hasher.finalize()))
    }
}

impl<T: Read> Read for Counted<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

impl<T: Write> Write for Counted<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes one file of a backup, compressed, 0600, durable when [`Packed::finish`] returns.
pub(super) struct Packed {
    encoder: zstd::Encoder<'static, Counted<BufWriter<File>>>,
    name: String,
}

impl Packed {
    /// Begins the file `name` in a backup's directory.
    pub fn create(directory: &Path, name: &str) -> Result<Packed> {
        let path = directory.join(name);
        let what = || format!("{} cannot be written", path.display());
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).with_context(what)?;
        let mut encoder = zstd::Encoder::new(Counted::new(BufWriter::new(file)), LEVEL).with_context(what)?;
        encoder.include_checksum(true).with_context(what)?;
        Ok(Packed { encoder, name: name.to_owned() })
    }

    /// Ends it.
    pub fn finish(self) -> io::Result<Archive> {
        let counted = self.encoder.finish()?;
        let bytes = counted.bytes;
        let (buffer, sha256) = counted.finish();
        buffer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(Archive { file: self.name, bytes, sha256 })
    }
}

impl Write for Packed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.encoder.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

/// Reads one file of a backup, uncompressed.
pub(super) fn unpacked(path: &Path) -> Result<impl Read> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    zstd::Decoder::new(file).with_context(|| format!("{} cannot be read", path.display()))
}

/// Makes sure that a file of a backup is the one that was written.
pub(super) fn check(directory: &Path, archive: &Archive) -> Result<()> {
    let path = directory.join(&archive.file);
    let read = || -> io::Result<(u64, String)> {
        let mut counted = Counted::new(BufReader::new(File::open(&path)?));
        io::copy(&mut counted, &mut io::sink())?;
        Ok((counted.bytes, counted.finish().1))
    };
    let (bytes, sum) = read().with_context(|| format!("{} cannot be read", path.display()))?;
    if bytes != archive.bytes {
        return Err(Error::failed(format!("{} has {bytes} bytes, and had {}", path.display(), archive.bytes)));
    }
    match sum == archive.sha256 {
        true => Ok(()),
        false => Err(Error::failed(format!("{} was changed since it was written", path.display()))),
    }
}
