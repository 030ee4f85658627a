//! What REMB means, for clients without feedback for every packet.
//!
//! A REMB is about the streams that it names, most often the pictures and not the sound, and it follows what those
//! streams bring: a client that gets 190 kbit/s says 190, or 161 after a moment of jitter, on any line. Taken as what the
//! line carries it would starve the client by its own modesty. So it is compared with what was sent of those streams:
//! only one that is clearly less, and does not rise, says that less arrives than is sent.

/// Totals are compared over at least this.
const INTERVAL_US: i64 = 800_000;
/// Up to this share of what is sent a REMB says that everything arrives: clients count payloads without headers.
const EVERYTHING: f32 = 0.88;
/// Above this share of what is sent it is no sign of the line: it grows to 1.5 times what comes.
pub(super) const FAR_ABOVE: f32 = 1.2;
/// After jitter a client says 0.85 of what came, so less than this share is a line that carries less.
const NARROW: f32 = 0.7;
/// Where less is sent of the streams that it names, in bits per second, those are single pictures: what comes of them
/// says nothing of the line.
const LEAST_NAMED: f32 = 100_000.0;
/// REMBs one after another that are believed, at least [`INTERVAL_US`] apart: a moment of jitter makes one of them low, and
/// the next is higher. Some clients send one with each packet of such a moment: together they say it once.
const BELIEVED: u32 = 2;

/// Bytes of RTP that were sent since the connection began, by what a REMB says of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// In the streams that it names.
    pub named: u64,
    /// In all others.
    pub others: u64,
}

/// What a REMB says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// Nothing of the line.
    Nothing,
    /// The line carries this, in bits per second of RTP, and what is sent now.
    AsSent(f32),
    /// The line carries this, which is less than what is sent.
    Less(f32),
    /// The same, and by so much that the picture does not fit.
    Narrow(f32),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Blind {
    mark: Option<(i64, Sent)>,
    /// Bits per second of the streams that the last REMB named, and of the others.
    rates: Option<(f32, f32)>,
    /// The last one that counted, and when.
    last: f32,
    last_us: i64,
    /// REMBs in a row that were less than what was sent, and those of them that were much less.
    less: u32,
    narrow: u32,
}

impl Default for Blind {
    fn default() -> Self {
        Self { mark: None, rates: None, last: 0.0, last_us: i64::MIN / 2, less: 0, narrow: 0 }
    }
}

impl Blind {
    /// Takes a REMB of `bitrate`.
    pub(super) fn remb(&mut self, bitrate: f32, sent: Sent, now_us: i64) -> Verdict {
        self.measure(sent, now_us);
        let Some((named, others)) = self.rates.filter(|&(named, _)| named >= LEAST_NAMED) else {
            // Hardly anything was sent that it could be about.
            (self.less, self.narrow) = (0, 0);
            self.last = bitrate;
            return Verdict::Nothing;
        };
        let (carries, share) = (bitrate + others, bitrate / named);
        if share >= EVERYTHING || now_us - self.last_us >= INTERVAL_US {
            let rises = bitrate > std::mem::replace(&mut self.last, bitrate);
            self.last_us = now_us;
            let count =
                |row: u32, below: f32| if share < below && !rises { row.saturating_add(1) } else { 0 };
            (self.less, self.narrow) = (count(self.less, EVERYTHING), count(self.narrow, NARROW));
        }
        if share > FAR_ABOVE {
            Verdict::Nothing
        } else if self.less < BELIEVED {
            Verdict::AsSent(carries)
        } else if self.narrow < BELIEVED {
            Verdict::Less(carries)
        } else {
            Verdict::Narrow(carries)
        }
    }

    fn measure(&mut self, sent: Sent, now_us: i64) {
        let (since, before) = *self.mark.get_or_insert((now_us, sent));
        let elapsed = now_us - since;
        if elapsed < INTERVAL_US {
            return;
        }
        // Another REMB may name other streams.
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f32 * 8e6 / elapsed as f32;
        self.rates = Some((rate(sent.named, before.named), rate(sent.others, before.others)));
        self.mark = Some((now_us, sent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts on REMBs once a second while this much is sent, in kbit/s: the REMB, named streams, others.
    fn verdicts(seconds: &[(u32, u32, u32)]) -> Vec<Verdict> {
        verdicts_each(1_000, seconds)
    }

    /// The same, each this many ms.
    fn verdicts_each(ms: u32, times: &[(u32, u32, u32)]) -> Vec<Verdict> {
        let (mut blind, mut sent) = (Blind::default(), Sent::default());
        let bytes = |kbits: u32| u64::from(kbits) * u64::from(ms) / 8;
        blind.remb(0.0, sent, 0);
        let mut at = 0;
        let all = times.iter().map(|&(remb, named, others)| {
            at += i64::from(ms) * 1_000;
            sent = Sent { named: sent.named + bytes(named), others: sent.others + bytes(others) };
            blind.remb(remb as f32 * 1e3, sent, at)
        });
        all.collect()
    }

    #[test]
    fn who_says_what_it_gets_says_nothing_against_the_line() {
        let all = verdicts(&[(180, 190, 40), (175, 190, 40), (285, 190, 40)]);
        assert_eq!(all, [Verdict::AsSent(220e3), Verdict::AsSent(215e3), Verdict::Nothing]);
        assert_eq!(
            verdicts(&[(100, 0, 40), (50, 0, 0)]),
            [Verdict::Nothing; 2],
            "no picture, nothing to judge"
        );
    }

    #[test]
    fn a_moment_of_jitter_is_not_believed() {
        let all = verdicts(&[(200, 190, 40), (161, 190, 40), (165, 190, 40), (161, 190, 40), (160, 190, 40)]);
        assert!(all[..4].iter().all(|verdict| matches!(verdict, Verdict::AsSent(_))), "{all:?}");
        assert_eq!(all[4], Verdict::Less(200e3), "the second in a row that does not rise");
    }

    /// The verdicts on these REMBs, one in 100 ms, while 190 kbit/s are sent.
    fn often(rembs: &[u32]) -> Vec<Verdict> {
        verdicts_each(100, &rembs.iter().map(|&remb| (remb, 190, 40)).collect::<Vec<_>>())
    }

    #[test]
    fn many_in_a_moment_say_it_once() {
        // A receiver that stood still for half a second, as aiortc reports it, packet by packet.
        let moment = [190, 190, 190, 190, 190, 170, 130, 110, 100, 90, 85, 80, 190, 190];
        let all = often(&[[190; 10].as_slice(), &moment].concat());
        assert!(all[8..].iter().all(|verdict| matches!(verdict, Verdict::AsSent(_))), "{all:?}");
        // One that stays, and wavers.
        let stays: Vec<u32> = (0..40).map(|at| 100 + at % 3).collect();
        let all = often(&[&[190; 10], stays.as_slice()].concat());
        assert!(all.iter().any(|verdict| matches!(verdict, Verdict::Narrow(_))), "{all:?}");
    }

    #[test]
    fn a_line_that_is_too_narrow_is_believed_the_second_time() {
        let all = verdicts(&[(200, 190, 40), (100, 190, 40), (99, 190, 40), (98, 190, 40)]);
        assert_eq!(all[1..], [Verdict::AsSent(140e3), Verdict::Narrow(139e3), Verdict::Narrow(138e3)]);
    }
}
