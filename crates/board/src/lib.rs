//! The document of a whiteboard at the server: what may enter it, what it holds, and how it is made small again. Pure:
//! no I/O and no clock.
//!
//! ```text
//! bytes of a client --> outline: read without recursion, no length believed
//!                       places:  own operations only, in order, in parents that exist   --> refused, nothing changed
//!                       yrs:     the document (a CRDT of Yjs)                           --> stored, acknowledged, sent on
//! ```
//! A board is two shared maps, [`ROOTS`]: pages, and objects, each of which is a map of values and at most some shared
//! texts. The server gives each connection a client id of its own, and takes from it only operations under that id, in
//! their order, so there is never anything that waits for something else; who has lost an answer sends the same again.
//!
//! Deleted things stay in the document as small tombstones. [`Board::compacted`] makes a new document without them,
//! under the next epoch: whoever was away puts the work that it has not sent yet into it as new objects.

mod board;
mod limits;
mod outline;
mod places;
mod read;
mod snapshot;

pub use self::board::{Author, Board, ClientId, Refusal, Room};
pub use self::limits::{
    MAX_BOARD, MAX_CLIENTS, MAX_CLOCK, MAX_DEPTH, MAX_KEY, MAX_NAMES, MAX_UPDATE, NEARLY_FULL,
};
pub use self::read::{Malformed, What};
pub use self::snapshot::BadSnapshot;

/// The names of a board's shared maps: objects by their id, pages by theirs.
pub const ROOTS: [&str; 2] = ["objects", "pages"];
