//! Hidden verbs.
use clap::Subcommand;
use crate::error::Result;
/// Verbs that are not for people.
#[derive(Debug, Clone, Subcommand)]
pub enum Internal {
    /// What a child that has become an account runs, see `host::systemd`
    Agent,
}
/// Does it.
pub fn run(verb: &Internal) -> Result<()> {
    match verb {
        Internal::Agent => crate::host::systemd::serve_agent(),
    }
}
