//! The settings beside a checkpoint's weights.

use std::path::{Path, PathBuf};

use medfocus_plugin_api::file;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result, folder};

const PROCESSOR: &str = "preprocessor_config.json";
/// Where newer checkpoints keep the same settings, under `image_processor`.
const NEWER_PROCESSOR: &str = "processor_config.json";

/// What `parse` makes of the text of `config.json`. A folder without one is not `what`; quantised weights are refused.
pub fn config<T>(folder: &Path, what: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let path = folder.join("config.json");
    if !path.exists()
        && let Some(reason) = folder::instead(folder)
    {
        return Err(Error::File {
            path: folder.to_owned(),
            reason,
        });
    }
    let advice = format!("give the folder of a {what} checkpoint");
    read(path, &advice, |text| {
        check_quantisation(text)?;
        parse(text)
    })
}

/// Refuses a configuration whose weights are quantised: they are not the numbers that the model would compute with.
fn check_quantisation(text: &str) -> Result<()> {
    let json: Value = parse_json(text)?;
    match json.get("quantization_config") {
        None | Some(Value::Null) => Ok(()),
        Some(quantisation) => Err(Error::Config(format!(
            "its weights are quantised ({}), which is not supported; take the unquantised checkpoint",
            quantisation["quant_method"]
                .as_str()
                .unwrap_or("by no named method")
        ))),
    }
}

/// What `parse` makes of the text of the image processor's file.
///
/// Of two files transformers 4 reads the older, transformers 5 the newer if it holds an image processor: they must say the same.
pub fn processor<T: PartialEq>(folder: &Path, parse: impl Fn(&str) -> Result<T>) -> Result<T> {
    let (older, newer) = (folder.join(PROCESSOR), folder.join(NEWER_PROCESSOR));
    let advice = format!("the folder must hold {PROCESSOR}");
    if !older.exists() {
        return read(newer, &advice, parse);
    }
    let found = read(older, &advice, &parse)?;
    if newer.exists() {
        let other = read(newer.clone(), &advice, |text| {
            let json: Value = parse_json(text)?;
            json.get("image_processor").map(|_| parse(text)).transpose()
        })?;
        if other.is_some_and(|other| other != found) {
            return Err(Error::File {
                path: newer,
                reason: format!(
                    "it describes another image processor than {PROCESSOR}: transformers 4 reads that file, transformers 5 this one; delete the one that is out of date"
                ),
            });
        }
    }
    Ok(found)
}

/// Refuses a `model_type` that is not the one which is run here.
pub fn check_architecture(model_type: &str, runs: &str, called: &str) -> Result<()> {
    if model_type == runs {
        return Ok(());
    }
    Err(Error::Architecture(format!(
        "model_type is {model_type:?}, but this plugin runs {runs} ({called})"
    )))
}

/// The image processor's settings from the text of either file, and whether it is the newer: there, since transformers 5, a
/// class without `Pil` in its name is the torchvision one.
pub fn parse_processor<T: DeserializeOwned>(text: &str) -> Result<(T, bool)> {
    let mut json: Value = parse_json(text)?;
    let newer = json.get_mut("image_processor").map(Value::take);
    let nested = newer.is_some();
    let settings = serde_json::from_value(newer.unwrap_or(json));
    Ok((
        settings.map_err(|error| Error::Config(error.to_string()))?,
        nested,
    ))
}

/// A JSON text as a configuration.
pub fn parse_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Config(error.to_string()))
}

/// What `parse` makes of a file; what it has against the configuration is said of the file.
pub fn read<T>(path: PathBuf, advice: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let text = file::read_to_string(&path).map_err(|error| Error::File {
        path: path.clone(),
        reason: format!("cannot be read ({error}); {advice}"),
    })?;
    parse(&text).map_err(|error| match error {
        Error::Architecture(reason) => Error::Architecture(format!("{}: {reason}", path.display())),
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
        let read = || processor(folder.path(), |text| Ok(parse_processor::<Raw>(text)?.0));
        let missing = read().unwrap_err().to_string();
        assert!(missing.contains(PROCESSOR), "{missing}");
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(NEWER_PROCESSOR, r#"{"image_processor": {"side": 3}}"#);
        assert_eq!(read().unwrap(), Raw { side: 3 });
        write(PROCESSOR, r#"{"side": 4}"#);
        let two = read().unwrap_err().to_string();
        assert!(two.contains("another image processor"), "{two}");
        // The newer file need not describe one.
        write(NEWER_PROCESSOR, r#"{"processor_class": "Any"}"#);
        assert_eq!(read().unwrap(), Raw { side: 4 });
        write(NEWER_PROCESSOR, r#"{"image_processor": {"side": 4}}"#);
        assert_eq!(read().unwrap(), Raw { side: 4 });
        write(PROCESSOR, r#"{"side": "4"}"#);
        let wrong = read().unwrap_err();
        assert!(matches!(wrong, Error::File { .. }), "{wrong}");
        assert!(wrong.to_string().contains(PROCESSOR), "{wrong}");
    }

    #[test]
    fn quantised_weights_are_refused_by_their_method() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            std::fs::write(folder.path().join("config.json"), text).unwrap();
            config(folder.path(), "SAM", parse_json::<Raw>)
        };
        assert!(read(r#"{"side": 3, "quantization_config": null}"#).is_ok());
        for method in ["bitsandbytes", "gptq", "awq", "fp8"] {
            let text =
                format!(r#"{{"side": 3, "quantization_config": {{"quant_method": "{method}"}}}}"#);
            let error = read(&text).unwrap_err().to_string();
            assert!(
                error.contains(method) && error.contains("config.json"),
                "{error}"
            );
        }
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
