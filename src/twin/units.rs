//! Which units a twin has. Runs in the twin, so that every path is the twin's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Target, inside, mounts};
use crate::error::{Context, Result};

/// The target that a twin of [`Target::Own`] boots into.
pub(super) const OWN_TARGET: &str = "relift-twin.target";

/// Where logind remembers which accounts linger, loginctl(1).
const LINGER: &str = "/var/lib/systemd/linger";

const OWN_TARGET_TEXT: &str = "\
[Unit]
Description=A throw-away twin of the host
Requires=sysinit.target multi-user.target
After=sysinit.target multi-user.target
AllowIsolate=yes
";

/// Every directory that the system manager or a user manager reads units, drop-ins, presets or generators from, or that
/// starts something by another way: systemd.unit(5), systemd.generator(7), logind's list of lingering accounts, tmpfiles.d(5).
const EMPTIED: [&str; 26] = [
    "/etc/systemd",
    "/etc/xdg/systemd",
    "/etc/tmpfiles.d",
    "/usr/lib/tmpfiles.d",
    "/usr/local/lib/tmpfiles.d",
    "/usr/lib/systemd/system",
    "/usr/lib/systemd/user",
    "/usr/lib/systemd/system.conf.d",
    "/usr/lib/systemd/user.conf.d",
    "/usr/lib/systemd/system-generators",
    "/usr/lib/systemd/user-generators",
    "/usr/lib/systemd/system-environment-generators",
    "/usr/lib/systemd/user-environment-generators",
    "/usr/local/lib/systemd",
    "/usr/local/share/systemd",
    "/usr/share/systemd/user",
    "/usr/share/dbus-1/system-services",
    "/usr/local/share/dbus-1/system-services",
    "/lib/systemd/system",
    "/lib/systemd/user",
    "/lib/systemd/system-generators",
    "/etc/init.d",
    "/etc/rc.d",
    LINGER,
    "/root/.config/systemd",
    "/etc/environment.d",
];

/// What stays of them: a vendor's directory, the names kept in it (drop-in directories come along), and what is wanted there.
struct Kept {
    directory: &'static str,
    names: &'static [&'static str],
    wanted: &'static [(&'static str, &'static [&'static str])],
}

const KEPT: [Kept; 4] = [
    Kept {
        directory: "/usr/lib/systemd/system",
        names: &[
            "basic.target",
            "sysinit.target",
            "local-fs-pre.target",
            "local-fs.target",
            "remote-fs-pre.target",
            "remote-fs.target",
            "swap.target",
            "sockets.target",
            "timers.target",
            "paths.target",
            "slices.target",
            "multi-user.target",
            "network-pre.target",
            "network.target",
            "network-online.target",
            "nss-lookup.target",
            "nss-user-lookup.target",
            "time-set.target",
            "time-sync.target",
            "user.slice",
            "user-.slice",
            "shutdown.target",
            "umount.target",
            "final.target",
            "exit.target",
            "halt.target",
            "poweroff.target",
            "reboot.target",
            "systemd-exit.service",
            "systemd-halt.service",
            "systemd-poweroff.service",
            "systemd-reboot.service",
            "systemd-journald.service",
            "systemd-journald.socket",
            "systemd-journald-dev-log.socket",
            "systemd-journald@.service",
            "systemd-journald@.socket",
            "systemd-logind.service",
            "systemd-user-sessions.service",
            "systemd-tmpfiles-setup.service",
            "dbus-org.freedesktop.login1.service",
            "dbus.service",
            "dbus.socket",
            "dbus-broker.service",
            "user@.service",
            "user@0.service",
            "user-runtime-dir@.service",
        ],
        wanted: &[
            ("sysinit.target", &["systemd-journald.service", "systemd-tmpfiles-setup.service"]),
            ("sockets.target", &["systemd-journald.socket", "systemd-journald-dev-log.socket", "dbus.socket"]),
            ("multi-user.target", &["systemd-logind.service", "systemd-user-sessions.service"]),
        ],
    },
    Kept {
        directory: "/usr/lib/systemd/user",
        names: &[
            "basic.target",
            "default.target",
            "sockets.target",
            "timers.target",
            "paths.target",
            "shutdown.target",
            "exit.target",
            "app.slice",
            "session.slice",
            "background.slice",
            "systemd-exit.service",
            "dbus.service",
            "dbus.socket",
            "dbus-broker.service",
        ],
        wanted: &[("sockets.target", &["dbus.socket"])],
    },
    Kept {
        directory: "/usr/lib/tmpfiles.d",
        names: &["systemd.conf", "systemd-nologin.conf", "systemd-tmp.conf", "dbus.conf", "legacy.conf", "var.conf"],
        wanted: &[],
    },
    Kept {
        directory: "/usr/share/dbus-1/system-services",
        names: &["org.freedesktop.systemd1.service", "org.freedesktop.login1.service"],
        wanted: &[],
    },
];

/// Units that a twin of [`Target::Full`] does without: terminals, hardware, the host's network and clock, and jobs that would
/// load the host.
const MASKED: [&str; 25] = [
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
    "console-getty.service",
    "getty-static.service",
    "systemd-timesyncd.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-resolved.service",
    "systemd-udevd.service",
    "systemd-udevd-kernel.socket",
    "systemd-udevd-control.socket",
    "systemd-udev-trigger.service",
    "systemd-udev-settle.service",
    "networking.service",
    "cron.service",
    "e2scrub_reap.service",
    "postgresql.service",
    "docker.service",
    "docker.socket",
    "containerd.service",
    "systemd-journald-audit.socket",
    "systemd-pstore.service",
    "systemd-update-utmp.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
];
const MASKED_TIMERS: [&str; 9] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "man-db.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "dpkg-db-backup.timer",
    "logrotate.timer",
    "systemd-tmpfiles-clean.timer",
    "update-notifier-download.timer",
];

/// Gives the twin its units.
pub(super) fn curate(target: Target) -> Result<()> {
    match target {
        Target::Own => own(),
        Target::Full => {
            MASKED.iter().chain(&MASKED_TIMERS).try_for_each(|unit| mask(unit))?;
            // Accounts of the host would have their own services started.
            [Path::new(LINGER)].into_iter().filter(|path| path.is_dir()).try_for_each(empty)
        }
    }
}

fn mask(unit: &str) -> Result<()> {
    let path = Path::new("/etc/systemd/system").join(unit);
    if fs::symlink_metadata(&path).is_ok() {
        fs::remove_file(&path).with_context(|| format!("{unit} cannot be masked in the twin"))?;
    }
    symlink("/dev/null", &path).with_context(|| format!("{unit} cannot be masked in the twin"))
}

/// The contents of a kept file, read before the directories are emptied.
struct Survivor {
    path: PathBuf,
    text: Vec<u8>,
}

fn own() -> Result<()> {
    let survivors: Vec<Survivor> = KEPT.iter().flat_map(survivors).collect();
    EMPTIED.iter().map(Path::new).filter(|path| path.is_dir()).try_for_each(empty)?;
    for Survivor { path, text } in &survivors {
        mounts::directory(path.parent().unwrap_or(path), 0o755)?;
        fs::write(path, text).with_context(|| format!("{} cannot be written in the twin", path.display()))?;
    }
    KEPT.iter().try_for_each(want)?;
    ["/etc/systemd/system", "/etc/systemd/user", LINGER]
        .iter()
        .try_for_each(|path| mounts::directory(Path::new(path), 0o755))?;
    let directory = KEPT[0].directory;
    symlink(OWN_TARGET, Path::new(directory).join("default.target")).context("the twin gets no default target")?;
    inside::replace(&format!("{directory}/{OWN_TARGET}"), OWN_TARGET_TEXT)
}

fn survivors(kept: &Kept) -> Vec<Survivor> {
    let read = |name: &str| find(kept.directory, name).and_then(|from| fs::read(from).ok());
    let files = kept
        .names
        .iter()
        .filter_map(|name| Some(Survivor { path: Path::new(kept.directory).join(name), text: read(name)? }));
    // Vendors' drop-ins belong to the unit; an administrator's in /etc are the host's own.
    let drop_ins = kept.names.iter().flat_map(|name| {
        let directory = Path::new(kept.directory).join(format!("{name}.d"));
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(Survivor { text: fs::read(entry.path()).ok()?, path: entry.path() }))
    });
    files.chain(drop_ins).collect()
}

/// The vendor's file; where it is an alias that the administrator's directory decides (`dbus.service`), what that points to.
fn find(directory: &str, name: &str) -> Option<PathBuf> {
    let vendor = Path::new(directory).join(name);
    let kind = Path::new(directory).file_name()?;
    let chosen = Path::new("/etc/systemd").join(kind).join(name);
    [chosen.canonicalize().ok().filter(|path| path.starts_with("/usr/lib")), Some(vendor)]
        .into_iter()
        .flatten()
        .find(|path| path.is_file())
}

fn want(kept: &Kept) -> Result<()> {
    for (target, units) in kept.wanted {
        let wants = Path::new(kept.directory).join(format!("{target}.wants"));
        mounts::directory(&wants, 0o755)?;
        for unit in units.iter().filter(|unit| Path::new(kept.directory).join(unit).exists()) {
            symlink(format!("../{unit}"), wants.join(unit))
                .with_context(|| format!("{unit} is not wanted in the twin"))?;
        }
    }
    Ok(())
}

fn empty(path: &Path) -> Result<()> {
    // A symlink to a directory is followed: what counts is what systemd finds there.
    let path = path.canonicalize().with_context(|| format!("{} cannot be resolved in the twin", path.display()))?;
    let entries = fs::read_dir(&path).with_context(|| format!("{} cannot be listed in the twin", path.display()))?;
    for entry in entries.flatten() {
        let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if directory { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        removed.with_context(|| format!("{} cannot be removed in the twin", entry.path().display()))?;
    }
    Ok(())
}
