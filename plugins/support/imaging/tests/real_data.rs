//! Real radiographs, kept outside the repository: set `MEDFOCUS_REAL_DATA` to their folder.

#![cfg(feature = "decode")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use medfocus_imaging::decode::read;
use ndarray::Array2;

/// The folder of real data, or a printed note.
fn folder() -> Option<PathBuf> {
    let folder = env::var_os("MEDFOCUS_REAL_DATA").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: MEDFOCUS_REAL_DATA names no folder of real radiographs");
    }
    folder
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    files
}

/// A NumPy file of little-endian 16-bit words in two dimensions.
fn npy(path: &Path, columns: usize) -> Array2<u16> {
    let bytes = fs::read(path).expect("the reference array is there");
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let words: Vec<u16> = bytes[start..]
        .chunks_exact(2)
        .map(|word| u16::from_le_bytes([word[0], word[1]]))
        .collect();
    Array2::from_shape_vec((words.len() / columns, columns), words).expect("whole rows")
}

#[test]
fn every_radiograph_is_read() {
    let Some(folder) = folder() else { return };
    let mut failed = Vec::new();
    let mut paths = files(&folder.join("images"), "png");
    paths.extend(files(&folder.join("dicom"), "dcm"));
    for path in paths {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match read(fs::File::open(&path).unwrap()) {
            Ok(image) => println!("{name}: {} {:?}", image.source, image.warnings),
            // The one lossy syntax of 12 bits, which no decoder at hand reads.
            Err(error) if name.contains("jpeg_extended12") => println!("{name}: {error}"),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_syntax_gives_the_reference_array() {
    let Some(folder) = folder() else { return };
    let dicom = folder.join("dicom");
    let reference = npy(&dicom.join("derived_reference_quarter_u16.npy"), 460);
    // Window 15000/30000, inverted (MONOCHROME1), stretched.
    let windowed = reference.mapv(|v| ((f64::from(v) - 14999.5) / 29999.0 + 0.5).clamp(0.0, 1.0));
    let max = windowed.iter().copied().fold(0.0, f64::max);
    let min = windowed.iter().copied().fold(1.0, f64::min);
    let expected = windowed.mapv(|v| ((max - v) / (max - min) * 255.0).round_ties_even() as u8);
    let mut compared = 0;
    for path in files(&dicom, "dcm") {
        let image = match read(fs::File::open(&path).unwrap()) {
            Ok(image) if image.source.starts_with("DICOM MONOCHROME1 15-bit") => image,
            _ => continue,
        };
        if image.pixels.dim() == expected.dim() {
            let largest = image
                .pixels
                .iter()
                .zip(&expected)
                .map(|(a, b)| a.abs_diff(*b))
                .max();
            assert_eq!(largest, Some(0), "{}", path.display());
            compared += 1;
        }
    }
    assert!(compared >= 8, "only {compared} derived files");
}
