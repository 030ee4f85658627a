//! Calls of Madang (docs/calls.md): light callers, each with a connection that publishes and one that receives through
//! slots, and what a run of them finds.
//!
//! ```text
//! settings  [call] of a scenario          talk   who speaks when
//! seat      what both connections share   slots  what the slots show, and what was said of them
//! offers    both offers, both answers     media  the receive connection
//! group     the group, its tokens, joins  state  the state of the room over STOMP
//! run       the phases of a run           report what it found
//! ```

use std::time::Duration;

mod group;
mod media;
mod offers;
mod page;
pub mod report;
mod run;
pub(crate) mod seat;
pub mod settings;
pub(crate) mod slots;
mod state;
pub(crate) mod talk;

pub use run::run;

pub(crate) use media::{Media, Order};

/// Keyframe requests to one encoding are merged over so long; what comes sooner was not.
pub(crate) const MERGED: Duration = Duration::from_millis(500);
