//! The rate that the loss allows (draft-ietf-rmcat-gcc-02, section 6), with loss that no rate changes left out.
//!
//! A radio link loses packets whatever is sent; falling back for that would help nobody. So what was lost over
//! the last ten seconds or so counts as the line's own, and only what is lost beyond it lately as congestion: a
//! queue that overflows shows as a jump.

use super::{MAX_BITRATE, MIN_BITRATE};

/// Below this loss the rate may rise, above [`HIGH`] it falls.
const LOW: f32 = 0.02;
const HIGH: f32 = 0.10;
/// From here on the line is taken to be cut: straight down to what arrives.
const CUT: f32 = 0.25;
/// Increase per second while little is lost; more of it where nothing else bounds the rate from above.
const INCREASE: f32 = 0.08;
const INCREASE_BLIND: f32 = 0.15;
/// Longest time without reports that the rate rises for at once.
const MAX_UNREPORTED_S: f32 = 2.0;
/// One judgement needs this many packets and this much time, or [`MAX_INTERVAL_US`] and a few.
const MIN_PACKETS: u32 = 20;
const MIN_INTERVAL_US: i64 = 200_000;
const MAX_INTERVAL_US: i64 = 1_000_000;
const FEW_PACKETS: u32 = 5;
/// So much at once needs no more time.
const FLOOD: f32 = 0.5;
const FLOOD_PACKETS: u32 = 10;
/// Weights of one judgement in what is lost lately, and in the line's own loss.
const LATELY: f32 = 0.3;
const SLOWLY: f32 = 0.03;
/// More is never taken for the line's own.
const MAX_INHERENT: f32 = 0.2;

/// See the module.
#[derive(Debug)]
pub(super) struct LossBound {
    bitrate: f32,
    arrived: u32,
    lost: u32,
    since_us: i64,
    /// The share lost lately.
    share: f32,
    /// The share that the line loses by itself.
    inherent: f32,
    /// The last judgement was that the line is cut.
    cut: bool,
}

impl LossBound {
    /// No bound before loss was seen.
    pub(super) fn new() -> Self {
        Self { bitrate: MAX_BITRATE, arrived: 0, lost: 0, since_us: 0, share: 0.0, inherent: 0.0, cut: false }
    }

    pub(super) fn bitrate(&self) -> f32 {
        self.bitrate
    }

    /// The share lost lately, 0 to 1.
    pub(super) fn share(&self) -> f32 {
        self.share
    }

    /// The share that the line loses whatever is sent, 0 to 1.
    pub(super) fn inherent(&self) -> f32 {
        self.inherent
    }

    /// Whether far more is sent than arrives, by the last judgement.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Packets that arrived or were lost; one that was counted as lost and came after all makes up for it.
    pub(super) fn count(&mut self, arrived: u32, lost: u32, late: u32) {
        self.arrived = self.arrived.saturating_add(arrived);
        self.lost = self.lost.saturating_add(lost).saturating_sub(late);
    }

    /// Whether much more was lost lately than the line loses by itself.
    pub(super) fn is_congested(&self) -> bool {
        self.cut || self.share - self.inherent > HIGH
    }

    /// Nothing was reported for `least_us`: that says nothing against the line, and what it carries may be more now.
    pub(super) fn unreported(&mut self, least_us: i64, now_us: i64) {
        let elapsed = now_us - self.since_us;
        if elapsed >= least_us && self.bitrate < MAX_BITRATE {
            self.since_us = now_us;
            self.cut = false;
            let seconds = (elapsed as f32 / 1e6).min(MAX_UNREPORTED_S);
            self.bitrate = (self.bitrate * (1.0 + INCREASE_BLIND * seconds)).min(MAX_BITRATE);
        }
    }

    /// Judges what was counted, if it is enough. `carried` is what arrives in bits per second, `target` what
    /// was allowed. Returns whether the bound fell.
    pub(super) fn update(&mut self, carried: f32, target: f32, now_us: i64) -> bool {
        let (elapsed, packets) = (now_us - self.since_us, self.arrived.saturating_add(self.lost));
        let enough = (packets >= MIN_PACKETS && elapsed >= MIN_INTERVAL_US)
            || (packets >= FEW_PACKETS && elapsed >= MAX_INTERVAL_US);
        let share = self.lost as f32 / packets.max(1) as f32;
        let flood = packets >= FLOOD_PACKETS && share > FLOOD;
        if !enough && !flood {
            return false;
        }
        (self.arrived, self.lost, self.since_us) = (0, 0, now_us);
        self.judge(share, carried, target, elapsed, INCREASE)
    }

    /// Takes the share lost from a receiver report, for clients without feedback for every packet.
    pub(super) fn report(&mut self, share: f32, sent: f32, now_us: i64) -> bool {
        let elapsed = now_us - self.since_us;
        if elapsed < MIN_INTERVAL_US {
            return false;
        }
        self.since_us = now_us;
        self.judge(share, sent * (1.0 - share), sent, elapsed, INCREASE_BLIND)
    }

    fn judge(&mut self, share: f32, carried: f32, target: f32, elapsed_us: i64, increase: f32) -> bool {
        self.share += LATELY * (share - self.share);
        let (excess, cut) = (self.share - self.inherent, share - self.inherent > CUT);
        self.inherent = (self.inherent + SLOWLY * (share - self.inherent)).min(MAX_INHERENT);
        let before = self.bitrate;
        self.cut = cut;
        if cut {
            let arrives = self.bitrate.min(target) * (1.0 - share);
            self.bitrate = arrives.min(carried).max(MIN_BITRATE);
            // Judged by itself: what is lost from here on counts anew.
            self.share = self.inherent;
        } else if excess > HIGH {
            self.bitrate = (self.bitrate.min(target) * (1.0 - 0.5 * excess)).max(MIN_BITRATE);
        } else if excess < LOW {
            let elapsed = (elapsed_us as f32 / 1e6).clamp(0.0, 1.0);
            self.bitrate = (self.bitrate * (1.0 + increase * elapsed)).min(MAX_BITRATE);
        }
        self.bitrate < before
    }

    /// A probe has shown that the line carries `bitrate`, or a REMB that it does not carry more.
    pub(super) fn prove(&mut self, bitrate: f32) {
        self.bitrate = self.bitrate.max(bitrate);
    }

    /// The receiver says that the line carries no more.
    pub(super) fn cap(&mut self, bitrate: f32) {
        self.bitrate = self.bitrate.min(bitrate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds 250 packets/s for `seconds` with this many of a hundred lost; all that is not lost arrives.
    fn feed(bound: &mut LossBound, from_us: i64, seconds: i64, lost: u32, target: f32) -> f32 {
        for i in 0..seconds * 4 {
            let count = 100 * lost / 100;
            bound.count(100 - count, count, 0);
            let target = bound.bitrate().min(target);
            bound.update(target * (1.0 - lost as f32 / 100.0), target, from_us + i * 250_000);
        }
        bound.bitrate()
    }

    #[test]
    fn random_loss_of_five_percent_is_no_bound() {
        let mut bound = LossBound::new();
        assert_eq!(feed(&mut bound, 1_000_000, 60, 5, 2.5e6), MAX_BITRATE);
        assert!((bound.share() - 0.05).abs() < 0.01);
    }

    #[test]
    fn loss_that_stays_is_the_lines_own() {
        let mut bound = LossBound::new();
        let after = feed(&mut bound, 1_000_000, 60, 15, 2.5e6);
        assert!(after > 1.2e6, "{after}");
    }

    #[test]
    fn a_cut_falls_to_what_arrives_at_once_and_recovers() {
        let mut bound = LossBound::new();
        feed(&mut bound, 1_000_000, 10, 0, 2.5e6);
        bound.count(16, 84, 0);
        assert!(bound.update(0.4e6, 2.5e6, 12_000_000));
        assert_eq!(bound.bitrate(), 0.4e6);
        let after = feed(&mut bound, 13_000_000, 10, 0, 2.5e6);
        assert!((0.7e6..1.0e6).contains(&after), "{after}");
        bound.prove(2e6);
        assert_eq!(bound.bitrate(), 2e6);
    }

    #[test]
    fn what_came_late_was_not_lost() {
        let mut bound = LossBound::new();
        bound.count(50, 50, 0);
        bound.count(50, 0, 50);
        assert!(!bound.update(1e6, 1e6, 1_000_000));
        assert_eq!(bound.share(), 0.0);
        bound.count(0, 0, 99);
        bound.count(u32::MAX, u32::MAX, 0);
        bound.update(1e6, 1e6, 3_000_000);
    }
}
