//! Sender reports that come before the first packet of their stream, whose SSRC nobody has announced: browsers send
//! one as soon as they are connected, and the next may be five seconds away. Pure.

use std::time::Instant;

use rtp::rtcp::SenderInfo;

/// Reports that wait, one for each SSRC. Beyond, the oldest gives way.
const MAX_WAITING: usize = 16;

/// What waits for the first packet of its stream.
#[derive(Debug, Default)]
pub(crate) struct EarlyReports {
    /// Oldest first.
    waiting: Vec<(u32, SenderInfo, Instant)>,
}

impl EarlyReports {
    /// Keeps a report that came at `now`; the latest of an SSRC counts.
    pub(crate) fn keep(&mut self, ssrc: u32, info: SenderInfo, now: Instant) {
        self.take(ssrc);
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.remove(0);
        }
        self.waiting.push((ssrc, info, now));
    }

    /// The report of this SSRC, and when it came.
    pub(crate) fn take(&mut self, ssrc: u32) -> Option<(SenderInfo, Instant)> {
        let at = self.waiting.iter().position(|(waits, ..)| *waits == ssrc)?;
        let (_, info, came) = self.waiting.remove(at);
        Some((info, came))
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_each_ssrc_waits_and_the_oldest_give_way() {
        let now = Instant::now();
        let info = |rtp| SenderInfo { ntp: 1, rtp, packets: 0, octets: 0 };
        let mut early = EarlyReports::default();
        for round in 0..2 {
            for ssrc in 0..100 {
                early.keep(ssrc, info(round), now);
            }
        }
        early.keep(99, info(7), now);
        assert_eq!(early.waiting.len(), MAX_WAITING);
        assert_eq!(early.take(99), Some((info(7), now)));
        assert_eq!((early.take(99), early.take(83)), (None, None));
        assert_eq!(early.take(84), Some((info(1), now)));
        early.clear();
        assert_eq!(early.take(90), None);
    }
}
