//! What forwarding needs to know of a payload: where keyframes begin, and the picture numbers of VP8 and VP9,
//! which must go on without a jump when the source of a stream changes.

use crate::config::Codec;

/// What a payload says about its frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FrameInfo {
    /// A keyframe begins with this packet: a decoder can start here.
    pub(crate) keyframe: bool,
    /// The picture numbers, with VP8 and VP9.
    pub(crate) picture: Picture,
}

/// Where the picture numbers are in the payload, and what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Position and value of the picture id, if it has one.
    pub(crate) id: Option<(u8, PictureId)>,
    /// Position and value of the index of the lowest temporal layer's picture.
    pub(crate) tl0: Option<(u8, u8)>,
}

/// A picture id of 7 or 15 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PictureId {
    /// In one byte.
    Short(u8),
    /// In two bytes.
    Long(u16),
}

impl PictureId {
    /// The number.
    pub(crate) fn value(self) -> u16 {
        match self {
            Self::Short(id) => u16::from(id),
            Self::Long(id) => id,
        }
    }
}

impl Picture {
    /// Bytes of the payload that hold the numbers: those before this position may be rewritten.
    pub(crate) fn len(&self) -> usize {
        let id = self
            .id
            .map_or(0, |(at, id)| usize::from(at) + if matches!(id, PictureId::Long(_)) { 2 } else { 1 });
        id.max(self.tl0.map_or(0, |(at, _)| usize::from(at) + 1))
    }

    /// Writes the numbers moved by `id` and `tl0` into `start`, the first [`Picture::len`] bytes of the payload.
    pub(crate) fn rewrite(&self, start: &mut [u8], id: u16, tl0: u8) {
        match self.id {
            Some((at, PictureId::Short(old))) => {
                if let Some(byte) = start.get_mut(usize::from(at)) {
                    *byte = old.wrapping_add(id as u8) & 0x7f;
                }
            }
            Some((at, PictureId::Long(old))) => {
                let at = usize::from(at);
                if let Some(bytes) = start.get_mut(at..at + 2) {
                    bytes.copy_from_slice(&(old.wrapping_add(id) | 0x8000).to_be_bytes());
                }
            }
            None => {}
        }
        if let Some((at, old)) = self.tl0
            && let Some(byte) = start.get_mut(usize::from(at))
        {
            *byte = old.wrapping_add(tl0);
        }
    }
}

/// Looks into a payload (without padding).
pub(crate) fn inspect(codec: Codec, payload: &[u8]) -> FrameInfo {
    match codec {
        Codec::Vp8 => vp8(payload).unwrap_or_default(),
        Codec::Vp9 => vp9(payload).unwrap_or_default(),
        Codec::H264 => FrameInfo { keyframe: h264(payload), ..FrameInfo::default() },
        // N: the first packet of a coded video sequence.
        Codec::Av1 => {
            FrameInfo { keyframe: payload.first().is_some_and(|b| b & 0x88 == 0x08), ..FrameInfo::default() }
        }
        Codec::Opus | Codec::OtherAudio => FrameInfo::default(),
    }
}

/// Reads a picture id at `at` and tells where it ends.
fn picture_id(payload: &[u8], at: usize) -> Option<((u8, PictureId), usize)> {
    let &first = payload.get(at)?;
    if first & 0x80 == 0 {
        return Some(((at as u8, PictureId::Short(first)), at + 1));
    }
    let &second = payload.get(at + 1)?;
    Some(((at as u8, PictureId::Long(u16::from_be_bytes([first & 0x7f, second]))), at + 2))
}

/// RFC 7741, section 4.2.
///
/// ```text
/// |X|R|N|S|R| PID |   then with X: |I|L|T|K| RSV |   then: [picture id] [TL0PICIDX] [TID Y KEYIDX]
/// ```
fn vp8(payload: &[u8]) -> Option<FrameInfo> {
    let &first = payload.first()?;
    let mut picture = Picture::default();
    let mut at = 1;
    if first & 0x80 != 0 {
        let &flags = payload.get(at)?;
        at += 1;
        if flags & 0x80 != 0 {
            let (id, end) = picture_id(payload, at)?;
            picture.id = Some(id);
            at = end;
        }
        if flags & 0x40 != 0 {
            picture.tl0 = Some((at as u8, *payload.get(at)?));
            at += 1;
        }
        if flags & 0x30 != 0 {
            at += 1;
        }
    }
    // S with partition 0 begins a frame, whose first bit is 0 for a keyframe.
    let begins = first & 0x17 == 0x10;
    let keyframe = begins && payload.get(at).is_some_and(|b| b & 1 == 0);
    Some(FrameInfo { keyframe, picture })
}

/// RFC 9628, section 4.2.
///
/// ```text
/// |I|P|L|F|B|E|V|Z|   then: [picture id]   then with L: | TID |U| SID |D|   then without F: [TL0PICIDX]
/// ```
fn vp9(payload: &[u8]) -> Option<FrameInfo> {
    let &first = payload.first()?;
    let mut picture = Picture::default();
    let mut at = 1;
    if first & 0x80 != 0 {
        let (id, end) = picture_id(payload, at)?;
        picture.id = Some(id);
        at = end;
    }
    let mut lowest = true;
    if first & 0x20 != 0 {
        let &layer = payload.get(at)?;
        lowest = layer & 0x0e == 0;
        at += 1;
        if first & 0x10 == 0 {
            picture.tl0 = Some((at as u8, *payload.get(at)?));
        }
    }
    // Not predicted from other pictures, the beginning of a frame, the lowest spatial layer.
    let keyframe = first & 0x48 == 0x08 && lowest;
    Some(FrameInfo { keyframe, picture })
}

/// RFC 6184: a keyframe begins with its sequence parameter set, or with the IDR slice where the sets came
/// otherwise.
fn h264(payload: &[u8]) -> bool {
    const IDR: u8 = 5;
    const SPS: u8 = 7;
    let starts = |nal: u8| matches!(nal & 0x1f, IDR | SPS);
    let Some((&first, mut rest)) = payload.split_first() else { return false };
    match first & 0x1f {
        // STAP-A: units with a length of 16 bits before each.
        24 => {
            while let Some((len, after)) = rest.split_first_chunk::<2>() {
                let len = usize::from(u16::from_be_bytes(*len));
                if after.first().is_some_and(|&nal| starts(nal)) {
                    return true;
                }
                rest = after.get(len..).unwrap_or_default();
            }
            false
        }
        // FU-A: the second byte has the start bit and the type.
        28 => rest.first().is_some_and(|&header| header & 0x80 != 0 && starts(header)),
        _ => starts(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp8_keyframes_begin_with_partition_zero() {
        let keyframe = |payload: &[u8]| inspect(Codec::Vp8, payload).keyframe;
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
        let picture = inspect(Codec::Vp8, &payload).picture;
        assert_eq!(picture.id, Some((2, PictureId::Long(0x7ffe))));
        assert_eq!((picture.tl0, picture.len()), (Some((4, 0xff)), 5));
        let mut start = payload;
        picture.rewrite(&mut start, 3, 2);
        assert_eq!(start, [0x90, 0xe0, 0x80, 0x01, 0x01, 0x20, 0x00]);
        let short = [0x90, 0x80, 0x7f, 0x00];
        let picture = inspect(Codec::Vp8, &short).picture;
        assert_eq!((picture.id, picture.len()), (Some((2, PictureId::Short(0x7f))), 3));
        let mut start = short;
        picture.rewrite(&mut start, 1, 9);
        assert_eq!(start, [0x90, 0x80, 0x00, 0x00]);
    }

    #[test]
    fn vp9_keyframes_are_not_predicted_and_lowest() {
        let info = inspect(Codec::Vp9, &[0xa8, 0x80, 0x05, 0x00, 0x09, 0x00]);
        assert!(info.keyframe);
        assert_eq!(info.picture.id, Some((1, PictureId::Long(5))));
        assert_eq!(info.picture.tl0, Some((4, 9)).filter(|_| true));
        assert!(!inspect(Codec::Vp9, &[0xe8, 0x80, 0x05, 0x00, 0x09]).keyframe, "predicted");
        assert!(!inspect(Codec::Vp9, &[0xa8, 0x80, 0x05, 0x02, 0x09]).keyframe, "a higher spatial layer");
        assert!(!inspect(Codec::Vp9, &[0xa0, 0x80, 0x05, 0x00, 0x09]).keyframe, "not the beginning");
    }

    #[test]
    fn h264_keyframes_begin_with_sps_or_idr() {
        let keyframe = |payload: &[u8]| inspect(Codec::H264, payload).keyframe;
        assert!(keyframe(&[0x67, 0x42]));
        assert!(keyframe(&[0x65, 0x88]));
        assert!(!keyframe(&[0x61, 0x88]));
        assert!(keyframe(&[24, 0, 2, 0x67, 0x42, 0, 1, 0x68]));
        assert!(!keyframe(&[24, 0, 2, 0x61, 0x42, 0, 9, 0x61]));
        assert!(keyframe(&[28, 0x85, 0]) && !keyframe(&[28, 0x05, 0]) && !keyframe(&[28, 0x81, 0]));
        assert!(!keyframe(&[]) && !keyframe(&[24]) && !keyframe(&[28]));
    }

    #[test]
    fn av1_keyframes_begin_a_sequence() {
        assert!(inspect(Codec::Av1, &[0x18, 0x0a]).keyframe);
        assert!(!inspect(Codec::Av1, &[0x10, 0x32]).keyframe);
        assert!(!inspect(Codec::Av1, &[]).keyframe);
    }
}
