//! Any text as three versions of a unit file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| relift::plan::unit::robust::any_bytes(bytes));
