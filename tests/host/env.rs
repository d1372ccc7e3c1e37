//! `.env` files of every shape: nothing of the operator's is lost, and what cannot be merged stops a run before it begins.

use crate::harness::{Host, Out};
use crate::terminal::dialogue;

const ENV: &str = "/opt/app/manager/.env";

/// What is done to the file, and what relift says then.
struct Trouble {
    what: &'static str,
    script: &'static str,
    code: i32,
    says: &'static [&'static str],
}

fn says(out: &Out, words: &[&str]) {
    for word in words {
        assert!(out.stderr.contains(word), "this is missing: {word}\n{out}");
    }
}

#[test]
fn a_file_that_cannot_be_merged_stops_the_upgrade_and_nothing_is_changed() {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0").env_key("manager", "GREETING", "hello", "What it says."));
    host.must(&format!("cp -a {ENV} /root/kept; echo ROOTS=s3cr3t-canary-of-root > /root/other"));
    let troubles = [
        Trouble {
            what: "missing",
            script: "rm .env",
            code: 1,
            says: &["manager/.env is missing", "but sample-manager.service runs", "next:  put manager/.env back"],
        },
        Trouble {
            what: "a directory",
            script: "rm .env; mkdir .env",
            code: 1,
            says: &["manager/.env is not read", "it is no regular file"],
        },
        Trouble {
            what: "a FIFO",
            script: "rm .env; mkfifo .env",
            code: 1,
            says: &["manager/.env is not read", "it is no regular file"],
        },
        Trouble {
            what: "a link to a file of root's",
            script: "rm .env; ln -s /root/other .env",
            code: 1,
            says: &[
                "manager/.env cannot be read",
                "symbolic link",
                "next:  replace the link by a file: cp --remove-destination",
            ],
        },
        Trouble {
            what: "two hard links",
            script: "ln .env data.env",
            code: 1,
            says: &["manager/.env is not read", "more than one hard link"],
        },
        Trouble {
            what: "an open quote",
            script: "printf 'OPEN=\"s3cr3t-canary-open\\nNEXT=1\\n' >> .env",
            code: 1,
            says: &[
                "manager/.env cannot be compared",
                "a quote in line 11 of the file is never closed",
                "next:  close it",
            ],
        },
        Trouble {
            what: "not UTF-8",
            script: "printf '# caf\\351\\n' >> .env",
            code: 1,
            says: &[
                "line 11 of manager/.env is not UTF-8: systemd and dotenv libraries refuse such a file",
                "next:  write it in UTF-8",
            ],
        },
        Trouble {
            what: "a key that a probe asks for",
            script: "sed -i 's/^API_TOKEN=/OTHER_TOKEN=/' .env",
            code: 1,
            says: &["a health probe of manager uses ${API_TOKEN}, which no `.env` of it has", "/etc/relift/app.toml"],
        },
    ];
    for Trouble { what, script, code, says: words } in troubles {
        host.must(&format!("cd /opt/app/manager; {script}"));
        let before = host.snapshot();
        let out = host.relift(&["upgrade", "app", "--yes"]).exits(code);
        says(&out, words);
        says(&out, &["state: nothing was changed"]);
        host.assert_no_secret(&out);
        let difference = before.difference(&host.snapshot());
        assert!(difference.is_empty(), "{what}: {difference}");
        host.must(&format!("cd /opt/app/manager; rm -rf .env data.env; cp -a /root/kept {ENV}"));
    }
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn a_merge_keeps_every_byte_and_the_mode_owner_acl_and_attributes() {
    let mut host = Host::with_sample();
    let head = "# mine\r\n".repeat(40);
    let old = format!("{head}{}LOG_LEVEL=info\n# kept: caf\u{e9}\nLAST=no newline", host.read(ENV));
    host.write(ENV, &old, 0o604, "app:git");
    let place = format!("/proc/{}/root{ENV}", host.twin().init());
    // A POSIX ACL: user::rw-, user:0:r--, group::---, mask::r--, other::r--.
    let undefined = 0xffff_ffff_u32;
    let entries = [(1_u16, 6_u16, undefined), (2, 4, 0), (4, 0, undefined), (16, 4, undefined), (32, 4, undefined)];
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        acl.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        acl.extend(id.to_le_bytes());
    }
    set_attribute(&place, "system.posix_acl_access", &acl);
    set_attribute(&place, "trusted.origin", b"by hand");
    let attributes = || [attribute(&place, "system.posix_acl_access"), attribute(&place, "trusted.origin")];
    let (stat, before) = (host.must(&format!("stat -c '%a %U:%G' {ENV}")), attributes());

    host.release(|release| release.next("1.1.0").env_key("manager", "GREETING", "hello", "What it says."));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    says(&out, &[]);
    assert!(out.stdout.contains("warning: manager/.env: line 51 sets LOG_LEVEL again"), "{out}");
    assert!(out.stdout.contains("manager/.env: some lines end in CRLF"), "{out}");
    let new = host.read(ENV);
    let added = new.replacen("\r\n# What it says.\r\nGREETING=hello\r\n", "", 1);
    assert_ne!(added, new, "{new:?}");
    assert_eq!(added, old, "{new:?}");
    assert_eq!(host.must(&format!("stat -c '%a %U:%G' {ENV}")), stat);
    assert_eq!(attributes(), before);

    // It is given back as it was when the release fails.
    host.release(|release| {
        release.next("1.2.0").env_key("manager", "SECOND", "x", "Two.").behaviour("manager", "exit-at-once 1")
    });
    let snapshot = host.snapshot();
    host.relift(&["upgrade", "app", "--yes"]).exits(3);
    snapshot.assert_same(&host.snapshot());
    assert_eq!(attributes(), before);
}

#[test]
fn a_placeholder_stops_who_cannot_be_asked_and_a_terminal_asks() {
    let mut host = Host::with_sample();
    host.release(|release| {
        release.next("1.1.0").env_key("manager", "ADMIN_USERS__admin", "admin", "Who may administer.")
    });
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host.release(|release| {
        release
            .next("1.2.0")
            .edit("manager/.env.example", |text| text.replace("__admin=admin", "__admin=CHANGE_ME_BCRYPT"))
    });
    let before = host.snapshot();
    for words in [["upgrade", "app", "--yes"], ["upgrade", "app", "--unattended"]] {
        let out = host.relift(&words).exits(2);
        says(
            &out,
            &[
                "manager/.env still has the old default of ADMIN_USERS__admin, and upstream now asks for a value of your own",
                "state: nothing was changed",
                "next:  set ADMIN_USERS__admin= in /opt/app/manager/.env",
            ],
        );
    }
    before.assert_same(&host.snapshot());
    host.must(&format!("sed -i 's/^ADMIN_USERS__admin=.*/ADMIN_USERS__admin=bcrypt/' {ENV}"));

    host.release(|release| release.next("1.3.0").env_key("manager", "SMTP_PASSWORD", "CHANGE_ME", "For mail."));
    let before = host.snapshot();
    for words in [["upgrade", "app", "--yes"], ["upgrade", "app", "--unattended"]] {
        let out = host.relift(&words).exits(2);
        says(
            &out,
            &[
                "manager/.env needs a value for the new key SMTP_PASSWORD: its default is a placeholder",
                "add SMTP_PASSWORD= to",
            ],
        );
    }
    before.assert_same(&host.snapshot());
    let out = dialogue(
        &host,
        "relift upgrade app",
        &[
            ("take the [d]efault as it is: ", "e\\n"),
            ("SMTP_PASSWORD (not shown", "s3cr3t-canary-typed\\n"),
            ("Go on?", "y"),
        ],
    )
    .exits(0);
    assert!(out.stdout.contains("# For mail."), "the comment explains what is asked\n{out}");
    host.assert_no_secret(&out);
    assert!(host.read(ENV).ends_with("\n# For mail.\nSMTP_PASSWORD=s3cr3t-canary-typed\n"));
    assert_eq!(host.answers("manager").as_deref(), Some("1.3.0"));
    assert_eq!(
        host.must(
            "grep -rl s3cr3t-canary-typed /var/lib/relift /var/cache/relift /run/relift | grep -v /content/ || :"
        ),
        ""
    );
}

fn set_attribute(path: &str, name: &str, value: &[u8]) {
    let (path, name) = (std::ffi::CString::new(path).unwrap(), std::ffi::CString::new(name).unwrap());
    // SAFETY: both strings end in NUL, and the length is that of the value.
    let done = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    assert_eq!(done, 0, "{name:?}: {}", std::io::Error::last_os_error());
}

fn attribute(path: &str, name: &str) -> Vec<u8> {
    let (path, name) = (std::ffi::CString::new(path).unwrap(), std::ffi::CString::new(name).unwrap());
    let mut value = vec![0; 256];
    // SAFETY: both strings end in NUL, and the buffer is as long as is said.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(length).unwrap_or_else(|_| panic!("{name:?}: {}", std::io::Error::last_os_error())));
    value
}
