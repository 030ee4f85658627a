//! RTCP read in place (RFC 3550, 4585, 5104, 3611, goog-remb): every parser takes any bytes.
//!
//! ```text
//!  0                   1                   2                   3
//! |V=2|P| count/FMT |      PT       |   length in words, less one  |
//! |                        SSRC of the sender                      |
//! ```

use crate::bytes::{u16_at, u32_at};

pub mod write;

pub(crate) const SENDER_REPORT: u8 = 200;
pub(crate) const RECEIVER_REPORT: u8 = 201;
pub(crate) const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
pub(crate) const TRANSPORT_FEEDBACK: u8 = 205;
pub(crate) const PAYLOAD_FEEDBACK: u8 = 206;
pub(crate) const EXTENDED_REPORT: u8 = 207;

pub(crate) const FMT_NACK: u8 = 1;
pub(crate) const FMT_TRANSPORT_CC: u8 = 15;
pub(crate) const FMT_PLI: u8 = 1;
pub(crate) const FMT_FIR: u8 = 4;
pub(crate) const FMT_APPLICATION: u8 = 15;

/// One packet of a compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtcpPacket<'a> {
    /// SR.
    SenderReport {
        /// Who reports.
        ssrc: u32,
        /// Its clocks and counts.
        info: SenderInfo,
        /// What it received.
        blocks: ReportBlocks<'a>,
    },
    /// RR.
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// What it received.
        blocks: ReportBlocks<'a>,
    },
    /// SDES: nothing of it is used.
    SourceDescription,
    /// BYE with the sources that end.
    Bye(SsrcList<'a>),
    /// Generic NACK.
    Nack {
        /// The stream that misses packets.
        media_ssrc: u32,
        /// The missing sequence numbers.
        missing: NackList<'a>,
    },
    /// Picture loss indication.
    Pli {
        /// The stream that needs a keyframe.
        media_ssrc: u32,
    },
    /// Full intra request: the streams that need a keyframe.
    Fir(FirList<'a>),
    /// Receiver estimated maximum bitrate.
    Remb {
        /// Bits per second, of the streams that it names.
        bitrate: u64,
        /// The streams; none if it names none.
        streams: SsrcList<'a>,
    },
    /// Transport-wide feedback; see [`crate::twcc::Feedback`].
    TransportFeedback {
        /// From its base sequence number on.
        body: &'a [u8],
    },
    /// XR with a receiver reference time (RFC 3611, section 4.4).
    ReceiverReferenceTime {
        /// Who asks.
        ssrc: u32,
        /// Its clock.
        ntp: u64,
    },
    /// Anything else.
    Other,
}

/// The sender's part of a sender report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// Its time of day.
    pub ntp: u64,
    /// The RTP timestamp of that moment.
    pub rtp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

/// One report block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source that it is about.
    pub ssrc: u32,
    /// Share lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in all; 24 bits signed.
    pub lost: i32,
    /// The highest sequence number, extended by its cycles.
    pub highest: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Compact time of the last sender report of the source.
    pub last_report: u32,
    /// Time since then, in 1/65536 s.
    pub delay: u32,
}

macro_rules! list {
    ($(#[$doc:meta])* $name:ident, $size:expr, $item:ty, $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name<'a>(&'a [u8]);

        impl $name<'_> {
            /// Iterates over the list.
            pub fn iter(&self) -> impl Iterator<Item = $item> + '_ {
                self.0.chunks_exact($size).filter_map($parse)
            }
        }
    };
}

list!(
    /// SSRCs.
    SsrcList, 4, u32, |b| u32_at(b, 0)
);
list!(
    /// Report blocks, at most 31.
    ReportBlocks, 24, ReportBlock, parse_block
);
list!(
    /// The SSRCs of a full intra request.
    FirList, 8, u32, |b| u32_at(b, 0)
);

/// The missing sequence numbers of a NACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NackList<'a>(&'a [u8]);

impl NackList<'_> {
    /// Iterates over the numbers.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.chunks_exact(4).filter_map(|pair| Some((u16_at(pair, 0)?, u16_at(pair, 2)?))).flat_map(
            |(first, mask)| {
                let later = (0..16u16).filter(move |bit| mask >> bit & 1 == 1);
                std::iter::once(first).chain(later.map(move |bit| first.wrapping_add(bit + 1)))
            },
        )
    }
}

fn parse_block(b: &[u8]) -> Option<ReportBlock> {
    let loss = u32_at(b, 4)?;
    Some(ReportBlock {
        ssrc: u32_at(b, 0)?,
        fraction_lost: (loss >> 24) as u8,
        // Shifted up and down again to extend the sign of 24 bits.
        lost: (loss << 8) as i32 >> 8,
        highest: u32_at(b, 8)?,
        jitter: u32_at(b, 12)?,
        last_report: u32_at(b, 16)?,
        delay: u32_at(b, 20)?,
    })
}

/// The SSRC that a compound begins with: that of its first packet's sender. SRTCP leaves it in the clear.
#[must_use]
pub fn sender_ssrc(compound: &[u8]) -> Option<u32> {
    let &first = compound.first()?;
    u32_at(compound, 4).filter(|_| first >> 6 == 2)
}

/// Iterates over the packets of a compound. Stops at the first malformed length; a packet whose content is
/// malformed is [`RtcpPacket::Other`].
#[derive(Debug, Clone)]
pub struct Compound<'a> {
    rest: &'a [u8],
}

impl<'a> Compound<'a> {
    /// The packets of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Compound<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let &first = self.rest.first()?;
        let &kind = self.rest.get(1)?;
        let words = u16_at(self.rest, 2)?;
        if first >> 6 != 2 {
            self.rest = &[];
            return None;
        }
        let len = (usize::from(words) + 1) * 4;
        let Some((packet, rest)) = self.rest.split_at_checked(len) else {
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        let mut body = packet.get(4..).unwrap_or_default();
        if first & 0x20 != 0 {
            // A padding length that makes no sense leaves nothing of the packet.
            let padding = usize::from(body.last().copied().unwrap_or(0));
            body = body.len().checked_sub(padding).and_then(|len| body.get(..len)).unwrap_or_default();
        }
        Some(parse(kind, first & 0x1f, body).unwrap_or(RtcpPacket::Other))
    }
}

fn parse(kind: u8, count: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    let blocks = |from: usize| {
        let end = from + usize::from(count) * 24;
        Some(ReportBlocks(body.get(from..end.min(body.len()))?))
    };
    Some(match (kind, count) {
        (SENDER_REPORT, _) => {
            let ntp = (u64::from(u32_at(body, 4)?) << 32) | u64::from(u32_at(body, 8)?);
            let (rtp, packets, octets) = (u32_at(body, 12)?, u32_at(body, 16)?, u32_at(body, 20)?);
            let info = SenderInfo { ntp, rtp, packets, octets };
            RtcpPacket::SenderReport { ssrc: u32_at(body, 0)?, info, blocks: blocks(24)? }
        }
        (RECEIVER_REPORT, _) => RtcpPacket::ReceiverReport { ssrc: u32_at(body, 0)?, blocks: blocks(4)? },
        (SOURCE_DESCRIPTION, _) => RtcpPacket::SourceDescription,
        (BYE, _) => RtcpPacket::Bye(SsrcList(body.get(..(usize::from(count) * 4).min(body.len()))?)),
        (TRANSPORT_FEEDBACK, FMT_NACK) => {
            RtcpPacket::Nack { media_ssrc: u32_at(body, 4)?, missing: NackList(body.get(8..)?) }
        }
        (TRANSPORT_FEEDBACK, FMT_TRANSPORT_CC) => RtcpPacket::TransportFeedback { body: body.get(8..)? },
        (PAYLOAD_FEEDBACK, FMT_PLI) => RtcpPacket::Pli { media_ssrc: u32_at(body, 4)? },
        (PAYLOAD_FEEDBACK, FMT_FIR) => RtcpPacket::Fir(FirList(body.get(8..)?)),
        (PAYLOAD_FEEDBACK, FMT_APPLICATION) => {
            if body.get(8..12)? != b"REMB" {
                return None;
            }
            // | number of SSRCs | 6 bits of exponent, 18 of mantissa | SSRCs
            let word = u32_at(body, 12)?;
            let (count, exponent, mantissa) = (word >> 24, (word >> 18) & 0x3f, u64::from(word & 0x3_ffff));
            let bitrate = u64::try_from(u128::from(mantissa) << exponent).unwrap_or(u64::MAX);
            let named = body.get(16..)?;
            let streams = SsrcList(named.get(..count as usize * 4).unwrap_or(named));
            RtcpPacket::Remb { bitrate, streams }
        }
        (EXTENDED_REPORT, _) => {
            let ntp = reference_time(body.get(4..)?)?;
            RtcpPacket::ReceiverReferenceTime { ssrc: u32_at(body, 0)?, ntp }
        }
        _ => return None,
    })
}

/// The receiver reference time block among the blocks of an XR packet.
fn reference_time(mut blocks: &[u8]) -> Option<u64> {
    loop {
        let &kind = blocks.first()?;
        let len = usize::from(u16_at(blocks, 2)?) * 4;
        if kind == 4 && len >= 8 {
            return Some((u64::from(u32_at(blocks, 4)?) << 32) | u64::from(u32_at(blocks, 8)?));
        }
        blocks = blocks.get(4 + len..)?;
    }
}
