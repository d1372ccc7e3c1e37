//! Any JSON as the records of a journal, sealed and then damaged.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| relift::run::robust::any_bytes(bytes));
