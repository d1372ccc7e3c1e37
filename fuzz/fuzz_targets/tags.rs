//! Any lines as a shape of tags, a range, and the tags of a remote.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| relift::source::git::robust::any_bytes(bytes));
