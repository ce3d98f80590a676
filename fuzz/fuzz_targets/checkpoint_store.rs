//! libFuzzer, with [`fuzz::checkpoint_store`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checkpoint_store::run(data));
