//! libFuzzer, with [`fuzz::container_lines`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::container_lines::run(data));
