//! turn-relay
fn main() {}
