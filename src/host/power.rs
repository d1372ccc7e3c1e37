//! What the host runs on, as ConditionACPower= of systemd.unit(5) sees it.

use std::path::Path;

/// Whether it runs on battery, by `/sys/class/power_supply` of `sys`. A host of which nothing is known runs on mains.
pub fn is_on_battery(sys: &Path) -> bool {
    let Ok(supplies) = std::fs::read_dir(sys.join("class/power_supply")) else { return false };
    let (mut is_plugged, mut is_unplugged, mut is_draining) = (false, false, false);
    for supply in supplies.flatten() {
        let read = |name: &str| std::fs::read_to_string(supply.path().join(name)).unwrap_or_default().trim().to_owned();
        match read("type").as_str() {
            "Mains" if read("online") == "0" => is_unplugged = true,
            "Mains" => is_plugged = true,
            "USB" if read("online") == "1" => is_plugged = true,
            // The battery of a mouse is not the host's.
            "Battery" | "UPS" if read("scope") != "Device" => is_draining |= read("status") == "Discharging",
            _ => {}
        }
    }
    !is_plugged && (is_unplugged || is_draining)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_runs_on_battery_when_nothing_plugged_in_gives_power() {
        type Supply = &'static [(&'static str, &'static str)];
        let cases: [(&[Supply], bool); 8] = [
            (&[], false),
            (&[&[("type", "Mains"), ("online", "1")], &[("type", "Battery"), ("status", "Discharging")]], false),
            (&[&[("type", "Mains"), ("online", "0")], &[("type", "Battery"), ("status", "Discharging")]], true),
            (&[&[("type", "Mains"), ("online", "0")], &[("type", "Mains"), ("online", "1")]], false),
            (&[&[("type", "Battery"), ("status", "Full")]], false),
            (&[&[("type", "UPS"), ("status", "Discharging")]], true),
            (&[&[("type", "Battery"), ("status", "Discharging"), ("scope", "Device")]], false),
            (&[&[("type", "USB"), ("online", "1")], &[("type", "Mains"), ("online", "0")]], false),
        ];
        for (supplies, expected) in cases {
            let place = tempfile::tempdir().unwrap();
            for (at, supply) in supplies.iter().enumerate() {
                let directory = place.path().join(format!("class/power_supply/{at}"));
                std::fs::create_dir_all(&directory).unwrap();
                supply
                    .iter()
                    .for_each(|(name, text)| std::fs::write(directory.join(name), format!("{text}\n")).unwrap());
            }
            assert_eq!(is_on_battery(place.path()), expected, "{supplies:?}");
        }
    }
}
