//! What monitoring reads: a summary of each install for `--nagios`, a file for Prometheus, spans for OpenTelemetry.
//!
//! Nothing is written for an install whose manifest has no `[monitoring]`, and nothing that fails here is more than a warning.

pub mod nagios;
pub mod otlp;
pub mod prometheus;
pub mod status;
mod tally;
pub mod trace;

use std::time::Duration;

use super::Happening;
use crate::error::{Error, Result};
use crate::host::clock;
use crate::host::paths::Paths;
use crate::manifest::{Install, is_install_name};
use crate::run;

pub use status::Status;

/// How long the files of one install are waited for: a check beside an upgrade writes them, too.
const BOUND: Duration = Duration::from_secs(2);

/// Tells monitoring what happened to an install; gives what could not be told, for the operator.
pub fn tell(paths: &Paths, install: &Install, happening: &Happening) -> Vec<String> {
    let told = [write(paths, install, Some(happening)), otlp::tell(paths, install, happening)];
    told.into_iter().filter_map(|told| Some(warning(install, &told.err()?))).collect()
}

/// Writes what is so by now.
pub fn refresh(paths: &Paths, install: &Install) -> Option<String> {
    write(paths, install, None).err().map(|error| warning(install, &error))
}

/// Publishes the summary of an install that has none, as after a boot. The file for Prometheus stays: it says when the source
/// was asked, which is not remembered otherwise.
pub fn remind(paths: &Paths, install: &Install) -> Option<String> {
    if install.monitoring.is_none() || !matches!(status::published(paths, &install.name), Ok(None)) {
        return None;
    }
    let summary = status::gather(paths, install, None, None, clock::now());
    let published = summary.and_then(|summary| status::publish(paths, &summary));
    published.err().map(|error| warning(install, &error))
}

fn write(paths: &Paths, install: &Install, happening: Option<&Happening>) -> Result<()> {
    let Some(monitoring) = &install.monitoring else { return Ok(()) };
    let _lock = run::lock(&paths.runtime(), &format!("{}~status", install.name), BOUND)?;
    let memory = status::published(paths, &install.name).unwrap_or(None);
    let now = happening.map_or_else(clock::now, |happening| happening.time);
    let status = status::gather(paths, install, memory, happening, now)?;
    // The one does not depend on the other.
    let published = status::publish(paths, &status);
    published.and(monitoring.textfile.as_ref().map_or(Ok(()), |directory| prometheus::write(directory, &status)))
}

fn warning(install: &Install, error: &Error) -> String {
    let hints: String = error.hints.iter().map(|hint| format!("; {hint}")).collect();
    format!("monitoring of {}: {error}{hints}", install.name)
}

/// Removes what is there for installs that have no manifest any more: their summaries, and their files for Prometheus in the
/// directories of `installs` and in those that the summaries name.
pub fn forget_removed(paths: &Paths, installs: &[Install]) -> Result<Vec<String>> {
    let declared = installs.iter().filter_map(|install| install.monitoring.as_ref()?.textfile.clone());
    let mut directories: Vec<_> = declared.collect();
    let is_gone = |name: &str| is_install_name(name) && !paths.manifests().join(format!("{name}.toml")).exists();
    let mut gone: Vec<String> = status::names(paths).into_iter().filter(|name| is_gone(name)).collect();
    for name in &gone {
        directories.extend(status::published(paths, name)?.and_then(|status| status.textfile));
    }
    directories.sort();
    directories.dedup();
    for directory in directories {
        gone.extend(prometheus::remove(&directory, is_gone)?);
    }
    for name in &gone {
        status::withdraw(paths, name)?;
    }
    gone.sort();
    gone.dedup();
    Ok(gone)
}
