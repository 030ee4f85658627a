//! What forwarding needs to know of a packet: where keyframes begin, the picture numbers of VP8 and VP9, and the
//! layers. How the bytes are read is known to [`media`].

pub(crate) use media::Picture;
use media::dependency::{Descriptor, Indication, References, Structure};
use media::{VideoCodec, h264, vp8, vp9};
use rtp::Codec;

use crate::layers::{Layers, Mask};

/// When a subscriber may go up to higher temporal layers, as the payload says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Up {
    /// Not here.
    #[default]
    No,
    /// With this frame, up to its layer: it needs frames of the lowest layer only (VP8).
    Here,
    /// With the next frame, to any layer: none needs frames of higher layers from before this one (VP9).
    Next,
    /// At any frame: no frame needs those of the higher layer (H.264).
    Always,
}

/// What the dependency descriptor says of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) number: u16,
    /// Layers that can be decoded from this frame on, if it can be decoded, and what it needs. Left out where the
    /// payload says so itself: a receiver that did not negotiate the descriptor goes by the payload alone.
    pub(crate) switch: Option<(Mask, References)>,
    /// First id and number of the templates, if a structure came with it.
    pub(crate) templates: Option<(u8, u8)>,
}

/// What a packet says about its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameInfo {
    /// A keyframe begins with this packet: a decoder can start here.
    pub(crate) keyframe: bool,
    /// The picture numbers, with VP8 and VP9.
    pub(crate) picture: Picture,
    /// The layers of the frame.
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    /// The choices of layers that contain it.
    pub(crate) mask: Mask,
    /// First and last packet of the frame of one spatial layer.
    pub(crate) begins: bool,
    pub(crate) ends: bool,
    pub(crate) up: Up,
    /// Spatial layers do not need each other but at keyframes: only there can they be changed.
    pub(crate) separate: bool,
    pub(crate) described: Option<Described>,
}

impl Default for FrameInfo {
    fn default() -> Self {
        Self {
            keyframe: false,
            picture: Picture::default(),
            spatial: 0,
            temporal: 0,
            mask: Mask::ALL,
            begins: false,
            ends: false,
            up: Up::No,
            separate: false,
            described: None,
        }
    }
}

/// Looks into a payload (without padding) and the dependency descriptor, if one came. What cannot be read is no
/// keyframe, has no numbers and belongs to all layers.
pub(crate) fn inspect(
    codec: Codec,
    payload: &[u8],
    descriptor: Option<&[u8]>,
    structure: Option<&Structure>,
) -> FrameInfo {
    let info = match codec {
        Codec::Vp8 => of_vp8(payload),
        Codec::Vp9 => of_vp9(payload),
        Codec::H264 => of_h264(payload),
        Codec::Av1 => {
            FrameInfo { keyframe: media::starts_keyframe(VideoCodec::Av1, payload), ..FrameInfo::default() }
        }
        Codec::Opus | Codec::OtherAudio => return FrameInfo::default(),
    };
    let Some((descriptor, new)) = descriptor.and_then(|value| Descriptor::read(value, structure)) else {
        return info;
    };
    // Chromium leaves the layers out of VP8's payload where the descriptor says them.
    let by_payload = codec == Codec::Vp9 || (codec == Codec::Vp8 && info.picture.tl0.is_some());
    with_descriptor(info, &descriptor, new.as_ref().or(structure), new.is_some(), by_payload)
}

fn of_vp8(payload: &[u8]) -> FrameInfo {
    let Some((descriptor, frame)) = vp8::Descriptor::parse(payload) else { return FrameInfo::default() };
    let (temporal, sync) = descriptor.temporal.unwrap_or((0, false));
    FrameInfo {
        keyframe: descriptor.starts_keyframe(frame),
        picture: descriptor.picture,
        temporal,
        mask: Mask::of(0, temporal, false),
        begins: descriptor.start_of_partition && descriptor.partition == 0,
        up: if sync { Up::Here } else { Up::No },
        ..FrameInfo::default()
    }
}

fn of_vp9(payload: &[u8]) -> FrameInfo {
    let Some((descriptor, frame)) = vp9::Descriptor::parse(payload) else { return FrameInfo::default() };
    let info = FrameInfo {
        keyframe: descriptor.starts_keyframe(frame),
        picture: descriptor.picture,
        begins: descriptor.begin,
        ends: descriptor.end,
        ..FrameInfo::default()
    };
    let Some(layer) = descriptor.layer else { return info };
    FrameInfo {
        spatial: layer.spatial,
        temporal: layer.temporal,
        mask: Mask::of(layer.spatial, layer.temporal, descriptor.not_for_upper),
        up: if layer.switching_up { Up::Next } else { Up::No },
        separate: descriptor.not_for_upper && descriptor.inter_picture,
        ..info
    }
}

fn of_h264(payload: &[u8]) -> FrameInfo {
    let temporal = u8::from(h264::discardable(payload));
    FrameInfo {
        keyframe: media::starts_keyframe(VideoCodec::H264, payload),
        temporal,
        mask: Mask::of(0, temporal, false),
        begins: h264::starts_picture(payload),
        up: Up::Always,
        ..FrameInfo::default()
    }
}

/// The layers that a decode target is, if the table has it.
fn target(structure: &Structure, layers: Layers) -> Option<u8> {
    let targets = structure.targets().iter().zip(0u8..);
    if layers == Layers::ALL {
        return targets.max_by_key(|(t, _)| (t.spatial, t.temporal)).map(|(_, index)| index);
    }
    let mut same = targets.filter(|(t, _)| (t.spatial, t.temporal) == (layers.spatial(), layers.temporal()));
    same.next().map(|(_, index)| index)
}

fn with_descriptor(
    info: FrameInfo,
    descriptor: &Descriptor,
    structure: Option<&Structure>,
    is_new: bool,
    by_payload: bool,
) -> FrameInfo {
    let mut described = Described { number: descriptor.frame_number, switch: None, templates: None };
    if let (Some(structure), true) = (structure, is_new) {
        described.templates = Some((structure.template_offset(), structure.templates().len() as u8));
    }
    if by_payload {
        return FrameInfo { described: Some(described), ..info };
    }
    let (Some(structure), Some(frame)) = (structure, descriptor.frame) else {
        return FrameInfo { described: Some(described), ..info };
    };
    let (mut mask, mut switch) = (Mask::ONLY_ALL, Mask::NONE);
    let plain = Mask::of(frame.spatial, frame.temporal, false);
    for layers in Layers::all() {
        let indication = target(structure, layers).map(|target| frame.indications.of(target));
        // Choices that are no decode target are never made; they contain what their layers say.
        if indication.map_or(plain.contains(layers), |i| i != Indication::NotPresent) {
            mask = mask.with(layers);
        }
        if indication == Some(Indication::Switch) {
            switch = switch.with(layers);
        }
    }
    described.switch = Some((switch, frame.references));
    let top = target(structure, Layers::ALL);
    let below =
        top.and_then(|top| structure.targets().get(usize::from(top))).map(|top| frame.spatial < top.spatial);
    let unused = top.is_some_and(|top| frame.indications.of(top) == Indication::NotPresent);
    FrameInfo {
        spatial: frame.spatial,
        temporal: frame.temporal,
        mask,
        begins: descriptor.start_of_frame,
        ends: descriptor.end_of_frame,
        separate: below == Some(true) && unused,
        described: Some(described),
        ..info
    }
}

#[cfg(test)]
mod tests {
    use media::PictureId;

    use super::*;

    #[test]
    fn vp8_keyframes_begin_with_partition_zero() {
        let keyframe = |payload: &[u8]| inspect(Codec::Vp8, payload, None, None).keyframe;
        assert!(keyframe(&[0x10, 0x00]));
        assert!(!keyframe(&[0x10, 0x01]), "a delta frame");
        assert!(!keyframe(&[0x00, 0x00]), "not the start");
        assert!(!keyframe(&[0x11, 0x00]), "another partition");
        assert!(keyframe(&[0x90, 0xe0, 0x81, 0x02, 0x07, 0x20, 0x00]));
        assert!(!keyframe(&[0x90, 0xe0, 0x81]), "cut off");
    }

    #[test]
    fn vp8_picture_numbers_are_found_and_moved() {
        let payload = [0x90, 0xe0, 0xff, 0xfe, 0xff, 0x20, 0x00];
        let picture = inspect(Codec::Vp8, &payload, None, None).picture;
        assert_eq!(picture.id, Some((2, PictureId::Long(0x7ffe))));
        assert_eq!((picture.tl0, picture.len()), (Some((4, 0xff)), 5));
        let mut start = payload;
        picture.rewrite(&mut start, 3, 2);
        assert_eq!(start, [0x90, 0xe0, 0x80, 0x01, 0x01, 0x20, 0x00]);
        let short = [0x90, 0x80, 0x7f, 0x00];
        let picture = inspect(Codec::Vp8, &short, None, None).picture;
        assert_eq!((picture.id, picture.len()), (Some((2, PictureId::Short(0x7f))), 3));
        let mut start = short;
        picture.rewrite(&mut start, 1, 9);
        assert_eq!(start, [0x90, 0x80, 0x00, 0x00]);
    }

    #[test]
    fn vp9_keyframes_are_not_predicted_and_lowest() {
        let info = inspect(Codec::Vp9, &[0xa8, 0x80, 0x05, 0x00, 0x09, 0x00], None, None);
        assert!(info.keyframe);
        assert_eq!(info.picture.id, Some((1, PictureId::Long(5))));
        assert_eq!(info.picture.tl0, Some((4, 9)));
        assert!(!inspect(Codec::Vp9, &[0xe8, 0x80, 0x05, 0x00, 0x09], None, None).keyframe, "predicted");
        assert!(
            !inspect(Codec::Vp9, &[0xa8, 0x80, 0x05, 0x02, 0x09], None, None).keyframe,
            "a higher spatial layer"
        );
        assert!(
            !inspect(Codec::Vp9, &[0xa0, 0x80, 0x05, 0x00, 0x09], None, None).keyframe,
            "not the beginning"
        );
    }

    #[test]
    fn h264_keyframes_begin_with_sps_or_idr() {
        let keyframe = |payload: &[u8]| inspect(Codec::H264, payload, None, None).keyframe;
        assert!(keyframe(&[0x67, 0x42]));
        assert!(keyframe(&[0x65, 0x88]));
        assert!(!keyframe(&[0x61, 0x88]));
        assert!(keyframe(&[24, 0, 2, 0x67, 0x42, 0, 1, 0x68]));
        assert!(!keyframe(&[24, 0, 2, 0x61, 0x42, 0, 9, 0x61]));
        assert!(keyframe(&[28, 0x85, 0x88]) && !keyframe(&[28, 0x05, 0]) && !keyframe(&[28, 0x81, 0]));
        assert!(!keyframe(&[]) && !keyframe(&[24]) && !keyframe(&[28]));
    }

    #[test]
    fn av1_keyframes_begin_a_sequence() {
        assert!(inspect(Codec::Av1, &[0x18, 0x0a], None, None).keyframe);
        assert!(!inspect(Codec::Av1, &[0x10, 0x32], None, None).keyframe);
        assert!(!inspect(Codec::Av1, &[], None, None).keyframe);
    }
}
