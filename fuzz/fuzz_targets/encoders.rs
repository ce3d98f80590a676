//! libFuzzer, with [`fuzz::encoders`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::encoders::run(data));
