//! Any bytes as an archive of a release.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| relift::source::archive::robust::any_bytes(bytes));
