//! VP8 in RTP (RFC 7741).
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! +-+-+-+-+-+-+-+-+
//! |X|R|N|S|R| PID |
//! +-+-+-+-+-+-+-+-+
//! |I|L|T|K| RSV   |   with X
//! +-+-+-+-+-+-+-+-+
//! |M| PictureID   |   with I: 7 bits, or 15 with M
//! +-+-+-+-+-+-+-+-+
//! |   TL0PICIDX   |   with L
//! +-+-+-+-+-+-+-+-+
//! |TID|Y| KEYIDX  |   with T or K
//! +-+-+-+-+-+-+-+-+
//! ```

/// The payload descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// First packet of a partition.
    pub start_of_partition: bool,
    /// Index of the partition; 0 carries the frame header.
    pub partition: u8,
    /// No other frame needs this one.
    pub non_reference: bool,
    /// Picture id, 7 or 15 bits.
    pub picture_id: Option<u16>,
    /// Counts frames of temporal layer 0.
    pub tl0_pic_idx: Option<u8>,
    /// Temporal layer, and whether frames from here on depend on layer 0 only.
    pub temporal: Option<(u8, bool)>,
}

impl Descriptor {
    /// Splits a payload into its descriptor and the codec's bytes; `None` if it is cut short.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (first, mut rest) = payload.split_first()?;
        let mut descriptor = Self {
            start_of_partition: first & 0x10 != 0,
            partition: first & 0x07,
            non_reference: first & 0x20 != 0,
            picture_id: None,
            tl0_pic_idx: None,
            temporal: None,
        };
        let mut next = || -> Option<u8> {
            let (byte, after) = rest.split_first()?;
            rest = after;
            Some(*byte)
        };
        if first & 0x80 != 0 {
            let flags = next()?;
            if flags & 0x80 != 0 {
                let high = next()?;
                descriptor.picture_id = Some(match high & 0x80 {
                    0 => u16::from(high),
                    _ => u16::from_be_bytes([high & 0x7F, next()?]),
                });
            }
            if flags & 0x40 != 0 {
                descriptor.tl0_pic_idx = Some(next()?);
            }
            if flags & 0x30 != 0 {
                let byte = next()?;
                if flags & 0x20 != 0 {
                    descriptor.temporal = Some((byte >> 6, byte & 0x20 != 0));
                }
            }
        }
        Some((descriptor, rest))
    }
}

/// Whether this is the first packet of a keyframe: partition 0 starts, and the frame header's first bit (RFC 6386,
/// 9.1) is 0.
#[must_use]
pub fn starts_keyframe(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_some_and(|(descriptor, frame)| {
        descriptor.start_of_partition
            && descriptor.partition == 0
            && frame.first().is_some_and(|b| b & 1 == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_are_told_by_the_frame_header() {
        assert!(starts_keyframe(&[0x10, 0x50, 0x9D]), "no extension");
        assert!(starts_keyframe(&[0x90, 0x80, 0x8F, 0x12, 0x50]), "15 bit picture id");
        assert!(starts_keyframe(&[0x90, 0xE0, 0x11, 0x05, 0x20, 0x50]), "7 bit picture id, TL0PICIDX, TID");
        assert!(!starts_keyframe(&[0x10, 0x51]), "inter frame");
        assert!(!starts_keyframe(&[0x00, 0x50]), "not the start");
        assert!(!starts_keyframe(&[0x11, 0x50]), "second partition");
        assert!(!starts_keyframe(&[0x90, 0x80, 0x8F, 0x12]), "no frame byte");
        assert!(!starts_keyframe(&[0x90, 0x80]), "cut short");
        assert!(!starts_keyframe(&[]));
    }

    #[test]
    fn the_descriptor_has_what_layers_need() {
        let (descriptor, frame) = Descriptor::parse(&[0xB0, 0xE0, 0x91, 0x02, 0x07, 0x60, 0xAA]).unwrap();
        assert_eq!(descriptor.picture_id, Some(0x1102));
        assert_eq!(descriptor.tl0_pic_idx, Some(7));
        assert_eq!(descriptor.temporal, Some((1, true)));
        assert!(descriptor.non_reference);
        assert_eq!(frame, [0xAA]);
    }
}
