//! libFuzzer, with [`fuzz::grammars`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::grammars::run(data));
