//! Messages that open data channels.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| transport::fuzzing::dcep(data));
