//! NTP timestamps (RFC 3550, section 4), as sender reports and capture times carry them.
//!
//! ```text
//! | seconds since 1900, modulo 2^32 (32 bits) | fraction of a second (32 bits) |
//! ```

use std::time::Duration;

/// Seconds from 1900, where NTP starts, to 1970, where Unix time starts.
const UNIX_OFFSET: u64 = 2_208_988_800;

/// An NTP timestamp: seconds since 1900, 32 bits before and 32 after the point. Also the length of time between two
/// of them, which wraps like they do.
pub type Ntp = u64;

/// The timestamp of a moment that is `since_1970` after the start of Unix time.
#[must_use]
#[inline]
pub fn from_unix(since_1970: Duration) -> Ntp {
    (UNIX_OFFSET << 32).wrapping_add(interval(since_1970))
}

/// A length of time in the same units: add it to a timestamp with `wrapping_add`.
#[must_use]
#[inline]
pub fn interval(time: Duration) -> Ntp {
    (time.as_secs() << 32) | ((u64::from(time.subsec_nanos()) << 32) / 1_000_000_000)
}

/// The middle 32 bits: what reports echo, in 1/65536 s.
#[must_use]
#[inline]
pub fn compact(ntp: Ntp) -> u32 {
    (ntp >> 16) as u32
}

/// The length of an interval in compact units (1/65536 s). Negative ones, from clocks that were set, count as none.
#[must_use]
pub fn compact_duration(interval: u32) -> Duration {
    if interval > i32::MAX as u32 {
        return Duration::ZERO;
    }
    Duration::from_micros((u64::from(interval) * 1_000_000) >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_seconds_since_1900_and_a_binary_fraction() {
        assert_eq!(from_unix(Duration::from_millis(1_500)), (2_208_988_801 << 32) | 1 << 31);
        assert_eq!((1u64 << 31).wrapping_add(interval(Duration::from_millis(500))), 1 << 32);
        // The seconds wrap in 2036.
        assert_eq!(from_unix(Duration::from_secs((1 << 32) - 2_208_988_800)), 0);
    }

    #[test]
    fn compact_times_keep_the_middle() {
        assert_eq!(compact(0x1234_5678_9abc_def0), 0x5678_9abc);
        assert_eq!(compact_duration(0x0001_8000), Duration::from_millis(1_500));
        assert_eq!(compact_duration(u32::MAX), Duration::ZERO, "a clock was set back");
    }
}
