//! The migrations are compiled in: a new file there has to rebuild the crate.
fn main() {
    println!("cargo:rerun-if-changed=../migrations/signaling-postgres");
    println!("cargo:rerun-if-changed=../migrations/signaling-sqlite");
}
