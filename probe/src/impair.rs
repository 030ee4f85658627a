//! A bad network inside of the probe: datagrams that are lost, late, or out of order on purpose; the same ones are lost
//! in each run.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::scenario::{Delay, Loss, duration};

/// Datagrams that one direction of a client holds at a time: 50 Mbit/s at 200 ms. More are lost, the newest first, as
/// in a router whose queue is full.
const MAX_HELD: usize = 1_024;

/// What one client's line does.
#[derive(Debug)]
pub(crate) struct Impairment {
    incoming: Direction,
    outgoing: Direction,
    rng: SmallRng,
}

/// What becomes of a datagram now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes on at once.
    Passes,
    /// It comes out later.
    Held,
    Lost,
}

#[derive(Debug, Default)]
struct Direction {
    loss: f64,
    delay: Duration,
    jitter: Duration,
    reorder: f64,
    held: BinaryHeap<Reverse<Held>>,
    next_number: u64,
    /// When the last one that keeps the order comes out.
    last: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
struct Held {
    due: Instant,
    /// Those of one moment stay in order.
    number: u64,
    address: SocketAddr,
    bytes: Vec<u8>,
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Impairment {
    /// For client `number`; `None` where the line is good.
    pub(crate) fn new(loss: &Loss, delay: &Delay, publishes: bool, number: u32) -> Option<Self> {
        let direction = |loss: f64, delay_ms: f64| Direction {
            loss,
            delay: duration(delay_ms / 1e3),
            jitter: duration(delay.jitter_ms / 1e3),
            reorder: delay.reorder,
            ..Direction::default()
        };
        let back = direction(loss.back, delay.back_ms);
        let (incoming, outgoing) = if publishes {
            (back, direction(loss.up, delay.up_ms))
        } else {
            (direction(loss.down, delay.down_ms), back)
        };
        let rng = SmallRng::seed_from_u64(loss.seed.wrapping_mul(1 << 32).wrapping_add(u64::from(number)));
        (incoming.is_bad() || outgoing.is_bad()).then_some(Self { incoming, outgoing, rng })
    }

    /// A datagram came from `from`.
    pub(crate) fn arrives(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) -> Fate {
        self.incoming.take(from, bytes, &mut self.rng, now)
    }

    /// A datagram is to leave to `to`.
    pub(crate) fn leaves(&mut self, to: SocketAddr, bytes: &[u8], now: Instant) -> Fate {
        self.outgoing.take(to, bytes, &mut self.rng, now)
    }

    /// The next datagram that has arrived after all by `now`, and where it came from.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        self.incoming.release(now)
    }

    /// The next datagram that leaves by `now`, and where to.
    pub(crate) fn left(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        self.outgoing.release(now)
    }

    /// When the next one comes out, in either direction.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let heads = [self.incoming.held.peek(), self.outgoing.held.peek()];
        heads.into_iter().flatten().map(|Reverse(held)| held.due).min()
    }
}

impl Direction {
    fn is_bad(&self) -> bool {
        self.loss > 0.0 || self.delays()
    }

    fn delays(&self) -> bool {
        !(self.delay + self.jitter).is_zero()
    }

    fn take(&mut self, address: SocketAddr, bytes: &[u8], rng: &mut SmallRng, now: Instant) -> Fate {
        if self.loss > 0.0 && rng.random_bool(self.loss) {
            return Fate::Lost;
        }
        if !self.delays() {
            return Fate::Passes;
        }
        if self.reorder > 0.0 && rng.random_bool(self.reorder) {
            return Fate::Passes;
        }
        if self.held.len() >= MAX_HELD {
            return Fate::Lost;
        }
        let due = now + self.delay + self.jitter.mul_f64(rng.random());
        // A queue that grows and shrinks changes no order.
        let due = self.last.map_or(due, |last| due.max(last));
        self.last = Some(due);
        self.next_number += 1;
        self.held.push(Reverse(Held { due, number: self.next_number, address, bytes: bytes.to_vec() }));
        Fate::Held
    }

    fn release(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        self.held.peek().filter(|Reverse(held)| held.due <= now)?;
        self.held.pop().map(|Reverse(held)| (held.address, held.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> SocketAddr {
        ([192, 0, 2, 1], 9).into()
    }

    #[test]
    fn the_wanted_share_is_lost_and_the_same_in_each_run() {
        let loss = Loss { down: 0.05, up: 0.2, back: 0.0, seed: 7 };
        let run = |publishes, number| {
            let now = Instant::now();
            let mut line = Impairment::new(&loss, &Delay::default(), publishes, number).unwrap();
            let mut lost = (0, 0);
            for _ in 0..10_000 {
                lost.0 += u32::from(line.arrives(address(), &[], now) == Fate::Lost);
                lost.1 += u32::from(line.leaves(address(), &[], now) == Fate::Lost);
            }
            assert_eq!(line.poll_timeout(), None, "nothing is held without a delay");
            lost
        };
        let (incoming, outgoing) = run(false, 1);
        assert!((400..600).contains(&incoming));
        assert_eq!(outgoing, 0);
        assert!((1_800..2_200).contains(&run(true, 2).1));
        assert_eq!(run(false, 1), run(false, 1));
        assert_ne!(run(false, 1), run(false, 3));
        assert!(Impairment::new(&Loss::default(), &Delay::default(), true, 1).is_none());
    }

    /// What a line with `delay` makes of 1,000 datagrams, 20 ms apart: number and milliseconds on the way.
    fn through(delay: &Delay) -> Vec<(u64, u64)> {
        let mut line = Impairment::new(&Loss::default(), delay, false, 1).unwrap();
        let start = Instant::now();
        let mut out = Vec::new();
        for at in 0..21_000 {
            let (now, number) = (start + Duration::from_millis(at), at / 20);
            let is_sent = at % 20 == 0 && number < 1_000;
            if is_sent && line.arrives(address(), &number.to_be_bytes(), now) == Fate::Passes {
                out.push((number, 0));
            }
            while let Some((from, bytes)) = line.arrived(now) {
                assert_eq!(from, address());
                let number = u64::from_be_bytes(bytes.try_into().unwrap());
                out.push((number, at - 20 * number));
            }
        }
        assert_eq!(line.poll_timeout(), None);
        assert_eq!(out.len(), 1_000, "each comes out once");
        out
    }

    #[test]
    fn what_is_late_comes_out_in_order() {
        let fixed = through(&Delay { down_ms: 30.0, ..Delay::default() });
        assert!(fixed.iter().all(|(_, late)| *late == 30));
        let jittered = through(&Delay { down_ms: 30.0, jitter_ms: 60.0, ..Delay::default() });
        assert!(jittered.iter().all(|(_, late)| (30..=91).contains(late)));
        assert!(jittered.iter().any(|(_, late)| *late < 40) && jittered.iter().any(|(_, late)| *late > 80));
        for line in [fixed, jittered] {
            assert!(line.is_sorted_by_key(|(number, _)| *number));
        }
    }

    #[test]
    fn the_wanted_share_overtakes_the_others() {
        let out = through(&Delay { down_ms: 50.0, reorder: 0.1, ..Delay::default() });
        let early = out.iter().filter(|(_, late)| *late == 0).count();
        assert!((60..140).contains(&early), "{early}");
        assert!(!out.is_sorted_by_key(|(number, _)| *number));
    }

    #[test]
    fn a_line_holds_so_many_and_no_more() {
        let delay = Delay { up_ms: 10.0, back_ms: 10.0, ..Delay::default() };
        let mut line = Impairment::new(&Loss::default(), &delay, true, 1).unwrap();
        let now = Instant::now();
        let held = (0..MAX_HELD + 5).filter(|_| line.leaves(address(), &[1], now) == Fate::Held).count();
        assert_eq!(held, MAX_HELD);
        assert_eq!(line.poll_timeout(), Some(now + Duration::from_millis(10)));
        assert_eq!(line.left(now), None);
        assert_eq!(line.left(now + Duration::from_millis(10)), Some((address(), vec![1])));
        assert_eq!(line.arrives(address(), &[2], now), Fate::Held, "each direction has room of its own");
    }
}
