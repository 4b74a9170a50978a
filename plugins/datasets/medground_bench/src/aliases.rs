//! Models that the records call otherwise than the experiment.

use std::collections::BTreeMap;

use medfocus_plugin_api::{Error, Result};

/// What the benchmark and the configs call the same model.
const KNOWN: [[&str; 2]; 1] = [["medgemma1_5", "medgemma1_5_4b"]];

/// Names in the experiment, and what the records say instead.
pub struct Aliases(BTreeMap<String, String>);

impl Aliases {
    /// Reads `EXPERIMENT=RECORDS`, divided by commas.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if one has no `=` or no name on one side of it, or a name is given twice.
    pub fn parse(text: &str) -> Result<Self> {
        let mut names = BTreeMap::new();
        let pairs = text.split(',').map(str::trim);
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let wrong = |why: &str| {
                Error::invalid(format!("parameter `models`: `{pair}` {why}"))
                    .with_key("models")
                    .with_hint("write it as the experiment's name, =, the records' name")
            };
            // A model of an experiment may be COMPONENT=FOLDER.
            let (ours, theirs) = pair.rsplit_once('=').ok_or_else(|| wrong("has no `=`"))?;
            let (ours, theirs) = (ours.trim(), theirs.trim());
            if ours.is_empty() || theirs.is_empty() {
                return Err(wrong("lacks a name"));
            }
            if names.insert(ours.to_owned(), theirs.to_owned()).is_some() {
                return Err(wrong("names a model for the second time"));
            }
        }
        Ok(Self(names))
    }

    /// What the records may call a model; the first that they have is meant.
    pub fn of<'a>(&'a self, model: &'a str) -> Vec<&'a str> {
        if let Some(theirs) = self.0.get(model) {
            return vec![theirs];
        }
        let other = KNOWN.iter().find(|names| names.contains(&model));
        let other = other.into_iter().flatten().copied();
        std::iter::once(model)
            .chain(other.filter(|other| *other != model))
            .collect()
    }
}
