//! stomp-proto
