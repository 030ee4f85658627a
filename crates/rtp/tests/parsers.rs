//! Any bytes from the network: no panic, no loop; and what is written is read back.

use proptest::prelude::*;
use rtp::rtcp::{self, Compound, ReportBlock, RtcpPacket, SenderInfo};
use rtp::{ClearHeader, Header, HeaderWriter, MAX_HEADER, ParseError, RtpPacket, unwrap_rtx, wrap_rtx};

fn header() -> impl Strategy<Value = Header> {
    (any::<bool>(), 0u8..128, any::<u16>(), any::<u32>(), any::<u32>()).prop_map(
        |(marker, payload_type, sequence, timestamp, ssrc)| Header {
            marker,
            payload_type,
            sequence,
            timestamp,
            ssrc,
            padded: false,
        },
    )
}

proptest! {
    #[test]
    fn rtp_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>()) {
        let mut bytes = bytes;
        if version && let Some(first) = bytes.first_mut() {
            *first = 0x80 | (*first & 0x3f);
        }
        if let Ok(packet) = RtpPacket::parse(&bytes) {
            prop_assert!(packet.payload().len() <= packet.padded_payload().len());
            let total: usize = packet.elements().map(|(_, value)| value.len()).sum();
            prop_assert!(total <= bytes.len());
            let mut out = [0; 256];
            if let Some(len) = unwrap_rtx(&bytes, 7, 100, &mut out) {
                let original = RtpPacket::parse(&out[..len]).expect("an original is a packet");
                prop_assert_eq!((original.ssrc, original.payload_type), (7, 100));
            }
        }
    }

    #[test]
    fn a_header_is_readable_whatever_the_payload_is(
        header in header(),
        csrc in any::<Option<u32>>(),
        elements in prop::collection::vec((1u8..15, prop::collection::vec(any::<u8>(), 1..=16)), 0..4),
        payload in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let mut writer = HeaderWriter::new();
        writer.start(&Header { padded: true, ..header }, false);
        csrc.iter().for_each(|csrc| writer.contributing(*csrc));
        elements.iter().for_each(|(id, value)| writer.element(*id, value));
        writer.finish();
        let bytes = [writer.bytes(), &payload].concat();
        // Encrypted, the last byte is no length of padding.
        let read = ClearHeader::parse(&bytes).expect("well formed");
        prop_assert_eq!((read.sequence, read.ssrc, read.padded), (header.sequence, header.ssrc, true));
        prop_assert_eq!(read.len, writer.bytes().len());
        prop_assert!(read.contributing().eq(csrc));
        for (id, _) in &elements {
            let first = elements.iter().find(|(other, _)| other == id).map(|(_, value)| value.as_slice());
            prop_assert_eq!(read.element(*id), first);
        }
        for cut in 0..read.len {
            prop_assert_eq!(ClearHeader::parse(&bytes[..cut]), Err(ParseError::Truncated));
        }
    }

    #[test]
    fn a_retransmission_holds_the_packet_that_was_lost(
        header in header(),
        csrc in any::<Option<u32>>(),
        mid in prop::collection::vec(any::<u8>(), 1..=16),
        payload in prop::collection::vec(any::<u8>(), 1..50),
        repeated in any::<(u32, u16)>(),
    ) {
        let mut writer = HeaderWriter::new();
        writer.start(&header, false);
        csrc.iter().for_each(|csrc| writer.contributing(*csrc));
        writer.element(4, &mid);
        writer.finish();
        let packet = [writer.bytes(), &payload].concat();
        let mut wrapped = Vec::new();
        let (ssrc, sequence) = repeated;
        prop_assert!(wrap_rtx(&packet, ssrc, 97, sequence, &mut wrapped));
        let outer = ClearHeader::parse(&wrapped).expect("well formed");
        prop_assert_eq!((outer.ssrc, outer.payload_type, outer.sequence), (ssrc, 97, sequence));
        prop_assert_eq!((outer.marker, outer.timestamp), (header.marker, header.timestamp));
        prop_assert!(outer.contributing().eq(csrc));
        let mut unwrapped = [0; 200];
        let len = unwrap_rtx(&wrapped, header.ssrc, header.payload_type, &mut unwrapped);
        prop_assert_eq!(len.map(|len| unwrapped[..len].to_vec()), Some(packet));
    }

    #[test]
    fn rtcp_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 200u8..208) {
        let mut bytes = bytes;
        if let [first, second, high, ..] = bytes.as_mut_slice() {
            (*first, *second, *high) = (0x80 | (*first & 0x3f), kind, 0);
        }
        prop_assert!(Compound::new(&bytes).count() <= bytes.len() / 4);
        for packet in Compound::new(&bytes) {
            match packet {
                RtcpPacket::SenderReport { blocks, .. } | RtcpPacket::ReceiverReport { blocks, .. } => {
                    prop_assert!(blocks.iter().count() <= 31);
                }
                RtcpPacket::Nack { missing, .. } => prop_assert!(missing.iter().count() <= bytes.len() / 4 * 17),
                RtcpPacket::Fir(list) => prop_assert!(list.iter().count() <= bytes.len() / 8),
                RtcpPacket::Bye(list) => prop_assert!(list.iter().count() <= 31),
                _ => {}
            }
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written(
        header in header(),
        elements in prop::collection::vec((1u8..15, prop::collection::vec(any::<u8>(), 1..=16)), 0..8),
        long in prop::collection::vec(any::<u8>(), 0..60),
        two_byte in any::<bool>(),
        payload in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut writer = HeaderWriter::new();
        writer.start(&header, two_byte);
        let mut expected = elements.clone();
        if two_byte {
            expected.push((200, long));
        }
        expected.iter().for_each(|(id, value)| writer.element(*id, value));
        writer.finish();
        let bytes = [writer.bytes(), &payload].concat();
        prop_assert!(writer.bytes().len() <= MAX_HEADER);
        let packet = RtpPacket::parse(&bytes).expect("well formed");
        let read = Header {
            marker: packet.marker,
            payload_type: packet.payload_type,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            ssrc: packet.ssrc,
            padded: packet.padded,
        };
        prop_assert_eq!(read, header);
        prop_assert_eq!(packet.payload(), &payload[..]);
        let read: Vec<_> = packet.elements().map(|(id, value)| (id, value.to_vec())).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn a_nack_lists_what_is_missing(missing in prop::collection::btree_set(any::<u16>(), 1..300)) {
        let missing: Vec<_> = missing.into_iter().collect();
        let mut out = Vec::new();
        rtcp::write::nack(&mut out, 1, 2, &missing);
        let mut compound = Compound::new(&out);
        let Some(RtcpPacket::Nack { media_ssrc: 2, missing: read }) = compound.next() else { panic!("a NACK") };
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), missing);
    }

    #[test]
    fn reports_are_read_as_they_were_written(ntp in any::<u64>(), words in any::<[u32; 6]>(), lost in -0x80_0000i32..0x80_0000) {
        let [rtp, packets, octets, highest, jitter, delay] = words;
        let info = SenderInfo { ntp, rtp, packets, octets };
        let block = ReportBlock { ssrc: rtp, fraction_lost: ntp as u8, lost, highest, jitter, last_report: octets, delay };
        let mut out = Vec::new();
        rtcp::write::sender_report(&mut out, 5, &info);
        rtcp::write::cname(&mut out, 5, b"name");
        rtcp::write::receiver_report(&mut out, 6, &[block, block]);
        let read: Vec<_> = Compound::new(&out).collect();
        prop_assert_eq!(read.len(), 3);
        prop_assert_eq!(rtcp::sender_ssrc(&out), Some(5));
        let RtcpPacket::SenderReport { ssrc: 5, info: read_info, .. } = read[0] else { panic!("{:?}", read[0]) };
        prop_assert_eq!(read_info, info);
        prop_assert_eq!(read[1], RtcpPacket::SourceDescription);
        let RtcpPacket::ReceiverReport { ssrc: 6, blocks } = read[2] else { panic!("{:?}", read[2]) };
        prop_assert_eq!(blocks.iter().collect::<Vec<_>>(), [block, block]);
    }

    #[test]
    fn remb_keeps_eighteen_bits(bitrate in any::<u64>()) {
        let mut out = Vec::new();
        rtcp::write::remb(&mut out, 1, bitrate, &[7, 8]);
        let Some(RtcpPacket::Remb { bitrate: read, streams }) = Compound::new(&out).next() else {
            panic!("a REMB")
        };
        prop_assert_eq!(streams.iter().collect::<Vec<_>>(), [7, 8]);
        prop_assert!(read <= bitrate && bitrate - read <= bitrate >> 17);
    }
}

#[test]
fn what_is_no_packet_is_not_wrapped() {
    let mut out = Vec::new();
    assert!(!wrap_rtx(&[0x80; 11], 1, 97, 2, &mut out) && out.is_empty());
    assert_eq!(rtcp::sender_ssrc(&[0x80, 201, 0, 1, 0, 0, 0]), None, "cut off");
    assert_eq!(rtcp::sender_ssrc(&[0x40, 201, 0, 1, 0, 0, 0, 1]), None, "another version");
}

#[test]
fn malformed_headers_have_their_errors() {
    let parse = |bytes: &[u8]| RtpPacket::parse(bytes).map(|_| ());
    let mut packet = vec![0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    assert_eq!(parse(&packet), Ok(()));
    assert_eq!(parse(&packet[..11]), Err(ParseError::Truncated));
    packet[0] = 0x40;
    assert_eq!(parse(&packet), Err(ParseError::Version));
    packet[0] = 0x82;
    assert_eq!(parse(&packet), Err(ParseError::Truncated), "two CSRCs are announced");
    packet[0] = 0x90;
    assert_eq!(parse(&packet), Err(ParseError::Truncated), "an extension is announced");
    packet[0] = 0xa0;
    assert_eq!(parse(&packet), Err(ParseError::Padding));
    packet.extend([1, 2, 4]);
    assert_eq!(parse(&packet), Err(ParseError::Padding), "longer than the payload");
    packet.extend([9, 3]);
    assert_eq!(RtpPacket::parse(&packet).map(|p| p.payload().to_vec()), Ok(vec![1, 2]));
}

#[test]
fn elements_end_where_they_are_malformed() {
    let with = |profile: [u8; 2], elements: &[u8]| {
        let mut bytes = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend(profile);
        bytes.extend((elements.len() as u16 / 4).to_be_bytes());
        bytes.extend(elements);
        let packet = RtpPacket::parse(&bytes).expect("well formed");
        packet.elements().map(|(id, value)| (id, value.to_vec())).collect::<Vec<_>>()
    };
    let one = [0xbe, 0xde];
    assert_eq!(with(one, &[0x10, 7, 0, 0, 0x21, 8, 9, 0]), [(1, vec![7]), (2, vec![8, 9])]);
    assert_eq!(with(one, &[0x10, 7, 0xf0, 1, 0x10, 7, 0, 0]), [(1, vec![7])], "15 ends the list");
    assert_eq!(with(one, &[0x10, 7, 0x2f, 1]), [(1, vec![7])], "longer than the extension");
    assert_eq!(with([0x10, 0x05], &[1, 0, 20, 1, 9, 0, 0, 0]), [(1, vec![]), (20, vec![9])]);
    assert_eq!(with([0x12, 0x34], &[0x10, 7, 0, 0]), [], "an unknown profile");
}
