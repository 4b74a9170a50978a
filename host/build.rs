//! Plugins find the program's `_exit` before that of the C library: see `src/cli/ending.rs`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for symbol in ["_exit", "_Exit"] {
        println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
    }
}
