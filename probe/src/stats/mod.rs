//! Measuring, without clocks: distributions, interarrival jitter, gaps between pictures.

mod freeze;
mod histogram;
mod jitter;

pub use freeze::{FreezeMeter, Freezes};
pub use histogram::Histogram;
pub use jitter::Jitter;
