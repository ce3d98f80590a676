//! libFuzzer, with [`fuzz::docker_json`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::docker_json::run(data));
