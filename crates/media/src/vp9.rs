//! VP9 in RTP (RFC 9628): the descriptor read, and a packetiser for single-layer streams.
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! +-+-+-+-+-+-+-+-+
//! |I|P|L|F|B|E|V|Z|
//! +-+-+-+-+-+-+-+-+
//! |M| PICTURE ID  |   with I: 7 bits, or 15 with M
//! +-+-+-+-+-+-+-+-+
//! | TID |U| SID |D|   with L
//! +-+-+-+-+-+-+-+-+
//! |   TL0PICIDX   |   with L and without F
//! +-+-+-+-+-+-+-+-+
//! |  P_DIFF     |N|   with P and F, up to 3 times
//! +-+-+-+-+-+-+-+-+
//! | SS ..         |   with V
//! +-+-+-+-+-+-+-+-+
//! ```

use crate::bits::BitReader;
use crate::picture::{Picture, Reader};

const I_PICTURE_ID: u8 = 0x80;
const P_INTER: u8 = 0x40;
const L_LAYERS: u8 = 0x20;
const F_FLEXIBLE: u8 = 0x10;
const B_BEGIN: u8 = 0x08;
const E_END: u8 = 0x04;
const V_STRUCTURE: u8 = 0x02;
const Z_NOT_FOR_UPPER: u8 = 0x01;

/// Bytes in front of an inter frame's data in each packet of [`Packetizer`]: flags, picture id, P_DIFF.
const HEADER_LEN: usize = 4;

/// Spatial layers that can have a size; the descriptor has room for eight, encoders make three.
pub const MAX_SPATIAL: usize = 4;

/// The payload descriptor; of a scalability structure only the sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// First packet of a layer frame.
    pub begin: bool,
    /// Last packet of a layer frame.
    pub end: bool,
    /// Depends on earlier pictures.
    pub inter_picture: bool,
    /// No higher spatial layer of the same picture needs this one.
    pub not_for_upper: bool,
    /// The picture numbers; TL0PICIDX in non-flexible mode only.
    pub picture: Picture,
    /// Layer indices.
    pub layer: Option<Layer>,
    /// Width and height of the spatial layers, if a scalability structure says so, lowest first.
    pub sizes: [Option<(u16, u16)>; MAX_SPATIAL],
}

/// Where a packet stands among the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Temporal layer.
    pub temporal: u8,
    /// Spatial layer.
    pub spatial: u8,
    /// A receiver may switch up to this temporal layer here.
    pub switching_up: bool,
    /// Depends on the lower spatial layer of the same picture.
    pub inter_layer: bool,
}

impl Descriptor {
    /// Splits a payload into its descriptor and the codec's bytes; `None` if it is cut short.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<(Self, &[u8])> {
        let mut reader = Reader::new(payload);
        let flags = reader.byte()?;
        let has = |flag: u8| flags & flag != 0;
        let mut descriptor = Self {
            begin: has(B_BEGIN),
            end: has(E_END),
            inter_picture: has(P_INTER),
            not_for_upper: has(Z_NOT_FOR_UPPER),
            picture: Picture::default(),
            layer: None,
            sizes: [None; MAX_SPATIAL],
        };
        if has(I_PICTURE_ID) {
            descriptor.picture.id = Some(reader.picture_id()?);
        }
        if has(L_LAYERS) {
            let byte = reader.byte()?;
            descriptor.layer = Some(Layer {
                temporal: byte >> 5,
                spatial: (byte >> 1) & 0x07,
                switching_up: byte & 0x10 != 0,
                inter_layer: byte & 0x01 != 0,
            });
            if !has(F_FLEXIBLE) {
                descriptor.picture.tl0 = Some(reader.tl0()?);
            }
        }
        if has(P_INTER) && has(F_FLEXIBLE) {
            // At most three references (4.2): the third ends the list, whatever its N bit says.
            for _ in 0..3 {
                if reader.byte()? & 1 == 0 {
                    break;
                }
            }
        }
        if has(V_STRUCTURE) {
            read_structure(&mut reader, &mut descriptor.sizes)?;
        }
        Some((descriptor, reader.rest()))
    }

    /// Whether `frame`, the codec's bytes after this descriptor, begins a picture that depends on none before it: the
    /// base layer, not inter-picture predicted.
    #[must_use]
    pub fn starts_keyframe(&self, frame: &[u8]) -> bool {
        let is_base = self.layer.is_none_or(|layer| layer.spatial == 0 && !layer.inter_layer);
        self.begin && !self.inter_picture && is_base && !frame.is_empty()
    }
}

/// 4.2.1: `N_S Y G`, a resolution per spatial layer with Y, a picture group with G.
fn read_structure(reader: &mut Reader<'_>, sizes: &mut [Option<(u16, u16)>; MAX_SPATIAL]) -> Option<()> {
    let header = reader.byte()?;
    if header & 0x10 != 0 {
        for spatial in 0..=usize::from(header >> 5) {
            let [w0, w1, h0, h1] = [reader.byte()?, reader.byte()?, reader.byte()?, reader.byte()?];
            if let Some(slot) = sizes.get_mut(spatial) {
                *slot = Some((u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1])));
            }
        }
    }
    if header & 0x08 != 0 {
        for _ in 0..reader.byte()? {
            let references = (reader.byte()? >> 2) & 0x03;
            reader.skip(usize::from(references))?;
        }
    }
    Some(())
}

/// Whether this is the first packet of a picture that depends on none before it.
#[must_use]
pub fn starts_keyframe(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_some_and(|(descriptor, frame)| descriptor.starts_keyframe(frame))
}

/// Width and height of the keyframe that begins with this packet: of its highest spatial layer if there is a
/// scalability structure, else of this layer (VP9 bitstream specification, 6.2 and 6.2.2).
#[must_use]
pub fn picture_size(payload: &[u8]) -> Option<(u16, u16)> {
    const SYNC_CODE: u32 = 0x49_8342;
    const COLOUR_RGB: u32 = 7;
    let (descriptor, frame) = Descriptor::parse(payload)?;
    if !descriptor.starts_keyframe(frame) {
        return None;
    }
    if let Some(size) = descriptor.sizes.into_iter().flatten().last() {
        return Some(size);
    }
    let mut reader = BitReader::new(frame);
    let marker = reader.bits(2)?;
    let profile = u32::from(reader.bit()?) | (u32::from(reader.bit()?) << 1);
    if profile == 3 {
        reader.skip(1)?;
    }
    let (shown_again, inter) = (reader.bit()?, reader.bit()?);
    reader.skip(2)?;
    if marker != 2 || shown_again || inter || reader.bits(24)? != SYNC_CODE {
        return None;
    }
    if profile >= 2 {
        reader.skip(1)?;
    }
    let subsampled = profile & 1 == 1;
    match (reader.bits(3)?, subsampled) {
        (COLOUR_RGB, true) => reader.skip(1)?,
        (COLOUR_RGB, false) => {}
        (_, true) => reader.skip(4)?,
        (_, false) => reader.skip(1)?,
    }
    let [width, height] = [reader.bits(16)?, reader.bits(16)?];
    Some((u16::try_from(width + 1).ok()?, u16::try_from(height + 1).ok()?))
}

/// Whether a whole frame, as a file holds it, is a keyframe (VP9 bitstream specification, 6.2), of profile 0.
#[must_use]
pub fn frame_is_key(frame: &[u8]) -> bool {
    // frame_marker 10, profile 00, show_existing_frame 0, frame_type 0.
    frame.first().is_some_and(|b| b & 0b1111_1100 == 0b1000_0000)
}

/// Cuts frames of one spatial and one temporal layer into RTP payloads, in flexible mode: each frame names the one
/// before it as its reference, as libwebrtc does.
#[derive(Debug, Clone)]
pub struct Packetizer {
    picture_id: u16,
    max_payload: usize,
}

/// Smallest payload a [`Packetizer`] may be asked for.
pub const MIN_PAYLOAD: usize = 64;

impl Packetizer {
    /// Payloads of at most `max_payload` bytes (at least [`MIN_PAYLOAD`]), the first picture with the low 15 bits of
    /// `picture_id`.
    #[must_use]
    pub fn new(picture_id: u16, max_payload: usize) -> Self {
        Self { picture_id: picture_id & 0x7FFF, max_payload: max_payload.max(MIN_PAYLOAD) }
    }

    /// The payloads of the next frame, in order; none for an empty frame. The last one belongs into a packet with
    /// the marker bit. Payloads of one frame differ by at most one byte in size.
    pub fn frame<'a>(&mut self, frame: &'a [u8]) -> impl Iterator<Item = Payload<'a>> + use<'a> {
        let key = frame_is_key(frame);
        let [high, low] = self.picture_id.to_be_bytes();
        self.picture_id = (self.picture_id + 1) & 0x7FFF;
        let room = self.max_payload - HEADER_LEN;
        let count = frame.len().div_ceil(room);
        let mut rest = frame;
        (0..count).map(move |index| {
            let left = count - index;
            let (data, after) = rest.split_at(rest.len().div_ceil(left));
            rest = after;
            let mut flags = I_PICTURE_ID | F_FLEXIBLE;
            if !key {
                flags |= P_INTER;
            }
            if index == 0 {
                flags |= B_BEGIN;
            }
            if left == 1 {
                flags |= E_END;
            }
            // P_DIFF 1, no more references.
            let header = [flags, high | 0x80, low, 1 << 1];
            Payload {
                header,
                header_len: if key { HEADER_LEN - 1 } else { HEADER_LEN },
                data,
                last: left == 1,
            }
        })
    }
}

/// One RTP payload: a descriptor and a piece of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    header: [u8; HEADER_LEN],
    header_len: usize,
    /// The piece of the frame.
    pub data: &'a [u8],
    /// The frame ends here: the packet has the marker bit.
    pub last: bool,
}

impl Payload<'_> {
    /// The descriptor.
    #[must_use]
    pub fn descriptor(&self) -> &[u8] {
        self.header.get(..self.header_len).unwrap_or_default()
    }

    /// Descriptor and data together.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.descriptor());
        out.extend_from_slice(self.data);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::picture::PictureId;

    #[test]
    fn keyframes_are_told_by_the_flags_and_the_base_layer() {
        assert!(starts_keyframe(&[0x88, 0x05, 0x82]), "7 bit picture id");
        assert!(starts_keyframe(&[0xA8, 0x85, 0x01, 0x00, 0x00, 0x82]), "layers, TL0PICIDX");
        assert!(!starts_keyframe(&[0xC8, 0x05, 0x82]), "inter-picture predicted");
        assert!(!starts_keyframe(&[0x80, 0x05, 0x82]), "not the beginning");
        assert!(!starts_keyframe(&[0xA8, 0x85, 0x01, 0x02, 0x00, 0x82]), "spatial layer 1");
        assert!(!starts_keyframe(&[0x88, 0x05]), "no frame byte");
        assert!(!starts_keyframe(&[]));
    }

    #[test]
    fn a_keyframe_says_how_large_it_is() {
        // Profile 0, shown; sync code; BT.601, studio range; 1280x720.
        let frame = [0x82, 0x49, 0x83, 0x42, 0x20, 0x04, 0xFF_u8, 0x02, 0xCF, 0x00];
        let bits: Vec<u8> = [&[0x88, 0x05], &frame[..]].concat();
        // The colour takes four bits, so the sizes are not at a byte.
        let mut shifted = bits.clone();
        let sizes = ((u64::from(1279u32) << 16) | 719) << 12;
        shifted[6..12].copy_from_slice(&(sizes | (0x2u64 << 44)).to_be_bytes()[2..]);
        assert_eq!(picture_size(&shifted), Some((1280, 720)));
        assert_eq!(picture_size(&shifted[..9]), None);
        assert_eq!(
            picture_size(&[0x88, 0x05, 0x86, 0x49, 0x83, 0x42, 0, 0, 0, 0, 0]),
            None,
            "an inter frame"
        );
        let layers = [0xAA, 0x05, 0x00, 0x00, 0x30, 1, 64, 0, 180, 2, 128, 1, 104, 0x82];
        assert_eq!(picture_size(&layers), Some((640, 360)), "the highest layer of the structure");
    }

    #[test]
    fn a_scalability_structure_is_skipped() {
        // I, B, V: picture id 5; N_S=0, Y=1, G=1: 1280x720; one picture in the group with one reference.
        let payload = [0x8A, 0x05, 0x18, 0x05, 0x00, 0x02, 0xD0, 0x01, 0x04, 0x01, 0x82, 0x49];
        let (descriptor, frame) = Descriptor::parse(&payload).unwrap();
        assert_eq!(descriptor.picture.id, Some((1, PictureId::Short(5))));
        assert_eq!(frame, [0x82, 0x49]);
        assert_eq!(descriptor.sizes, [Some((1280, 720)), None, None, None]);
        assert!(starts_keyframe(&payload));
        for cut in 0..10 {
            assert!(Descriptor::parse(&payload[..cut]).is_none(), "{cut}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(5),
            ..ProptestConfig::default()
        })]

        #[test]
        fn what_is_cut_is_put_together_again(
            frame in prop::collection::vec(any::<u8>(), 1..6_000),
            first in any::<u16>(),
            max in MIN_PAYLOAD..1_300usize,
        ) {
            let mut packetizer = Packetizer::new(first, max);
            let payloads: Vec<(Vec<u8>, bool)> = packetizer
                .frame(&frame)
                .map(|payload| {
                    let mut bytes = Vec::new();
                    payload.write(&mut bytes);
                    (bytes, payload.last)
                })
                .collect();
            let mut joined = Vec::new();
            for (index, (payload, last)) in payloads.iter().enumerate() {
                prop_assert!(payload.len() <= max);
                prop_assert_eq!(*last, index + 1 == payloads.len());
                let (descriptor, data) = Descriptor::parse(payload).unwrap();
                prop_assert_eq!(descriptor.picture.id, Some((1, PictureId::Long(first & 0x7FFF))));
                prop_assert_eq!(descriptor.begin, index == 0);
                prop_assert_eq!(descriptor.end, *last);
                prop_assert_eq!(descriptor.inter_picture, !frame_is_key(&frame));
                prop_assert_eq!(starts_keyframe(payload), index == 0 && frame_is_key(&frame));
                joined.extend_from_slice(data);
            }
            prop_assert_eq!(joined, frame);
        }
    }

    #[test]
    fn picture_ids_rise_by_one_and_wrap() {
        let mut packetizer = Packetizer::new(0x7FFF, 1_200);
        let mut id = || {
            let payload = packetizer.frame(&[0x82]).next().unwrap();
            Descriptor::parse(&[payload.descriptor(), payload.data].concat()).unwrap().0.picture.id
        };
        assert_eq!(id(), Some((1, PictureId::Long(0x7FFF))));
        assert_eq!(id(), Some((1, PictureId::Long(0))));
        assert_eq!(Packetizer::new(0, 1_200).frame(&[]).count(), 0);
    }
}
