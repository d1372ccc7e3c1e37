//! Lingering: whether an account's user manager runs without a login, org.freedesktop.login1(5).

use std::time::{Duration, Instant};

use zbus::zvariant::{OwnedObjectPath, OwnedValue};

use super::bus::{Address, Bus, CALL};
use super::explain::Asked;
use crate::error::{Error, Result};
use crate::host::account::Account;

const LOGIND: &str = "org.freedesktop.login1";
const LOGIND_PATH: &str = "/org/freedesktop/login1";
const LOGIND_MANAGER: &str = "org.freedesktop.login1.Manager";

/// How long the user manager of an account may take to come up.
const MANAGER_UP: Duration = Duration::from_secs(30);

/// Whether the user manager of `account` runs from boot on.
pub fn lingering(account: &Account) -> Result<bool> {
    let bus = Bus::open(Address::System, CALL)?;
    let asked = Asked::of(&bus, "", format!("logind cannot tell whether {} lingers", account.name));
    let user: zbus::Result<OwnedObjectPath> = bus.other(LOGIND, (LOGIND_PATH, LOGIND_MANAGER, "GetUser"), &account.uid);
    let user = match user {
        // logind knows every account that lingers or is logged in.
        Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".NoSuchUser") => return Ok(false),
        other => other.map_err(|error| asked.failed(error))?,
    };
    let get = (user.as_str(), "org.freedesktop.DBus.Properties", "Get");
    let linger: OwnedValue =
        bus.other(LOGIND, get, &("org.freedesktop.login1.User", "Linger")).map_err(|error| asked.failed(error))?;
    bool::try_from(&linger).map_err(|error| asked.failed(error.into()))
}

/// `loginctl enable-linger`, and waits until the account's user manager listens.
pub fn enable_linger(account: &Account) -> Result<()> {
    set(account, true)?;
    let until = Instant::now() + MANAGER_UP;
    while !super::listens_in(&account.runtime_dir()) {
        if Instant::now() >= until {
            return Err(Error::failed(format!("the user manager of {} did not come up", account.name))
                .because(format!("waited {} s for {}", MANAGER_UP.as_secs(), account.runtime_dir().display()))
                .hint(format!("systemctl status user@{}.service", account.uid)));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// `loginctl disable-linger`. The account's user manager ends when nobody is logged in as it.
pub fn disable_linger(account: &Account) -> Result<()> {
    set(account, false)
}

fn set(account: &Account, linger: bool) -> Result<()> {
    let bus = Bus::open(Address::System, CALL)?;
    let (word, interactive) = (if linger { "enabled" } else { "disabled" }, false);
    let asked = Asked::of(&bus, "", format!("lingering of {} cannot be {word}", account.name));
    bus.other(LOGIND, (LOGIND_PATH, LOGIND_MANAGER, "SetUserLinger"), &(account.uid, linger, interactive))
        .map_err(|error| asked.failed(error))
}
