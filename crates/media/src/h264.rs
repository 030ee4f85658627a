//! H.264 in RTP (RFC 6184), packetization modes 0 and 1.

use crate::bits::BitReader;

const NAL_TYPE: u8 = 0x1F;
/// Bits of the header that say whether other pictures need the unit.
const NAL_REF_IDC: u8 = 0x60;
const SLICE: u8 = 1;
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

/// Whether a picture begins with this packet: with its first slice, or with what stands before it.
#[must_use]
pub fn starts_picture(payload: &[u8]) -> bool {
    const DELIMITER: u8 = 9;
    let begins = |kind: u8, body: &[u8]| match kind {
        SLICE | IDR => body.first().is_some_and(|b| b & 0x80 != 0),
        SPS | DELIMITER => true,
        _ => false,
    };
    match payload {
        [header, ..] if header & NAL_TYPE == STAP_A => {
            units(payload).any(|unit| unit.split_first().is_some_and(|(h, body)| begins(h & NAL_TYPE, body)))
        }
        [header, fu, rest @ ..] if header & NAL_TYPE == FU_A => {
            fu & FU_START != 0 && begins(fu & NAL_TYPE, rest)
        }
        [header, rest @ ..] => begins(header & NAL_TYPE, rest),
        [] => false,
    }
}

/// Whether this packet carries a slice that no other picture needs (nal_ref_idc 0): it can be left out together with the
/// rest of its picture.
#[must_use]
pub fn discardable(payload: &[u8]) -> bool {
    let unit = |header: u8, kind: u8| header & NAL_REF_IDC == 0 && kind == SLICE;
    match payload {
        [header, fu, ..] if header & NAL_TYPE == FU_A => unit(*header, fu & NAL_TYPE),
        [header, ..] if header & NAL_TYPE == STAP_A => {
            let mut slices =
                units(payload).filter(|unit| unit.first().is_some_and(|b| b & NAL_TYPE == SLICE));
            let first = slices.next().and_then(<[u8]>::first);
            first.is_some_and(|header| header & NAL_REF_IDC == 0)
        }
        [header, ..] => unit(*header, header & NAL_TYPE),
        [] => false,
    }
}

/// Width and height that the sequence parameter set in this packet says, if one is in it.
#[must_use]
pub fn picture_size(payload: &[u8]) -> Option<(u16, u16)> {
    match payload {
        [header, ..] if header & NAL_TYPE == STAP_A => {
            let set = units(payload).find(|unit| unit.first().is_some_and(|b| b & NAL_TYPE == SPS))?;
            parameter_set_size(set.get(1..)?)
        }
        [header, rest @ ..] if header & NAL_TYPE == SPS => parameter_set_size(rest),
        _ => None,
    }
}

/// ITU-T H.264, 7.3.2.1.1.
fn parameter_set_size(body: &[u8]) -> Option<(u16, u16)> {
    /// Profiles with a chroma format and scaling lists.
    const HIGH: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
    let mut reader = BitReader::escaped(body);
    let profile = reader.bits(8)?;
    reader.skip(16)?;
    reader.exp_golomb()?;
    let mut chroma_format = 1;
    if HIGH.contains(&profile) {
        chroma_format = reader.exp_golomb()?;
        if chroma_format == 3 {
            reader.skip(1)?;
        }
        reader.exp_golomb()?;
        reader.exp_golomb()?;
        reader.skip(1)?;
        if reader.bit()? {
            for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                if reader.bit()? {
                    skip_scaling_list(&mut reader, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    reader.exp_golomb()?;
    match reader.exp_golomb()? {
        0 => drop(reader.exp_golomb()?),
        1 => {
            reader.skip(1)?;
            reader.exp_golomb()?;
            reader.exp_golomb()?;
            for _ in 0..reader.exp_golomb()?.min(255) {
                reader.exp_golomb()?;
            }
        }
        _ => {}
    }
    reader.exp_golomb()?;
    reader.skip(1)?;
    let (columns, rows) = (reader.exp_golomb()?, reader.exp_golomb()?);
    let frames_only = reader.bit()?;
    if !frames_only {
        reader.skip(1)?;
    }
    reader.skip(1)?;
    let fields = if frames_only { 1 } else { 2 };
    let cropped = if reader.bit()? {
        [reader.exp_golomb()?, reader.exp_golomb()?, reader.exp_golomb()?, reader.exp_golomb()?]
    } else {
        [0; 4]
    };
    let [left, right, top, bottom] = cropped;
    let (unit_x, unit_y) = match chroma_format {
        0 | 3 => (1, 1),
        2 => (2, 1),
        _ => (2, 2),
    };
    let size = |blocks: u32, factor: u32, crop: [u32; 2], unit: u32| {
        let [before, after] = crop;
        let whole = blocks.checked_add(1)?.checked_mul(16)?.checked_mul(factor)?;
        u16::try_from(whole.checked_sub(before.checked_add(after)?.checked_mul(unit)?)?).ok()
    };
    Some((size(columns, 1, [left, right], unit_x)?, size(rows, fields, [top, bottom], unit_y * fields)?))
}

fn skip_scaling_list(reader: &mut BitReader<'_>, len: u32) -> Option<()> {
    let (mut last, mut next) = (8u32, 8u32);
    for _ in 0..len {
        if next != 0 {
            // A signed Exp-Golomb number, of which only the value modulo 256 counts.
            let code = reader.exp_golomb()?;
            let delta = if code % 2 == 1 { code / 2 + 1 } else { (code / 2).wrapping_neg() };
            next = last.wrapping_add(delta) & 0xFF;
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

/// The units of a STAP-A, with their headers.
fn units(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = payload.get(1..).unwrap_or_default();
    std::iter::from_fn(move || {
        let [high, low, units @ ..] = rest else { return None };
        let (unit, next) = units.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        rest = next;
        Some(unit)
    })
}

/// STAP-A (5.7.1): a header byte, then 16 bits of length and a unit, again and again.
fn aggregate_starts(payload: &[u8]) -> bool {
    units(payload).any(|unit| match unit {
        [header, body @ ..] => unit_starts(header & NAL_TYPE, body),
        [] => false,
    })
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
    fn slices_that_nobody_needs_are_told_apart() {
        assert!(discardable(&[0x01, 0x9A]), "a slice");
        assert!(discardable(&[0x1C, 0x81, 0x9A]), "a piece of one");
        assert!(discardable(&[0x18, 0, 2, 0x09, 0xF0, 0, 2, 0x01, 0x9A]), "with a delimiter");
        assert!(!discardable(&[0x41, 0x9A]));
        assert!(!discardable(&[0x5C, 0x81, 0x9A]));
        assert!(!discardable(&[0x18, 0, 2, 0x09, 0xF0]), "a delimiter alone belongs to nothing yet");
        assert!(!discardable(&[0x06, 0x05]) && !discardable(&[]));
        assert!(
            starts_picture(&[0x01, 0x9A])
                && starts_picture(&[0x1C, 0x81, 0x9A])
                && starts_picture(&[0x67, 1])
        );
        assert!(starts_picture(&[0x18, 0, 2, 0x06, 0xF0, 0, 2, 0x01, 0x9A]));
        assert!(!starts_picture(&[0x01, 0x1A]), "a later slice");
        assert!(!starts_picture(&[0x1C, 0x41, 0x9A]) && !starts_picture(&[0x68, 1]) && !starts_picture(&[]));
    }

    #[test]
    fn a_parameter_set_says_how_large_the_picture_is() {
        // x264: High, 1280x720, no cropping.
        let high =
            [0x67, 0x64, 0x00, 0x1F, 0xAC, 0xD9, 0x40, 0x50, 0x05, 0xBB, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00];
        assert_eq!(picture_size(&high), Some((1280, 720)));
        // OpenH264: Constrained Baseline, 640x360, which takes cropping of 8 lines.
        let baseline =
            [0x67, 0x42, 0xC0, 0x1F, 0x8C, 0x8D, 0x40, 0x50, 0x17, 0xFC, 0xB0, 0x0F, 0x08, 0x84, 0x6A];
        assert_eq!(picture_size(&baseline), Some((640, 360)));
        let aggregate = [&[0x78, 0, 15], &baseline[..], &[0, 2, 0x68, 0xCE]].concat();
        assert_eq!(picture_size(&aggregate), Some((640, 360)));
        assert_eq!(picture_size(&baseline[..6]), None);
        assert_eq!(picture_size(&[0x65, 0x88]), None);
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
