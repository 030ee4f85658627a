//! turn-proto
