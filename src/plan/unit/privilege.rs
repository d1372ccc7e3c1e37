//! What a changed system unit would gain over what was reviewed when it was installed: root, or a say over other units.

use std::path::{Component, Path};

use super::SettingChange;

/// Groups whose members are root, or nearly (Debian's SystemGroups, docker).
const GROUPS: [&str; 9] = ["root", "0", "sudo", "wheel", "shadow", "disk", "docker", "adm", "kmem"];

/// Settings whose files the manager opens, or mounts, as root, systemd.exec(5).
const OPENED: [&str; 14] = [
    "EnvironmentFile",
    "LoadCredential",
    "LoadCredentialEncrypted",
    "StandardInput",
    "StandardOutput",
    "StandardError",
    "OpenFile",
    "BindPaths",
    "BindReadOnlyPaths",
    "RootDirectory",
    "RootImage",
    "MountImages",
    "ExtensionImages",
    "ExtensionDirectories",
];

/// What a system unit gains by these changes of the settings in effect, one phrase each: "would run as root and not as app any
/// more". Pure; systemd.exec(5), systemd.service(5) on prefixes of commands, systemd.unit(5) on `[Install]`.
///
/// What the manager opens as root before it becomes `User=` counts as well, unless it lies below `root`, the install's own.
pub fn gains(changes: &[SettingChange], root: &Path) -> Vec<String> {
    changes.iter().flat_map(|change| gain(change, root)).collect()
}

fn gain(change: &SettingChange, root: &Path) -> Vec<String> {
    let key = change.key.as_str();
    let added = || change.after.iter().filter(|value| !change.before.contains(value));
    let words = |values: &[String]| -> Vec<String> {
        values.iter().flat_map(|value| value.split_ascii_whitespace()).map(str::to_owned).collect()
    };
    let new_words = || {
        let before = words(&change.before);
        words(&change.after).into_iter().filter(move |word| !before.contains(word))
    };
    match (change.section.as_str(), key) {
        ("Service" | "Socket" | "Mount", "User") => {
            let [before, after] =
                [&change.before, &change.after].map(|values| values.last().map_or("root", String::as_str));
            match !is_root(before) && is_root(after) {
                true => vec![format!("would run as root and not as {} any more", crate::text::harmless(before))],
                false => Vec::new(),
            }
        }
        ("Service" | "Socket" | "Mount", "Group" | "SupplementaryGroups") => {
            let gained = new_words().filter(|group| GROUPS.contains(&group.as_str()));
            gained.map(|group| format!("would be in the group {group}")).collect()
        }
        ("Service", "AmbientCapabilities") => {
            let gained = new_words().filter(|word| word != "~");
            gained.map(|word| format!("would have the capability {}", crate::text::harmless(&word))).collect()
        }
        ("Service" | "Socket", _) if key.starts_with("Exec") => added()
            .filter(|value| is_privileged(value))
            .map(|value| format!("would run {key}={} as root, whatever its User=", crate::text::harmless(value)))
            .collect(),
        ("Service" | "Socket" | "Mount", _) if OPENED.contains(&key) => added()
            .filter(|value| opens(value).is_some_and(|path| !is_below(path, root)))
            .map(|value| format!("would be given what root opens: {key}={}", crate::text::harmless(value)))
            .collect(),
        ("Install", "Alias") => named(new_words(), "would also be called"),
        ("Install", "Also") => named(new_words(), "would enable with it"),
        ("Install", "RequiredBy") => named(new_words(), "would be what cannot be without it:"),
        ("Unit", "Conflicts") => named(new_words(), "would stop when it starts:"),
        _ => Vec::new(),
    }
}

fn named(words: impl Iterator<Item = String>, what: &str) -> Vec<String> {
    words.map(|word| format!("{what} {}", crate::text::harmless(&word))).collect()
}

/// The path in `-/etc/file`, `ID:/path`, `append:/path`, `/path:/elsewhere`; `%` may stand for anything.
fn opens(value: &str) -> Option<&str> {
    let value = value.trim_start_matches(['-', '"', '\'']);
    let start = value.find(['/', '%'])?;
    value[start..].split([':', ' ', '"', '\'']).next()
}

fn is_below(path: &str, root: &Path) -> bool {
    let path = Path::new(path);
    path.starts_with(root)
        && path.components().all(|part| part != Component::ParentDir)
        && !path.to_string_lossy().contains('%')
}

fn is_root(user: &str) -> bool {
    ["", "root", "0"].contains(&user)
}

/// `+`, `!` and `!!` run a command without the unit's `User=`, wherever they stand among the prefixes.
fn is_privileged(command: &str) -> bool {
    command.chars().take_while(|c| "@-:+!|".contains(*c)).any(|c| c == '+' || c == '!')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::unit::compare;

    const UNIT: &str = "[Service]\nUser=app\nExecStart=/opt/app/run\n[Install]\nWantedBy=multi-user.target\n";

    fn with(old: &str, new: &str) -> Vec<String> {
        gains(&compare(UNIT, &UNIT.replace(old, new)), Path::new("/opt/app"))
    }

    #[test]
    fn a_unit_that_stops_running_as_the_account_gains_root() {
        let gained = ["would run as root and not as app any more"];
        for now in ["", "User=root\n", "User=0\n", "User=\n", "User=app\nUser=root\n"] {
            assert_eq!(with("User=app\n", now), gained, "{now}");
        }
        assert!(with("User=app\n", "User=other\n").is_empty());
        assert!(
            gains(&compare(&UNIT.replace("User=app\n", ""), UNIT), Path::new("/opt/app")).is_empty(),
            "less is no gain"
        );
    }

    #[test]
    fn a_prefix_that_lifts_the_user_is_a_gain_wherever_it_stands() {
        for prefix in ["+", "!", "!!", "-+", "@!", ":-+"] {
            let gained = with("ExecStart=/opt/app/run\n", &format!("ExecStart={prefix}/opt/app/run\n"));
            assert_eq!(gained, [format!("would run ExecStart={prefix}/opt/app/run as root, whatever its User=")]);
        }
        assert!(with("ExecStart=/opt/app/run\n", "ExecStart=-/opt/app/run +x\n").is_empty());
        assert_eq!(with("[Install]", "ExecStartPre=+/bin/id\n[Install]").len(), 1);
    }

    #[test]
    fn groups_that_are_as_good_as_root_and_capabilities_are_gains() {
        assert_eq!(
            with("User=app\n", "User=app\nSupplementaryGroups=audio docker\n"),
            ["would be in the group docker"]
        );
        assert_eq!(with("User=app\n", "User=app\nGroup=shadow\n"), ["would be in the group shadow"]);
        let gained = with("User=app\n", "User=app\nAmbientCapabilities=CAP_SYS_ADMIN\n");
        assert_eq!(gained, ["would have the capability CAP_SYS_ADMIN"]);
    }

    #[test]
    fn what_root_opens_for_the_unit_is_a_gain_unless_it_is_the_installs_own() {
        for setting in [
            "EnvironmentFile=/root/secret",
            "EnvironmentFile=-/opt/app/../../root/secret",
            "EnvironmentFile=%t/secret",
            "LoadCredential=token:/etc/shadow",
            "StandardInput=file:/etc/shadow",
            "StandardOutput=append:/etc/cron.d/x",
            "BindReadOnlyPaths=/root:/opt/app/root",
            "RootDirectory=/srv/other",
        ] {
            let phrase = format!("would be given what root opens: {setting}");
            assert_eq!(with("User=app\n", &format!("User=app\n{setting}\n")), [phrase]);
        }
        for setting in ["EnvironmentFile=-/opt/app/runner/.env", "StandardOutput=journal", "StandardInput=null"] {
            assert!(with("User=app\n", &format!("User=app\n{setting}\n")).is_empty(), "{setting}");
        }
    }

    #[test]
    fn a_say_over_other_units_is_a_gain() {
        for (setting, phrase) in [
            ("Alias=ssh.service", "would also be called ssh.service"),
            ("Also=evil.timer", "would enable with it evil.timer"),
            ("RequiredBy=sysinit.target", "would be what cannot be without it: sysinit.target"),
        ] {
            assert_eq!(with("[Install]\n", &format!("[Install]\n{setting}\n")), [phrase]);
        }
        assert_eq!(
            with("[Service]\n", "[Unit]\nConflicts=ssh.service\n[Service]\n"),
            ["would stop when it starts: ssh.service"]
        );
        assert!(with("[Install]\n", "[Install]\nWantedBy=default.target\n").is_empty());
    }
}
