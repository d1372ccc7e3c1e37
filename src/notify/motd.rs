//! What who logs in is told: `/run/motd.d/relift`, pam_motd(8). There when there is something to say, gone when not.

use std::os::unix::fs::PermissionsExt;

use super::memory::Memory;
use super::news::Matter;
use crate::error::{Context, Result};
use crate::host::fs::must_be_ours;
use crate::host::paths::Paths;
use crate::manifest::Topic;
use crate::text::{harmless, shortened};

/// How many lines it may have.
const LINES: usize = 5;
/// How long a line may be, in characters.
const WIDTH: usize = 120;

/// The text, from what is remembered of each install; empty: there is nothing to say.
pub fn text(memories: &[(String, Memory)]) -> String {
    let mut lines: Vec<(u8, String)> = Vec::new();
    for (_, memory) in memories.iter().filter(|(_, memory)| !memory.is_silent) {
        for (matter, open) in &memory.open {
            let rank = match (matter, open.topic) {
                (Matter::Run, _) => 0,
                (_, Topic::Failure) => 1,
                (_, Topic::Decision) => 2,
                (_, Topic::Stale) => 3,
                (_, Topic::New) => 4,
                _ => continue,
            };
            let next = open.next.as_ref().map(|next| format!(": {next}")).unwrap_or_default();
            lines.push((rank, shortened(&harmless(&format!("relift: {}{next}", open.headline)), WIDTH)));
        }
    }
    lines.sort();
    let more = lines.len().saturating_sub(LINES);
    if more > 0 {
        lines.truncate(LINES - 1);
        lines.push((9, format!("relift: {} more: relift status", more + 1)));
    }
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

/// Writes the text, whole, or removes the file.
pub fn write(paths: &Paths, text: &str) -> Result<()> {
    let file = paths.motd();
    let what = || format!("{} cannot be written", file.display());
    if std::fs::read_to_string(&file).unwrap_or_default() == text {
        return Ok(());
    }
    if text.is_empty() {
        return std::fs::remove_file(&file).with_context(what);
    }
    let directory = file.parent().unwrap_or(&file);
    std::fs::create_dir_all(directory).with_context(what)?;
    must_be_ours(directory)?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".relift-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(directory)
        .with_context(what)?;
    std::io::Write::write_all(&mut temporary, text.as_bytes()).with_context(what)?;
    temporary.persist(&file).map(drop).map_err(|error| error.error).with_context(what)
}
