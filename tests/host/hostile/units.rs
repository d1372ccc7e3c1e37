//! Units: what upstream may write into one that is installed for the system.

use super::{Ground, Input, ground, run};

const UNIT: &str = "manager/production/sample-manager.service";

/// The manager's unit, changed.
fn unit(on: &Ground, old: &str, new: &str) {
    let text = on.forge().read(UNIT);
    assert!(text.contains(old), "{text}");
    on.forge().file(UNIT, text.replacen(old, new, 1));
}

/// The unit with more bytes behind it.
fn appended(on: &Ground, bytes: &[u8]) {
    let text = on.forge().read(UNIT);
    on.forge().file(UNIT, [text.as_bytes(), b"\n", bytes].concat());
}

/// Refused without a word of the operator's; a release that is named is one that was looked at.
const GAIN: i32 = 2;

pub const INPUTS: &[Input] = &[
    Input::refused(
        "without User=",
        |on| unit(on, "User=app\n", ""),
        GAIN,
        &["would run as root and not as app any more", "state: nothing was changed"],
    ),
    Input::refused(
        "User=root",
        |on| unit(on, "User=app\n", "User=root\n"),
        GAIN,
        &["would run as root and not as app any more"],
    ),
    Input::refused(
        "User= once more, empty",
        |on| unit(on, "User=app\n", "User=app\nUser=\n"),
        GAIN,
        &["would run as root"],
    ),
    Input::refused(
        "a + before a command",
        |on| unit(on, "[Service]\n", "[Service]\nExecStartPre=+/bin/touch /tmp/owned-plus\n"),
        GAIN,
        &["as root, whatever its User="],
    ),
    Input::refused(
        "a ! before a command, behind a line that goes on",
        |on| unit(on, "[Service]\n", "[Service]\nExecStartPre=\\\n!/bin/touch /tmp/owned-mark\n"),
        GAIN,
        &["as root, whatever its User="],
    ),
    Input::refused(
        "a group that is as good as root",
        |on| unit(on, "[Service]\n", "[Service]\nSupplementaryGroups=shadow disk\n"),
        GAIN,
        &["would be in the group shadow"],
    ),
    Input::refused(
        "capabilities",
        |on| unit(on, "[Service]\n", "[Service]\nAmbientCapabilities=CAP_SYS_ADMIN\n"),
        GAIN,
        &["would have the capability CAP_SYS_ADMIN"],
    ),
    Input::refused(
        "a file of root's as its environment",
        |on| unit(on, "[Service]\n", "[Service]\nEnvironmentFile=/srv/canary/secret\n"),
        GAIN,
        &["would be given what root opens: EnvironmentFile=/srv/canary/secret"],
    ),
    Input::refused(
        "an alias of ssh.service",
        |on| unit(on, "[Install]\n", "[Install]\nAlias=ssh.service\n"),
        GAIN,
        &["would also be called ssh.service"],
    ),
    Input::refused(
        "required by what boots the host",
        |on| unit(on, "[Install]\n", "[Install]\nRequiredBy=sysinit.target\n"),
        GAIN,
        &["sysinit.target"],
    ),
    Input::refused(
        "enables another unit",
        |on| unit(on, "[Install]\n", "[Install]\nAlso=systemd-journald.service\n"),
        GAIN,
        &["would enable with it systemd-journald.service"],
    ),
    Input::refused(
        "stops another unit",
        |on| unit(on, "[Unit]\n", "[Unit]\nConflicts=systemd-journald.service\n"),
        GAIN,
        &["would stop when it starts: systemd-journald.service"],
    ),
    Input::harmless("specifiers that lead to what is root's", |on| {
        unit(on, "[Service]\n", "[Service]\nEnvironment=A=%h/.ssh B=%d C=%t/../x D=%%i\nReadWritePaths=-%S/canary\n")
    }),
    Input::refused("a NUL", |on| appended(on, b"[Service]\nNice=\x001\n"), 1, &["state: nothing was changed"]),
    Input::refused(
        "a line of 2 MB",
        |on| appended(on, format!("# {}\n", "x".repeat(2_000_000)).as_bytes()),
        1,
        &["state: nothing was changed"],
    ),
    Input::refused(
        "a link to /dev/null",
        |on| drop(on.forge().link(UNIT, "/dev/null")),
        1,
        &["is no plain file", "state: nothing was changed"],
    ),
    Input::harmless("3,000 sections", |on| appended(on, "[X-Section]\nKey=1\n".repeat(3000).as_bytes())),
    Input::harmless("other units beside it, which nobody declared", |on| {
        drop(on.forge().file("manager/production/ssh.service", "[Service]\nExecStart=/bin/touch /tmp/owned-ssh\n"))
    }),
];

#[test]
fn a_hostile_unit_is_refused_or_does_no_harm() {
    run("units", INPUTS, ground::quick);
}
