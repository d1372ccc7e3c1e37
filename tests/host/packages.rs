//! The packages, built once for all tests from the program under test: nothing is compiled.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use relift::twin::{Spec, Target};

use crate::harness::{Host, Out, needs, program};

/// The older version and the newer one.
pub const VERSIONS: [&str; 2] = ["0.1.0", "0.2.0"];

/// The two versions as .deb.
pub fn debs() -> &'static [String; 2] {
    static BUILT: OnceLock<[String; 2]> = OnceLock::new();
    BUILT.get_or_init(|| VERSIONS.map(|version| build("deb", version, "packages")))
}

/// The two versions as .rpm.
pub fn rpms() -> &'static [String; 2] {
    static BUILT: OnceLock<[String; 2]> = OnceLock::new();
    BUILT.get_or_init(|| VERSIONS.map(|version| build("rpm", version, "packages")))
}

/// Builds a package in a directory of that name, which hosts see as well; its path.
pub fn build(kind: &str, version: &str, directory: &str) -> String {
    needs(&[("dpkg-shlibdeps", "dpkg-dev"), ("strip", "binutils"), ("rpmbuild", "rpm")]);
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(directory);
    let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "packaging", kind, "build"].iter().collect();
    let built = std::process::Command::new(script)
        .args(["--profile", "dev", "--binary", &program(), "--version", version, "--out"])
        .arg(out)
        .env("SOURCE_DATE_EPOCH", "1750000000")
        .output()
        .unwrap();
    let (path, said) = (String::from_utf8_lossy(&built.stdout), String::from_utf8_lossy(&built.stderr));
    assert!(built.status.success(), "no {kind}: {said}");
    path.trim().lines().last().unwrap_or_else(|| panic!("no {kind}: {said}")).to_owned()
}

/// A host that has nothing of relift, and starts what packages start even where this machine does not.
pub fn bare() -> Host {
    let host = Host::boot_with(Target::Full, |spec| Spec { files: Vec::new(), ..spec });
    host.must("rm -f /usr/sbin/policy-rc.d");
    host
}

/// A host on which the older .deb is installed.
pub fn with_deb() -> Host {
    let [older, _] = debs();
    let host = bare();
    dpkg(&host, &["-i", older]).exits(0);
    host
}

/// Runs dpkg.
pub fn dpkg(host: &Host, words: &[&str]) -> Out {
    host.run(&[&["dpkg"], words].concat(), b"")
}
