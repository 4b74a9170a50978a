//! The settings beside a checkpoint's weights.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

const PROCESSOR: &str = "preprocessor_config.json";
/// Where newer checkpoints keep the same settings, under `image_processor`.
const NEWER_PROCESSOR: &str = "processor_config.json";

/// What `parse` makes of the text of `config.json`. A folder without one is not `what`.
pub fn config<T>(folder: &Path, what: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let advice = format!("give the folder of a {what} checkpoint");
    read(folder.join("config.json"), &advice, parse)
}

/// What `parse` makes of the text of the image processor's file.
pub fn processor<T>(folder: &Path, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let older = folder.join(PROCESSOR);
    let path = if older.is_file() {
        older
    } else {
        folder.join(NEWER_PROCESSOR)
    };
    read(path, &format!("the folder must hold {PROCESSOR}"), parse)
}

/// The image processor's settings from the text of either file.
pub fn parse_processor<T: DeserializeOwned>(text: &str) -> Result<T> {
    let mut json: Value = parse_json(text)?;
    if let Some(inner) = json.get_mut("image_processor") {
        json = inner.take();
    }
    serde_json::from_value(json).map_err(|error| Error::Config(error.to_string()))
}

/// A JSON text as a configuration.
pub fn parse_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Config(error.to_string()))
}

/// What `parse` makes of a file; what it has against the configuration is said of the file.
fn read<T>(path: PathBuf, advice: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let text = std::fs::read_to_string(&path).map_err(|error| Error::File {
        path: path.clone(),
        reason: format!("cannot be read ({error}); {advice}"),
    })?;
    parse(&text).map_err(|error| match error {
        Error::Config(reason) => Error::File { path, reason },
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Raw {
        side: i64,
    }

    #[test]
    fn either_file_tells_the_image_processor() {
        let folder = tempfile::tempdir().unwrap();
        let read = || processor(folder.path(), parse_processor::<Raw>);
        let missing = read().unwrap_err().to_string();
        assert!(missing.contains(PROCESSOR), "{missing}");
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(NEWER_PROCESSOR, r#"{"image_processor": {"side": 3}}"#);
        assert_eq!(read().unwrap(), Raw { side: 3 });
        write(PROCESSOR, r#"{"side": 4}"#);
        assert_eq!(read().unwrap(), Raw { side: 4 });
        write(PROCESSOR, r#"{"side": "4"}"#);
        let wrong = read().unwrap_err();
        assert!(matches!(wrong, Error::File { .. }), "{wrong}");
        assert!(wrong.to_string().contains(PROCESSOR), "{wrong}");
    }

    #[test]
    fn a_folder_without_a_configuration_is_told_what_it_should_be() {
        let error = config("nowhere".as_ref(), "SAM", parse_json::<Raw>).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("nowhere/config.json: cannot be read")
        );
        assert!(
            error
                .to_string()
                .ends_with("give the folder of a SAM checkpoint")
        );
    }
}
