//! Inhibitor locks of logind, org.freedesktop.login1(5): who keeps the host from being shut down, and that we do.

use zbus::zvariant::OwnedFd;

use super::bus::{Address, Bus, CALL};
use super::explain::Asked;
use crate::error::Result;

const LOGIND: &str = "org.freedesktop.login1";
const MANAGER: (&str, &str) = ("/org/freedesktop/login1", "org.freedesktop.login1.Manager");

/// As whom we take one.
const OURS: &str = "relift";

/// A lock that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhibitor {
    /// What is inhibited: the words of systemd-inhibit(1).
    pub what: Vec<String>,
    /// Who holds it, in its own words.
    pub who: String,
    /// Why, in its own words.
    pub why: String,
}

/// A lock that is held as long as this value is there.
pub struct Inhibition {
    _lock: OwnedFd,
}

/// The locks in mode `block` that others hold; none where there is no logind.
pub fn inhibitors() -> Result<Vec<Inhibitor>> {
    if !super::is_booted() {
        return Ok(Vec::new());
    }
    let bus = Bus::open(Address::System, CALL)?;
    let asked = Asked::of(&bus, "", "logind cannot tell what is inhibited".to_owned());
    type Listed = (String, String, String, String, u32, u32);
    let listed: zbus::Result<Vec<Listed>> = bus.other(LOGIND, (MANAGER.0, MANAGER.1, "ListInhibitors"), &());
    let listed = match listed {
        Err(error) if is_absent(&bus, &error) => return Ok(Vec::new()),
        other => other.map_err(|error| asked.failed(error))?,
    };
    let blocks = listed.into_iter().filter(|(_, who, _, mode, uid, _)| mode == "block" && !(who == OURS && *uid == 0));
    Ok(blocks
        .map(|(what, who, why, ..)| Inhibitor { what: what.split(':').map(str::to_owned).collect(), who, why })
        .collect())
}

/// Keeps the host from being shut down or put to sleep by whoever asks politely, and tells why. `None` where there is no logind.
pub fn inhibit(why: &str) -> Result<Option<Inhibition>> {
    if !super::is_booted() {
        return Ok(None);
    }
    let bus = Bus::open(Address::System, CALL)?;
    let asked = Asked::of(&bus, "", "a shutdown cannot be inhibited".to_owned());
    let lock = bus.other(LOGIND, (MANAGER.0, MANAGER.1, "Inhibit"), &("shutdown:sleep", OURS, why, "block"));
    match lock {
        Err(error) if is_absent(&bus, &error) => Ok(None),
        other => other.map(|lock| Some(Inhibition { _lock: lock })).map_err(|error| asked.failed(error)),
    }
}

/// Whether the call failed because nobody is there who would answer, and nobody could be started.
fn is_absent(bus: &Bus, error: &zbus::Error) -> bool {
    let (name, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
    let has_owner = || bus.other::<_, bool>(name, (path, name, "NameHasOwner"), &LOGIND);
    matches!(error, zbus::Error::MethodError(..)) && has_owner().is_ok_and(|has_owner| !has_owner)
}
