//! Lets programs find libtorch without `LD_LIBRARY_PATH`. A part of build scripts.

use std::env;
use std::path::PathBuf;

/// Gives the targets of these link instructions, such as `rustc-link-arg-tests`, the run path of libtorch.
pub fn give(instructions: &[&str]) {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LIBTORCH_LIB");
    let folder = env::var_os("LIBTORCH_LIB").or_else(|| env::var_os("LIBTORCH"));
    if let Some(folder) = folder {
        let lib = PathBuf::from(folder).join("lib");
        for instruction in instructions {
            println!("cargo:{instruction}=-Wl,-rpath,{}", lib.display());
        }
    }
}
