//! The RTP and RTCP that the demo publisher writes and reads (RFC 3550, 4585, 4588, 8285).

/// Bytes of an RTP header without extensions.
const RTP_HEADER_LEN: usize = 12;

/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_UNIX_OFFSET: u64 = 2_208_988_800;

/// An NTP timestamp: seconds since 1900 in 32.32 fixed point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ntp(pub(super) u64);

impl Ntp {
    /// From the time since the Unix epoch.
    pub(super) fn from_unix(since: std::time::Duration) -> Self {
        Self((since.as_secs().wrapping_add(NTP_UNIX_OFFSET) << 32) | fraction(since))
    }

    /// Later by `elapsed`.
    pub(super) fn plus(self, elapsed: std::time::Duration) -> Self {
        Self(self.0.wrapping_add((elapsed.as_secs() << 32) | fraction(elapsed)))
    }
}

fn fraction(time: std::time::Duration) -> u64 {
    (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000
}

/// What a header extension block carries; each entry is `(id, value)`.
#[derive(Debug, Clone, Default)]
pub(super) struct Extensions {
    /// Name of the m-line.
    pub(super) mid: Option<(u8, String)>,
    /// Capture time.
    pub(super) capture_time: Option<(u8, Ntp)>,
}

/// The fields of an RTP header that change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) payload_type: u8,
    pub(super) marker: bool,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
}

/// A packet in the clear, and where its payload begins.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    pub(super) payload_at: usize,
}

impl Packet {
    /// Header and extensions; the payload is appended by the caller.
    pub(super) fn begin(header: Header, extensions: &Extensions) -> Self {
        let mut bytes = Vec::with_capacity(1_300);
        let block = extension_block(extensions);
        bytes.push(if block.is_empty() { 0x80 } else { 0x90 });
        bytes.push(header.payload_type & 0x7F | if header.marker { 0x80 } else { 0 });
        bytes.extend_from_slice(&header.sequence.to_be_bytes());
        bytes.extend_from_slice(&header.timestamp.to_be_bytes());
        bytes.extend_from_slice(&header.ssrc.to_be_bytes());
        bytes.extend_from_slice(&block);
        let payload_at = bytes.len();
        Self { bytes, payload_at }
    }

    pub(super) fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload_at..).unwrap_or_default()
    }

    /// This packet again as a retransmission: another payload type, SSRC and sequence number, and the original sequence
    /// number in front of the payload (RFC 4588, 4).
    pub(super) fn retransmission(&self, payload_type: u8, ssrc: u32, sequence: u16) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let original: Vec<u8> = self.bytes.get(2..4).unwrap_or_default().to_vec();
        if let Some([_, marker_and_type, rest @ ..]) = bytes.get_mut(..RTP_HEADER_LEN) {
            *marker_and_type = *marker_and_type & 0x80 | payload_type & 0x7F;
            let (numbers, _) = rest.split_at_mut(2);
            numbers.copy_from_slice(&sequence.to_be_bytes());
            if let Some(place) = rest.get_mut(6..10) {
                place.copy_from_slice(&ssrc.to_be_bytes());
            }
        }
        bytes.splice(self.payload_at..self.payload_at, original);
        bytes
    }
}

/// The one-byte form (RFC 8285, 4.2), padded to 32 bits; empty if there is nothing to say.
fn extension_block(extensions: &Extensions) -> Vec<u8> {
    let mut elements: Vec<u8> = Vec::with_capacity(24);
    let mut element = |id: u8, value: &[u8]| {
        let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
        if (1..=16).contains(&length) {
            elements.push(id << 4 | (length - 1));
            elements.extend_from_slice(value);
        }
    };
    if let Some((id, mid)) = &extensions.mid {
        element(*id, mid.as_bytes());
    }
    if let Some((id, time)) = extensions.capture_time {
        element(id, &time.0.to_be_bytes());
    }
    if elements.is_empty() {
        return elements;
    }
    elements.resize(elements.len().next_multiple_of(4), 0);
    let words = u16::try_from(elements.len() / 4).unwrap_or_default();
    [&[0xBE, 0xDE], &words.to_be_bytes()[..], &elements].concat()
}

/// What a sender report says about one stream (RFC 3550, 6.4.1).
#[derive(Debug, Clone, Copy)]
pub(super) struct SenderReport {
    pub(super) ssrc: u32,
    pub(super) ntp: Ntp,
    pub(super) timestamp: u32,
    pub(super) packets: u32,
    pub(super) octets: u32,
}

/// One compound packet: the reports, and a description with the CNAME that binds their streams together. `cname` has at
/// most 255 bytes.
pub(super) fn sender_reports(reports: &[SenderReport], cname: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    for report in reports {
        out.extend_from_slice(&[0x80, 200, 0, 6]);
        out.extend_from_slice(&report.ssrc.to_be_bytes());
        out.extend_from_slice(&report.ntp.0.to_be_bytes());
        for word in [report.timestamp, report.packets, report.octets] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
    let start = out.len();
    let count = u8::try_from(reports.len()).unwrap_or(31).min(31);
    out.extend_from_slice(&[0x80 | count, 202, 0, 0]);
    let name = cname.as_bytes().get(..cname.len().min(255)).unwrap_or_default();
    for report in reports.iter().take(31) {
        out.extend_from_slice(&report.ssrc.to_be_bytes());
        out.extend_from_slice(&[1, u8::try_from(name.len()).unwrap_or_default()]);
        out.extend_from_slice(name);
        // Each chunk ends with one to four zero bytes (6.5).
        let length = out.len() - start + 1;
        out.resize(start + length.next_multiple_of(4), 0);
    }
    let words = u16::try_from((out.len() - start) / 4 - 1).unwrap_or_default();
    if let Some(place) = out.get_mut(start + 2..start + 4) {
        place.copy_from_slice(&words.to_be_bytes());
    }
    out
}

/// A request that came in an RTCP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Send a keyframe of this stream (PLI, FIR).
    Keyframe(u32),
    /// Send this packet of this stream again (generic NACK).
    Resend(u32, u16),
}

/// Most requests read from one compound packet; more are ignored.
const MAX_REQUESTS: usize = 128;

/// Reads a compound packet. What is malformed ends it, what is unknown is skipped.
pub(super) fn requests(mut compound: &[u8]) -> Vec<Request> {
    let mut found = Vec::new();
    while let [first, kind, high, low, ..] = compound {
        let length = 4 * (usize::from(u16::from_be_bytes([*high, *low])) + 1);
        let Some((packet, rest)) = compound.split_at_checked(length) else { break };
        if first >> 6 != 2 {
            break;
        }
        read(*kind, first & 0x1F, packet, &mut found);
        compound = rest;
    }
    found.truncate(MAX_REQUESTS);
    found
}

fn read(kind: u8, format: u8, packet: &[u8], found: &mut Vec<Request>) {
    let media = word(packet, 8);
    let body = packet.get(12..).unwrap_or_default();
    match (kind, format, media) {
        // RFC 4585, 6.2.1: pairs of a sequence number and a bit mask of the 16 that follow it.
        (205, 1, Some(media)) => {
            for entry in body.chunks_exact(4).take(MAX_REQUESTS) {
                let [p_high, p_low, b_high, b_low] = *entry else { break };
                let first = u16::from_be_bytes([p_high, p_low]);
                let mask = u16::from_be_bytes([b_high, b_low]);
                found.push(Request::Resend(media, first));
                let more = (0..16u16).filter(|bit| mask >> bit & 1 == 1);
                found.extend(more.map(|bit| Request::Resend(media, first.wrapping_add(bit + 1))));
                if found.len() >= MAX_REQUESTS {
                    break;
                }
            }
        }
        (206, 1, Some(media)) => found.push(Request::Keyframe(media)),
        // RFC 5104, 4.3.1: the stream stands in the entries.
        (206, 4, Some(_)) => {
            let entries = body.chunks_exact(8).take(MAX_REQUESTS);
            found.extend(entries.filter_map(|entry| word(entry, 0)).map(Request::Keyframe));
        }
        _ => {}
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_ntp_time_is_seconds_and_a_binary_fraction() {
        assert_eq!(Ntp::from_unix(Duration::from_millis(1_500)).0, (2_208_988_801 << 32) | 1 << 31);
        assert_eq!(Ntp(1 << 31).plus(Duration::from_millis(500)).0, 1 << 32);
    }

    #[test]
    fn a_packet_has_mid_and_capture_time() {
        let extensions =
            Extensions { mid: Some((4, "1".into())), capture_time: Some((5, Ntp(0x0102_0304_0506_0708))) };
        let header = Header { payload_type: 98, marker: true, sequence: 0x1234, timestamp: 7, ssrc: 9 };
        let mut packet = Packet::begin(header, &extensions);
        packet.bytes.extend_from_slice(b"payload");
        let expected = [
            &[0x90, 0x80 | 98, 0x12, 0x34, 0, 0, 0, 7, 0, 0, 0, 9][..],
            &[0xBE, 0xDE, 0, 3, 0x40, b'1', 0x57, 1, 2, 3, 4, 5, 6, 7, 8, 0],
            b"payload",
        ]
        .concat();
        assert_eq!(packet.bytes, expected);
        assert_eq!(packet.payload(), b"payload");

        let again = packet.retransmission(99, 10, 3);
        assert_eq!(&again[..12], [0x90, 0x80 | 99, 0, 3, 0, 0, 0, 7, 0, 0, 0, 10]);
        assert_eq!(&again[12..28], &expected[12..28]);
        assert_eq!(&again[28..], b"\x12\x34payload");
    }

    #[test]
    fn without_extensions_there_is_no_block() {
        let header = Header { payload_type: 111, marker: false, sequence: 1, timestamp: 2, ssrc: 3 };
        assert_eq!(Packet::begin(header, &Extensions::default()).bytes.len(), RTP_HEADER_LEN);
    }

    #[test]
    fn reports_are_a_compound_packet_of_whole_words() {
        let report = |ssrc| SenderReport { ssrc, ntp: Ntp(5), timestamp: 6, packets: 7, octets: 8 };
        for cname in ["a", "ab", "abc", "abcd", "abcdefgh"] {
            let bytes = sender_reports(&[report(1), report(2)], cname);
            let mut rest = &bytes[..];
            let mut kinds = Vec::new();
            while !rest.is_empty() {
                let length = 4 * (usize::from(u16::from_be_bytes([rest[2], rest[3]])) + 1);
                kinds.push((rest[1], rest[0] & 0x1F, length));
                rest = &rest[length..];
            }
            assert_eq!(kinds[..2], [(200, 0, 28), (200, 0, 28)]);
            assert_eq!((kinds[2].0, kinds[2].1), (202, 2));
            assert_eq!(kinds.len(), 3);
        }
    }

    #[test]
    fn requests_are_read_and_damage_is_ignored() {
        let nack = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0xFF, 0xFF, 0x80, 0x01];
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        let fir = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 9, 0, 0, 0];
        let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
        let all = [&report[..], &nack, &pli, &fir].concat();
        let expected = [
            Request::Resend(2, 0xFFFF),
            Request::Resend(2, 0),
            Request::Resend(2, 15),
            Request::Keyframe(2),
            Request::Keyframe(3),
        ];
        assert_eq!(requests(&all), expected);
        for cut in 0..all.len() {
            assert!(requests(&all[..cut]).len() < expected.len());
        }
        assert!(requests(&[0x41, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]).is_empty());
        let many = [&[0x81, 205, 0, 102, 0, 0, 0, 1, 0, 0, 0, 2][..], &[0xFF; 400]].concat();
        assert_eq!(requests(&many).len(), MAX_REQUESTS);
    }
}
