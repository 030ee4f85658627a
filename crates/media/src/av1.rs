//! AV1 in RTP (AV1 RTP specification 1.0, 4.4).
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! +-+-+-+-+-+-+-+-+
//! |Z|Y| W |N|-|-|-|   aggregation header
//! +-+-+-+-+-+-+-+-+
//! ```

use crate::bits::BitReader;

const Z_CONTINUES: u8 = 0x80;
const N_NEW_SEQUENCE: u8 = 0x08;

/// Whether this is the first packet of a coded video sequence, which starts with a keyframe: the N bit says so, and
/// with it Z must be 0.
#[must_use]
pub fn starts_keyframe(payload: &[u8]) -> bool {
    payload.len() > 1 && payload.first().is_some_and(|b| b & (Z_CONTINUES | N_NEW_SEQUENCE) == N_NEW_SEQUENCE)
}

/// Largest width and height that the sequence header in this packet says, if one begins in it (AV1 bitstream
/// specification, 5.5).
#[must_use]
pub fn picture_size(payload: &[u8]) -> Option<(u16, u16)> {
    const SEQUENCE_HEADER: u8 = 1;
    if !starts_keyframe(payload) {
        return None;
    }
    let (&aggregation, mut rest) = payload.split_first()?;
    let count = (aggregation >> 4) & 3;
    // With a count of elements the last has no length; without one all have.
    for index in 1usize.. {
        let unit = if index == usize::from(count) {
            std::mem::take(&mut rest)
        } else {
            let (len, after) = leb128(rest)?;
            let (unit, after) = after.split_at_checked(len)?;
            rest = after;
            unit
        };
        let (&header, mut body) = unit.split_first()?;
        if (header >> 3) & 0x0F == SEQUENCE_HEADER {
            if header & 0x04 != 0 {
                body = body.get(1..)?;
            }
            if header & 0x02 != 0 {
                body = leb128(body)?.1;
            }
            return sequence_size(body);
        }
        if rest.is_empty() {
            break;
        }
    }
    None
}

/// A length in bytes of seven bits, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

fn sequence_size(body: &[u8]) -> Option<(u16, u16)> {
    let mut reader = BitReader::new(body);
    reader.skip(4)?;
    if reader.bit()? {
        // A reduced still picture header: a level only.
        reader.skip(5)?;
    } else {
        let mut delay_bits = None;
        if reader.bit()? {
            reader.skip(64)?;
            if reader.bit()? {
                reader.exp_golomb()?;
            }
            if reader.bit()? {
                delay_bits = Some(reader.bits(5)? + 1);
                reader.skip(32 + 10)?;
            }
        }
        let initial_delays = reader.bit()?;
        for _ in 0..=reader.bits(5)? {
            reader.skip(12)?;
            if reader.bits(5)? > 7 {
                reader.skip(1)?;
            }
            if let Some(bits) = delay_bits
                && reader.bit()?
            {
                reader.skip(2 * bits + 1)?;
            }
            if initial_delays && reader.bit()? {
                reader.skip(4)?;
            }
        }
    }
    let (width_bits, height_bits) = (reader.bits(4)? + 1, reader.bits(4)? + 1);
    let (width, height) = (reader.bits(width_bits)?, reader.bits(height_bits)?);
    Some((u16::try_from(width + 1).ok()?, u16::try_from(height + 1).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_header_says_how_large_the_picture_is() {
        // 1280x720: profile 0, one operating point of level 5, sizes in 11 and 10 bits.
        let header = [0x0A, 0x08, 0x00, 0x00, 0x00, 0x2D, 0x4C, 0xFF, 0xB3, 0xC0];
        assert_eq!(
            picture_size(&[&[0x18], &header[..]].concat()),
            Some((1280, 720)),
            "alone, with a size field"
        );
        let mut bare = header.to_vec();
        bare[0] = 0x08;
        bare.remove(1);
        let len = bare.len() as u8;
        let both = [&[0x28, len], &bare[..], &[0x30, 0x10]].concat();
        assert_eq!(picture_size(&both), Some((1280, 720)), "followed by a frame");
        let delimited = [&[0x08, 1, 0x10, len], &bare[..], &[2, 0x30, 0x10]].concat();
        assert_eq!(picture_size(&delimited), Some((1280, 720)), "after a delimiter, all with lengths");
        for cut in 0..8 {
            assert_eq!(picture_size(&both[..cut]), None);
        }
        assert_eq!(picture_size(&[0x08, 1, 0x30]), None, "no sequence header");
    }

    #[test]
    fn any_number_of_units_may_stand_before_a_sequence_header() {
        let header = [0x08, 0x00, 0x00, 0x00, 0x2D, 0x4C, 0xFF, 0xB3, 0xC0];
        for count in [254, 255, 256, 500] {
            let delimiters = [1, 0x10].repeat(count);
            let payload = [&[0x08], &delimiters[..], &[header.len() as u8], &header].concat();
            assert_eq!(picture_size(&payload), Some((1280, 720)), "after {count} delimiters");
        }
    }

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
