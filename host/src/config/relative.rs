//! Relative paths in config files.

use std::path::Path;

use figment::{
    Error, Figment, Metadata, Profile, Provider, Source,
    providers::{Data, Format, Toml},
    value::{Dict, Map, Value},
};

/// A TOML file in which a relative `path` among the parameters of a component starts at the file's folder, so that
/// the file means the same from wherever it is used.
pub(crate) struct File(Data<Toml>);

impl File {
    /// A file that must be there.
    pub fn exact(path: &Path) -> Self {
        Self(Toml::file_exact(path))
    }

    /// A file here or in the nearest folder above that has it, if there is one.
    pub fn nearest(name: &str) -> Self {
        Self(Toml::file(name))
    }
}

impl Provider for File {
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut data = self.0.data()?;
        if let Some(Source::File(file)) = self.metadata().source
            && let Some(folder) = file.parent()
        {
            data.values_mut()
                .for_each(|section| anchor(section, folder));
        }
        Ok(data)
    }
}

/// Where parameters stand: beside a `component`, or in the sections of the command line's own components.
const PARAMETERS: [&str; 4] = ["params", "method", "model", "dataset"];

fn anchor(section: &mut Dict, folder: &Path) {
    for (key, value) in section {
        match value {
            Value::Dict(_, inner) => {
                if PARAMETERS.contains(&key.as_str())
                    && let Some(Value::String(_, path)) = inner.get_mut("path")
                {
                    // An absolute path stays as it is.
                    *path = folder.join(&path).display().to_string();
                }
                anchor(inner, folder);
            }
            Value::Array(_, values) => {
                let tables = values.iter_mut().filter_map(|value| match value {
                    Value::Dict(_, inner) => Some(inner),
                    _ => None,
                });
                tables.for_each(|inner| anchor(inner, folder));
            }
            _ => {}
        }
    }
}

/// Reads one file whole.
///
/// # Errors
///
/// It is missing, broken or holds something else.
pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Box<Error>> {
    Figment::from(File::exact(path)).extract().map_err(Box::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_starts_at_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("some.toml");
        let text = r#"
            name = "path"
            path = "stays"
            [dataset]
            path = "data"
            [slots.segmenter]
            component = "medsam"
            params = { path = "checkpoints/small", name = "kept" }
            [[experiment.methods]]
            component = "medfocus"
            params = { path = "/absolute" }
            slots.pool = { component = "reference_pool", params = { path = "../pool" } }
        "#;
        std::fs::write(&file, text).unwrap();
        let data: Value = read(&file).unwrap();
        let at = |key: &str| data.find_ref(key).unwrap().as_str().unwrap().to_owned();
        let here = |path: &str| folder.path().join(path).display().to_string();
        assert_eq!(at("path"), "stays");
        assert_eq!(at("dataset.path"), here("data"));
        assert_eq!(at("slots.segmenter.params.path"), here("checkpoints/small"));
        assert_eq!(at("slots.segmenter.params.name"), "kept");
        let methods = data.find_ref("experiment.methods").unwrap();
        let method = &methods.as_array().unwrap()[0];
        let of_method = |key: &str| method.find_ref(key).unwrap().as_str().unwrap().to_owned();
        assert_eq!(of_method("params.path"), "/absolute");
        assert_eq!(of_method("slots.pool.params.path"), here("../pool"));
    }
}
