//! The clock that nobody sets, and the one that people read.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// A time of a boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// `/proc/sys/kernel/random/boot_id`.
    pub id: String,
    /// `CLOCK_BOOTTIME`: seconds since it began, suspends included.
    pub seconds: i64,
}

/// This boot, now; `None` where the kernel does not tell which it is.
pub fn boot() -> Option<Boot> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec that outlives the call.
    let is_told = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut now) } == 0;
    is_told.then_some(Boot { id, seconds: now.tv_sec })
}

/// `CLOCK_MONOTONIC`, as systemd's `...TimestampMonotonic` properties have it: the time since boot without suspends.
pub fn monotonic() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec that outlives the call; the clock always exists, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    Duration::new(u64::try_from(now.tv_sec).unwrap_or_default(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Seconds since the epoch.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The host's own time zone, localtime(5), or the one that `TZ` names in its place; UTC where there is none.
///
/// That file is read as it is: to find its name means to look through all zones that there are.
pub fn zone() -> TimeZone {
    static ZONE: LazyLock<TimeZone> = LazyLock::new(|| {
        let host = || TimeZone::tzif("localtime", &std::fs::read("/etc/localtime").ok()?).ok();
        let own = if std::env::var_os("TZ").is_none() { host() } else { None };
        own.unwrap_or_else(|| TimeZone::try_system().unwrap_or(TimeZone::UTC))
    });
    ZONE.clone()
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_goes_on() {
        let first = super::monotonic();
        assert!(first > std::time::Duration::ZERO);
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(super::monotonic() > first);
    }
}
