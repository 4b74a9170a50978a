//! The stamp: the last thing an installation writes, so that its presence means completeness.

use std::fs;
use std::io;
use std::path::Path;

use super::wheels::{Variant, wheels};

const FILE: &str = "installed";

/// What `installed` holds after installing `variant`: every file by digest. Pinning another wheel, or
/// unpacking differently, changes it and so calls for a new installation.
fn text(variant: Variant) -> String {
    let layout = match variant {
        Variant::Cpu => "layout 1, cpu\n",
        Variant::Cuda => "layout 1, cuda\n",
    };
    wheels(variant).fold(layout.to_owned(), |text, wheel| {
        text + wheel.sha256 + "  " + wheel.file + "\n"
    })
}

/// Whether `home` holds what `variant` asks for; an installation with CUDA serves both.
pub fn satisfies(home: &Path, variant: Variant) -> bool {
    let Ok(found) = fs::read_to_string(home.join(FILE)) else {
        return false;
    };
    found == text(Variant::Cuda) || (variant == Variant::Cpu && found == text(Variant::Cpu))
}

/// Declares the installation in `home` incomplete.
pub fn remove(home: &Path) -> io::Result<()> {
    match fs::remove_file(home.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Declares the installation of `variant` in `home` complete.
pub fn write(home: &Path, variant: Variant) -> io::Result<()> {
    let fresh = home.join("installed.new");
    fs::write(&fresh, text(variant))?;
    fs::rename(fresh, home.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_serves_both_variants_and_cpu_only_itself() {
        let home = tempfile::tempdir().unwrap();
        assert!(!satisfies(home.path(), Variant::Cpu));

        write(home.path(), Variant::Cpu).unwrap();
        assert!(satisfies(home.path(), Variant::Cpu));
        assert!(!satisfies(home.path(), Variant::Cuda));

        write(home.path(), Variant::Cuda).unwrap();
        assert!(satisfies(home.path(), Variant::Cpu));
        assert!(satisfies(home.path(), Variant::Cuda));

        remove(home.path()).unwrap();
        remove(home.path()).unwrap();
        assert!(!satisfies(home.path(), Variant::Cpu));
    }

    #[test]
    fn other_pins_or_a_cut_stamp_do_not_satisfy() {
        let home = tempfile::tempdir().unwrap();
        let good = text(Variant::Cpu);
        for bad in [
            good.replace("13.0.96", "13.0.97"),
            good[..good.len() - 1].to_owned(),
            String::new(),
        ] {
            fs::write(home.path().join(FILE), bad).unwrap();
            assert!(!satisfies(home.path(), Variant::Cpu));
        }
    }
}
