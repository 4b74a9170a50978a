//! Lets tests find libtorch without `LD_LIBRARY_PATH`.
//!
//! The plugin itself gets no run path: it must take the libtorch its host has already opened.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LIBTORCH_LIB");
    let folder = env::var_os("LIBTORCH_LIB").or_else(|| env::var_os("LIBTORCH"));
    if let Some(folder) = folder {
        let lib = PathBuf::from(folder).join("lib");
        println!("cargo:rustc-link-arg-tests=-Wl,-rpath,{}", lib.display());
    }
}
