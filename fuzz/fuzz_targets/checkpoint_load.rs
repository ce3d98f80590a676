//! libFuzzer, with [`fuzz::checkpoint_load`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checkpoint_load::run(data));
