//! Image files are decoded in processes of their own.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use medfocus::isolation::{Isolation, pictures::Pictures};
use medfocus_imaging::picture;
use medfocus_plugin_api::{Error, ErrorKind, Picture};
use medfocus_tests::{built, medfocus, run, workspace};
use tempfile::TempDir;

fn apart(program: impl Into<PathBuf>) -> Pictures {
    Pictures::new(&Isolation {
        program: Some(program.into()),
        ..Isolation::default()
    })
}

fn decoded(program: impl Into<PathBuf>, bytes: &[u8]) -> Result<Picture, Error> {
    apart(program).decode(bytes, &|| false)
}

/// Image files of every format, whole and cut short.
fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let folders = [
        "plugins/support/imaging/tests/fixtures",
        "plugins/datasets/table/tests/fixtures/images",
        "docs/pictures",
    ];
    let files = folders.into_iter().flat_map(|folder| {
        let files = fs::read_dir(workspace().join(folder)).unwrap();
        files.map(|file| file.unwrap().path())
    });
    let whole = files.filter(|file| file.is_file()).map(|file| {
        let bytes = fs::read(&file).unwrap();
        (file, bytes)
    });
    let mut all = vec![("a film".into(), dicom())];
    all.extend(whole);
    let cut = all
        .iter()
        .map(|(file, bytes)| (file.clone(), bytes[..bytes.len() * 2 / 3].to_vec()));
    let cut = Vec::from_iter(cut);
    all.extend(cut);
    all
}

/// A film of 8 x 6 pixels, 8 bits, without compression.
fn dicom() -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    let mut element = |group: u16, element: u16, vr: &[u8; 2], value: &[u8]| {
        bytes.extend(group.to_le_bytes());
        bytes.extend(element.to_le_bytes());
        bytes.extend(vr);
        match vr {
            b"OB" => bytes.extend([&[0; 2][..], &(value.len() as u32).to_le_bytes()].concat()),
            _ => bytes.extend((value.len() as u16).to_le_bytes()),
        }
        bytes.extend(value);
    };
    element(2, 0, b"UL", &26_u32.to_le_bytes());
    element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0");
    let number = |value: u16| value.to_le_bytes();
    element(0x28, 2, b"US", &number(1));
    element(0x28, 4, b"CS", b"MONOCHROME2 ");
    element(0x28, 0x10, b"US", &number(6));
    element(0x28, 0x11, b"US", &number(8));
    element(0x28, 0x100, b"US", &number(8));
    element(0x28, 0x101, b"US", &number(8));
    element(0x28, 0x102, b"US", &number(7));
    element(0x28, 0x103, b"US", &number(0));
    element(0x7fe0, 0x10, b"OB", &Vec::from_iter(0..48));
    bytes
}

/// A program that does this instead of decoding.
fn program(folder: &TempDir, line: &str) -> PathBuf {
    let file = folder.path().join("decoder");
    fs::write(&file, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[test]
fn apart_the_same_is_read_and_refused() {
    let (mut read, mut refused) = (0, 0);
    for (file, bytes) in files() {
        let here = picture::here(&bytes);
        match &here {
            Ok(_) => read += 1,
            Err(_) => refused += 1,
        }
        let there = decoded(built().join("medfocus"), &bytes);
        assert_eq!(there, here, "{}", file.display());
    }
    assert!(read > 10 && refused > 10, "{read} read, {refused} refused");
}

#[test]
fn a_decoder_that_dies_is_one_sentence() {
    let folder = TempDir::new().unwrap();
    let lines = [
        ("kill -SEGV $$", "signal 11 (segmentation fault)"),
        ("kill -KILL $$", "signal 9 (killed"),
        ("exit 0", "exit code 0"),
        ("exec sleep 60 0<&-", "closed its line"),
        ("printf 'not a packet' >&0; sleep 1", "cannot be read"),
    ];
    for (line, word) in lines {
        let error = decoded(program(&folder, line), &dicom()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Panicked, "{line}: {error}");
        assert!(error.to_string().contains(word), "{line}: {error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
}

#[test]
fn whoever_waits_may_stop() {
    let folder = TempDir::new().unwrap();
    let asked = AtomicBool::new(false);
    let stop = || asked.swap(true, Ordering::Relaxed);
    let error = apart(program(&folder, "exec sleep 60"))
        .decode(&dicom(), &stop)
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled, "{error}");
}

/// Whatever reads an image file does it by way of the decoder.
#[test]
fn no_image_is_decoded_in_the_programs_own_process() {
    let folder = TempDir::new().unwrap();
    let film = folder.path().join("film.dcm");
    fs::write(&film, dicom()).unwrap();
    let table = folder.path().join("boxes.csv");
    fs::write(
        &table,
        "image,finding,x1,y1,x2,y2\nfilm.dcm,nodule,1,1,4,4\n",
    )
    .unwrap();
    let out = folder.path().join("seen.png");
    let path = format!("dataset.path={}", table.display());
    let with = |args: &[&str], program: Option<&Path>| {
        let mut command = medfocus();
        command.args(args);
        if let Some(program) = program {
            let program = program.display();
            command.arg("--set");
            command.arg(format!("plugins.isolation.program={program}"));
        }
        run(&mut command)
    };
    let image = [
        "image",
        film.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let check = ["dataset", "check", "table", "--set", &path];
    let dead = program(&folder, "exit 3");
    with(&image, Some(&dead)).one_sentence(&["film.dcm", "its decoder", "exit code 3"]);
    assert!(!out.exists());
    let checked = with(&check, Some(&dead));
    assert!(checked.out.contains("exit code 3"), "{checked:?}");
    for args in [&image[..], &check] {
        let ran = with(args, None);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(image::open(&out).unwrap().to_luma8().as_raw().len(), 48);
}
