//! How the numbers of a publisher's own shard become numbers here.
//!
//! Each packet that crosses says which run of its encoding it belongs to and its number there. So it is known at once
//! that a stream has started over, and the numbers that its packets get here are apart from those of every run before.

use rtp::seq::Seq;

use crate::receive::{Arrival, ReceiveStats};

/// Packets of one encoding that are asked for at a time; the rest follows a moment later.
pub(crate) const MAX_ASKED: usize = 64;
/// Numbers further apart than this are not of one stream.
const MAX_JUMP: u64 = 1 << 32;

/// The run of a remote encoding that flows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crossing {
    /// As the origin counts it.
    pub(crate) run: u32,
    /// What has to be added, wrapping, to the origin's numbers: a multiple of 65,536.
    pub(crate) moved: u64,
    /// Where the run began, if its first packets have not crossed.
    pub(crate) missed: Option<Seq>,
}

impl Crossing {
    /// Places a packet of a remote publisher, and notes in `now` the run that it belongs to.
    pub(crate) fn place(
        now: &mut Option<Self>,
        receive: &mut ReceiveStats,
        (run, began, number): (u32, u64, u64),
        wire: u16,
    ) -> Arrival {
        match *now {
            Some(crossing) if crossing.run == run => {
                let seq = number.wrapping_add(crossing.moved);
                let highest = receive.highest().unwrap_or(seq);
                let fits = seq as u16 == wire && seq.abs_diff(highest) < MAX_JUMP;
                if fits { receive.place(seq) } else { Arrival::Stray }
            }
            // What was repeated of a run that is over.
            Some(crossing) if (run.wrapping_sub(crossing.run) as i32) < 0 => Arrival::Stray,
            before => {
                let seq = receive.begin(wire);
                // Who pulls already has missed what came before; who begins to pull gets what it needs from the ring,
                // unless the run has only just begun.
                let count = number.saturating_sub(began);
                let is_missed = count > 0 && (before.is_some() || count <= MAX_ASKED as u64);
                let missed = is_missed.then(|| seq.saturating_sub(count));
                *now = Some(Crossing { run, moved: seq.wrapping_sub(number), missed });
                Arrival::First(seq)
            }
        }
    }
}
