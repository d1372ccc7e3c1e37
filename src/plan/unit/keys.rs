//! What is known of single settings, from systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.timer(5), systemd.socket(5),
//! systemd.path(5), systemd.resource-control(5) and systemd.kill(5), held against what systemd 252 does.

/// How systemd takes several assignments of one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// They add up, in order; an empty one resets.
    List,
    /// Units by name: they add up, their order does not matter, and nothing takes one away again (systemd.unit(5)).
    Dependencies,
    /// The last one counts.
    Single {
        /// An empty assignment goes back to the default; otherwise systemd ignores it.
        resets: bool,
        /// The default, where it is the same on every host.
        default: Option<&'static str>,
    },
}

/// The name under which a key shares one list with others; the key itself where it does not.
pub(super) fn group<'a>(section: &str, key: &'a str) -> &'a str {
    match (section, key) {
        ("Unit", _) if key.starts_with("Condition") => "Condition*",
        ("Unit", _) if key.starts_with("Assert") => "Assert*",
        ("Timer", "OnCalendar") => "On*",
        ("Timer", _) if key.starts_with("On") && key.ends_with("Sec") => "On*",
        ("Socket", _) if key.starts_with("Listen") => "Listen*",
        ("Path", "PathExists" | "PathExistsGlob" | "PathChanged" | "PathModified" | "DirectoryNotEmpty") => "Path*",
        (_, "BindPaths" | "BindReadOnlyPaths") => "BindPaths*",
        (_, "LoadCredential" | "LoadCredentialEncrypted") => "LoadCredential*",
        (_, "SetCredential" | "SetCredentialEncrypted") => "SetCredential*",
        (_, "StandardInputText" | "StandardInputData") => "StandardInput*",
        _ => key,
    }
}

/// How assignments to a group add up.
pub(super) fn nature(section: &str, group: &str) -> Nature {
    if matches!((section, group), ("Service", "Sockets") | ("Install", "Also")) {
        return Nature::Dependencies;
    }
    if group.ends_with('*') || section == "Install" && group != "DefaultInstance" {
        return Nature::List;
    }
    match section {
        "Unit" if DEPENDENCIES.contains(&group) => return Nature::Dependencies,
        "Unit" if group == "Documentation" => return Nature::List,
        _ if is_list(group) => return Nature::List,
        _ => {}
    }
    let default = default(section, group);
    Nature::Single { resets: default.is_none() && !ignores_empty(section, group), default }
}

/// What an assignment does to the list so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    /// Adds to it.
    No,
    /// Drops it.
    ToDefault,
    /// Drops it and stands for something itself.
    ToValue,
}

/// How a value of a list resets it: an empty one does, apart from two settings where it has a meaning of its own
/// (systemd.exec(5), systemd.resource-control(5)).
pub(super) fn reset(key: &str, value: &str) -> Reset {
    match (key, value) {
        // empty: no capability at all
        ("CapabilityBoundingSet", "") => Reset::ToValue,
        ("CapabilityBoundingSet", "~") => Reset::ToDefault,
        // empty: delegated, without controllers
        ("Delegate", "no" | "false" | "off" | "0" | "n" | "f") => Reset::ToDefault,
        ("Delegate", _) => Reset::No,
        (_, "") => Reset::ToDefault,
        _ => Reset::No,
    }
}

/// The value that drops a list, so that one starting with `first` can follow (`None`: so that it is at its default).
pub(super) fn resetting(key: &str, first: Option<&str>) -> &'static str {
    match key {
        "Delegate" => "no",
        "CapabilityBoundingSet" if first.is_none_or(|first| first.starts_with('~')) => "~",
        _ => "",
    }
}

pub(super) const DEPENDENCIES: &[&str] = &[
    "Requires",
    "Requisite",
    "Wants",
    "BindsTo",
    "BindTo",
    "Upholds",
    "Conflicts",
    "Before",
    "After",
    "OnSuccess",
    "OnFailure",
    "PropagatesReloadTo",
    "PropagateReloadTo",
    "ReloadPropagatedFrom",
    "PropagateReloadFrom",
    "PropagatesStopTo",
    "StopPropagatedFrom",
    "PartOf",
    "JoinsNamespaceOf",
    "RequiresMountsFor",
];

fn is_list(key: &str) -> bool {
    key.starts_with("Exec") && !key.starts_with("ExecSearch")
        || key.ends_with("Paths")
        || key.ends_with("Directories")
        || LISTS.contains(&key)
}

const LISTS: &[&str] = &[
    "Environment",
    "EnvironmentFile",
    "PassEnvironment",
    "UnsetEnvironment",
    "SupplementaryGroups",
    "CapabilityBoundingSet",
    "AmbientCapabilities",
    "SystemCallFilter",
    "SystemCallLog",
    "SystemCallArchitectures",
    "RestrictAddressFamilies",
    "RestrictFileSystems",
    "RestrictNamespaces",
    "RestrictNetworkInterfaces",
    "DeviceAllow",
    "IODeviceWeight",
    "IOReadBandwidthMax",
    "IOWriteBandwidthMax",
    "IOReadIOPSMax",
    "IOWriteIOPSMax",
    "IODeviceLatencyTargetSec",
    "BlockIODeviceWeight",
    "BlockIOReadBandwidth",
    "BlockIOWriteBandwidth",
    "IPAddressAllow",
    "IPAddressDeny",
    "IPIngressFilterPath",
    "IPEgressFilterPath",
    "BPFProgram",
    "SocketBindAllow",
    "SocketBindDeny",
    "DisableControllers",
    "Delegate",
    "RuntimeDirectory",
    "StateDirectory",
    "CacheDirectory",
    "LogsDirectory",
    "ConfigurationDirectory",
    "TemporaryFileSystem",
    "MountImages",
    "ExtensionImages",
    "RootImageOptions",
    "LogExtraFields",
    "SecureBits",
    "CPUAffinity",
    "SuccessExitStatus",
    "RestartPreventExitStatus",
    "RestartForceExitStatus",
    "Symlinks",
    "ExecSearchPath",
];

/// The defaults of settings whose empty assignment systemd ignores, so that only the default itself takes them back.
fn default(section: &str, key: &str) -> Option<&'static str> {
    if DEFAULT_NO.contains(&key) {
        return Some("no");
    }
    Some(match (section, key) {
        ("Unit", "DefaultDependencies") => "yes",
        ("Unit", "OnSuccessJobMode") => "fail",
        ("Unit", "OnFailureJobMode") => "replace",
        ("Unit", "JobTimeoutSec" | "JobRunningTimeoutSec") => "infinity",
        ("Unit" | "Service", "JobTimeoutAction" | "StartLimitAction" | "FailureAction" | "SuccessAction") => "none",
        ("Unit", "CollectMode") => "inactive",
        ("Service", "RuntimeMaxSec") => "infinity",
        ("Service", "RuntimeRandomizedExtraSec" | "WatchdogSec" | "FileDescriptorStoreMax") => "0",
        ("Service", "Type") => "simple",
        ("Service", "ExitType") => "main",
        ("Service", "Restart") => "no",
        ("Service", "GuessMainPID") => "yes",
        ("Service", "TimeoutStartFailureMode" | "TimeoutStopFailureMode") => "terminate",
        ("Socket", "BindIPv6Only") => "default",
        ("Socket", "SocketMode") => "0666",
        ("Socket", "MaxConnections") => "64",
        ("Socket", "Timestamping") => "off",
        ("Timer", "RemainAfterElapse") => "yes",
        ("Timer", "RandomizedDelaySec") => "0",
        ("Socket" | "Path" | "Mount" | "Automount", "DirectoryMode") => "0755",
        (_, "UMask") => "0022",
        (_, "StandardInput") => "null",
        (_, "SyslogFacility") => "daemon",
        (_, "SyslogLevel") => "info",
        (_, "SyslogLevelPrefix" | "IgnoreSIGPIPE" | "SendSIGKILL") => "yes",
        (_, "ProtectProc") => "default",
        (_, "ProcSubset") => "all",
        (_, "TimeoutCleanSec") => "infinity",
        (_, "UtmpMode") => "init",
        (_, "DevicePolicy") => "auto",
        (_, "ManagedOOMPreference") => "none",
        (_, "KillSignal") => "SIGTERM",
        (_, "FinalKillSignal") => "SIGKILL",
        (_, "WatchdogSignal") => "SIGABRT",
        (
            _,
            "RuntimeDirectoryMode"
            | "StateDirectoryMode"
            | "CacheDirectoryMode"
            | "LogsDirectoryMode"
            | "ConfigurationDirectoryMode",
        ) => "0755",
        _ => return None,
    })
}

const DEFAULT_NO: &[&str] = &[
    "StopWhenUnneeded",
    "RefuseManualStart",
    "RefuseManualStop",
    "AllowIsolate",
    "OnFailureIsolate",
    "IgnoreOnIsolate",
    "PermissionsStartOnly",
    "RootDirectoryStartOnly",
    "RemainAfterExit",
    "NonBlocking",
    "CPUSchedulingResetOnFork",
    "DynamicUser",
    "RemoveIPC",
    "TTYReset",
    "TTYVHangup",
    "TTYVTDisallocate",
    "NoNewPrivileges",
    "MemoryDenyWriteExecute",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "LockPersonality",
    "PrivateTmp",
    "PrivateDevices",
    "ProtectKernelTunables",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "ProtectClock",
    "ProtectControlGroups",
    "PrivateNetwork",
    "PrivateUsers",
    "PrivateMounts",
    "PrivateIPC",
    "ProtectHostname",
    "ProtectSystem",
    "ProtectHome",
    "RuntimeDirectoryPreserve",
    "SendSIGHUP",
    "Accept",
    "FlushPending",
    "Writable",
    "KeepAlive",
    "NoDelay",
    "FreeBind",
    "Transparent",
    "Broadcast",
    "PassCredentials",
    "PassSecurity",
    "PassPacketInfo",
    "ReusePort",
    "RemoveOnStop",
    "SELinuxContextFromNet",
    "OnClockChange",
    "OnTimezoneChange",
    "Persistent",
    "WakeSystem",
    "FixedRandomDelay",
    "MakeDirectory",
    "SloppyOptions",
    "LazyUnmount",
    "ForceUnmount",
    "ReadWriteOnly",
];

/// Settings whose empty assignment systemd ignores and whose default the host's own configuration decides: nothing in a drop-in
/// takes them back.
fn ignores_empty(section: &str, key: &str) -> bool {
    key.starts_with("Limit")
        || key.ends_with("Accounting")
        || NO_WAY_BACK.contains(&(section, key))
        || NO_WAY_BACK.contains(&("", key))
}

const NO_WAY_BACK: &[(&str, &str)] = &[
    ("Unit", "StartLimitIntervalSec"),
    ("Unit", "StartLimitInterval"),
    ("Unit", "StartLimitBurst"),
    ("Service", "StartLimitInterval"),
    ("Service", "StartLimitBurst"),
    ("Service", "RestartSec"),
    ("Service", "TimeoutSec"),
    ("Service", "TimeoutStartSec"),
    ("Service", "TimeoutStopSec"),
    ("Service", "BusName"),
    ("Service", "NotifyAccess"),
    ("Service", "OOMPolicy"),
    ("", "CPUSchedulingPriority"),
    ("", "StandardOutput"),
    ("", "StandardError"),
    ("", "LogLevelMax"),
    ("", "LogRateLimitIntervalSec"),
    ("", "LogRateLimitBurst"),
    ("", "TimerSlackNSec"),
    ("", "KeyringMode"),
    ("", "Slice"),
    ("", "RestartKillSignal"),
    ("", "CPUShares"),
    ("", "StartupCPUShares"),
    ("", "MemoryLimit"),
    ("Socket", "SocketProtocol"),
    ("Socket", "Backlog"),
    ("Socket", "TimeoutSec"),
    ("Socket", "MaxConnectionsPerSource"),
    ("Socket", "KeepAliveTimeSec"),
    ("Socket", "KeepAliveIntervalSec"),
    ("Socket", "KeepAliveProbes"),
    ("Socket", "DeferAcceptSec"),
    ("Socket", "Priority"),
    ("Socket", "ReceiveBuffer"),
    ("Socket", "SendBuffer"),
    ("Socket", "IPTTL"),
    ("Socket", "IPTOS"),
    ("Socket", "Mark"),
    ("Socket", "PipeSize"),
    ("Socket", "MessageQueueMaxMessages"),
    ("Socket", "MessageQueueMessageSize"),
    ("Socket", "Service"),
    ("Socket", "TriggerLimitIntervalSec"),
    ("Socket", "TriggerLimitBurst"),
    ("Timer", "AccuracySec"),
    ("Timer", "Unit"),
    ("Path", "Unit"),
    ("Path", "TriggerLimitIntervalSec"),
    ("Path", "TriggerLimitBurst"),
    ("Mount", "TimeoutSec"),
];

/// Settings whose values may be secrets: they are compared and never shown.
pub(super) fn is_secret(key: &str) -> bool {
    matches!(
        key,
        "Environment" | "SetCredential" | "SetCredentialEncrypted" | "StandardInputText" | "StandardInputData"
    )
}
