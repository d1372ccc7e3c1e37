//! Where a hook does nothing at all: on what is no running host, and where a policy says so. Pure.

use crate::host::maintenance::Policy;

/// What a hook finds around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The caller is root.
    pub is_root: bool,
    /// systemd runs here, sd_booted(3).
    pub is_booted: bool,
    /// `/` is that of PID 1; `None`: that cannot be told.
    pub is_pid1s_root: Option<bool>,
    /// `SYSTEMD_OFFLINE` says that no manager is to be talked to, systemctl(1).
    pub is_offline: bool,
    /// `DPKG_ROOT` names another root, dpkg(1).
    pub has_other_root: bool,
    /// `RELIFT_HOOKS=no`.
    pub is_switched_off: bool,
}

impl Circumstances {
    /// Why nothing is done; `None`: something is.
    pub fn silence(&self) -> Option<&'static str> {
        match () {
            () if self.is_switched_off => Some("RELIFT_HOOKS says no"),
            () if !self.is_root => Some("the caller is not root"),
            () if self.has_other_root => Some("the packages are those of another root"),
            () if self.is_offline => Some("SYSTEMD_OFFLINE is set"),
            () if !self.is_booted => Some("systemd does not run here: an image that is built, or a chroot"),
            () if self.is_pid1s_root != Some(true) => Some("this is a chroot"),
            () => None,
        }
    }
}

/// Whether an environment variable means yes, as systemd reads it.
pub fn is_yes(value: Option<&str>) -> bool {
    value.is_some_and(|value| ["1", "yes", "y", "true", "t", "on"].contains(&value.to_ascii_lowercase().as_str()))
}

/// Whether an environment variable means no.
pub fn is_no(value: Option<&str>) -> bool {
    value.is_some_and(|value| ["0", "no", "n", "false", "f", "off"].contains(&value.to_ascii_lowercase().as_str()))
}

/// Whether the policy of this host lets packages restart services.
pub fn is_allowed(policy: &Policy) -> bool {
    match policy {
        Policy::Absent => true,
        Policy::Said(exit, printed) => policy_allows(*exit, printed),
        Policy::Unheard => false,
    }
}

/// Whether `policy-rc.d relift restart` allows the restart, as invoke-rc.d(8) takes its exit status: 0, 104 allowed; 1, 105 no policy;
/// 106 the actions that it prints instead; everything else not. `None`: it did not end in time.
fn policy_allows(exit: Option<i32>, printed: &str) -> bool {
    match exit {
        Some(0 | 1 | 104 | 105) => true,
        Some(106) => printed.split_whitespace().any(|action| action == "restart"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Circumstances = Circumstances {
        is_root: true,
        is_booted: true,
        is_pid1s_root: Some(true),
        is_offline: false,
        has_other_root: false,
        is_switched_off: false,
    };

    #[test]
    fn only_a_running_host_is_asked_anything() {
        assert_eq!(HOST.silence(), None);
        for (others, says) in [
            (Circumstances { is_root: false, ..HOST }, "not root"),
            (Circumstances { is_booted: false, ..HOST }, "an image"),
            (Circumstances { is_pid1s_root: Some(false), ..HOST }, "chroot"),
            (Circumstances { is_pid1s_root: None, ..HOST }, "chroot"),
            (Circumstances { is_offline: true, ..HOST }, "SYSTEMD_OFFLINE"),
            (Circumstances { has_other_root: true, ..HOST }, "another root"),
            (Circumstances { is_switched_off: true, ..HOST }, "RELIFT_HOOKS"),
        ] {
            assert!(others.silence().is_some_and(|why| why.contains(says)), "{others:?}");
        }
    }

    #[test]
    fn policy_rc_d_is_understood_as_invoke_rc_d_does() {
        let allowed = |exit| policy_allows(Some(exit), "");
        assert!([0, 1, 104, 105].into_iter().all(allowed));
        assert!(![100, 101, 102, 103, 106, 2, 127].into_iter().any(allowed));
        assert!(policy_allows(Some(106), "stop restart\n") && !policy_allows(Some(106), "force-restart"));
        assert!(!policy_allows(None, "restart"), "it did not end in time");
        assert!(is_allowed(&Policy::Absent) && !is_allowed(&Policy::Unheard), "no policy, and one that is broken");
        assert!(!is_allowed(&Policy::Said(Some(101), String::new())));
    }

    #[test]
    fn variables_mean_what_systemd_takes_them_for() {
        assert!(is_yes(Some("1")) && is_yes(Some("Yes")) && !is_yes(Some("")) && !is_yes(None) && !is_yes(Some("no")));
        assert!(is_no(Some("no")) && is_no(Some("0")) && !is_no(None) && !is_no(Some("yes")));
    }
}
