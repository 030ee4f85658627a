//! The Media Probe: load for WHIP and WHEP servers and for calls, and what it measures.
//!
//! Publishers, viewers and callers are light clients ([`client::Client`]): a pure state machine around `transport`'s client
//! role, thousands in a process. [`worker`] drives them on a few threads; [`run`] plays a [`scenario::Scenario`] and
//! gives back a report.

#![forbid(unsafe_code)]

pub mod call;
pub mod client;
mod epoch;
pub mod http;
mod impair;
mod offer;
#[cfg(feature = "webrtc")]
mod peers;
mod publisher;
mod rate;
mod reception;
pub mod report;
pub mod run;
pub mod scenario;
pub mod server;
mod source;
pub mod stats;
mod stop;
mod totals;
mod viewer;
pub mod worker;

pub use epoch::Epoch;
pub use offer::{Agreed, AnswerError, Proposal};
pub use source::{Clip, ClipError};
pub use totals::{Reasons, Totals};
pub use viewer::ViewerSummary;
