//! One shard's brain: published tracks, subscriptions, rewriting, retransmission, keyframe requests, reports.
//!
//! Pure and sans-IO. A [`Shard`] takes decrypted packets and `now`, and hands everything it causes to the
//! [`Sink`] of the same call: packets to send, reports, events. It reads no clock, does no I/O, spawns nothing
//! and keeps no queue of outputs. The contract is:
//!
//! 1. call any method that changes something;
//! 2. after the packets of a receive batch ([`Shard::handle_rtp`], [`Shard::handle_from_origin`]), call
//!    [`Shard::forward`] once;
//! 3. when [`Shard::poll_timeout`] is due, call [`Shard::handle_timeout`].
//!
//! # Who is there
//! A room (`room`) knows its publishers by the names that the shell gives them ([`SourceId`]), which are the same on
//! every shard and after a reconnect. A publisher (`publisher`) has tracks (`track`), a track its encodings
//! (`encoding`: statistics, ring, what is known of its numbers). A subscriber (`subscriber`) has a line (`downlink`)
//! and outgoing streams (`subscription`: SSRC, numbers, retransmissions). What a stream shows now is its feed
//! (`feed`), which lies with the track, in its fan-out. A subscription lives without one: it waits in the room for the
//! track that it shows, and [`Shard::show`] gives it another. So nothing depends on who came first.
//!
//! # How a packet flows
//! | Step | Where |
//! |---|---|
//! | parsed; its SSRC bound to an encoding; dropped if its track is closed; a retransmission unwrapped | `publisher` |
//! | its number and run; duplicates dropped; what is missing asked for | `encoding`, `receive`, `nack`, `crossing` |
//! | stored once; its layers noted; handed to [`Sink::to_edges`] if other shards pull it | `ring`, `membership` |
//! | after the batch: read from the ring and understood once for all viewers | `forward`, `packet` |
//! | feed by feed: is it the encoding, and of the layers, that this one gets? may it leave now? | `feed` |
//! | the numbers that this subscriber sees | `splice` |
//! | a new header; the payload as it came; to [`Sink::rtp`] | `subscription`, `rewrite` |
//!
//! The shell writes both parts into its send buffer and encrypts there: one header rewrite, one copy, one encryption,
//! and a frame's packets to one viewer side by side. After warm-up nothing on that way allocates.
//!
//! A NACK goes the same way back (`answers`): the number says which piece of the stream it was, the piece which ring.
//!
//! # What a viewer gets of it
//! ```text
//! encodings that flow, their size and bitrate (encoding, meter) --+
//! what the viewer asked for (Wanted) -----------------------------+-> ladder --+-> decide -> Plan -> apply
//!                                                estimate (cc) ---+-> allocate +
//! ```
//! A change marks what it concerns: the subscriber, whose line is then shared out anew (`allocator`), and the feed, which
//! is then decided anew (`choose`). Both happen with the next [`Shard::handle_timeout`], which is due at once: n changes
//! cost n decisions. Four times a second feeds are looked at again whose last decision has not come about yet, and all of
//! a track if its encodings have changed.
//!
//! Another encoding begins with a keyframe (`splice`), which is asked for while the old one goes on; other layers of the
//! same encoding begin where the codec allows it (`feed`). What is left out leaves no gap in the numbers (`membership`).
//! An encoding that nobody is interested in is given up (`interest`).
//!
//! # Slots
//! In a call a subscriber has a fixed number of streams, the slots, and says what it wants to see in them
//! ([`Shard::set_wants`]). Which slot shows what is decided by `bindings`, and again when who publishes changes
//! (`wants`). Each packet of a slot says its source as CSRC, also when it is sent again; [`Event::Bound`] names the
//! timestamp of the first packet of another source.
//!
//! # What its line carries
//! Every packet is noted in the [`cc::Controller`] of its connection (`downlink`), and feedback, report blocks and REMB
//! go there. When the estimate moves it is shared out over the subscriptions, and what their next step would need is
//! told to the controller, which probes for it with padding. A line that was just cut is left to drain: what was too
//! much for it is not sent on, nor sent again.
//!
//! What the line takes leaves at once; what is more than that, a large keyframe or what a viewer who joins gets of the
//! ring, leaves at 2.5 times the estimate (`cc::pacer`). Nothing is queued for it: the feed falls behind, with its place
//! in the ring, and catches up by a timer within 150 ms (`feed`). Sound never waits.
//!
//! Whom somebody hears is not his to choose: voice slots carry who is chosen in the room (`voices`), and the packets of a
//! batch are heard before they are forwarded (`hearing`).
//!
//! A line that carries not even the lowest step gets single keyframes of it, as far as they fit beside the sound
//! (`slides`), and its viewer is told.
//!
//! # Which file knows which
//! Files import those of the lines above theirs, and never the other way round:
//! ```text
//! ids, config, sink, stats, clock, slots, timers, slides, bindings  values
//! layers/, voices/                                      decisions, pure
//! codec, receive, crossing, nack, keyframe, ring, membership, meter, pace, group, interest -> encoding -> packet, cursor
//! splice, rewrite, budget, downlink -> subscription -> feed, subscriber
//! track -> publisher -> upstream, edge; room
//! forward, choose, allocator, answers, reports          publishers meet subscribers
//! shard -> members, pull, wants, hearing                the public face
//! ```

mod allocator;
mod answers;
mod bindings;
mod budget;
pub mod cc;
mod check;
mod choose;
mod clock;
mod codec;
mod config;
mod crossing;
mod cursor;
mod downlink;
mod early;
mod edge;
mod encoding;
mod feed;
mod forward;
mod group;
mod hearing;
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
mod slides;
mod slots;
mod splice;
mod stats;
mod subscriber;
mod subscription;
mod timers;
mod track;
mod upstream;
pub mod voices;
mod wants;

pub use bindings::{HOLD, MAX_WANTS, MissingSource, Want, WhyMissing};
pub use config::{
    EncodingConfig, Format, Gate, MAX_ENCODINGS, MAX_TRACKS, Origin, PublisherConfig, ShardConfig, SlotKind,
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
pub use sink::{ClockReport, Event, KeyframePurpose, Missing, Outgoing, Sink, ToEdge};
pub use stats::{EncodingStats, PublisherStats, SubscriberStats, SubscriptionStats, Totals, TrackStats};
pub use subscriber::MAX_SUBSCRIPTIONS;
pub use wants::Binding;
