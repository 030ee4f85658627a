//! Tells a peer that its association is no more (RFC 9260, sections 3.3.7 and 8.4): without it the peer goes on sending
//! into nothing, and its page waits.

/// Ports, verification tag and checksum (RFC 9260, section 3.1).
const COMMON_HEADER: usize = 12;
const INIT: u8 = 1;
const ABORT: u8 = 6;
const SHUTDOWN_COMPLETE: u8 = 14;
/// User-Initiated Abort (section 3.3.10.12): with a reason in words.
const USER_INITIATED: u16 = 12;
/// What browsers show of it.
const REASON: &[u8] = b"a message is longer than max-message-size, or too much came at once";

/// The verification tag that a packet of ours has: the one that the peer chose.
pub(super) fn tag(packet: &[u8]) -> Option<[u8; 4]> {
    packet.get(4..8)?.first_chunk().copied()
}

/// The answer to a packet of an association that is no more, in which the peer had chosen `tag`; none to what needs no
/// answer.
///
/// ```text
/// | port to | port from | tag | CRC32c |   ABORT, 0 | length | cause: 12 | length | words, padded
/// ```
pub(super) fn abort(packet: &[u8], tag: [u8; 4]) -> Option<Vec<u8>> {
    let (header, chunks) = packet.split_first_chunk::<COMMON_HEADER>()?;
    let [from1, from2, to1, to2, ..] = *header;
    // Who begins anew is in nothing that could be ended.
    if matches!(chunks.first()?, &(INIT | ABORT | SHUTDOWN_COMPLETE)) {
        return None;
    }
    let cause_len = u16::try_from(4 + REASON.len()).ok()?;
    let mut out = vec![to1, to2, from1, from2];
    out.extend(tag);
    out.extend([0; 4]);
    out.extend([ABORT, 0]);
    out.extend((4 + cause_len).to_be_bytes());
    out.extend(USER_INITIATED.to_be_bytes());
    out.extend(cause_len.to_be_bytes());
    out.extend(REASON);
    out.resize(out.len().next_multiple_of(4), 0);
    let checksum = crc32c(&out).to_le_bytes();
    out.get_mut(8..COMMON_HEADER)?.copy_from_slice(&checksum);
    Some(out)
}

/// The checksum of SCTP (RFC 9260, appendix A), of packets that are few and short.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
    let crc =
        bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)));
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_rfcs() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn what_needs_no_answer_gets_none() {
        let mut packet = vec![0x13, 0x88, 0x13, 0x89, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 4];
        let answer = abort(&packet, [5, 6, 7, 8]).unwrap();
        assert_eq!(answer[..8], [0x13, 0x89, 0x13, 0x88, 5, 6, 7, 8]);
        assert_eq!((answer[12], answer[13], answer.len() % 4), (ABORT, 0, 0));
        assert_eq!((tag(&answer), tag(&answer[..7])), (Some([5, 6, 7, 8]), None));
        for kind in [INIT, ABORT, SHUTDOWN_COMPLETE] {
            packet[12] = kind;
            assert_eq!(abort(&packet, [0; 4]), None);
        }
        for cut in 0..=COMMON_HEADER {
            assert_eq!(abort(&packet[..cut], [0; 4]), None);
        }
    }
}
