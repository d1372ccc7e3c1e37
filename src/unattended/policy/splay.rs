//! This host's place among those that share a window: always the same, and told by nothing that anybody knows.

use std::path::Path;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::host::identity;

/// What stands for this program where a host's id is made one for it.
const APPLICATION: [u8; 16] =
    [0x3c, 0x0e, 0x52, 0x9d, 0x1b, 0x7f, 0x4a, 0x66, 0x9b, 0x21, 0xd4, 0x8e, 0x05, 0xfa, 0x73, 0xc8];

/// The place of an install of this host, in 2^64 parts; where the host has no id yet, by its name. `root` is the host's.
pub fn place(root: &Path, install: &str) -> u64 {
    let host = match identity::machine_id(root) {
        Some(id) => app_specific(&id, &APPLICATION).to_vec(),
        None => identity::name().into_encoded_bytes(),
    };
    of(&host, install)
}

/// That part of a span.
pub(super) fn share(span: Duration, place: u64) -> Duration {
    let nanos = span.as_nanos().min(u128::from(u64::MAX));
    // Less than the span: to whole seconds, for whoever reads it.
    Duration::from_secs(u64::try_from((nanos * u128::from(place)) >> 64).unwrap_or_default() / 1_000_000_000)
}

fn of(host: &[u8], install: &str) -> u64 {
    let digest = hmac(host, install.as_bytes());
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// As sd_id128_get_machine_app_specific(3): what identifies the host is told to nobody.
fn app_specific(machine: &[u8; 16], application: &[u8; 16]) -> [u8; 16] {
    let digest = hmac(machine, application);
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    // A UUID of version 4.
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    // A key of any length is one.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
        mac.update(text);
        digest.copy_from_slice(&mac.finalize().into_bytes());
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_to_us_by_the_id_that_systemd_would_give_us() {
        let ours = identity::machine_id(Path::new("/"));
        let hex = |id: &[u8; 16]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let output = std::process::Command::new("systemd-id128")
            .args(["machine-id", &format!("--app-specific={}", hex(&APPLICATION))])
            .output()
            .unwrap();
        // Where the machine has no id, systemd has none to give either.
        let theirs = output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        assert_eq!(ours.map(|id| hex(&app_specific(&id, &APPLICATION))), theirs);
    }

    #[test]
    fn ten_thousand_hosts_spread_evenly_over_the_splay() {
        let splay = Duration::from_secs(7200);
        let mut bins = [0u32; 100];
        for host in 0..10_000u128 {
            // Neighbours, as an image that counts would give them.
            let place = of(&app_specific(&(host + 1).to_be_bytes(), &APPLICATION), "app");
            let at = share(splay, place);
            assert!(at < splay);
            bins[at.as_secs() as usize / 72] += 1;
        }
        // 99 degrees of freedom: 148.2 is exceeded once in a thousand times by what is even.
        let chi: f64 = bins.iter().map(|count| (f64::from(*count) - 100.0).powi(2) / 100.0).sum();
        assert!(chi < 148.2, "{chi} {bins:?}");
    }

    #[test]
    fn the_place_stays_and_differs_between_installs_and_a_host_without_an_id_has_one() {
        let place_of = |id: Option<&str>, install: &str| {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir(root.path().join("etc")).unwrap();
            id.iter().for_each(|id| std::fs::write(root.path().join("etc/machine-id"), id).unwrap());
            place(root.path(), install)
        };
        let id = Some("0123456789abcdef0123456789abcdef\n");
        assert_eq!(place_of(id, "app"), place_of(id, "app"));
        assert_ne!(place_of(id, "app"), place_of(id, "other"));
        assert_ne!(place_of(id, "app"), place_of(Some("1123456789abcdef0123456789abcdef\n"), "app"));
        let nameless = of(&nix::unistd::gethostname().unwrap().into_encoded_bytes(), "app");
        for none in [None, Some(""), Some("uninitialized\n"), Some("0\n"), Some("00000000000000000000000000000000\n")] {
            assert_eq!(place_of(none, "app"), nameless, "{none:?}");
        }
    }
}
