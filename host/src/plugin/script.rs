//! Plugins that another program runs: a file `NAME.medfocus.json` says which.
//!
//! It holds the manifest that a library would embed, the command, and the files that the command runs, relative to it. Such a
//! plugin always has a process of its own.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use medfocus_plugin_api::{Error, Result, file};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// How the file's name ends.
pub const SUFFIX: &str = ".medfocus.json";

/// What runs a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Program and arguments; files by their names.
    command: Vec<String>,
    /// The names of the files that the command runs.
    files: Vec<String>,
    /// The digests that the descriptor gives of them, in hex.
    sha256: BTreeMap<String, String>,
}

impl Script {
    /// The names of its files, beside the descriptor.
    pub fn files(&self) -> &[String] {
        &self.files
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Descriptor {
    manifest: Value,
    command: Vec<String>,
    files: Vec<String>,
    #[serde(default)]
    sha256: BTreeMap<String, String>,
}

/// Whether a file describes such a plugin.
pub fn is_script(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.ends_with(SUFFIX))
}

/// What runs the plugin that a file describes, and its manifest.
///
/// # Errors
///
/// The file says something else, or leaves its folder.
pub fn parse(bytes: &[u8]) -> Result<(Script, String)> {
    let descriptor: Descriptor = serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(format!("describes no plugin ({error})")))?;
    let plain = |file: &&String| {
        let path = Path::new(file);
        path.file_name().is_some_and(|name| name == file.as_str())
    };
    if let Some(file) = descriptor.files.iter().find(|file| !plain(file)) {
        return Err(Error::invalid(format!(
            "names {file}, which is no file beside it"
        )));
    }
    if descriptor.command.is_empty() {
        return Err(Error::invalid("has no command"));
    }
    let script = Script {
        command: descriptor.command,
        files: descriptor.files,
        sha256: descriptor.sha256,
    };
    Ok((script, descriptor.manifest.to_string()))
}

/// A plugin of this kind as it was read, once: what is checked is what runs.
#[derive(Debug)]
pub struct Copies {
    script: Script,
    files: Vec<Vec<u8>>,
}

/// A command whose own files only this user can reach, for as long as it is kept.
pub struct Sealed {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Where the files are.
    _folder: TempDir,
}

impl Copies {
    /// Reads the files of a script; `path` is that of its descriptor.
    ///
    /// # Errors
    ///
    /// One cannot be read.
    pub fn read(script: Script, path: &Path) -> Result<Self> {
        let read = |name: &String| {
            let place = path.with_file_name(name);
            file::read(&place).map_err(|error| {
                Error::missing(format!(
                    "plugin {} cannot be read: {error}",
                    place.display()
                ))
            })
        };
        let files = script.files.iter().map(read).collect::<Result<_>>()?;
        Ok(Self { script, files })
    }

    /// The files' names and what they hold, in the descriptor's order.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let names = self.script.files.iter().map(String::as_str);
        names.zip(self.files.iter().map(Vec::as_slice))
    }

    /// The first file that is not the one whose digest the descriptor gives.
    pub fn undescribed(&self) -> Option<&str> {
        let described = |(name, bytes): &(&str, &[u8])| {
            let hex: String = Sha256::digest(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            self.script.sha256.get(*name) == Some(&hex)
        };
        let mut files = self.files();
        files.find(|file| !described(file)).map(|(name, _)| name)
    }

    /// Writes the files to a folder of this user alone, where nothing else is that an interpreter might take for them.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn seal(&self) -> Result<Sealed> {
        let failed = |error| Error::internal(format!("a plugin's files cannot be copied: {error}"));
        let folder = tempfile::Builder::new()
            .prefix("medfocus-plugin-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(failed)?;
        let place = |name: &str| folder.path().join(name);
        for (name, bytes) in self.files() {
            fs::write(place(name), bytes).map_err(failed)?;
        }
        let whole = |word: &String| match self.script.files.contains(word) {
            true => place(word).display().to_string(),
            false => word.clone(),
        };
        let command = self.script.command.iter().map(whole).collect();
        Ok(Sealed {
            command,
            _folder: folder,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Two files and the descriptor of one plugin of them.
    fn read(folder: &Path, sha256: &str) -> Copies {
        fs::write(folder.join("a.py"), "print(1)\n").unwrap();
        fs::write(folder.join("b.py"), "print(2)\n").unwrap();
        let text = format!(
            r#"{{"manifest": {{"name": "a"}}, "command": ["python3", "-m", "m", "a.py"],
                "files": ["a.py", "b.py"], "sha256": {sha256}}}"#
        );
        let (script, manifest) = parse(text.as_bytes()).unwrap();
        assert_eq!(manifest, r#"{"name":"a"}"#);
        Copies::read(script, &folder.join("a.medfocus.json")).unwrap()
    }

    #[test]
    fn what_runs_is_a_copy_for_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let copies = read(folder.path(), "{}");
        // What becomes of the files now is of no interest any more.
        fs::write(folder.path().join("a.py"), "print(9)\n").unwrap();
        let sealed = copies.seal().unwrap();
        assert_eq!(sealed.command[..3], ["python3", "-m", "m"]);
        let copy = PathBuf::from(&sealed.command[3]);
        assert_eq!(fs::read_to_string(&copy).unwrap(), "print(1)\n");
        assert_eq!(
            fs::read(copy.with_file_name("b.py")).unwrap(),
            b"print(2)\n"
        );
        let private = copy.parent().unwrap().to_owned();
        let mode = private.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        drop(sealed);
        assert!(!private.exists());
    }

    #[test]
    fn a_descriptor_speaks_for_the_files_whose_digests_it_gives() {
        let folder = tempfile::tempdir().unwrap();
        // printf 'print(1)\n' | sha256sum
        let (a, b) = (
            "cc42155088fca5730758db72b2a5bca33112a941dfaa2d43098ec422ce4ea213",
            "0111afd387e1ad576083c5039aa542faa2ed4a53d3e128bd03de990f9ea4255f",
        );
        for (sha256, missing) in [
            (format!(r#"{{"a.py": "{a}", "b.py": "{b}"}}"#), None),
            (format!(r#"{{"a.py": "{a}"}}"#), Some("b.py")),
            (format!(r#"{{"a.py": "{b}", "b.py": "{b}"}}"#), Some("a.py")),
            ("{}".to_owned(), Some("a.py")),
        ] {
            assert_eq!(read(folder.path(), &sha256).undescribed(), missing);
        }
    }

    #[test]
    fn what_leaves_its_folder_is_refused() {
        for (text, words) in [
            ("{", "describes no plugin"),
            (
                r#"{"manifest": {}, "command": [], "files": []}"#,
                "no command",
            ),
            (
                r#"{"manifest": {}, "command": ["p"], "files": ["../a.py"]}"#,
                "../a.py",
            ),
            (
                r#"{"manifest": {}, "command": ["p"], "files": ["/a.py"]}"#,
                "/a.py",
            ),
            (
                r#"{"manifest": {}, "command": ["p"], "files": [".."]}"#,
                "names ..",
            ),
            (
                r#"{"manifest": {}, "command": ["p"], "files": [], "shell": true}"#,
                "shell",
            ),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(is_script(Path::new("a.medfocus.json")) && !is_script(Path::new("a.json")));
    }
}
