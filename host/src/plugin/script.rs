//! Plugins that another program runs: a file `NAME.medfocus.json` says which.
//!
//! It holds the manifest that a library would embed, the command, and the files that the command runs, relative to it. Such a
//! plugin always has a process of its own.

use std::path::{Path, PathBuf};

use medfocus_plugin_api::{Error, Result, file};
use serde::Deserialize;
use serde_json::Value;

/// How the file's name ends.
pub const SUFFIX: &str = ".medfocus.json";

/// What runs a plugin.
#[derive(Clone, Debug)]
pub struct Script {
    /// Program and arguments; files by their whole paths.
    pub command: Vec<String>,
    /// The files whose bytes count for the plugin's digest.
    pub files: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Descriptor {
    manifest: Value,
    command: Vec<String>,
    files: Vec<PathBuf>,
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
pub fn read(path: &Path) -> Result<(Script, String)> {
    let text = file::read_to_string(path)
        .map_err(|error| Error::invalid(format!("cannot be read: {error}")))?;
    let descriptor: Descriptor = serde_json::from_str(&text)
        .map_err(|error| Error::invalid(format!("describes no plugin ({error})")))?;
    let plain = |file: &PathBuf| file.components().count() == 1 && file.file_name().is_some();
    if let Some(file) = descriptor.files.iter().find(|file| !plain(file)) {
        let file = file.display();
        return Err(Error::invalid(format!(
            "names {file}, which is no file beside it"
        )));
    }
    if descriptor.command.is_empty() {
        return Err(Error::invalid("has no command"));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let whole = |file: &Path| std::path::absolute(folder.join(file)).unwrap_or(folder.join(file));
    let command = descriptor.command.into_iter().map(|word| {
        let own = descriptor
            .files
            .iter()
            .find(|file| file.as_os_str() == word.as_str());
        own.map_or(word.clone(), |file| whole(file).display().to_string())
    });
    Ok((
        Script {
            command: command.collect(),
            files: descriptor.files.iter().map(|file| whole(file)).collect(),
        },
        descriptor.manifest.to_string(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<(Script, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.medfocus.json");
        std::fs::write(&path, text).unwrap();
        assert!(is_script(&path) && !is_script(Path::new("a.json")));
        read(&path).map(|(mut script, manifest)| {
            let root = format!("{}/", folder.path().display());
            script
                .command
                .iter_mut()
                .for_each(|word| *word = word.replace(&root, ""));
            (script, manifest)
        })
    }

    #[test]
    fn its_own_files_are_named_in_full() {
        let text = r#"{"manifest": {"name": "a"}, "command": ["python3", "-m", "m", "a.py"], "files": ["a.py"]}"#;
        let (script, manifest) = read_text(text).unwrap();
        assert_eq!(script.command, ["python3", "-m", "m", "a.py"]);
        assert!(script.files[0].is_absolute() && script.files[0].ends_with("a.py"));
        assert_eq!(manifest, r#"{"name":"a"}"#);
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
                r#"{"manifest": {}, "command": ["p"], "files": [], "shell": true}"#,
                "shell",
            ),
        ] {
            let error = read_text(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
