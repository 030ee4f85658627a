//! Rebuilds when the pages were built anew: the embedding macro alone does not see files that are added.

fn main() {
    println!("cargo:rerun-if-changed=../../web/dist");
}
