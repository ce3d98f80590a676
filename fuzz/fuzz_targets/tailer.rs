//! libFuzzer, with [`fuzz::tailer`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::tailer::run(data));
