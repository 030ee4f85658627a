//! AV1 in RTP (AV1 RTP specification 1.0, 4.4).
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! +-+-+-+-+-+-+-+-+
//! |Z|Y| W |N|-|-|-|   aggregation header
//! +-+-+-+-+-+-+-+-+
//! ```

const Z_CONTINUES: u8 = 0x80;
const N_NEW_SEQUENCE: u8 = 0x08;

/// Whether this is the first packet of a coded video sequence, which starts with a keyframe: the N bit says so, and
/// with it Z must be 0.
#[must_use]
pub fn starts_keyframe(payload: &[u8]) -> bool {
    payload.len() > 1 && payload.first().is_some_and(|b| b & (Z_CONTINUES | N_NEW_SEQUENCE) == N_NEW_SEQUENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_sequence_bit_marks_a_keyframe() {
        // W=2, N=1: length 10, then a sequence header OBU (type 1, 0x0A).
        assert!(starts_keyframe(&[0x28, 0x0A, 0x0A]));
        assert!(!starts_keyframe(&[0x20, 0x0A, 0x32]));
        assert!(!starts_keyframe(&[0xA8, 0x0A, 0x0A]));
        assert!(!starts_keyframe(&[0x28]));
        assert!(!starts_keyframe(&[]));
    }
}
