//! Any text as a manifest.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| relift::manifest::robust::any_bytes(bytes));
