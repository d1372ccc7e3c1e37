//! The index of a checkout as git wrote it, gitformat-index(5): read once, in one pass, and never held whole.

use std::io::{self, BufRead, BufReader, Read};

use git2::Oid;

/// The longest path that the system takes, path_resolution(7).
const LONGEST: usize = libc::PATH_MAX as usize;

/// An entry: what git last saw of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'p> {
    /// The path.
    pub path: &'p [u8],
    /// What stat(2) said then, as far as the index holds it.
    pub stat: Stat,
    /// The kind of file, and for a regular one whether it is executable.
    pub mode: u32,
    /// Its content.
    pub id: [u8; 20],
    /// Whether git looks for it in the work tree.
    pub bits: Bits,
}

/// stat(2), cut to the width that the index has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// When its inode last changed: seconds, nanoseconds.
    pub changed: (u32, u32),
    /// When it was last written.
    pub written: (u32, u32),
    /// Its inode.
    pub inode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its length.
    pub size: u32,
}

/// What sets an entry apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// Nothing.
    Plain,
    /// It is not looked for in the work tree: as a rule it lies outside a sparse-checkout cone.
    SkipWorktree,
    /// A conflict, `git add --intent-to-add`, `--assume-unchanged`.
    Other,
}

/// Passes every entry of an index of so many bytes on, in the order of their paths. What is given is the tree that the index
/// is, where the index says it (its extension `TREE`). `None`: `each` has seen enough, or there is something that git alone
/// should read.
pub fn read(
    from: impl Read,
    length: u64,
    each: &mut dyn FnMut(&Entry) -> Option<()>,
) -> io::Result<Option<Option<Oid>>> {
    // The last thing is a checksum of twenty bytes, which git does not look at either.
    let mut from = BufReader::with_capacity(1 << 18, from.take(length.saturating_sub(20)));
    let [signature, version, count] = [word(&mut from)?, word(&mut from)?, word(&mut from)?];
    if signature != u32::from_be_bytes(*b"DIRC") || !(2..=4).contains(&version) {
        return Ok(None);
    }
    let mut path = Vec::new();
    for _ in 0..count {
        // Most lie whole in the buffer, where they need not be copied.
        if let Some((entry, length)) = whole(from.buffer(), version) {
            if each(&entry).is_none() {
                return Ok(None);
            }
            from.consume(length);
            continue;
        }
        let Some(fixed) = entry(&mut from, version, &mut path)? else { return Ok(None) };
        if each(&Entry { path: &path, ..fixed }).is_none() {
            return Ok(None);
        }
    }
    extensions(&mut from)
}

/// An entry that begins here and has its whole path beside it, and how long it is; `None`: it is to be read piece by piece.
fn whole(buffer: &[u8], version: u32) -> Option<(Entry<'_>, usize)> {
    let (fixed, rest) = buffer.split_first_chunk::<FIXED>().filter(|_| version < 4)?;
    let (entry, flags) = first(fixed);
    let (head, more) = match flags & EXTENDED {
        0 => (FIXED, 0),
        _ => (FIXED + 2, u16::from_be_bytes(*rest.first_chunk()?)),
    };
    let named = usize::from(flags & NAME);
    let length = head + named + padding(head + named);
    let path = buffer.get(head..length).filter(|_| named < usize::from(NAME))?;
    Some((Entry { path: &path[..named], bits: bits(flags, more), ..entry }, length))
}

/// How long the part of an entry is that all have.
const FIXED: usize = 62;
/// The flag for more flags.
const EXTENDED: u16 = 0x4000;
/// The flags that are the length of the path.
const NAME: u16 = 0x0fff;

/// One NUL to eight: entries begin at a multiple of eight.
fn padding(length: usize) -> usize {
    8 - length % 8
}

/// The fixed part, and its flags.
fn first(fixed: &[u8; FIXED]) -> (Entry<'static>, u16) {
    let number = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let stat = Stat {
        changed: (number(0), number(4)),
        written: (number(8), number(12)),
        inode: number(20),
        uid: number(28),
        gid: number(32),
        size: number(36),
    };
    let mut id = [0; 20];
    id.copy_from_slice(&fixed[40..60]);
    (Entry { path: &[], stat, mode: number(24), id, bits: Bits::Other }, u16::from_be_bytes([fixed[60], fixed[61]]))
}

fn bits(flags: u16, more: u16) -> Bits {
    match (flags & 0xb000, more) {
        (0, 0) => Bits::Plain,
        (0, 0x4000) => Bits::SkipWorktree,
        _ => Bits::Other,
    }
}

/// The fixed part, then the path, which version 4 writes as a difference from the one before.
fn entry(from: &mut impl BufRead, version: u32, path: &mut Vec<u8>) -> io::Result<Option<Entry<'static>>> {
    let mut fixed = [0; FIXED];
    from.read_exact(&mut fixed)?;
    let (entry, flags) = first(&fixed);
    let (mut head, mut more) = (FIXED, 0);
    if flags & EXTENDED != 0 {
        let mut extended = [0; 2];
        from.read_exact(&mut extended)?;
        (head, more) = (FIXED + 2, u16::from_be_bytes(extended));
    }
    let named = usize::from(flags & NAME);
    match version {
        4 => {
            let kept = path.len().checked_sub(offset(from)?);
            let Some(kept) = kept else { return Ok(None) };
            path.truncate(kept);
            from.take(LONGEST as u64).read_until(0, path)?;
            if path.pop() != Some(0) || path.len() >= LONGEST {
                return Ok(None);
            }
        }
        // A longer name has no length.
        _ if named == usize::from(NAME) => return Ok(None),
        _ => {
            path.resize(named + padding(head + named), 0);
            from.read_exact(path)?;
            path.truncate(named);
        }
    }
    Ok(Some(Entry { bits: bits(flags, more), ..entry }))
}

/// What follows the entries. Those whose names begin with a capital may be passed over; any other one changes what the entries
/// mean: a split index, a sparse one.
fn extensions(from: &mut impl BufRead) -> io::Result<Option<Option<Oid>>> {
    let mut tree = None;
    loop {
        let mut head = Vec::new();
        from.take(8).read_to_end(&mut head)?;
        let [name @ .., a, b, c, d] = head.as_slice() else { return Ok(head.is_empty().then_some(tree)) };
        if name.len() != 4 || !name[0].is_ascii_uppercase() {
            return Ok(None);
        }
        let mut body = from.take(u64::from(u32::from_be_bytes([*a, *b, *c, *d])));
        if name == b"TREE" {
            tree = root(&mut body)?;
        }
        io::copy(&mut body, &mut io::sink())?;
        if body.limit() != 0 {
            return Ok(None);
        }
    }
}

/// The first entry of `TREE`: an empty path, how many entries it covers (-1: it is out of date), how many subtrees, its id.
fn root(from: &mut impl BufRead) -> io::Result<Option<Oid>> {
    let (mut path, mut counts, mut id) = (Vec::new(), Vec::new(), [0; 20]);
    from.take(1).read_to_end(&mut path)?;
    from.take(32).read_until(b'\n', &mut counts)?;
    if path != [0] || counts.first().is_none_or(|first| !first.is_ascii_digit()) {
        return Ok(None);
    }
    from.read_exact(&mut id)?;
    Ok(Oid::from_bytes(&id).ok())
}

fn word(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

/// A number as offsets are written in packs: seven bits a byte, each continuation one more.
fn offset(from: &mut impl Read) -> io::Result<usize> {
    let mut value: usize = 0;
    loop {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        value = value << 7 | usize::from(byte[0] & 0x7f);
        if byte[0] & 0x80 == 0 || value > 1 << 20 {
            return Ok(value);
        }
        value += 1;
    }
}
