//! This crate is only ever linked into others, so the run path stays with its own tests: a plugin must take the libtorch
//! its host has already opened.

mod run_path;

fn main() {
    run_path::give(&["rustc-link-arg"]);
}
