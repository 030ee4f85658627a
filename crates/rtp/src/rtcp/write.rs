//! RTCP written: packets are appended to a buffer that is used again.

use super::{
    EXTENDED_REPORT, FMT_APPLICATION, FMT_NACK, FMT_PLI, PAYLOAD_FEEDBACK, RECEIVER_REPORT, ReportBlock,
    SENDER_REPORT, SOURCE_DESCRIPTION, SenderInfo, TRANSPORT_FEEDBACK,
};

/// Most report blocks of one packet: the count has five bits.
pub const MAX_BLOCKS: usize = 31;

/// Appends a packet: header, then what `body` appends, then alignment; the length is filled in.
pub(crate) fn packet(out: &mut Vec<u8>, count: u8, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0x80 | (count & 0x1f), kind, 0, 0]);
    body(out);
    while !(out.len() - start).is_multiple_of(4) {
        out.push(0);
    }
    let words = ((out.len() - start) / 4 - 1) as u16;
    if let Some(place) = out.get_mut(start + 2..start + 4) {
        place.copy_from_slice(&words.to_be_bytes());
    }
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_block(out: &mut Vec<u8>, block: &ReportBlock) {
    // Cumulative loss saturates at 24 bits signed.
    let lost = block.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0x00ff_ffff;
    for word in [
        block.ssrc,
        (u32::from(block.fraction_lost) << 24) | lost,
        block.highest,
        block.jitter,
        block.last_report,
        block.delay,
    ] {
        put32(out, word);
    }
}

/// Appends a receiver report; blocks after the 31st are left out.
pub fn receiver_report(out: &mut Vec<u8>, ssrc: u32, blocks: &[ReportBlock]) {
    let blocks = blocks.get(..MAX_BLOCKS).unwrap_or(blocks);
    packet(out, blocks.len() as u8, RECEIVER_REPORT, |out| {
        put32(out, ssrc);
        blocks.iter().for_each(|block| put_block(out, block));
    });
}

/// Appends a sender report without blocks.
pub fn sender_report(out: &mut Vec<u8>, ssrc: u32, info: &SenderInfo) {
    packet(out, 0, SENDER_REPORT, |out| {
        put32(out, ssrc);
        out.extend_from_slice(&info.ntp.to_be_bytes());
        put32(out, info.rtp);
        put32(out, info.packets);
        put32(out, info.octets);
    });
}

/// Appends a source description with a CNAME (RFC 3550, section 6.5); `cname` is cut at 255 bytes.
pub fn cname(out: &mut Vec<u8>, ssrc: u32, cname: &[u8]) {
    let cname = cname.get(..255).unwrap_or(cname);
    packet(out, 1, SOURCE_DESCRIPTION, |out| {
        put32(out, ssrc);
        out.extend_from_slice(&[1, cname.len() as u8]);
        out.extend_from_slice(cname);
        // A zero byte ends the chunk; the alignment that follows is of zeroes too.
        out.push(0);
    });
}

/// Appends generic NACKs (RFC 4585, section 6.2.1) for `missing`, which must ascend.
pub fn nack(out: &mut Vec<u8>, ssrc: u32, media_ssrc: u32, missing: &[u16]) {
    packet(out, FMT_NACK, TRANSPORT_FEEDBACK, |out| {
        put32(out, ssrc);
        put32(out, media_ssrc);
        let mut rest = missing.iter().copied().peekable();
        while let Some(first) = rest.next() {
            let mut mask = 0u16;
            while let Some(bit) = rest.peek().map(|next| next.wrapping_sub(first).wrapping_sub(1)) {
                if bit >= 16 {
                    break;
                }
                mask |= 1 << bit;
                rest.next();
            }
            put32(out, (u32::from(first) << 16) | u32::from(mask));
        }
    });
}

/// Appends a picture loss indication (RFC 4585, section 6.3.1).
pub fn pli(out: &mut Vec<u8>, ssrc: u32, media_ssrc: u32) {
    packet(out, FMT_PLI, PAYLOAD_FEEDBACK, |out| {
        put32(out, ssrc);
        put32(out, media_ssrc);
    });
}

/// Appends a REMB for the streams `ssrcs` (at most 255).
pub fn remb(out: &mut Vec<u8>, ssrc: u32, bitrate: u64, ssrcs: &[u32]) {
    let ssrcs = ssrcs.get(..255).unwrap_or(ssrcs);
    packet(out, FMT_APPLICATION, PAYLOAD_FEEDBACK, |out| {
        put32(out, ssrc);
        put32(out, 0);
        out.extend_from_slice(b"REMB");
        let exponent = (64 - bitrate.leading_zeros()).saturating_sub(18);
        let mantissa = (bitrate >> exponent) as u32;
        put32(out, ((ssrcs.len() as u32) << 24) | (exponent << 18) | mantissa);
        ssrcs.iter().for_each(|&ssrc| put32(out, ssrc));
    });
}

/// Appends an XR with a DLRR block (RFC 3611, section 4.5): when `receiver`'s reference time `last` came, seen
/// `delay` (in 1/65536 s) ago.
pub fn delay_since_last_rr(out: &mut Vec<u8>, ssrc: u32, receiver: u32, last: u32, delay: u32) {
    packet(out, 0, EXTENDED_REPORT, |out| {
        for word in [ssrc, (5 << 24) | 3, receiver, last, delay] {
            put32(out, word);
        }
    });
}
