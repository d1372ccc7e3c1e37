//! How the program is linked.

use std::env::var;
use std::path::PathBuf;

/// Nothing is unwound in a release, and a stripped program has no names for a backtrace.
const WITHOUT_UNWINDING: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) } } INSERT AFTER .text;\n";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let told = |name: &str| var(name).unwrap_or_default();
    if told("CARGO_CFG_TARGET_OS") != "linux" || told("CARGO_CFG_TARGET_ENV") != "gnu" {
        return;
    }
    // Half a megabyte less: glibc reads packed relocations since 2.36, which is of the time of systemd 252.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    if told("PROFILE") == "release" {
        let script = PathBuf::from(told("OUT_DIR")).join("release.ld");
        std::fs::write(&script, WITHOUT_UNWINDING).expect("the build's own directory can be written to");
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{}", script.display());
        // Before the shared one, which takes a tenth of a millisecond of each start to load.
        println!("cargo::rustc-link-lib=dylib:+verbatim=libgcc_eh.a");
    }
}
