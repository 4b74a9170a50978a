//! Unpacking what is kept of a wheel, which is a zip archive.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

use super::wheels::{Variant, Wheel};

/// Unpacks the kept members of `wheel`, found at `archive`, under `into`.
///
/// # Errors
/// The archive is damaged, lacks a member that must be there, or `into` cannot be written.
pub fn unpack(wheel: &Wheel, variant: Variant, archive: &Path, into: &Path) -> Result<()> {
    let unpacking = || format!("could not unpack {}", archive.display());
    let file = File::open(archive).with_context(unpacking)?;
    let mut zip = ZipArchive::new(BufReader::new(file)).with_context(unpacking)?;
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).with_context(unpacking)?;
        let name = member.name().with_context(unpacking)?.into_owned();
        if !member.is_file() || !wheel.keeps(&name, variant) {
            continue;
        }
        // `enclosed_name` is None for a member that would land outside of `into`.
        let Some(relative) = member.enclosed_name() else {
            bail!("{} holds the unsafe path {name}", archive.display());
        };
        let target = into.join(relative);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).with_context(unpacking)?;
        }
        let mut output = File::create(&target).with_context(unpacking)?;
        io::copy(&mut member, &mut output).with_context(unpacking)?;
    }
    match wheel
        .required(variant)
        .find(|member| !into.join(member).is_file())
    {
        Some(missing) => bail!("{} lacks {missing}", archive.display()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::libtorch::wheels::wheels;

    const LIBRARY: &str = "nvidia/cu13/lib/libcudart.so.13";

    /// Unpacks an archive of these members as the CUDA runtime's wheel, cut to `length` bytes.
    fn unpacked(members: &[&str], length: Option<u64>) -> (tempfile::TempDir, Result<()>) {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("x.whl");
        let mut zip = ZipWriter::new(File::create(&archive).unwrap());
        let stored =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for member in members {
            zip.start_file(*member, stored).unwrap();
            zip.write_all(member.as_bytes()).unwrap();
        }
        let file = zip.finish().unwrap();
        if let Some(length) = length {
            file.set_len(length).unwrap();
        }
        let wheel = wheels(Variant::Cpu).nth(1).unwrap();
        let outcome = unpack(wheel, Variant::Cpu, &archive, &folder.path().join("into"));
        (folder, outcome)
    }

    #[test]
    fn only_what_is_kept_is_unpacked() {
        let (folder, outcome) = unpacked(
            &[
                LIBRARY,
                "nvidia/cu13/lib/libcudart_static.a",
                "x.dist-info/RECORD",
            ],
            None,
        );
        outcome.unwrap();
        let into = folder.path().join("into");
        assert_eq!(fs::read_to_string(into.join(LIBRARY)).unwrap(), LIBRARY);
        assert_eq!(
            fs::read_dir(into.join("nvidia/cu13/lib")).unwrap().count(),
            1
        );
        assert_eq!(fs::read_dir(&into).unwrap().count(), 1);
    }

    #[test]
    fn an_incomplete_or_damaged_wheel_is_an_error() {
        let error = unpacked(&["x.dist-info/RECORD"], None).1.unwrap_err();
        assert!(
            format!("{error:#}").contains("lacks nvidia/cu13/lib/libcudart.so.13"),
            "{error:#}"
        );
        let error = unpacked(&[LIBRARY], Some(40)).1.unwrap_err();
        assert!(
            format!("{error:#}").contains("could not unpack"),
            "{error:#}"
        );
    }
}
