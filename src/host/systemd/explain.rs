//! What a manager's refusal means for the operator.

use super::bus::Bus;
use crate::error::{Error, Kind};

/// What was asked of a manager, for messages.
pub(super) struct Asked<'a> {
    /// What could not be done: `foo.service cannot be started`.
    pub(super) what: String,
    /// The unit that it is about; empty where it is about none.
    pub(super) unit: &'a str,
    /// Whether the manager is an account's.
    pub(super) user: bool,
}

impl<'a> Asked<'a> {
    /// About a unit.
    pub(super) fn of(bus: &Bus, unit: &'a str, what: impl Into<String>) -> Asked<'a> {
        Asked { what: what.into(), unit, user: bus.is_user() }
    }

    /// `systemctl VERB UNIT`, for the right manager.
    fn systemctl(&self, verb: &str) -> String {
        let scope = if self.user { "systemctl --user" } else { "systemctl" };
        format!("{scope} {verb} {}", self.unit)
    }

    /// The error that a D-Bus error means.
    pub(super) fn failed(&self, error: zbus::Error) -> Error {
        let zbus::Error::MethodError(name, message, _) = &error else {
            return self.silent(&error);
        };
        let message = message.clone().unwrap_or_else(|| name.to_string());
        let short = name.rsplit('.').next().unwrap_or_default();
        let told = Error::failed(self.what.clone()).because(crate::text::harmless(message.trim_end_matches('.')));
        match short {
            "UnitMasked" => told.hint(self.systemctl("unmask")),
            "NoSuchUnit" | "FileNotFound" => told.hint(self.systemctl("cat")),
            "BadUnitSetting" | "LoadFailed" | "UnitExists" | "UnitNotLoaded" => told.hint(self.systemctl("status")),
            "JobTypeNotApplicable" => told.hint(format!("{} has no ExecReload=: use restart", self.unit)),
            "AccessDenied" | "InteractiveAuthorizationRequired" | "AuthFailed" => {
                told.kind(Kind::NotPermitted).hint("run it as root")
            }
            _ => told,
        }
    }

    /// The manager did not answer, or not in a way that can be read.
    fn silent(&self, error: &zbus::Error) -> Error {
        let told = Error::failed(self.what.clone());
        match error {
            zbus::Error::InputOutput(cause) if cause.kind() == std::io::ErrorKind::TimedOut => {
                told.because("systemd did not answer in time").hint(match self.user {
                    true => "systemctl --user is-system-running",
                    false => "systemctl is-system-running",
                })
            }
            _ => told.because(error),
        }
    }
}
