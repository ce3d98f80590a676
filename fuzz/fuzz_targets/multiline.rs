//! libFuzzer, with [`fuzz::multiline`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::multiline::run(data));
