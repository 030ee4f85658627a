//! madang
fn main() {}
