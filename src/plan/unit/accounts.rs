//! The accounts that a unit runs as, systemd.exec(5) and systemd.socket(5).

use super::settings::Settings;

/// `User=`, `Group=`, `SupplementaryGroups=`, `SocketUser=` and `SocketGroup=` with the names in effect: not those that only a manager
/// can tell (specifiers), no numbers, and no account that systemd makes itself (`DynamicUser=`).
pub fn accounts(unit: &str, drop_ins: &[&str]) -> Vec<(String, String)> {
    let settings = Settings::of(unit, drop_ins);
    let values = |section: &str, key: &str| -> Vec<String> {
        let values = settings.values(&(section.to_owned(), key.to_owned())).iter();
        values.flat_map(|(_, value)| value.split_ascii_whitespace()).map(str::to_owned).collect()
    };
    let sections = ["Service", "Socket", "Mount"];
    let is_dynamic = values("Service", "DynamicUser")
        .iter()
        .any(|value| ["yes", "true", "on", "1", "y", "t"].contains(&value.as_str()));
    let keys = sections.iter().flat_map(|section| {
        let keys: &[&str] = match *section {
            "Socket" => &["SocketUser", "SocketGroup", "User", "Group", "SupplementaryGroups"],
            "Service" if is_dynamic => &["SupplementaryGroups"],
            _ => &["User", "Group", "SupplementaryGroups"],
        };
        keys.iter().map(move |key| (*section, *key))
    });
    let named =
        keys.flat_map(|(section, key)| values(section, key).into_iter().map(move |name| (key.to_owned(), name)));
    named.filter(|(_, name)| !name.contains('%') && !name.chars().all(|c| c.is_ascii_digit())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_those_in_effect_and_that_a_host_must_have() {
        let of = |text: &str, drop_in: &str| -> Vec<String> {
            accounts(text, &[drop_in]).into_iter().map(|(key, name)| format!("{key}={name}")).collect()
        };
        let unit = "[Service]\nUser=app\nGroup=app\nSupplementaryGroups=audio video\n";
        assert_eq!(of(unit, ""), ["User=app", "Group=app", "SupplementaryGroups=audio", "SupplementaryGroups=video"]);
        assert_eq!(of(unit, "[Service]\nUser=other\nSupplementaryGroups=\n"), ["User=other", "Group=app"]);
        assert!(of("[Service]\nUser=%i\nGroup=1000\n", "").is_empty());
        assert!(of(unit, "[Service]\nDynamicUser=yes\nSupplementaryGroups=\n").is_empty());
        assert_eq!(
            of("[Socket]\nSocketUser=www-data\nSocketGroup=web\n", ""),
            ["SocketUser=www-data", "SocketGroup=web"]
        );
    }
}
