//! What a raw tag or commit says, and which bytes of it are signed. Pure.
//!
//! Stricter than git (gitformat-signature(5)): what could be read in two ways is refused.

/// The longest signature, in bytes; those of large RSA keys are a few thousand.
const LONGEST_SIGNATURE: usize = 32 << 10;

/// The formats of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Armor {
    /// `ssh-keygen -Y sign`.
    Ssh,
    /// OpenPGP.
    OpenPgp,
}

/// A signature and the bytes that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Exactly what was signed.
    pub payload: Vec<u8>,
    /// The signature, armoured.
    pub signature: Vec<u8>,
    /// Its format.
    pub armor: Armor,
}

/// What an annotated tag says of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The commit.
    pub commit: String,
    /// The name that was signed.
    pub name: String,
    /// When it was made, as whoever made it says; seconds since the epoch.
    pub time: Option<i64>,
    /// Its signature; `None`: it has none.
    pub signed: Option<Signed>,
}

/// What a commit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its first parent.
    pub parent: Option<String>,
    /// When it was made, as whoever made it says; seconds since the epoch.
    pub time: Option<i64>,
    /// Its signature; `None`: it has none.
    pub signed: Option<Signed>,
}

/// Reads a tag object. The error says what is wrong with it, as the end of a sentence that begins with "the tag".
pub fn tag(raw: &[u8]) -> Result<Tag, String> {
    let (header, body) = split(raw)?;
    let lines: Vec<String> = folded(header).into_iter().map(|line| text(line).trim_end().to_owned()).collect();
    let keys = ["object ", "type ", "tag ", "tagger "];
    let values: Vec<&str> = keys.iter().zip(&lines).map_while(|(key, line)| line.strip_prefix(key)).collect();
    if let Some(odd) = lines.get(values.len()) {
        return Err(format!("has a header that a tag does not have there: {}", crate::text::harmless(odd)));
    }
    let [object, kind, name, tagger] = values.as_slice() else {
        return Err("lacks a part of its header".into());
    };
    match *kind {
        "commit" => {}
        "tag" => return Err("is of another tag, not of a commit".into()),
        other => return Err(format!("is of a {}, not of a commit", crate::text::harmless(other))),
    }
    if !is_id(object) {
        return Err("names no whole commit id".into());
    }
    let signed = match beginning(body) {
        None => None,
        Some(at) => {
            let at = raw.len() - body.len() + at;
            let signature = raw[at..].to_vec();
            Some(Signed { payload: raw[..at].to_vec(), armor: armor(&signature)?, signature })
        }
    };
    Ok(Tag { commit: (*object).to_owned(), name: (*name).to_owned(), time: time(tagger), signed })
}

/// Reads a commit object whose id has `digits` hex digits: 40 (SHA-1) or 64 (SHA-256), each with a signature of its own.
/// The error says what is wrong with it, as the end of a sentence that begins with "the commit".
pub fn commit(raw: &[u8], digits: usize) -> Result<Commit, String> {
    let (header, _) = split(raw)?;
    let own = if digits == 64 { "gpgsig-sha256" } else { "gpgsig" };
    let (mut stage, mut parent, mut when) = (0, None, None);
    let (mut payload, mut signatures) = (Vec::new(), Vec::new());
    for entry in folded(header) {
        let words = text(entry);
        let (key, value) = words.split_once(' ').unwrap_or((words.trim_end(), ""));
        stage = match (stage, key) {
            (0, "tree") => 1,
            (1, "parent") => {
                parent.get_or_insert_with(|| value.trim_end().to_owned());
                1
            }
            (1, "author") => 2,
            (2, "committer") => {
                when = time(value.trim_end());
                3
            }
            (3, "gpgsig" | "gpgsig-sha256") => {
                if key == own {
                    signatures.push(value.replace("\n ", "\n"));
                }
                // A signature of either format is of what is there without both.
                continue;
            }
            (3, "tree" | "parent" | "author" | "committer" | "object" | "type" | "tag" | "tagger") => {
                return Err(format!("has the header `{key}` twice, or in a wrong place"));
            }
            (3, _) => 3,
            _ => return Err(format!("has the header `{}` in a wrong place", crate::text::harmless(key))),
        };
        payload.extend_from_slice(entry);
    }
    if stage != 3 {
        return Err("lacks a part of its header".into());
    }
    payload.extend_from_slice(&raw[header.len()..]);
    let signed = match signatures.as_slice() {
        [] => None,
        [one] => Some(Signed { payload, armor: armor(one.as_bytes())?, signature: one.clone().into_bytes() }),
        _ => return Err("has two signatures".into()),
    };
    Ok(Commit { parent, time: when, signed })
}

/// The header with its last line end, and what follows the empty line.
fn split(raw: &[u8]) -> Result<(&[u8], &[u8]), String> {
    if raw.contains(&0) {
        return Err("holds a NUL".into());
    }
    let at = raw.windows(2).position(|pair| pair == b"\n\n").ok_or("has no end of its header")?;
    Ok((&raw[..at + 1], &raw[at + 2..]))
}

/// The header's entries, each with its continuation lines, which begin with a space.
fn folded(header: &[u8]) -> Vec<&[u8]> {
    let ends = (1..header.len()).filter(|at| header[at - 1] == b'\n' && header[*at] != b' ');
    let mut starts: Vec<usize> = std::iter::once(0).chain(ends).collect();
    starts.push(header.len());
    starts.windows(2).map(|pair| &header[pair[0]..pair[1]]).collect()
}

/// Names may be in any encoding; what is compared is ASCII.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Where the signature of a tag begins: at the first line that begins one.
fn beginning(body: &[u8]) -> Option<usize> {
    const MARKS: [&[u8]; 4] = [
        b"-----BEGIN PGP SIGNATURE-----",
        b"-----BEGIN PGP MESSAGE-----",
        b"-----BEGIN SSH SIGNATURE-----",
        b"-----BEGIN SIGNED MESSAGE-----",
    ];
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        if MARKS.iter().any(|mark| line.starts_with(mark)) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// One signature and nothing else: its format.
fn armor(signature: &[u8]) -> Result<Armor, String> {
    if signature.len() > LONGEST_SIGNATURE {
        return Err(format!(
            "has a signature of {} bytes, and no real one has more than {LONGEST_SIGNATURE}",
            signature.len()
        ));
    }
    let text = std::str::from_utf8(signature).ok().filter(|text| text.is_ascii() && !text.contains('\r'));
    let text = text.ok_or("has a signature that is no text")?;
    let lines: Vec<&str> = text.lines().collect();
    let (kind, end) = match lines.first().copied() {
        Some("-----BEGIN SSH SIGNATURE-----") => (Armor::Ssh, "-----END SSH SIGNATURE-----"),
        Some("-----BEGIN PGP SIGNATURE-----") => (Armor::OpenPgp, "-----END PGP SIGNATURE-----"),
        _ => return Err("has a signature of a format that is neither SSH's nor OpenPGP's".into()),
    };
    let Some(at) = lines.iter().position(|line| *line == end) else {
        return Err("has a signature without an end".into());
    };
    if lines[at + 1..].iter().any(|line| line.starts_with("-----BEGIN ")) {
        return Err("has two signatures".into());
    }
    if at + 1 != lines.len() || !text.ends_with('\n') {
        return Err("holds more after its signature, which nobody signed".into());
    }
    let is_base64 = |line: &&str| line.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='));
    match kind == Armor::Ssh && !lines[1..at].iter().all(is_base64) {
        true => Err("has a signature that is not base64".into()),
        false => Ok(kind),
    }
}

/// Seconds since the epoch at the end of `NAME <EMAIL> SECONDS ZONE`.
fn time(person: &str) -> Option<i64> {
    person.rsplit(' ').nth(1)?.parse().ok()
}

/// Whether this is a whole object id.
fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
