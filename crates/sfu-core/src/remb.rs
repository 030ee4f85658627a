//! A bitrate for publishers that do not number their packets for transport-wide feedback: what came, and a
//! little more while little is lost. Coarse on purpose; every current browser uses the feedback instead.

const FIRST: u64 = 1_000_000;
const LEAST: u64 = 100_000;
const MOST: u64 = 10_000_000;

#[derive(Debug)]
pub(crate) struct RembEstimate {
    bitrate: u64,
}

impl Default for RembEstimate {
    fn default() -> Self {
        Self { bitrate: FIRST }
    }
}

impl RembEstimate {
    /// Once a second: the bitrate to announce, from the share lost (in 1/256) and what was received.
    pub(crate) fn update(&mut self, fraction_lost: u8, received: u64) -> u64 {
        let bitrate = match fraction_lost {
            // Below 2 %: probe upwards, but not far above what the publisher really sends.
            0..=5 => (self.bitrate + self.bitrate / 12).min((received * 2).max(FIRST)),
            6..=25 => self.bitrate,
            // Above 10 %: the rule of the loss-based controller of WebRTC.
            lost => self.bitrate - self.bitrate * u64::from(lost) / 512,
        };
        self.bitrate = bitrate.clamp(LEAST, MOST);
        self.bitrate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_without_loss_and_falls_with_it() {
        let mut estimate = RembEstimate::default();
        let risen = (0..60).map(|_| estimate.update(0, 3_000_000)).last().expect("60 updates");
        assert_eq!(risen, 6_000_000, "at most twice what comes");
        assert_eq!(estimate.update(10, 3_000_000), risen);
        let fallen = (0..100).map(|_| estimate.update(128, 100_000)).last().expect("100 updates");
        assert_eq!(fallen, LEAST);
    }
}
