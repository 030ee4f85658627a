//! H.264 in RTP (RFC 6184), packetization modes 0 and 1.

const NAL_TYPE: u8 = 0x1F;
const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;

/// Whether this packet carries a sequence parameter set, which encoders put in front of each IDR picture, or the first
/// slice of an IDR picture. Later slices do not count: a picture cannot be joined in its middle.
#[must_use]
pub fn starts_keyframe(payload: &[u8]) -> bool {
    match payload {
        [header, ..] if header & NAL_TYPE == STAP_A => aggregate_starts(payload),
        [header, fu, rest @ ..] if header & NAL_TYPE == FU_A => {
            fu & FU_START != 0 && unit_starts(fu & NAL_TYPE, rest)
        }
        [header, rest @ ..] => unit_starts(header & NAL_TYPE, rest),
        [] => false,
    }
}

/// STAP-A (5.7.1): a header byte, then 16 bits of length and a unit, again and again.
fn aggregate_starts(payload: &[u8]) -> bool {
    let mut rest = payload.get(1..).unwrap_or_default();
    while let [high, low, units @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((unit, next)) = units.split_at_checked(length) else { return false };
        if let [header, body @ ..] = unit
            && unit_starts(header & NAL_TYPE, body)
        {
            return true;
        }
        rest = next;
    }
    false
}

/// `body` follows the NAL unit header. A slice begins with first_mb_in_slice as Exp-Golomb: 0 is a single 1 bit.
fn unit_starts(nal_type: u8, body: &[u8]) -> bool {
    match nal_type {
        SPS => !body.is_empty(),
        IDR => body.first().is_some_and(|b| b & 0x80 != 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_and_the_first_idr_slice_start_a_keyframe() {
        assert!(starts_keyframe(&[0x67, 0x42, 0xE0, 0x1F]), "single SPS");
        assert!(starts_keyframe(&[0x65, 0x88, 0x84]), "single IDR slice");
        assert!(!starts_keyframe(&[0x65, 0x40, 0x84]), "later slice of an IDR picture");
        assert!(!starts_keyframe(&[0x41, 0x9A]), "slice of a P picture");
        assert!(!starts_keyframe(&[0x68, 0xCE]), "PPS alone");
        assert!(!starts_keyframe(&[0x67]), "empty SPS");
        assert!(!starts_keyframe(&[]));
    }

    #[test]
    fn fragments_count_at_their_start_only() {
        assert!(starts_keyframe(&[0x7C, 0x85, 0x88]), "start of an IDR slice");
        assert!(!starts_keyframe(&[0x7C, 0x05, 0x88]), "middle");
        assert!(!starts_keyframe(&[0x7C, 0x45, 0x88]), "end");
        assert!(!starts_keyframe(&[0x5C, 0x81, 0x9A]), "start of a P slice");
        assert!(!starts_keyframe(&[0x7C]));
    }

    #[test]
    fn aggregates_are_searched() {
        assert!(starts_keyframe(&[0x78, 0, 4, 0x67, 0x42, 0xE0, 0x1F, 0, 2, 0x68, 0xCE]), "SPS and PPS");
        assert!(starts_keyframe(&[0x78, 0, 2, 0x09, 0xF0, 0, 2, 0x65, 0x88]), "delimiter and IDR");
        assert!(!starts_keyframe(&[0x78, 0, 2, 0x09, 0xF0, 0, 2, 0x41, 0x9A]));
        assert!(!starts_keyframe(&[0x78, 0xFF, 0xFF, 0x67, 0x42]), "length beyond the packet");
        assert!(!starts_keyframe(&[0x78, 0, 0, 0, 0]), "empty units");
        assert!(!starts_keyframe(&[0x78]));
    }
}
