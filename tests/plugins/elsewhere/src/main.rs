//! A host of another release: opens a plugin as the real one does, and prints its own version and how the plugin describes
//! itself.

use std::process::ExitCode;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use medfocus_plugin_api::abi;

fn main() -> ExitCode {
    let path = std::env::args_os().nth(1).expect("a plugin is given");
    // SAFETY: the test gives a plugin of this repository.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let library = library.expect("the plugin opens");
    // SAFETY: that is what the symbol is, as the header itself says.
    let header = unsafe { library.get::<abi::AbiHeaderRef>(abi::ROOT_SYMBOL.as_bytes()) };
    let header = header.map(|symbol| *symbol).expect("the plugin has a root");
    std::mem::forget(library);
    let root: Result<abi::RootRef, _> = header
        .upgrade()
        .and_then(|header| header.init_root_module());
    match root {
        Ok(root) => {
            println!("{} {}", env!("CARGO_PKG_VERSION"), (root.describe())());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("refused: {error}");
            ExitCode::FAILURE
        }
    }
}
