//! Files as users name them.
//!
//! A named pipe would wait for its other end, a device may never end, and a checkpoint is often not there but a pointer to it.
//! What opens files here says so instead.

use std::{
    fs::{self, File, FileType},
    io::{Error, ErrorKind, Read, Result},
    os::unix::fs::FileTypeExt,
    path::Path,
};

/// How a file begins that git-lfs left in place of the one it stands for.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Opens a regular file.
///
/// # Errors
///
/// Those of the system, and [`ErrorKind::InvalidInput`] saying what it is if it is no regular file.
pub fn open(path: impl AsRef<Path>) -> Result<File> {
    let path = path.as_ref();
    // Asked before it is opened: opening a pipe would wait for its other end.
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() {
        return File::open(path);
    }
    let kind = name(kind);
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("it is {kind}, not a file"),
    ))
}

/// The bytes of a regular file.
///
/// # Errors
///
/// Those of [`open`] and of the system.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a regular file.
///
/// # Errors
///
/// Those of [`read`], and [`ErrorKind::InvalidData`] if it is no UTF-8 or [a pointer of git-lfs](check_pointer).
pub fn read_to_string(path: impl AsRef<Path>) -> Result<String> {
    let bytes = read(path)?;
    check_pointer(&bytes)?;
    String::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorKind::InvalidData, "it is not text in UTF-8"))
}

/// Refuses the bytes that git-lfs leaves in place of a file that was not downloaded.
///
/// # Errors
///
/// [`ErrorKind::InvalidData`] if they are such a pointer.
pub fn check_pointer(bytes: &[u8]) -> Result<()> {
    if bytes.starts_with(POINTER) {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "it is a pointer of git-lfs, not the file itself; run `git lfs pull` in its folder",
        ));
    }
    Ok(())
}

/// What a file that is no regular one is.
fn name(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixListener, process::Command};

    #[test]
    fn only_regular_files_are_opened_and_the_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::write(place("file"), "text").unwrap();
        assert_eq!(read_to_string(place("file")).unwrap(), "text");

        let pipe = Command::new("mkfifo").arg(place("pipe")).status();
        assert!(pipe.unwrap().success());
        let _socket = UnixListener::bind(place("socket")).unwrap();
        for (path, kind) in [
            (folder.path().to_owned(), "it is a folder, not a file"),
            (place("pipe"), "it is a named pipe, not a file"),
            (place("socket"), "it is a socket, not a file"),
            ("/dev/zero".into(), "it is a device, not a file"),
        ] {
            assert_eq!(read(&path).unwrap_err().to_string(), kind);
        }
        assert_eq!(read(place("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_pointer_of_git_lfs_is_not_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        fs::write(&path, pointer).unwrap();
        let error = read_to_string(&path).unwrap_err().to_string();
        assert!(error.contains("git lfs pull"), "{error}");
        fs::write(&path, [0xff, 0xfe]).unwrap();
        let error = read_to_string(&path).unwrap_err().to_string();
        assert!(error.contains("UTF-8"), "{error}");
    }
}
