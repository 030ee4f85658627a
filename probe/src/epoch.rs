//! The clock that stamps and reads forward delays: publishers and viewers are in one process.

use std::time::{Duration, Instant, SystemTime};

use rtp::ntp::{self, Ntp};

/// A ms in NTP units.
const ROUNDING: i64 = (1 << 32) / 1_000;

/// Begins the stamp in the last bytes of a synthetic payload.
const STAMP_MAGIC: [u8; 8] = *b"\xA7prbSTM\x1C";
/// Bytes of a stamp.
pub(crate) const STAMP_LEN: usize = 16;
/// A stamp that says more than this is somebody else's clock.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Where times count from, and what time of day that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    start: Instant,
    unix: Duration,
}

impl Epoch {
    /// Times count from `start`, when it was `unix` after 1970.
    #[must_use]
    pub fn new(start: Instant, unix: Duration) -> Self {
        Self { start, unix }
    }

    /// Times count from now. Reads both clocks, so it is for the shell.
    #[must_use]
    pub fn now() -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::new(Instant::now(), unix)
    }

    /// Time since it.
    pub(crate) fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    /// The time of day.
    pub(crate) fn ntp(&self, now: Instant) -> Ntp {
        ntp::from_unix(self.unix + now.saturating_duration_since(self.start))
    }

    /// Time from `ntp` until `now`, if it is plausible.
    pub(crate) fn since_ntp(&self, ntp: Ntp, now: Instant) -> Option<Duration> {
        let units = self.ntp(now).wrapping_sub(ntp) as i64;
        // A receive that was stamped before the send is another clock, but for what rounding does.
        let units = u64::try_from(if units >= -ROUNDING { units.max(0) } else { units }).ok()?;
        let delay = Duration::from_nanos(((u128::from(units) * 1_000_000_000) >> 32) as u64);
        (delay <= MAX_DELAY).then_some(delay)
    }

    /// Writes `now` over the end of `payload`, if it is long enough.
    pub(crate) fn stamp(&self, payload: &mut [u8], now: Instant) {
        let micros = now.saturating_duration_since(self.start).as_micros() as u64;
        if let Some((magic, time)) = payload.last_chunk_mut::<STAMP_LEN>().map(|end| end.split_at_mut(8)) {
            magic.copy_from_slice(&STAMP_MAGIC);
            time.copy_from_slice(&micros.to_be_bytes());
        }
    }

    /// Time since the stamp at the end of `payload`, if there is one.
    pub(crate) fn since_stamp(&self, payload: &[u8], now: Instant) -> Option<Duration> {
        let (magic, time) = payload.last_chunk::<STAMP_LEN>()?.split_first_chunk::<8>()?;
        let then = Duration::from_micros(u64::from_be_bytes(*time.first_chunk()?));
        let delay = now.saturating_duration_since(self.start).checked_sub(then).unwrap_or_default();
        (*magic == STAMP_MAGIC && delay <= MAX_DELAY).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_stamps_give_the_delay_back() {
        let start = Instant::now();
        let epoch = Epoch::new(start, Duration::from_millis(1_500));
        let (sent, received) = (start + Duration::from_secs(7), start + Duration::from_millis(7_012));
        assert_eq!(epoch.ntp(start), (2_208_988_801 << 32) | 1 << 31);
        let delay = epoch.since_ntp(epoch.ntp(sent), received).unwrap();
        assert!((11_999..=12_001).contains(&delay.as_micros()), "{delay:?}");
        assert_eq!(epoch.since_ntp(0, received), None, "another clock");

        let mut payload = [0; 40];
        epoch.stamp(&mut payload, sent);
        assert_eq!(epoch.since_stamp(&payload, received), Some(Duration::from_millis(12)));
        assert_eq!(epoch.since_stamp(&payload[..39], received), None);
        assert_eq!(epoch.since_stamp(&[], received), None);
        let mut short = [0; 15];
        epoch.stamp(&mut short, sent);
        assert_eq!(short, [0; 15]);
    }
}
