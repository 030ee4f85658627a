//! The data plane: one thread a shard, each with its socket, participants and timers. Nothing is shared between
//! shards but messages by value.

mod command;
mod convert;
mod data;
mod events;
mod exchange;
mod io;
mod lane;
mod layers;
mod message;
mod outbox;
mod owners;
mod participant;
mod portions;
mod room;
mod run;
mod session;
mod tcp;

pub(crate) use command::{
    Command, InboxFull, Join, JoinRole, LayerChoice, LayerError, MediaSection, Published, ShardEvent,
    ShardHandle,
};
pub(crate) use convert::{format, track_index, tracks};
pub use run::Around;
pub(crate) use run::{Prepared, ShardSettings, plainly, prepare};
