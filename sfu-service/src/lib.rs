//! The SFU service: publishers come in by WHIP (RFC 9725), viewers go out by WHEP (draft-ietf-wish-whep), and a data
//! plane of one thread a core forwards what the ones send to the others.
//!
//! ```text
//! http     WHIP and WHEP requests            node      admission, negotiation, placement
//! meta     admission, status, report         registry  sessions and rooms (pure)
//! signaling  viewers and tracks over STOMP   shard     threads, sockets, participants
//! homes    the state of the calls whose home this is (pure)
//! report   each second to meta, orders back  load      what is measured, and from where on nobody new gets in
//! ```
//! Meta and signaling may go away at any time: media plays on, new sessions wait.

#![forbid(unsafe_code)]

mod addresses;
mod bearer;
mod config;
mod end;
mod homes;
mod http;
mod load;
mod meta;
mod metrics;
mod node;
mod process;
mod published;
mod registry;
mod report;
mod service;
mod shard;
mod signaling;
mod thread_clock;

pub use addresses::of_this_machine as machine_addresses;
pub use config::{Config, DEFAULT_MEDIA_PORT, Limits, MAX_PUBLIC_IPS, MAX_SHARDS};
pub use service::{SfuService, StartError};
pub use shard::Around;
