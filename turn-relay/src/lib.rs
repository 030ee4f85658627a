//! turn-relay
