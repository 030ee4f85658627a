//! What is played: packets of a made-up VP8 stream, and how to read those that come back.

use std::time::Duration;

use rtp::{Header, HeaderWriter};

/// Frames a second, packets a frame, bytes of payload a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) frames: u32,
    pub(crate) packets: u32,
    /// Of the longest packet of a frame.
    pub(crate) payload: usize,
    /// The first half of a frame's packets is one byte shorter, as browsers cut frames.
    pub(crate) uneven: bool,
}

impl Pattern {
    /// 250 packets a second, evenly spaced.
    pub(crate) const EVEN: Self = Self { frames: 250, packets: 1, payload: 1_080, uneven: false };
    /// The same in 50 frames of 5.
    pub(crate) const FRAMES: Self = Self { frames: 50, packets: 5, payload: 1_080, uneven: false };
    /// The same as a browser cuts them.
    pub(crate) const UNEVEN: Self = Self { uneven: true, ..Self::FRAMES };
    /// 1 Mbit/s: 30 frames of 4.
    pub(crate) const MEGABIT: Self = Self { frames: 30, packets: 4, payload: 1_042, uneven: true };
    /// 10 packets a second.
    pub(crate) const SLOW: Self = Self { frames: 10, packets: 1, payload: 1_080, uneven: false };

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.frames.max(1)
    }

    pub(crate) fn packets_per_second(&self) -> u32 {
        self.frames * self.packets
    }

    /// As a line for another process.
    pub(crate) fn to_line(self) -> String {
        format!("{} {} {}\n", self.frames, self.packets, self.payload)
    }

    /// What [`Pattern::to_line`] wrote; `None` for anything else, which means silence.
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut word = || words.next()?.parse::<u32>().ok();
        Some(Self { frames: word()?, packets: word()?, payload: word()? as usize, uneven: false })
    }
}

/// Where a packet of [`Camera`] has the number that it was sent under.
const NUMBER_AT: usize = 20;

/// A VP8 encoder that encodes nothing.
#[derive(Debug)]
pub(crate) struct Camera {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    /// Id of the mid extension and its value.
    pub(crate) mid: Option<(u8, u8)>,
    /// Id of the extension with the transport-wide number.
    pub(crate) transport_cc: Option<u8>,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    picture: u16,
    keyframe: bool,
    writer: Box<HeaderWriter>,
}

impl Camera {
    pub(crate) fn new(ssrc: u32, payload_type: u8, mid: Option<(u8, u8)>, transport_cc: Option<u8>) -> Self {
        Self {
            ssrc,
            payload_type,
            mid,
            transport_cc,
            sequence: 0,
            timestamp: 0,
            picture: 0,
            keyframe: true,
            writer: Box::default(),
        }
    }

    /// The next frame is one that a decoder can start with.
    pub(crate) fn keyframe(&mut self) {
        self.keyframe = true;
    }

    /// Writes packet `index` of the current frame.
    pub(crate) fn packet(&mut self, pattern: &Pattern, index: u32, out: &mut Vec<u8>) {
        self.sequence = self.sequence.wrapping_add(1);
        let header = Header {
            marker: index + 1 == pattern.packets,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            padded: false,
        };
        self.writer.start(&header, false);
        if let Some((id, mid)) = self.mid {
            self.writer.element(id, &[mid]);
        }
        if let Some(id) = self.transport_cc {
            self.writer.element(id, &self.sequence.to_be_bytes());
        }
        self.writer.finish();
        out.clear();
        out.extend_from_slice(self.writer.bytes());
        let payload = out.len();
        let [p0, p1] = (self.picture | 0x8000).to_be_bytes();
        out.extend([if index == 0 { 0x90 } else { 0x80 }, 0x80, p0, p1]);
        // A frame header (RFC 6386, section 9.1), 640 x 480.
        out.extend([u8::from(!self.keyframe), 0, 0, 0x9d, 0x01, 0x2a, 0x80, 2, 0xe0, 1]);
        out.resize(payload + NUMBER_AT, 0);
        out.extend(self.sequence.to_be_bytes());
        let shorter = usize::from(pattern.uneven && index < pattern.packets / 2);
        out.resize(payload + pattern.payload - shorter, self.sequence as u8);
    }

    /// Goes on to the next frame.
    pub(crate) fn end_frame(&mut self, pattern: &Pattern) {
        self.keyframe = false;
        self.picture = (self.picture + 1) & 0x7fff;
        self.timestamp = self.timestamp.wrapping_add(90_000 / pattern.frames.max(1));
    }
}

/// The number in a decrypted payload of [`Camera`].
pub(crate) fn number(payload: &[u8]) -> Option<u16> {
    payload.get(NUMBER_AT..NUMBER_AT + 2)?.try_into().ok().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_of_the_camera_is_read_again() {
        let mut camera = Camera::new(7, 96, Some((1, b'0')), Some(3));
        let mut packet = Vec::new();
        camera.packet(&Pattern::FRAMES, 4, &mut packet);
        let parsed = rtp::RtpPacket::parse(&packet).unwrap();
        assert_eq!((parsed.sequence, parsed.ssrc, parsed.element(3)), (1, 7, Some(&[0, 1][..])));
        assert!(parsed.marker);
        assert_eq!((parsed.payload().len(), number(parsed.payload())), (1_080, Some(1)));
        assert_eq!(Pattern::from_line(Pattern::FRAMES.to_line().trim()), Some(Pattern::FRAMES));
        assert_eq!(Pattern::from_line(""), None);
    }
}
