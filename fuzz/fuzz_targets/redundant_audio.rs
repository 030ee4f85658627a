//! Redundant audio (RFC 2198): what is read of it is of the packet, and ends it.
#![no_main]

use media::red;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(found) = red::primary(data) {
        assert!(data.ends_with(found.payload) && !found.payload.is_empty());
        assert!(found.payload_type < 128 && found.redundant <= red::MAX_REDUNDANT);
        assert!(found.payload.len() + 4 * found.redundant < data.len());
    }
});
