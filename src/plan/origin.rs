//! Where the code comes from that root runs: never from a directory that another account can write, unless the host says so.

use serde::{Deserialize, Serialize};

use super::{Blocker, Release};
use crate::trust::Standing;

/// Where a command that root runs is run from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The owner's checkout as it is then, which `[install] trust-checkout` allows; so were the root steps that older versions
    /// recorded.
    #[default]
    Checkout,
    /// A copy of a release that root writes, from our own mirror, where root alone can write.
    Export {
        /// The release.
        release: Release,
        /// What vouches for it.
        standing: Standing,
    },
    /// Nothing vouches for the release: root runs nothing of it.
    Refused {
        /// The release.
        release: Release,
    },
}

/// Where root may run the code of a release from. `trust_checkout`: the host's manifest trusts whatever the owner has in the
/// checkout.
pub fn may_run_as_root(release: &Release, standing: &Standing, trust_checkout: bool) -> Origin {
    let release = release.clone();
    match standing.is_verified() {
        _ if trust_checkout => Origin::Checkout,
        true => Origin::Export { release, standing: standing.clone() },
        false => Origin::Refused { release },
    }
}

impl Origin {
    /// Whether this is what an older record without it means.
    pub fn is_checkout(&self) -> bool {
        *self == Origin::Checkout
    }

    /// In words, for a plan.
    pub fn words(&self) -> String {
        match self {
            Origin::Checkout => "from the checkout (trust-checkout)".into(),
            Origin::Export { release, standing: Standing::Pinned { .. } } => {
                format!("from pinned {} (exported)", release.short())
            }
            Origin::Export { release, .. } => format!("from verified {} (exported)", release.short()),
            Origin::Refused { release } => format!("refused: nothing vouches for {}", release.short()),
        }
    }
}

/// The three ways out where nothing vouches for what root would run.
pub(super) fn unverified(install: &str, release: &Release, commands: &[String]) -> Blocker {
    let short = release.short();
    Blocker::refused(
        format!("root would run code of {short}, for which nothing vouches: {}", commands.join(", ")),
        format!(
            "require a signature ([source.git] verify), approve this release by hand (relift trust pin {install} {short}), or let root run what is in the checkout ([install] trust-checkout = true)"
        ),
    )
}
