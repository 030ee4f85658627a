//! Who is in a room and what holds there: people, what they publish, mutes, hands, rights, the lock. Commands and the
//! comings and goings of sessions go in; answers, orders to the SFU, and the state as a snapshot and deltas come out.
//! Pure: no I/O, and the time is passed in.
//!
//! ```text
//! join, leave, lost, publish, ...        +------+   poll_effect: answers, gates, ends, what to store
//! --------------------------------------->|      |------------------------------------------------->
//! command(from, request id, command)     | Room |   poll_delta: at most one in GATHER
//! --------------------------------------->|      |------------------------------------------------->  Replica,
//! stored(write, whether it was)          +------+   snapshot                                           anywhere
//! ```
//! **The contract.** Call what happened, then drain [`Room::poll_effect`]; call [`Room::poll_delta`] when
//! [`Room::poll_timeout`] says so. A delta is the difference between what was told last and what is so now, so whatever
//! comes and goes within one gathering costs nothing, and deltas of N joins have O(N) bytes together.
//!
//! **What survives** the end of the node that holds the room is its [`Rules`]: who was removed, who has other rights than
//! its token says, and the lock. A command that changes them is done and answered when they are stored.
//!
//! **To repeat does no harm.** A command with the request id of an earlier one of that person is answered as that one
//! was, and not done again.

mod command;
mod gather;
mod limits;
mod may;
mod member;
mod replica;
mod requests;
mod room;
mod rules;
mod state;

pub use self::command::{Answer, Refused};
pub use self::gather::{GATHER, GATHER_BUSY};
pub use self::limits::{
    MAX_EFFECTS, MAX_PEOPLE, MAX_REACTIONS, MAX_REQUESTS, MAX_RULES, MAX_WRITES, REACTION_BURST,
    REACTION_INTERVAL,
};
pub use self::may::{Rank, right_to};
pub use self::replica::{Applied, Replica};
pub use self::room::{Effect, JoinRefused, Joining, Room, WriteId};
pub use self::rules::{Change, Rules};
