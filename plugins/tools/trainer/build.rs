//! Lets the program find libtorch, and link several plugins.

#[path = "../../support/torch/run_path.rs"]
mod run_path;

fn main() {
    run_path::give(&["rustc-link-arg"]);
    // Every plugin exports its root under one name; a program that uses them as libraries does not need it.
    println!("cargo:rustc-link-arg=-Wl,--allow-multiple-definition");
}
