//! Signatures: what is not signed as the manifest wants it reaches nothing.

use relift::sample::Site;

use crate::harness::Host;

/// What a hostile input is, how it is planted, and what must happen.
pub struct Input {
    /// What it is.
    pub name: &'static str,
    /// Plants it upstream as release `$V`, with the functions of `keys.sh`; `$base` is what is installed.
    plant: &'static str,
    /// What must happen.
    must: Must,
}

/// What must happen.
enum Must {
    /// The upgrade ends with this exit status and says this, and nothing is changed.
    Refused(i32, &'static str),
    /// It is as good as not there.
    Ignored,
    /// The plan says this: no attack, although it looks like one.
    Accepted(&'static str),
}

use Must::{Accepted, Ignored, Refused};

/// Tags, where `signed = "tag"`.
pub const TAGS: &[Input] = &[
    Input {
        name: "a wrong key",
        plant: "tag v$V $(commit $base $V) stranger",
        must: Refused(2, "which is not in /etc/relift/app.signers"),
    },
    Input {
        name: "a certificate of the right authority for another principal",
        plant: "c=$(commit $base $V); { payload v$V $c; payload v$V $c | sign member-cert.pub; } | forge v$V",
        must: Refused(2, "is for another principal than /etc/relift/app.signers allows"),
    },
    Input {
        name: "an expired key",
        plant: "tag v$V $(commit $base $V) expired",
        must: Refused(2, "has expired (valid-before in /etc/relift/app.signers)"),
    },
    Input {
        name: "a backdated tag by an expired key",
        plant: "c=$(commit $base $V); GIT_COMMITTER_DATE='1546300800 +0000' tag v$V $c expired",
        must: Refused(2, "has expired (valid-before in /etc/relift/app.signers)"),
    },
    Input {
        name: "a key that is not valid yet",
        plant: "tag v$V $(commit $base $V) future",
        must: Refused(2, "is not valid yet (valid-after in /etc/relift/app.signers)"),
    },
    Input {
        name: "a tag of the future by a key of the future",
        plant: "c=$(commit $base $V); GIT_COMMITTER_DATE='4080000000 +0000' tag v$V $c future",
        must: Refused(2, "is not valid yet"),
    },
    Input {
        name: "a key that the list of revocations names",
        plant: "tag v$V $(commit $base $V) revoked",
        must: Refused(2, "is revoked (/etc/relift/app.krl)"),
    },
    Input {
        name: "a revoked OpenPGP key",
        plant: "pgp v$V $(commit $base $V) revoked@pgp",
        must: Refused(2, "revoked@pgp is revoked"),
    },
    Input {
        name: "an expired OpenPGP key",
        plant: "c=$(commit $base $V); payload v$V $c >$HOME/p; { cat $HOME/p; gpg -q --batch --faked-system-time 20200201T000000 -u expired@pgp -bsa -o - $HOME/p; } | forge v$V",
        must: Refused(2, "expired@pgp has expired"),
    },
    Input {
        name: "a subkey that is not listed, of a key of which another is",
        plant: "pgp v$V $(commit $base $V) $(sed -n 3p /srv/keys/split)!",
        must: Refused(2, "which is not one of `fingerprints`"),
    },
    Input {
        name: "an OpenPGP key that is not in the keyring",
        plant: "pgp v$V $(commit $base $V) absent@pgp",
        must: Refused(2, "which is not in the keyring"),
    },
    Input {
        name: "a signature that was made for files",
        plant: "c=$(commit $base $V); { payload v$V $c; payload v$V $c | sign good file; } | forge v$V",
        must: Refused(2, "made for another purpose than git (its namespace)"),
    },
    Input {
        name: "a key that may sign files alone",
        plant: "tag v$V $(commit $base $V) filer",
        must: Refused(2, "is not allowed to sign for git"),
    },
    Input {
        name: "another repository's release, signed by the same key",
        plant: "c=$(git commit-tree $(tree $base $V) -m elsewhere); tag v$V $c good",
        must: Refused(2, "has no commit in common with what is installed"),
    },
    Input {
        name: "a signed tag under another name",
        plant: "c=$(commit $base $V); tag v0.0.1 $c good; git update-ref refs/tags/v$V refs/tags/v0.0.1; git update-ref -d refs/tags/v0.0.1",
        must: Refused(2, "its object says v0.0.1, and was put under another name"),
    },
    Input {
        name: "a lightweight tag",
        plant: "git tag v$V $(commit $base $V good)",
        must: Refused(2, "is lightweight"),
    },
    Input {
        name: "a tag of a tag",
        plant: "tag inner $(commit $base $V) good; tag v$V inner good",
        must: Refused(2, "is of another tag"),
    },
    Input { name: "a tag of a tree", plant: "tag v$V $(tree $base $V) good", must: Ignored },
    Input { name: "a tag of a blob", plant: "tag v$V $(echo x | git hash-object -w --stdin) good", must: Ignored },
    Input {
        name: "a signature of another tag",
        plant: "c=$(commit $base $V); { payload v$V $c; payload v0.0.2 $c | sign good; } | forge v$V",
        must: Refused(2, "is of something else, or was damaged"),
    },
    Input {
        name: "an OpenPGP signature of another tag",
        plant: "c=$(commit $base $V); payload v0.0.2 $c >$HOME/p; { payload v$V $c; gpg -q --batch -u good@pgp -bsa -o - $HOME/p; } | forge v$V",
        must: Refused(2, "is of something else, or was damaged"),
    },
    Input {
        name: "two signatures, the good one first",
        plant: "c=$(commit $base $V); { payload v$V $c; payload v$V $c | sign good; payload v$V $c | sign stranger; } | forge v$V",
        must: Refused(2, "has two signatures"),
    },
    Input {
        name: "two signatures, of which the last covers the first",
        plant: "c=$(commit $base $V); { payload v$V $c; payload v$V $c | sign stranger; } >$HOME/p; { cat $HOME/p; sign good <$HOME/p; } | forge v$V",
        must: Refused(2, "has two signatures"),
    },
    Input {
        name: "two OpenPGP signatures in one armour",
        plant: "c=$(commit $base $V); payload v$V $c >$HOME/p; for k in good@pgp good@pgp; do gpg -q --batch -u $k -bs -o - $HOME/p; done >$HOME/two; { cat $HOME/p; gpg -q --enarmor <$HOME/two | sed 's/PGP ARMORED FILE/PGP SIGNATURE/; /^Comment/d'; } | forge v$V",
        must: Refused(2, "it has two signatures"),
    },
    Input {
        name: "bytes after the signature",
        plant: "c=$(commit $base $V); { payload v$V $c; payload v$V $c | sign good; echo 'nobody signed this'; } | forge v$V",
        must: Refused(2, "holds more after its signature"),
    },
    Input {
        name: "an annotated tag that nobody signed",
        plant: "git tag -m x v$V $(commit $base $V good)",
        must: Refused(2, "is not signed"),
    },
    Input {
        name: "a signature of a mebibyte",
        plant: "c=$(commit $base $V); { payload v$V $c; echo '-----BEGIN SSH SIGNATURE-----'; head -c 786432 /dev/zero | base64 -w 70; echo '-----END SSH SIGNATURE-----'; } | forge v$V",
        must: Refused(2, "no real one has more"),
    },
    Input {
        name: "a second object in the header",
        plant: "c=$(commit $base $V); payload v$V $c | sed \"4a object $base\" >$HOME/p; { cat $HOME/p; sign good <$HOME/p; } | forge v$V",
        must: Refused(2, "has a header that a tag does not have there: object"),
    },
    Input {
        name: "a NUL in what is signed",
        plant: "c=$(commit $base $V); { payload v$V $c; printf 'a\\0b\\n'; } >$HOME/p; { cat $HOME/p; sign good <$HOME/p; } | forge v$V",
        must: Refused(2, "holds a NUL"),
    },
    Input {
        name: "a signature in the header of a tag",
        plant: "c=$(commit $base $V); payload v$V $c >$HOME/p; { sed -n 1,4p $HOME/p; sign good <$HOME/p | sed '1s/^/gpgsig /; 2,$s/^/ /'; sed 1,4d $HOME/p; } | forge v$V",
        must: Refused(2, "has a header that a tag does not have there: gpgsig"),
    },
    Input {
        name: "a format of signatures that is none",
        plant: "c=$(commit $base $V); { payload v$V $c; printf -- '-----BEGIN SIGNED MESSAGE-----\\nMIIB\\n-----END SIGNED MESSAGE-----\\n'; } | forge v$V",
        must: Refused(2, "neither SSH's nor OpenPGP's"),
    },
    Input {
        name: "a tag that moved to another release, well signed",
        plant: "tag v$V $(commit $base $V) good; chown -R git: $GIT_DIR; relift check >/dev/null || true; tag v$V $(commit $base $V.evil) good",
        must: Refused(2, "was moved: it was"),
    },
    Input {
        name: "an older release under a newer name, well signed",
        plant: "tag v$V $base~1 good",
        must: Refused(2, "that is a step back"),
    },
    Input {
        name: "a release of a sibling with a lower version",
        plant: "tag v$V $(commit $base~1 0.9.0) good",
        must: Refused(2, "is a step back: manager 0.9.0 is below 1.0.1, which was proven here"),
    },
    Input {
        name: "no attack: an OpenPGP key by its listed subkey",
        plant: "pgp v$V $(commit $base $V) $(sed -n 2p /srv/keys/split)!",
        must: Accepted("verified by split@pgp (tag v"),
    },
    Input {
        name: "no attack: a signed tag of an unsigned commit",
        plant: "tag v$V $(commit $base $V) good",
        must: Accepted("verified by release@example.org (tag v"),
    },
];

/// Commits, where `signed = "commits"`.
pub const COMMITS: &[Input] = &[
    Input {
        name: "an unsigned tip",
        plant: "git update-ref refs/heads/main $(commit $base $V)",
        must: Refused(2, "is not signed"),
    },
    Input {
        name: "an unsigned commit in the middle",
        plant: "git update-ref refs/heads/main $(commit $(commit $(commit $base $V-a good) $V-b) $V good)",
        must: Refused(2, "it is on the first-parent way from"),
    },
    Input {
        name: "a merge whose first parent is unsigned",
        plant: "git update-ref refs/heads/main $(commit $(commit $base $V-a) $V good -p $(commit $base $V-b good))",
        must: Refused(2, "it is on the first-parent way from"),
    },
    Input {
        name: "a tip by a wrong key",
        plant: "git update-ref refs/heads/main $(commit $base $V stranger)",
        must: Refused(2, "which is not in /etc/relift/app.signers"),
    },
    Input {
        name: "a tip by a revoked key",
        plant: "git update-ref refs/heads/main $(commit $base $V revoked)",
        must: Refused(2, "is revoked (/etc/relift/app.krl)"),
    },
    Input {
        name: "a signed commit whose tree was swapped",
        plant: "c=$(commit $base $V good); t=$(tree $base $V.evil); git update-ref refs/heads/main $(git cat-file commit $c | sed \"1s/.*/tree $t/\" | git hash-object -t commit -w --literally --stdin)",
        must: Refused(2, "is of something else, or was damaged"),
    },
    Input {
        name: "a signed commit whose parents were swapped",
        plant: "c=$(commit $base $V good); e=$(commit $base $V.evil); git update-ref refs/heads/main $(git cat-file commit $c | sed \"s/^parent.*/parent $e/\" | git hash-object -t commit -w --literally --stdin)",
        must: Refused(2, "is of something else, or was damaged"),
    },
    Input {
        name: "a commit with two signatures",
        plant: "c=$(commit $base $V good); git cat-file commit $c >$HOME/c; git update-ref refs/heads/main $({ sed '/^$/,$d' $HOME/c; sed -n '/^gpgsig/,/END SSH/p' $HOME/c; sed -n '/^$/,$p' $HOME/c; } | git hash-object -t commit -w --literally --stdin)",
        must: Refused(2, "has two signatures"),
    },
    Input {
        name: "a signature of the other hash alone",
        plant: "c=$(commit $base $V good); git update-ref refs/heads/main $(git cat-file commit $c | sed 's/^gpgsig /gpgsig-sha256 /' | git hash-object -t commit -w --literally --stdin)",
        must: Refused(2, "is not signed"),
    },
    Input {
        name: "a branch that was set back",
        plant: "git update-ref refs/heads/main $base~1",
        must: Refused(2, "that is a step back"),
    },
    Input {
        name: "no attack: a merge whose second parent is unsigned",
        plant: "git update-ref refs/heads/main $(commit $base $V good -p $(commit $base $V-b))",
        must: Accepted("verified by release@example.org (commit "),
    },
];

const KEYS: &str = include_str!("keys.sh");
const MANIFEST: &str = "/etc/relift/app.toml";
const VERIFIERS: &str = "allowed-signers = \"/etc/relift/app.signers\", revoked = \"/etc/relift/app.krl\"";

/// A host with keys and an upstream to begin from; 1.0.1 is installed, and 1.0.0 is before it.
fn host() -> Host {
    crate::harness::needs(&[("gpg", "gnupg"), ("gpgv", "gpgv"), ("ssh-keygen", "openssh-client")]);
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::with_site(site);
    host.release(|release| release.next("1.0.1"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host.write("/srv/keys.sh", KEYS, 0o644, "root:root");
    host.must(&with_keys("prepare"));
    host
}

/// Sets what is followed and verified.
fn follow(host: &Host, what: &str, signed: &str, more: &str) {
    let verify = format!("{what}\\nverify = {{ signed = \"{signed}\", {VERIFIERS}{more} }}");
    host.must(&format!("sed -i '/^verify/d; s|^branch.*|{verify}|; s|^tags.*|{verify}|' {MANIFEST}"));
    host.relift(&["config", "check"]).exits(0);
}

/// The script with what it may use.
fn with_keys(script: &str) -> String {
    format!(". /srv/keys.sh\n{script}\nchown -R git: /srv/git")
}

#[track_caller]
fn plant(host: &Host, script: &str, version: &str) {
    host.must(&with_keys(&format!("V={version}\nagain\n{script}")));
}

/// What an upgrade would change first.
fn sight(host: &Host) -> String {
    host.must(
        "cd /opt/app; git -c safe.directory=* rev-parse HEAD; git -c safe.directory=* for-each-ref; cat */VERSION; \
         systemctl show -p InvocationID,ActiveState sample-manager.service; ls /var/lib/relift/app/ledger/known-good.json | xargs sha256sum",
    )
}

/// Plants each of a table and makes sure of what happens.
fn withstand(host: &Host, inputs: &[Input]) {
    let (before, sighted) = (host.snapshot(), sight(host));
    let faults: Vec<String> = inputs
        .iter()
        .enumerate()
        .filter_map(|(number, input)| {
            plant(host, input.plant, &format!("1.0.{}", number + 10));
            let fault = fault(host, &input.must).or_else(|| (sight(host) != sighted).then(|| "a change".into()));
            Some(format!("{}: {}", input.name, fault?))
        })
        .collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), inputs.len(), faults.join("\n\n"));
    before.assert_same(&host.snapshot());
}

/// What is not as it must be.
fn fault(host: &Host, must: &Must) -> Option<String> {
    let (args, code, says) = match must {
        Refused(code, says) => (&["upgrade", "app", "--yes"][..], *code, *says),
        Ignored => (&["upgrade", "app", "--yes"][..], 0, "nothing to do"),
        Accepted(says) => (&["plan", "app"][..], 0, *says),
    };
    let out = host.relift(args);
    let is_told = out.stdout.contains(says) || out.stderr.contains(says);
    let is_harmless = code == 0 || out.stderr.contains("state: nothing was changed");
    (out.code != code || !is_told || !is_harmless).then(|| out.to_string())
}

#[test]
fn no_tag_that_is_not_signed_as_the_manifest_wants_it_is_installed() {
    let host = host();
    let listed = host.must("cat /srv/keys/good.fingerprint; sed -n 2p /srv/keys/split; gpgv --version >/dev/null");
    let listed = listed.lines().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", ");
    follow(
        &host,
        "tags = \"v{version}\"",
        "tag",
        &format!(", keyring = \"/etc/relift/app.gpg\", fingerprints = [{listed}]"),
    );
    host.must("runuser -u app -- git -C /opt/app checkout --quiet --detach");
    withstand(&host, TAGS);
}

#[test]
fn no_commit_that_is_not_signed_as_the_manifest_wants_it_is_installed() {
    let host = host();
    follow(&host, "branch = \"main\"", "commits", "");
    withstand(&host, COMMITS);
}

#[test]
fn who_may_sign_is_said_by_root_alone_and_no_configuration_of_git_is_asked() {
    let host = host();
    follow(&host, "branch = \"main\"", "commits", "");
    plant(&host, "git update-ref refs/heads/main $(commit $base 1.1.0 good)", "1.1.0");
    let signers = "/etc/relift/app.signers";
    // (what is wrong with the file of signers, how it is mended, the exit status, what is said)
    for (wrong, right, code, says) in [
        (format!("chown app {signers}"), format!("chown root {signers}"), 2, "belongs to uid"),
        (format!("chmod 666 {signers}"), format!("chmod 644 {signers}"), 2, "may be written by every account"),
        (
            format!("mv {signers} /root/aside"),
            format!("mv /root/aside {signers}"),
            1,
            "cannot be read, so nothing can be verified",
        ),
        (
            format!(
                "mv {signers} /root/aside; install -o app /root/aside /home/app.signers; ln -s /home/app.signers {signers}"
            ),
            format!("mv /root/aside {signers}"),
            2,
            "belongs to uid",
        ),
        (
            format!("mv {signers} /opt/app/signers; chown root /opt/app/signers; ln -s /opt/app/signers {signers}"),
            format!("rm {signers}; mv /opt/app/signers {signers}"),
            2,
            "is in the checkout: a release would say whom to trust",
        ),
        (
            format!("cp {signers} /root/aside; echo nonsense >{signers}"),
            format!("cp /root/aside {signers}"),
            2,
            "cannot be understood",
        ),
        (
            "cp /etc/relift/app.krl /root/krl; echo nonsense >/etc/relift/app.krl".to_owned(),
            "cp /root/krl /etc/relift/app.krl".to_owned(),
            2,
            "is not verified",
        ),
    ] {
        host.must(&wrong);
        let out = host.relift(&["upgrade", "app", "--yes"]).exits(code);
        assert!(out.stderr.contains(says) && out.stderr.contains("nothing was changed"), "{wrong}: {out}");
        host.must(&right);
    }
    // A verifier of somebody's own, wherever git could be told of it.
    host.write("/usr/local/lib/canary", "#!/bin/sh\ntouch /tmp/canary; exit 0\n", 0o755, "root:root");
    host.must(
        "for config in --system --global '--file /var/lib/relift/app/mirror.git/config' '--file /opt/app/.git/config'; do
           for key in gpg.program gpg.ssh.program gpg.openpgp.program; do git config $config $key /usr/local/lib/canary; done
         done; chown -R app: /opt/app/.git
         mkdir -p ~app/.local/bin; for name in ssh-keygen gpgv gpg; do ln -s /usr/local/lib/canary ~app/.local/bin/$name; done",
    );
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert!(out.stdout.contains("verified by release@example.org (commit "), "{out}");
    assert!(out.stdout.contains(", ssh ED25519 SHA256:"), "{out}");
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
    assert_ne!(host.sh("test -e /tmp/canary").code, 0, "a verifier of git's configuration ran");
    // Back to what was proven needs nobody's signature, nor the file of signers.
    host.must(&format!("rm {signers}"));
    host.relift(&["rollback", "app", "--yes", "--offline"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.1"));
}

#[test]
fn what_nothing_vouches_for_is_marked_and_waits_for_an_operator() {
    let host = host();
    host.must(&format!("sed -i '/^allow-unverified/d' {MANIFEST}"));
    plant(&host, "git update-ref refs/heads/main $(commit $base 1.1.0)", "1.1.0");
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(2);
    for says in [
        "are not verified, and nobody is asked",
        "allow-unverified = true",
        "relift trust pin app",
        "nothing was changed",
    ] {
        assert!(out.stderr.contains(says), "`{says}`: {out}");
    }
    let plan = host.relift(&["plan", "app"]).exits(0);
    assert!(plan.stdout.contains("unverified"), "{plan}");
    // With `verify` not even an operator installs it, by whatever name, but for approving it first.
    follow(&host, "branch = \"main\"", "tip", "");
    let tip = host.must(". /srv/keys.sh; git rev-parse main");
    for to in [&[][..], &["--to", "main"], &["--to", &tip]] {
        let out = host.relift(&[&["upgrade", "app", "--yes"], to].concat()).exits(2);
        assert!(
            out.stderr.contains("is not signed") && out.stderr.contains(&format!("relift trust pin app {tip}")),
            "{out}"
        );
    }
    let check = host.relift(&["check", "app", "--json"]).exits(100);
    assert!(check.stdout.contains("\"state\": \"unverified\""), "{check}");
    before.assert_same(&host.snapshot());
    host.relift(&["trust", "pin", "app", &tip]).exits(2);
    assert!(host.relift(&["trust", "list", "app"]).exits(0).stdout.contains("nothing is pinned"));
    let out = host.relift(&["trust", "pin", "app", &tip[..12], "--yes"]).exits(0);
    for says in [tip.as_str(), "Up <up@example.org>", "release 1.1.0", "is pinned by hand, by root"] {
        assert!(out.stdout.contains(says), "`{says}`: {out}");
    }
    assert!(host.relift(&["trust", "list"]).exits(0).stdout.contains(&tip));
    assert_ne!(host.run(&["runuser", "-u", "app", "--", "relift", "trust", "pin", &tip, "--yes"], b"").code, 0);
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert!(out.stdout.contains("pinned by hand, by root"), "{out}");
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
    assert!(host.relift(&["history", "app"]).stdout.contains("upgrade to 1.1.0 (pinned by hand)"));
    assert!(host.relift(&["history", "app"]).stdout.contains("upgrade to 1.0.1 (unverified)"));
    assert!(host.relift(&["history", "app", "--json"]).stdout.contains("\"state\": \"pinned\""));
    host.relift(&["trust", "unpin", "app", &tip]).exits(0);
    host.relift(&["trust", "unpin", "app", &tip]).exits(2);
    // What is activated stays; that it would not be accepted any more is said.
    let out = host.relift(&["check", "app"]).exits(0);
    assert!(out.stdout.contains("what runs here would not be accepted now"), "{out}");
    // Signed ones go in by themselves, by a branch and by tags.
    host.must(&with_keys("git update-ref refs/heads/main $(commit main 1.1.1 good)"));
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert!(out.stdout.contains("verified by release@example.org"), "{out}");
    follow(&host, "tags = \"v{version}\"", "tag", ", max-age = \"30d\"");
    host.must(&with_keys(
        "c=$(commit main 1.1.2); git update-ref refs/heads/main $c; GIT_COMMITTER_DATE='1760000000 +0000' tag v1.1.2 $c good",
    ));
    let check = host.relift(&["check", "app"]).exits(100);
    for says in ["verified by release@example.org (tag v1.1.2, ssh ED25519 SHA256:", "days old, and `max-age` is 30d"] {
        assert!(check.stdout.contains(says), "`{says}`: {check}");
    }
    host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.2"));
    // The newest release is taken back: that is told, and nothing goes back by itself.
    host.must(&with_keys("tag v1.1.1 main~1 good; git update-ref -d refs/tags/v1.1.2"));
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(2);
    assert!(out.stderr.contains("is a step back") || out.stderr.contains("that is a step back"), "{out}");
    let check = host.relift(&["check", "app"]);
    assert!(check.stdout.contains("the tag v1.1.2 is gone from upstream"), "{check}");
    // It comes back as something else, well signed: an alarm until an operator says so.
    host.must(&with_keys("tag v1.1.2 $(commit main 1.1.3) good"));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(2);
    assert!(
        out.stderr.contains("the tag v1.1.2 was moved: it was") && out.stderr.contains("relift trust pin app v1.1.2"),
        "{out}"
    );
    host.relift(&["trust", "pin", "v1.1.2", "--yes"]).exits(0);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.3"));
}
