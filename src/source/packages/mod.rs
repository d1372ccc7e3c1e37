//! Packages of the distribution's package manager.

use super::git::{Checkout, Mirror, Target};
use super::{Offer, Place, Upstream};
use crate::error::{Error, Result};
use crate::manifest::PackagesSource;
use crate::plan::{Blocker, Plan};
use crate::report::Reporter;
use crate::survey::Survey;

impl Upstream for PackagesSource {
    fn observe(&self, _: &Place) -> Result<Checkout> {
        Err(Error::failed("[source.packages] is not there yet"))
    }

    fn update(&self, _: &Place, _: &Mirror, _: &dyn Reporter) -> Result<()> {
        Err(Error::failed("[source.packages] is not there yet"))
    }

    fn target(&self, _: &Place, _: &Mirror, _: Option<&str>, _: bool, _: &dyn Reporter) -> Result<Target> {
        Err(Error::failed("[source.packages] is not there yet"))
    }

    fn preflight(&self, _: &Place, _: &Checkout, _: Option<&Offer>) -> Vec<Blocker> {
        Vec::new()
    }

    fn complete(&self, _: &Place, _: &Mirror, _: &Survey, _: &mut Offer) -> Result<()> {
        Ok(())
    }

    fn bring(&self, _: &Place, _: &Mirror, _: &Plan, _: &dyn Reporter) -> Result<()> {
        Ok(())
    }
}
