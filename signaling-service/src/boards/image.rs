//! What an image is, by its content: the formats that boards take, and how large it becomes when it is decoded. Nothing is
//! decoded here. Pure.

use contract::board::MAX_BOARD_IMAGE_SIDE;

/// Most pixels of an image: 40 megapixels take 160 MB in a browser.
pub(crate) const MAX_PIXELS: u64 = 40_000_000;

/// What boards take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Png,
    Jpeg,
    WebP,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }
}

/// What the bytes say of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) format: Format,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// Why bytes are no image of a board. The text is for whoever sent them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoImage {
    #[error("neither PNG nor JPEG nor WebP")]
    Format,
    #[error("the image is broken or not whole")]
    Broken,
    #[error(
        "the image has more than {MAX_BOARD_IMAGE_SIDE} pixels in a side, or more than 40 megapixels in all"
    )]
    TooLarge,
}

/// Reads what an image is.
///
/// # Errors
/// [`NoImage`].
pub(crate) fn read(bytes: &[u8]) -> Result<Image, NoImage> {
    let (format, size) = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        (Format::Png, png(bytes))
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        (Format::Jpeg, jpeg(bytes))
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        (Format::WebP, webp(bytes))
    } else {
        return Err(NoImage::Format);
    };
    let (width, height) = size.ok_or(NoImage::Broken)?;
    if width == 0 || height == 0 {
        return Err(NoImage::Broken);
    }
    let pixels = u64::from(width) * u64::from(height);
    if width > MAX_BOARD_IMAGE_SIDE || height > MAX_BOARD_IMAGE_SIDE || pixels > MAX_PIXELS {
        return Err(NoImage::TooLarge);
    }
    Ok(Image { format, width, height })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// W3C PNG: chunks of length, type, data, CRC. IHDR comes first, something to show and IEND follow.
fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    let (mut at, mut size, mut has_data) = (8_usize, None, false);
    loop {
        let length = usize::try_from(u32::from_be_bytes(array(bytes, at)?)).ok()?;
        let kind: [u8; 4] = array(bytes, at.checked_add(4)?)?;
        let data = at.checked_add(8)?;
        let end = data.checked_add(length)?.checked_add(4)?;
        if end > bytes.len() {
            return None;
        }
        match (&kind, size) {
            (b"IHDR", None) if length == 13 => {
                size = Some((
                    u32::from_be_bytes(array(bytes, data)?),
                    u32::from_be_bytes(array(bytes, data + 4)?),
                ));
            }
            (_, None) => return None,
            (b"IDAT", Some(_)) => has_data = true,
            (b"IEND", Some(_)) => return size.filter(|_| has_data && end == bytes.len()),
            _ => {}
        }
        at = end;
    }
}

/// ITU T.81: segments of marker and length; a frame header SOFn has the size, the scan after it the picture, EOI the end.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let (mut at, mut size) = (2_usize, None);
    loop {
        let [0xff, marker] = array(bytes, at)? else { return None };
        match marker {
            // A filler byte before the marker.
            0xff => at = at.checked_add(1)?,
            0x01 | 0xd0..=0xd8 => at = at.checked_add(2)?,
            // The scan: up to EOI, which is not to be missing altogether.
            0xda => {
                let has_end = bytes.get(at..)?.windows(2).any(|pair| pair == [0xff, 0xd9]);
                return size.filter(|_| has_end);
            }
            0xd9 => return None,
            _ => {
                let length = usize::from(u16::from_be_bytes(array(bytes, at.checked_add(2)?)?));
                let is_frame = matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
                if is_frame {
                    let height = u16::from_be_bytes(array(bytes, at.checked_add(5)?)?);
                    let width = u16::from_be_bytes(array(bytes, at.checked_add(7)?)?);
                    // A second frame header would show another size than the one that was checked.
                    if length < 8 || size.replace((u32::from(width), u32::from(height))).is_some() {
                        return None;
                    }
                }
                at = at.checked_add(2)?.checked_add(length.max(2))?;
            }
        }
    }
}

/// RFC 9649: a RIFF container; VP8, VP8L or VP8X comes first and has the size.
fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    let whole = usize::try_from(u32::from_le_bytes(array(bytes, 4)?)).ok()?.checked_add(8)?;
    let kind: [u8; 4] = array(bytes, 12)?;
    let length = usize::try_from(u32::from_le_bytes(array(bytes, 16)?)).ok()?;
    let has_all = whole <= bytes.len() && 20_usize.checked_add(length)? <= bytes.len();
    if !has_all {
        return None;
    }
    match &kind {
        // A keyframe: three bytes of tag, the start code, then 14 bits each (RFC 6386 section 9.1).
        b"VP8 " => {
            let [tag, _, _, 0x9d, 0x01, 0x2a] = array(bytes, 20)? else { return None };
            let side = |at| array(bytes, at).map(|side| u32::from(u16::from_le_bytes(side) & 0x3fff));
            if tag & 1 == 0 { Some((side(26)?, side(28)?)) } else { None }
        }
        b"VP8L" => {
            let [0x2f] = array(bytes, 20)? else { return None };
            let bits = u32::from_le_bytes(array(bytes, 21)?);
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => {
            let side = |at| {
                let [low, middle, high] = array(bytes, at)?;
                Some(u32::from_le_bytes([low, middle, high, 0]) + 1)
            };
            Some((side(24)?, side(27)?))
        }
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn a_png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        let mut chunk = |kind: &[u8; 4], data: &[u8]| {
            bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
            bytes.extend(kind);
            bytes.extend(data);
            bytes.extend([0; 4]);
        };
        let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
        chunk(b"IHDR", &[sides.as_slice(), &[8, 6, 0, 0, 0]].concat());
        chunk(b"IDAT", &[1, 2, 3]);
        chunk(b"IEND", &[]);
        bytes
    }

    fn a_jpeg(width: u16, height: u16) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xc2, 0, 11, 8];
        bytes.extend(height.to_be_bytes());
        bytes.extend(width.to_be_bytes());
        bytes.extend([1, 1, 0x11, 0, 0xff, 0xda, 0, 2, 7, 7, 0xff, 0xd9]);
        bytes
    }

    fn a_webp(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let length = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        [b"RIFF", &length(data.len() + 12)[..], b"WEBP", kind, &length(data.len()), data].concat()
    }

    #[test]
    fn the_three_formats_say_how_large_they_are() {
        let is = |format, width, height| Ok(Image { format, width, height });
        assert_eq!(read(&a_png(640, 480)), is(Format::Png, 640, 480));
        assert_eq!(read(&a_jpeg(640, 480)), is(Format::Jpeg, 640, 480));
        let vp8 = [&[0, 0, 0, 0x9d, 0x01, 0x2a][..], &640_u16.to_le_bytes(), &480_u16.to_le_bytes()].concat();
        assert_eq!(read(&a_webp(b"VP8 ", &vp8)), is(Format::WebP, 640, 480));
        let bits: u32 = 639 | 479 << 14;
        let vp8l = [&[0x2f][..], &bits.to_le_bytes()].concat();
        assert_eq!(read(&a_webp(b"VP8L", &vp8l)), is(Format::WebP, 640, 480));
        let vp8x = [0, 0, 0, 0, 0x7f, 2, 0, 0xdf, 1, 0];
        assert_eq!(read(&a_webp(b"VP8X", &vp8x)), is(Format::WebP, 640, 480));
    }

    #[test]
    fn what_is_large_when_it_is_decoded_is_refused() {
        assert_eq!(read(&a_png(8_193, 1)), Err(NoImage::TooLarge));
        assert_eq!(read(&a_png(8_000, 8_000)), Err(NoImage::TooLarge));
        assert_eq!(read(&a_png(0, 5)), Err(NoImage::Broken));
        assert_eq!(read(&a_jpeg(u16::MAX, 5)), Err(NoImage::TooLarge));
        assert!(read(&a_png(8_000, 5_000)).is_ok());
    }

    #[test]
    fn what_else_there_is_is_refused_wherever_it_ends() {
        for other in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"GIF89a", b"<html>", b"", b"RIFF"] {
            assert_eq!(read(other), Err(NoImage::Format));
        }
        let vp8x = a_webp(b"VP8X", &[0, 0, 0, 0, 0x7f, 2, 0, 0xdf, 1, 0]);
        for whole in [a_png(640, 480), a_jpeg(640, 480), vp8x] {
            for end in 0..whole.len() {
                assert!(read(&whole[..end]).is_err(), "{end} of {}", whole.len());
            }
            // Nor does any single byte that is another one end in a panic.
            for at in 0..whole.len() {
                let mut spoiled = whole.clone();
                spoiled[at] ^= 0xff;
                let _ = read(&spoiled);
            }
        }
        let page = [a_png(1, 1), b"<script>".to_vec()].concat();
        assert_eq!(read(&page), Err(NoImage::Broken), "nothing follows the end of a PNG");
        let twice = [&a_jpeg(64, 64)[..19], &a_jpeg(9_000, 9_000)[8..]].concat();
        assert_eq!(read(&twice), Err(NoImage::Broken));
    }
}
