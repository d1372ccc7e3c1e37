//! Any bytes as the three files of a comparison.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| relift::plan::env::robust::any_bytes(bytes));
