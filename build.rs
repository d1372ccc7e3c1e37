//! How the program is linked.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let told = |name: &str| var(name).unwrap_or_default();
    if told("CARGO_CFG_TARGET_OS") != "linux" || told("CARGO_CFG_TARGET_ENV") != "gnu" {
        return;
    }
    // Half a megabyte less: glibc reads packed relocations since 2.36, which is of the time of systemd 252.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    if told("PROFILE") == "release" {
        // Nothing is unwound, and a stripped program has no names for a backtrace.
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
}
