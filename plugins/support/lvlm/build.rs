//! As for `medfocus-torch`, the run path stays with this crate's own tests.

#[path = "../torch/run_path.rs"]
mod run_path;

fn main() {
    run_path::give(&["rustc-link-arg"]);
}
