//! x
use super::globals::Globals;
use crate::error::{Exit, Result};
/// Args
#[derive(Debug, clap::Args)]
pub struct Args {}
/// run
pub fn run(_: &Args, _: &Globals) -> Result<Exit> {
    Ok(Exit::Done)
}
