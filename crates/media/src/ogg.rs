//! Opus in Ogg (RFC 3533, RFC 7845), as far as reading a file of our own needs it.

/// Longest packet accepted: the most that Opus allows for 20 ms is 1,275 bytes; 120 ms of several frames are less than
/// this.
pub const MAX_PACKET_LEN: usize = 16 * 1024;

/// Why a file is not Opus in Ogg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OggError {
    /// A page does not begin where one should, or is cut short.
    #[error("not an Ogg file, or cut short")]
    Page,
    /// The first two packets are not those of Opus.
    #[error("the Ogg file does not carry Opus")]
    NotOpus,
    /// Longer than [`MAX_PACKET_LEN`].
    #[error("an Ogg packet is too long")]
    PacketTooLong,
}

/// The Opus packets of a file that is in memory, without the two header packets. Checksums are not compared: the file
/// is part of the binary.
///
/// # Errors
/// [`OggError`].
pub fn opus_packets(file: &[u8]) -> Result<Vec<Vec<u8>>, OggError> {
    let mut packets = Vec::new();
    let mut packet: Vec<u8> = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        // capture pattern 4, version 1, type 1, granule 8, serial 4, sequence 4, checksum 4, segments 1.
        if !rest.starts_with(b"OggS") {
            return Err(OggError::Page);
        }
        let count = usize::from(*rest.get(26).ok_or(OggError::Page)?);
        let (laces, mut body) =
            rest.get(27..).and_then(|r| r.split_at_checked(count)).ok_or(OggError::Page)?;
        for lace in laces {
            let (segment, after) = body.split_at_checked(usize::from(*lace)).ok_or(OggError::Page)?;
            body = after;
            packet.extend_from_slice(segment);
            if packet.len() > MAX_PACKET_LEN {
                return Err(OggError::PacketTooLong);
            }
            // A segment shorter than 255 ends a packet.
            if *lace < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
        rest = body;
    }
    let head = packets.first().is_some_and(|first| first.starts_with(b"OpusHead"));
    let tags = packets.get(1).is_some_and(|second| second.starts_with(b"OpusTags"));
    if head && tags { Ok(packets.split_off(2)) } else { Err(OggError::NotOpus) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(laces: &[u8], body: &[u8]) -> Vec<u8> {
        let mut page = b"OggS\0\0".to_vec();
        page.extend([0; 20]);
        page.push(u8::try_from(laces.len()).unwrap());
        page.extend(laces);
        page.extend(body);
        page
    }

    #[test]
    fn packets_are_joined_over_segments_and_pages() {
        let mut file = page(&[8], b"OpusHead");
        file.extend(page(&[8], b"OpusTags"));
        file.extend(page(&[3, 255], &[&b"abc"[..], &[7; 255]].concat()));
        file.extend(page(&[2, 0], &[8, 9]));
        let packets = opus_packets(&file).unwrap();
        assert_eq!(packets.len(), 3);
        assert_eq!(packets[0], b"abc");
        assert_eq!(packets[1].len(), 257);
        assert!(packets[2].is_empty());
        assert_eq!(opus_packets(&file[..file.len() - 1]), Err(OggError::Page));
    }

    #[test]
    fn what_is_not_opus_is_said() {
        assert_eq!(opus_packets(b""), Err(OggError::NotOpus));
        assert_eq!(opus_packets(b"RIFF"), Err(OggError::Page));
        assert_eq!(opus_packets(&page(&[4], b"vorb")), Err(OggError::NotOpus));
        let long = page(&[255; 65], &[0; 65 * 255]);
        assert_eq!(opus_packets(&long), Err(OggError::PacketTooLong));
    }
}
