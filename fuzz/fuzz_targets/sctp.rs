//! SCTP packets of an authenticated peer, between two ends that have a data channel.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| transport::fuzzing::sctp(data));
