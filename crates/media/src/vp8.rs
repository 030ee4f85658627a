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

use crate::picture::{Picture, Reader};

/// The payload descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// First packet of a partition.
    pub start_of_partition: bool,
    /// Index of the partition; 0 carries the frame header.
    pub partition: u8,
    /// No other frame needs this one.
    pub non_reference: bool,
    /// The picture numbers.
    pub picture: Picture,
    /// Temporal layer, and whether frames from here on depend on layer 0 only.
    pub temporal: Option<(u8, bool)>,
}

impl Descriptor {
    /// Splits a payload into its descriptor and the codec's bytes; `None` if it is cut short.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<(Self, &[u8])> {
        let mut reader = Reader::new(payload);
        let first = reader.byte()?;
        let mut descriptor = Self {
            start_of_partition: first & 0x10 != 0,
            partition: first & 0x07,
            non_reference: first & 0x20 != 0,
            picture: Picture::default(),
            temporal: None,
        };
        if first & 0x80 != 0 {
            let flags = reader.byte()?;
            if flags & 0x80 != 0 {
                descriptor.picture.id = Some(reader.picture_id()?);
            }
            if flags & 0x40 != 0 {
                descriptor.picture.tl0 = Some(reader.tl0()?);
            }
            if flags & 0x30 != 0 {
                let byte = reader.byte()?;
                if flags & 0x20 != 0 {
                    descriptor.temporal = Some((byte >> 6, byte & 0x20 != 0));
                }
            }
        }
        Some((descriptor, reader.rest()))
    }

    /// Whether `frame`, the codec's bytes after this descriptor, begins a keyframe: partition 0 starts, and the frame
    /// header's first bit (RFC 6386, 9.1) is 0.
    #[must_use]
    pub fn starts_keyframe(&self, frame: &[u8]) -> bool {
        self.start_of_partition && self.partition == 0 && frame.first().is_some_and(|b| b & 1 == 0)
    }
}

/// Whether this is the first packet of a keyframe.
#[must_use]
pub fn starts_keyframe(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_some_and(|(descriptor, frame)| descriptor.starts_keyframe(frame))
}

/// Width and height of the keyframe that begins with this packet (RFC 6386, 9.1).
#[must_use]
pub fn picture_size(payload: &[u8]) -> Option<(u16, u16)> {
    let (descriptor, frame) = Descriptor::parse(payload)?;
    match frame {
        [_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..] if descriptor.starts_keyframe(frame) => {
            // The two highest bits ask for scaling.
            let size = |low: &u8, high: &u8| u16::from_le_bytes([*low, *high & 0x3F]);
            Some((size(w0, w1), size(h0, h1)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::PictureId;

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
    fn a_keyframe_says_how_large_it_is() {
        let payload = [0x90, 0x80, 0x11, 0x50, 0, 0, 0x9D, 0x01, 0x2A, 0x00, 0x05, 0xD0, 0x42];
        assert_eq!(picture_size(&payload), Some((1280, 720)));
        assert_eq!(picture_size(&payload[..12]), None);
        let mut delta = payload;
        delta[3] |= 1;
        assert_eq!(picture_size(&delta), None);
    }

    #[test]
    fn the_descriptor_has_what_layers_need() {
        let (descriptor, frame) = Descriptor::parse(&[0xB0, 0xE0, 0x91, 0x02, 0x07, 0x60, 0xAA]).unwrap();
        assert_eq!(descriptor.picture.id, Some((2, PictureId::Long(0x1102))));
        assert_eq!(descriptor.picture.tl0, Some((4, 7)));
        assert_eq!(descriptor.temporal, Some((1, true)));
        assert!(descriptor.non_reference);
        assert_eq!(frame, [0xAA]);
    }
}
