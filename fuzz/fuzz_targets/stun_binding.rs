//! STUN as a server transport and a client transport meet it, before anything is authenticated.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| transport::fuzzing::stun(data));
