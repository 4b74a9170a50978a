//! A view of a libtorch without CUDA: a folder of symbolic links to link plugins against.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Libraries torch-sys would link merely because they are there.
const LEFT_OUT: [&str; 2] = ["libtorch_cuda", "libtorch_hip"];

/// The umbrella library. It holds nothing itself, but in a build with CUDA it needs libtorch_cuda.so,
/// and torch-sys always links it.
const UMBRELLA: &str = "libtorch.so";

/// What stands in for the umbrella: a linker script that leads to the library with the code.
const STAND_IN: &str = "INPUT(-ltorch_cpu)\n";

/// Fills `view/lib` with a link to every other library of `lib`, and makes `view/include` a link.
/// `seen_lib` and `seen_include` are what the links say: the same folders, absolute or relative to
/// where the links lie.
pub fn create(view: &Path, lib: &Path, seen_lib: &Path, seen_include: &Path) -> io::Result<()> {
    fs::create_dir_all(view.join("lib"))?;
    symlink(seen_include, view.join("include"))?;
    for entry in fs::read_dir(lib)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        let is_left_out = LEFT_OUT.iter().any(|prefix| text.starts_with(prefix));
        if text.contains(".so") && !is_left_out && text != UMBRELLA {
            symlink(seen_lib.join(&name), view.join("lib").join(&name))?;
        }
    }
    fs::write(view.join("lib").join(UMBRELLA), STAND_IN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_view_reaches_all_libraries_but_cuda() {
        let home = tempfile::tempdir().unwrap();
        let lib = home.path().join("torch/lib");
        fs::create_dir_all(&lib).unwrap();
        fs::create_dir_all(home.path().join("torch/include")).unwrap();
        for name in [
            "libtorch.so",
            "libtorch_cpu.so",
            "libgomp.so.1",
            "libtorch_cuda.so",
            "libtorch_cuda_linalg.so",
            "notes.txt",
        ] {
            fs::write(lib.join(name), name).unwrap();
        }
        let view = home.path().join("link");
        create(
            &view,
            &lib,
            Path::new("../../torch/lib"),
            Path::new("../torch/include"),
        )
        .unwrap();

        let mut names: Vec<_> = fs::read_dir(view.join("lib"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["libgomp.so.1", "libtorch.so", "libtorch_cpu.so"]);
        assert_eq!(
            fs::read(view.join("lib/libtorch_cpu.so")).unwrap(),
            b"libtorch_cpu.so"
        );
        assert_eq!(
            fs::read_to_string(view.join("lib/libtorch.so")).unwrap(),
            STAND_IN
        );
        assert_eq!(
            fs::read(lib.join("libtorch.so")).unwrap(),
            b"libtorch.so",
            "the original is untouched"
        );
        assert!(view.join("include").is_dir());
    }
}
