//! signaling-service
fn main() {}
