//! meta-service
fn main() {}
