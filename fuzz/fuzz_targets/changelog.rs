//! Any text as a changelog.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| relift::plan::notes::robust::any_bytes(bytes));
