//! libFuzzer, with [`fuzz::text_lines`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::text_lines::run(data));
