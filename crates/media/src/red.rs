//! Redundant audio (RFC 2198): a packet of sound that carries earlier ones again.
//!
//! ```text
//! | 1 | payload type, 7 | timestamp offset, 14 | length, 10 |   a block that came before, any number of them
//! | 0 | payload type, 7 |                                      the block of now, the primary: it ends with the packet
//! | the bytes of the blocks, in the same order               |
//! ```

/// Most blocks that came before. Senders repeat one or two, some up to nine.
pub const MAX_REDUNDANT: usize = 16;

/// The block of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Primary<'a> {
    /// What it is: 7 bits.
    pub payload_type: u8,
    /// Its bytes, at the end of the payload.
    pub payload: &'a [u8],
    /// How many blocks came before it.
    pub redundant: usize,
}

/// Reads the primary block; `None` for what is not such a packet: lengths beyond its end, more than [`MAX_REDUNDANT`]
/// blocks, blocks of different types, or nothing in the primary.
#[must_use]
pub fn primary(payload: &[u8]) -> Option<Primary<'_>> {
    let (mut rest, mut redundant, mut bytes, mut before) = (payload, 0, 0, None);
    loop {
        let (first, after) = rest.split_first()?;
        let payload_type = first & 0x7f;
        if *before.get_or_insert(payload_type) != payload_type {
            return None;
        }
        if first & 0x80 == 0 {
            let payload = after.get(bytes..).filter(|payload| !payload.is_empty())?;
            return Some(Primary { payload_type, payload, redundant });
        }
        let ([_, high, low], after) = after.split_first_chunk::<3>()?;
        bytes += usize::from(u16::from_be_bytes([high & 3, *low]));
        redundant += 1;
        if redundant > MAX_REDUNDANT {
            return None;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// A packet with these blocks before the last.
    fn packet(payload_type: u8, blocks: &[&[u8]]) -> Vec<u8> {
        let Some((primary, before)) = blocks.split_last() else { return Vec::new() };
        let header = |(block, back): (&&[u8], usize)| {
            let offset = 960 * back as u32;
            let word = 1 << 31 | u32::from(payload_type) << 24 | offset << 10 | block.len() as u32;
            word.to_be_bytes()
        };
        let headers = before.iter().zip((1..=before.len()).rev()).flat_map(header);
        headers.chain([payload_type]).chain(before.concat()).chain(primary.iter().copied()).collect()
    }

    #[test]
    fn the_primary_is_what_is_left() {
        assert_eq!(
            packet(111, &[b"ab", b"cde"]),
            [0xef, 0x0f, 0x00, 0x02, 111, b'a', b'b', b'c', b'd', b'e']
        );
        for blocks in [&[b"now".as_slice()][..], &[b"before", b"now"], &[b"", b"before", b"now"]] {
            let bytes = packet(111, blocks);
            let expected = Primary { payload_type: 111, payload: b"now", redundant: blocks.len() - 1 };
            assert_eq!(primary(&bytes), Some(expected));
        }
    }

    #[test]
    fn what_is_no_such_packet_is_refused() {
        let whole = packet(111, &[b"before", b"now"]);
        for len in 0..=whole.len() - 3 {
            assert_eq!(primary(&whole[..len]), None, "{len} bytes, and nothing of the primary");
        }
        let mut other = whole.clone();
        other[4] = 63;
        assert_eq!(primary(&other), None, "of another type, or nested");
        let mut longer = whole;
        longer[3] = 9;
        assert_eq!(primary(&longer), None, "the blocks reach beyond the end");
        let many = [b"x".as_slice(); MAX_REDUNDANT + 1];
        assert!(primary(&packet(111, &many)).is_some());
        assert_eq!(primary(&packet(111, &[b"x".as_slice(); MAX_REDUNDANT + 2])), None);
        let large = [b"x".repeat(1_023), b"y".repeat(377), b"now".to_vec()];
        let large: Vec<&[u8]> = large.iter().map(Vec::as_slice).collect();
        assert_eq!(primary(&packet(111, &large)).map(|found| found.payload), Some(b"now".as_slice()));
        assert_eq!(primary(&[0x80 | 111; 2_000]), None, "headers without end");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, rng_seed: RngSeed::Fixed(12), ..ProptestConfig::default() })]

        #[test]
        fn what_is_read_is_of_the_packet(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(found) = primary(&bytes) {
                prop_assert!(bytes.ends_with(found.payload) && !found.payload.is_empty());
                prop_assert!(found.payload_type < 128 && found.redundant <= MAX_REDUNDANT);
                prop_assert!(found.payload.len() + 4 * found.redundant < bytes.len());
            }
        }

        #[test]
        fn what_is_written_is_read(
            payload_type in 0u8..128,
            before in prop::collection::vec((0usize..1_024).prop_map(|len| vec![7; len]), 0..=MAX_REDUNDANT),
            now in prop::collection::vec(any::<u8>(), 1..300),
        ) {
            let blocks: Vec<&[u8]> = before.iter().chain([&now]).map(Vec::as_slice).collect();
            let bytes = packet(payload_type, &blocks);
            let expected = Primary { payload_type, payload: &now, redundant: before.len() };
            prop_assert_eq!(primary(&bytes), Some(expected));
        }
    }
}
