//! The clock, time zones and the locale.

use super::Finding;
use super::Section::Clock;

/// What is known of the clock.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Seconds since the epoch, now.
    pub now: i64,
    /// When this program was put here, by the file's time.
    pub built: Option<i64>,
    /// When the newest run here began.
    pub newest: Option<i64>,
    /// Whether the kernel says that something keeps the clock right, adjtimex(2).
    pub is_synchronised: Option<bool>,
    /// Why the time zone of this host cannot be had.
    pub zone_fault: Option<String>,
    /// Names of zones in the windows of manifests that the data base does not have.
    pub unknown_zones: Vec<String>,
    /// Whether there is a time zone data base at all.
    pub has_zones: bool,
    /// Whether the locale `C.UTF-8`, which children get, is there.
    pub has_locale: bool,
}

/// A clock this far off does not matter.
const SLACK: i64 = 120;

/// What is found about the clock.
pub fn judge(seen: &Observed) -> Vec<Finding> {
    let mut found = vec![time(seen)];
    found.push(match seen.is_synchronised {
        Some(true) => Finding::ok(Clock, "synchronisation", "the kernel says that the clock is kept right"),
        Some(false) => Finding::warning(Clock, "synchronisation", "nothing keeps the clock right")
            .means("windows, certificates and the ages of backups are judged by it")
            .mend("timedatectl set-ntp true"),
        None => Finding::warning(Clock, "synchronisation", "the kernel does not say whether the clock is kept right")
            .mend("timedatectl timesync-status"),
    });
    found.push(match (&seen.zone_fault, seen.unknown_zones.as_slice()) {
        (_, [first, ..]) => Finding::problem(Clock, "time zones", format!("this host does not know {first}"))
            .means("a window that names it is refused, and unattended runs do not start")
            .mend("apt-get install tzdata"),
        _ if !seen.has_zones => Finding::warning(Clock, "time zones", "there is no time zone data base")
            .means("a window that names a zone would be refused")
            .mend("apt-get install tzdata"),
        (Some(why), _) => {
            Finding::warning(Clock, "time zones", format!("this host's own time zone cannot be had: {why}"))
                .means("times are shown as UTC")
                .mend("timedatectl set-timezone Europe/Paris")
        }
        _ => Finding::ok(Clock, "time zones", "the data base is there"),
    });
    found.push(match seen.has_locale {
        true => Finding::ok(Clock, "locale", "C.UTF-8 is there"),
        false => Finding::warning(Clock, "locale", "there is no locale C.UTF-8")
            .means("steps see names that are not ASCII as bytes")
            .mend("apt-get install libc-bin"),
    });
    found
}

fn time(seen: &Observed) -> Finding {
    let shown = |time: i64| jiff::Timestamp::from_second(time).map(|time| time.to_string()).unwrap_or_default();
    let wrong = |what: String, means: &str| {
        Finding::problem(Clock, "time", what).means(means).mend("timedatectl set-ntp true, or date --set")
    };
    match (seen.built, seen.newest) {
        (_, Some(newest)) if newest > seen.now + SLACK => wrong(
            format!("it is {}, and the newest run here was at {}: the clock went back", shown(seen.now), shown(newest)),
            "what is newest is told by order and not by time; windows open at the wrong hour",
        ),
        (Some(built), _) if built > seen.now + SLACK => wrong(
            format!("it is {}, before this program was put here ({})", shown(seen.now), shown(built)),
            "certificates count as not yet valid, and windows open at the wrong hour",
        ),
        _ => Finding::ok(Clock, "time", shown(seen.now)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level::*;
    use super::*;

    fn sound() -> Observed {
        let now = 1_800_000_000;
        Observed {
            now,
            built: Some(now - 9),
            newest: Some(now - 5),
            is_synchronised: Some(true),
            zone_fault: None,
            unknown_zones: vec![],
            has_zones: true,
            has_locale: true,
        }
    }

    #[test]
    fn each_thing_about_the_clock_has_its_finding() {
        let levels = |seen: Observed| judge(&seen).iter().map(|finding| finding.level).collect::<Vec<_>>();
        assert_eq!(levels(sound()), [Ok; 4]);
        assert_eq!(levels(Observed { now: 0, ..sound() })[0], Problem);
        assert_eq!(levels(Observed { newest: Some(1_900_000_000), ..sound() })[0], Problem);
        assert_eq!(levels(Observed { newest: None, built: Some(1_900_000_000), ..sound() })[0], Problem);
        assert_eq!(levels(Observed { newest: Some(1_800_000_060), ..sound() })[0], Ok);
        assert_eq!(levels(Observed { is_synchronised: Some(false), ..sound() })[1], Warning);
        assert_eq!(levels(Observed { is_synchronised: None, ..sound() })[1], Warning);
        assert_eq!(levels(Observed { unknown_zones: vec!["Mars/Base".into()], ..sound() })[2], Problem);
        assert_eq!(levels(Observed { zone_fault: Some("gone".into()), ..sound() })[2], Warning);
        assert_eq!(levels(Observed { has_zones: false, ..sound() })[2], Warning);
        assert_eq!(levels(Observed { has_locale: false, ..sound() })[3], Warning);
    }
}
