//! sfu-service
fn main() {}
