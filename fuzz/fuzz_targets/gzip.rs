//! libFuzzer, with [`fuzz::gzip`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::gzip::run(data));
