//! What a change of a single setting asks for. Where the manuals say nothing, what systemd 252 does decided; after the comparison of
//! NixOS's switch-to-configuration, what is not known asks for a restart.

use super::Impact;
use super::keys::DEPENDENCIES;

/// What a change of a setting asks for. What is not known asks for a restart.
pub(super) fn impact(section: &str, key: &str) -> Impact {
    match section {
        "Install" => Impact::Reenable,
        "Unit" => unit_impact(key),
        // a slice is stopped together with all that is in it, and takes its limits over by a reload
        "Slice" => Impact::Reload,
        "Mount" if key == "Options" => Impact::Remount,
        _ if is_resource_control(key) => Impact::Reload,
        "Service" if key.starts_with("Restart") && key != "RestartKillSignal" => Impact::Reload,
        "Service" if READ_WHEN_NEEDED.contains(&key) || is_kill(key) => Impact::Reload,
        "Socket" if ["MaxConnections", "TimeoutSec", "RemoveOnStop"].contains(&key) || is_kill(key) => Impact::Reload,
        "Socket" | "Path" if key.starts_with("TriggerLimit") => Impact::Reload,
        _ => Impact::Restart,
    }
}

fn unit_impact(key: &str) -> Impact {
    match key {
        "Description" | "Documentation" => Impact::Nothing,
        // what these name is only looked for, started or joined when the unit itself starts
        "Requires"
        | "Requisite"
        | "BindsTo"
        | "BindTo"
        | "RequiresMountsFor"
        | "JoinsNamespaceOf"
        | "DefaultDependencies" => Impact::Restart,
        _ if DEPENDENCIES.contains(&key) || key.starts_with("Condition") || key.starts_with("Assert") => Impact::Reload,
        _ if key.starts_with("StartLimit") || key.starts_with("Job") || key.ends_with("Action") => Impact::Reload,
        "RefuseManualStart"
        | "RefuseManualStop"
        | "StopWhenUnneeded"
        | "AllowIsolate"
        | "IgnoreOnIsolate"
        | "CollectMode"
        | "OnFailureJobMode"
        | "OnSuccessJobMode"
        | "OnFailureIsolate"
        | "FailureActionExitStatus"
        | "SuccessActionExitStatus"
        | "RebootArgument"
        | "SourcePath" => Impact::Reload,
        _ => Impact::Restart,
    }
}

/// Settings of a service that its manager looks up at the moment it needs them.
const READ_WHEN_NEEDED: &[&str] = &[
    "SuccessExitStatus",
    "TimeoutSec",
    "TimeoutStartSec",
    "TimeoutStopSec",
    "TimeoutAbortSec",
    "TimeoutStartFailureMode",
    "TimeoutStopFailureMode",
    "TimeoutCleanSec",
    "StartLimitInterval",
    "StartLimitBurst",
    "StartLimitAction",
    "FailureAction",
    "RebootArgument",
];

fn is_kill(key: &str) -> bool {
    ["KillMode", "KillSignal", "RestartKillSignal", "FinalKillSignal", "SendSIGKILL", "SendSIGHUP"].contains(&key)
}

/// Settings that a daemon-reload writes into the control group of what runs, systemd.resource-control(5).
fn is_resource_control(key: &str) -> bool {
    let key = key.strip_prefix("Startup").or(key.strip_prefix("Default")).unwrap_or(key);
    const KEYS: &[&str] = &[
        "CPUWeight",
        "CPUShares",
        "CPUQuota",
        "CPUQuotaPeriodSec",
        "AllowedCPUs",
        "AllowedMemoryNodes",
        "MemoryMin",
        "MemoryLow",
        "MemoryHigh",
        "MemoryMax",
        "MemorySwapMax",
        "MemoryZSwapMax",
        "MemoryLimit",
        "TasksMax",
        "IOWeight",
        "IODeviceWeight",
        "IOReadBandwidthMax",
        "IOWriteBandwidthMax",
        "IOReadIOPSMax",
        "IOWriteIOPSMax",
        "IODeviceLatencyTargetSec",
        "BlockIOWeight",
        "BlockIODeviceWeight",
        "BlockIOReadBandwidth",
        "BlockIOWriteBandwidth",
        "CPUAccounting",
        "MemoryAccounting",
        "TasksAccounting",
        "IOAccounting",
        "BlockIOAccounting",
        "IPAccounting",
    ];
    KEYS.contains(&key) || key.starts_with("ManagedOOM")
}
