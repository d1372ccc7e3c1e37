//! Each key with a mistake in it, and a manifest that says all of it.

use std::path::Path;

use crate::manifest::{self, Layout, Source};

const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

fn manifest(source: &str) -> String {
    format!(
        "schema = 1\n[install]\nroot = \"/opt/app\"\nowner = \"app\"\n[source.archive]\n{source}\n\
         [[component]]\nname = \"app\"\n[policy]\nrequire = {{ disk = \"100MiB\", memory = \"512MiB\" }}\n"
    )
}

fn fault(source: &str) -> String {
    let problems = manifest::parse("app", Path::new("app.toml"), &manifest(source)).expect_err(source);
    problems.render(false)
}

const URL: &str = "url = \"https://example.org/app-{version}.tar.gz\"\n";
const SUMS: &str = "checksums = \"https://example.org/SHA256SUMS\"\n";

#[test]
fn each_mistake_is_told_with_what_to_write_instead() {
    let both = format!("{URL}{SUMS}");
    let verify = |inner: &str| format!("{both}verify = {{ {inner} }}");
    for (source, says) in [
        (format!("url = \"https://example.org/app.tar.gz\"\n{SUMS}"), "holds no {version}"),
        (format!("url = \"ftp://example.org/app-{{version}}\"\n{SUMS}"), "the scheme `ftp` is not known"),
        (format!("url = \"app-{{version}}.tar\"\n{SUMS}"), "is neither a URL nor an absolute path"),
        (format!("url = \"/srv/../app-{{version}}.tar\"\n{SUMS}"), "is no path of a file without"),
        (format!("url = \"https://u:p@example.org/app-{{version}}\"\n{SUMS}"), "holds a name or a password"),
        (format!("url = \"https://{{version}}.example.org/app\"\n{SUMS}"), "the host must not depend on the version"),
        (format!("url = \"https://example.org/{{version}}/app.tar.gz\"\n{SUMS}"), "cannot tell them apart"),
        (format!("{URL}checksums = \"https://example.org/{{version}}.sha256\""), "nothing tells the newest one"),
        (format!("{both}latest = \"https://example.org/latest\""), "leave `latest` out"),
        (format!("{both}allow = \"v1\""), "is not a range of versions"),
        (format!("{both}headers = \"X-Token: secret\""), "never the token itself"),
        (format!("{both}max-fetch = \"1GB\""), "is not a size"),
        (format!("{both}strip = \"2\""), "strip"),
        (verify(""), "nobody is named who may sign"),
        (verify("minisign = \"RW\""), "is neither a public key of minisign nor an absolute path"),
        (verify("minisign = \"/opt/app/key.pub\""), "a release would say whom to trust"),
        (verify(&format!("minisign = \"{KEY}\", keyring = \"/etc/relift/a.gpg\"")), "are both given"),
        (verify("keyring = \"/etc/relift/a.gpg\""), "does not say which of its keys may sign"),
        (verify(&format!("minisign = \"{KEY}\", revoked = \"/etc/relift/r\"")), "is of SSH keys"),
        (verify("allowed-signers = \"/etc/relift/a\", max-age = \"30d\""), "SSH signatures have no date"),
        (verify(&format!("minisign = \"{KEY}\", over = \"all\"")), "over"),
    ] {
        let said = fault(&source);
        assert!(said.contains(says), "{says:?} is not in\n{said}");
    }
}

#[test]
fn an_archive_is_never_unpacked_over_what_runs() {
    let text = manifest(&format!("{URL}{SUMS}")).replace("owner = ", "layout = \"in-place\"\nowner = ");
    let said = manifest::parse("app", Path::new("app.toml"), &text).expect_err("refused").render(false);
    assert!(said.contains("beside what it replaces"), "{said}");
}

#[test]
fn what_is_declared_is_shown_as_it_is_read() {
    let verify = format!("verify = {{ minisign = \"{KEY}\", over = \"both\", max-age = \"72h\" }}\n");
    let all = format!(
        "{URL}checksums = \"https://example.org/{{version}}.sha256\"\nlatest = \"https://example.org/latest\"\nallow = \"^1.2\"\n{verify}\
         headers = \"token\"\nmax-fetch = \"500MiB\"\nmax-unpacked = \"1GiB\"\nstrip = \"never\"\n"
    );
    let install = manifest::parse("app", Path::new("app.toml"), &manifest(&all)).expect("a manifest");
    assert_eq!(install.layout, Layout::Releases, "an archive has no other");
    let shown = manifest::effective(&install).expect("its text");
    let again = manifest::parse("app", Path::new("app.toml"), &shown).expect("the same");
    let of = |install: &manifest::Install| match &install.source {
        Source::Archive(source) => (source.clone(), install.policy.require),
        _ => panic!("another source"),
    };
    assert_eq!(of(&install), of(&again));
    let source = of(&again).0;
    assert_eq!((source.max_fetch, source.max_unpacked, source.strips), (500 << 20, 1 << 30, false));
    assert!(source.verify.is_some_and(|verify| verify.checksums && verify.archive));
}
