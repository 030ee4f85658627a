//! Streams of frames: however they are cut, the packets are the same. The first byte says how.
#![no_main]

use transport::Deframer;

fn packets(data: &[u8], step: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut deframer, mut packets) = (Deframer::default(), Vec::new());
    for part in data.chunks(step) {
        let mut part = part.to_vec();
        if deframer.push(&mut part, |packet| packets.push(packet.to_vec())).is_err() {
            return (packets, false);
        }
    }
    (packets, true)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((step, stream)) = data.split_first() else { return };
    assert_eq!(packets(stream, usize::from(*step) + 1), packets(stream, 1));
});
