//! One shard's brain: published tracks, subscriptions, rewriting, retransmission, keyframe requests, reports.
//!
//! Pure and sans-IO. A [`Shard`] takes decrypted packets and `now`, and hands everything it causes to the
//! [`Sink`] of the same call: packets to send, reports, events. It reads no clock, does no I/O, spawns nothing
//! and keeps no queue of outputs. The contract is:
//!
//! 1. call any method that changes something;
//! 2. after the packets of a receive batch ([`Shard::handle_rtp`], [`Shard::handle_relayed`]), call
//!    [`Shard::forward`] once;
//! 3. when [`Shard::poll_timeout`] is due, call [`Shard::handle_timeout`].
//!
//! # How a packet flows
//! [`Shard::handle_rtp`] parses it, binds its SSRC to an encoding, unwraps a retransmission, stores it once in
//! the encoding's ring, notes which layers it belongs to, and hands it once to [`Sink::relayed`] if another shard
//! wants it. [`Shard::forward`] then goes through the subscriptions, one after another, and calls [`Sink::rtp`]
//! for each packet that came since and is of the encoding and the layers that this subscription gets, with a
//! rewritten header and the payload as it came. The shell writes both into its send buffer and encrypts there:
//! one header rewrite, one copy, one encryption, and a frame's packets to one viewer side by side.
//!
//! # What a viewer gets of it
//! ```text
//! meter: bitrate of each choice of layers --+
//! what the viewer asked for (Wanted) -------+-> layers: ladder of steps -+-> allocate -> layers: pick -> aim
//! which encodings flow, and their size -----+       estimate of the line +
//! ```
//! Four times a second, and when anything changes, `Publisher::settle` aims each subscription at a step of its
//! ladder. Another encoding begins with a keyframe (`splice`), which is asked for while the old one goes on; other
//! layers of the same encoding begin where the codec allows it (`Subscription::adapt`). What is left out leaves no
//! gap in the numbers (`membership`). An encoding that nobody aims at is given up (`interest`).
//!
//! # What its line carries
//! Every packet is noted in the [`cc::Controller`] of its connection (`link`), and feedback, report blocks and REMB
//! go there. When the estimate moves it is shared out over the subscriptions (`share`), and what their next step
//! would need is told to the controller, which probes for it with padding. A line that was just cut is left to
//! drain: what was too much for it is not sent on, nor sent again.
//!
//! What the line takes leaves at once; what is more than that, a large keyframe or what a viewer who joins gets of the
//! ring, leaves at 2.5 times the estimate (`cc::pacer`). Nothing is queued for it: the subscription falls behind, with
//! its place in the ring, and catches up by a timer within 150 ms (`forward::Feed::catch_up`). Sound never waits.
//!
//! After warm-up nothing on that way allocates.

mod allocator;
mod answers;
mod budget;
pub mod cc;
mod choose;
mod clock;
mod codec;
mod config;
mod cursor;
mod downlink;
mod edge;
mod encoding;
mod feed;
mod forward;
mod group;
mod ids;
mod interest;
mod keyframe;
mod layers;
mod members;
mod membership;
mod meter;
mod nack;
mod pace;
mod packet;
mod publisher;
mod pull;
mod receive;
mod remb;
mod reports;
mod rewrite;
mod ring;
mod room;
mod shard;
mod sink;
mod slots;
mod splice;
mod stats;
mod subscriber;
mod subscription;
mod timers;
mod track;
mod upstream;

pub use config::{
    EncodingConfig, Format, MAX_ENCODINGS, MAX_TRACKS, Origin, PublisherConfig, ShardConfig,
    SubscriberConfig, SubscriptionConfig, TrackConfig, Wanted, WantedEncoding,
};
pub use cursor::{Cursor, Read, ReadFrom, TAP_PATIENCE};
pub use ids::{
    EncodingIndex, Peer, PublisherId, RoomId, SourceId, SubscriberId, SubscriptionId, TrackIndex, TrackName,
};
pub use keyframe::REQUEST_INTERVAL;
pub use members::AddError;
pub use nack::{MAX_MISSING, MAX_TRIES, REORDER_TOLERANCE};
pub use shard::{MAX_PUBLISHERS, MAX_SUBSCRIBERS, Served, Shard};
pub use sink::{ClockReport, Event, Missing, Outgoing, Sink, ToEdge};
pub use stats::{EncodingStats, PublisherStats, SubscriberStats, SubscriptionStats, Totals, TrackStats};
pub use subscriber::MAX_SUBSCRIPTIONS;
