//! Any bytes as the index of a checkout.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| relift::source::git::robust::any_index(bytes));
