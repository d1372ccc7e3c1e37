//! What a manager knows of a unit.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

use super::bus::MANAGER_PATH;

/// What a manager knows of a unit, org.freedesktop.systemd1(5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked`, `bad-setting`, `error`.
    pub load: String,
    /// Why it is not `loaded`, in the manager's words; empty where it is.
    pub load_error: String,
    /// `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`.
    pub active: String,
    /// `running`, `exited`, `auto-restart`, ...
    pub sub: String,
    /// `enabled`, `disabled`, `static`, `masked`, empty where there is no file.
    pub file: String,
    /// `success`, `exit-code`, `signal`, `timeout`, `start-limit-hit`, ...; empty for units that have none.
    pub result: String,
    /// The invocation's id in lower-case hex; empty when it has none.
    pub invocation: String,
    /// 0 when there is no main process.
    pub main_pid: u32,
    /// How the last main process ended, `si_code` of sigaction(2): 1 exited, 2 killed, 3 dumped; 0 when none has.
    pub main_code: i32,
    /// Its exit status or the signal.
    pub main_status: i32,
    /// Automatic restarts since the last manual start.
    pub restarts: u32,
    /// When the main process started, microseconds of the realtime clock; 0 when it never did.
    pub main_started_us: u64,
    /// When the last main process ended, microseconds of the realtime clock; 0 when none has.
    pub main_ended_us: u64,
    /// When the unit last became active, microseconds of the realtime clock; 0 when it never did.
    pub active_since_us: u64,
    /// The same in microseconds of `CLOCK_MONOTONIC`, which nobody sets.
    pub active_since_monotonic_us: u64,
    /// The unit file that is loaded; empty when there is none.
    pub fragment: String,
    /// The drop-ins that are loaded.
    pub drop_ins: Vec<String>,
    /// Whether files changed since the manager read them.
    pub needs_reload: bool,
    /// `EnvironmentFile=` as the manager has it: absolute, specifiers resolved, without a `-` before it. May be patterns, glob(7).
    pub environment_files: Vec<String>,
    /// `simple`, `notify`, `oneshot`, ...; empty for units that are no service.
    pub kind: String,
    /// `RemainAfterExit=`.
    pub remains: bool,
    /// Whether the conditions (`ConditionPathExists=` ...) were met when it was last started; true when it never was.
    pub conditions_met: bool,
    /// Whether a job for it is queued or running.
    pub has_job: bool,
}

impl UnitState {
    /// Whether it is up: `active` or `reloading`.
    pub fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading")
    }

    /// Whether an operator masked it.
    pub fn is_masked(&self) -> bool {
        self.load == "masked" || self.file.starts_with("masked")
    }

    /// Whether it starts by itself: `enabled` or `enabled-runtime`.
    pub fn is_enabled(&self) -> bool {
        self.file.starts_with("enabled")
    }

    /// How its last main process ended, in words: `exited with 2`, `was killed by SIGKILL`; `None` where none has ended.
    pub fn main_ending(&self) -> Option<String> {
        ending(self.main_code, self.main_status)
    }

    /// Reads the properties of all interfaces of a unit.
    pub(super) fn from_properties(all: &HashMap<String, OwnedValue>) -> UnitState {
        let properties = Properties(all);
        let started = properties.number("ConditionTimestampMonotonic") != 0;
        UnitState {
            load: properties.text("LoadState"),
            load_error: properties.load_error(),
            active: properties.text("ActiveState"),
            sub: properties.text("SubState"),
            file: properties.text("UnitFileState"),
            result: properties.text("Result"),
            invocation: properties.hex("InvocationID"),
            main_pid: properties.number("MainPID") as u32,
            main_code: properties.number("ExecMainCode") as i32,
            main_status: properties.number("ExecMainStatus") as i32,
            restarts: properties.number("NRestarts") as u32,
            main_started_us: properties.number("ExecMainStartTimestamp"),
            main_ended_us: properties.number("ExecMainExitTimestamp"),
            active_since_us: properties.number("ActiveEnterTimestamp"),
            active_since_monotonic_us: properties.number("ActiveEnterTimestampMonotonic"),
            fragment: properties.text("FragmentPath"),
            drop_ins: properties.texts("DropInPaths"),
            needs_reload: properties.flag("NeedDaemonReload"),
            environment_files: properties.environment_files(),
            kind: properties.text("Type"),
            remains: properties.flag("RemainAfterExit"),
            conditions_met: !started || properties.flag("ConditionResult"),
            has_job: properties.has_job(),
        }
    }
}

/// The object of a unit, sd_bus_path_encode(3): what is no letter and no digit is `_` and its code in hex, and so is a digit that
/// comes first.
pub(super) fn object_path(name: &str) -> String {
    let encoded = name.bytes().enumerate().map(|(at, byte)| match byte {
        b'0'..=b'9' if at > 0 => char::from(byte).to_string(),
        b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        _ => format!("_{byte:02x}"),
    });
    format!("{MANAGER_PATH}/unit/{}", encoded.collect::<String>())
}

/// How a process ended, from `si_code` and `si_status` of sigaction(2).
pub(super) fn ending(code: i32, status: i32) -> Option<String> {
    let signal = || match nix::sys::signal::Signal::try_from(status) {
        Ok(signal) => signal.to_string(),
        Err(_) => format!("signal {status}"),
    };
    match code {
        libc::CLD_EXITED => Some(format!("exited with {status}")),
        libc::CLD_KILLED => Some(format!("was killed by {}", signal())),
        libc::CLD_DUMPED => Some(format!("was killed by {} and dumped core", signal())),
        _ => None,
    }
}

/// Properties by name; what is missing or of another type reads as its zero.
struct Properties<'a>(&'a HashMap<String, OwnedValue>);

impl Properties<'_> {
    fn of<'v, T: TryFrom<&'v OwnedValue>>(&'v self, name: &str) -> Option<T> {
        self.0.get(name).and_then(|value| T::try_from(value).ok())
    }

    fn owned<T: TryFrom<OwnedValue>>(&self, name: &str) -> Option<T> {
        self.0.get(name).and_then(|value| T::try_from(value.try_clone().ok()?).ok())
    }

    fn text(&self, name: &str) -> String {
        self.of::<&str>(name).unwrap_or_default().to_owned()
    }

    fn texts(&self, name: &str) -> Vec<String> {
        self.owned(name).unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        self.of(name).unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        let wide = self.of::<u64>(name);
        let unsigned = || self.of::<u32>(name).map(u64::from);
        let signed = || self.of::<i32>(name).map(|number| number as u64);
        wide.or_else(unsigned).or_else(signed).unwrap_or_default()
    }

    fn hex(&self, name: &str) -> String {
        self.owned::<Vec<u8>>(name).unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn load_error(&self) -> String {
        let pair = self.owned::<zbus::zvariant::Structure<'_>>("LoadError");
        let message =
            pair.as_ref().and_then(|pair| pair.fields().get(1)).and_then(|field| <&str>::try_from(field).ok());
        message.unwrap_or_default().to_owned()
    }

    fn environment_files(&self) -> Vec<String> {
        let pairs = self.owned::<Vec<(String, bool)>>("EnvironmentFiles").unwrap_or_default();
        pairs.into_iter().map(|(path, _)| path).collect()
    }

    fn has_job(&self) -> bool {
        let pair = self.owned::<(u32, OwnedObjectPath)>("Job");
        pair.is_some_and(|(id, _)| id != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::zvariant::Value;

    fn read(pairs: Vec<(&str, Value<'static>)>) -> UnitState {
        let owned =
            |(key, value): (&str, Value<'static>)| (key.to_owned(), OwnedValue::try_from(value).expect("no fd"));
        UnitState::from_properties(&pairs.into_iter().map(owned).collect())
    }

    #[test]
    fn properties_of_every_type_are_read() {
        let job = Value::from((7u32, zbus::zvariant::ObjectPath::from_static_str_unchecked("/job/7")));
        let state = read(vec![
            ("ActiveState", "failed".into()),
            ("UnitFileState", "enabled".into()),
            ("InvocationID", Value::from(vec![0x0au8, 0xff])),
            ("MainPID", 42u32.into()),
            ("ExecMainCode", libc::CLD_KILLED.into()),
            ("ExecMainStatus", 9i32.into()),
            ("ActiveEnterTimestampMonotonic", 5_000_000u64.into()),
            ("DropInPaths", Value::from(vec!["/a", "/b"])),
            ("LoadError", Value::from(("org.example", "it is broken"))),
            ("EnvironmentFiles", Value::from(vec![("/opt/app/.env", true), ("/etc/default/*", false)])),
            ("Job", job),
        ]);
        assert_eq!((state.active.as_str(), state.file.as_str(), state.main_pid), ("failed", "enabled", 42));
        assert_eq!(state.invocation, "0aff");
        assert_eq!(state.active_since_monotonic_us, 5_000_000);
        assert_eq!(state.drop_ins, ["/a", "/b"]);
        assert_eq!(state.load_error, "it is broken");
        assert_eq!(state.environment_files, ["/opt/app/.env", "/etc/default/*"]);
        assert!(state.has_job);
        assert_eq!(state.main_ending().as_deref(), Some("was killed by SIGKILL"));
    }

    #[test]
    fn the_object_of_a_unit_is_found_by_its_name() {
        let object = |name| object_path(name).rsplit('/').next().unwrap().to_owned();
        // As busctl(1) shows them.
        assert_eq!(object("nginx.service"), "nginx_2eservice");
        assert_eq!(object("0ad-x@a\\x2db.timer"), "_30ad_2dx_40a_5cx2db_2etimer");
    }

    #[test]
    fn a_unit_that_was_never_started_has_no_unmet_condition() {
        assert!(read(vec![("ConditionResult", false.into())]).conditions_met);
        let started = ("ConditionTimestampMonotonic", 5u64.into());
        assert!(!read(vec![("ConditionResult", false.into()), started]).conditions_met);
    }

    #[test]
    fn nothing_known_is_no_active_unit() {
        let state = read(vec![]);
        assert!(!state.is_active() && !state.has_job && state.main_ending().is_none());
    }
}
