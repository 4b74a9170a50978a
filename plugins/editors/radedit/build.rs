//! Only tests get a run path: the plugin must take the libtorch its host has already opened.

#[path = "../../support/torch/run_path.rs"]
mod run_path;

fn main() {
    run_path::give(&["rustc-link-arg-tests"]);
}
