//! The options that every verb takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::host::paths::Paths;

/// Options that every verb takes, named as apt, dnf and systemctl name them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Answer yes to the question whether to go on
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Show what would happen and change nothing
    #[arg(short = 'n', long, global = true)]
    pub dry_run: bool,
    /// Print one JSON document, or one event per line for a run
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but errors, and results that ask for something
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Tell more; twice: the commands that are run
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorWhen,
    /// No bars, even on a terminal
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// How long to wait for another run to end
    #[arg(long, global = true, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub lock_timeout: Duration,
    /// Manifests, state and locks below DIR instead of /
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Use this manifest instead of /etc/relift/NAME.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only this component; may be given again. For logs: engine, steps or units
    #[arg(long, global = true, value_name = "COMPONENT")]
    pub only: Vec<String>,
    /// Never use the network
    #[arg(long, global = true)]
    pub offline: bool,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR or TERM=dumb says otherwise.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Globals {
    /// The places below `--root`.
    pub fn paths(&self) -> Paths {
        Paths::below(&self.root)
    }
}

/// A time on the command line, such as `30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| format!("`{text}` is no time such as 30s or 5min"))?;
    Duration::try_from(span).map_err(|_| "must not be negative".into())
}
