//! Sequence numbers without the wrap: 16 bits on the wire, 64 inside.

/// A sequence number that never wraps. Arithmetic on it is safe for the life of any stream.
pub type Seq = u64;

/// The 64-bit number nearest to `near` with the low bits `wire`.
#[must_use]
#[inline]
pub fn extend(near: Seq, wire: u16) -> Seq {
    let difference = wire.wrapping_sub(near as u16) as i16;
    let extended = near.wrapping_add_signed(i64::from(difference));
    // Before the first wrap there is nothing below zero: the number is one of the next cycle.
    if difference < 0 && extended > near { extended.wrapping_add(1 << 16) } else { extended }
}

/// Whether the timestamp `a` is before `b`, over the wrap.
#[must_use]
#[inline]
pub fn timestamp_before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_over_the_wrap_in_both_directions() {
        assert_eq!(extend(0x1_fffe, 1), 0x2_0001);
        assert_eq!(extend(0x2_0001, 0xfffe), 0x1_fffe);
        assert_eq!(extend(0x1_0000, 0x0000), 0x1_0000);
        assert_eq!(extend(5, 0xffff), 0xffff, "nothing is before zero");
    }

    #[test]
    fn timestamps_compare_over_the_wrap() {
        assert!(timestamp_before(0xffff_fff0, 16));
        assert!(!timestamp_before(16, 0xffff_fff0));
        assert!(!timestamp_before(7, 7));
    }
}
