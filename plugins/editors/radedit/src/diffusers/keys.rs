//! A `config.json` as diffusers writes it: what a file leaves out takes the default of the reference's class, and what
//! this crate does not run must have it.

use medfocus_torch::settings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// No size of a network comes near this; products of three stay far from overflow.
const LARGEST: i64 = 1 << 16;

/// The keys that were not read yet.
#[derive(Debug)]
pub struct Keys(Map<String, Value>);

impl Keys {
    /// The keys of a file that describes this class.
    ///
    /// # Errors
    ///
    /// A text that is no JSON object, or describes another class.
    pub fn parse(text: &str, class: &str) -> Result<Self> {
        let mut keys = Self(settings::parse_json(text)?);
        let found: String = keys.take("_class_name", class.to_owned())?;
        if found != class {
            return Err(Error::Architecture(format!(
                "_class_name is {found:?}, but this network is {class}"
            )));
        }
        // The rest of the notes: the version that wrote the file, and from what.
        keys.0.retain(|key, _| !key.starts_with('_'));
        Ok(keys)
    }

    /// The value of a key, or the default if it is not there.
    pub fn take<T: DeserializeOwned>(&mut self, key: &str, default: T) -> Result<T> {
        match self.0.remove(key) {
            None => Ok(default),
            Some(value) => read(key, value),
        }
    }

    /// A size: at least 1.
    pub fn size(&mut self, key: &str, default: i64) -> Result<i64> {
        check_size(key, self.take(key, default)?)
    }

    /// One size for each level of a network, at least one level.
    pub fn sizes(&mut self, key: &str, default: &[i64]) -> Result<Vec<i64>> {
        let sizes = self.take(key, default.to_vec())?;
        if sizes.is_empty() {
            return refuse(format!("{key} is empty"));
        }
        sizes
            .into_iter()
            .map(|size| check_size(key, size))
            .collect()
    }

    /// One value for each level: a list of as many, or one for all.
    pub fn per_level<T>(&mut self, key: &str, default: T, levels: usize) -> Result<Vec<T>>
    where
        T: Clone + DeserializeOwned,
    {
        match self.0.remove(key) {
            None => Ok(vec![default; levels]),
            Some(list @ Value::Array(_)) => {
                let list: Vec<T> = read(key, list)?;
                check_levels(key, &list, levels)?;
                Ok(list)
            }
            Some(one) => Ok(vec![read(key, one)?; levels]),
        }
    }

    /// A size for each level: a list of as many, or one for all.
    pub fn sizes_per_level(&mut self, key: &str, default: i64, levels: usize) -> Result<Vec<i64>> {
        let sizes = self.per_level(key, default, levels)?;
        sizes
            .into_iter()
            .map(|size| check_size(key, size))
            .collect()
    }

    /// For each level whether its type is the first of these two.
    pub fn types(
        &mut self,
        key: &str,
        default: Vec<bool>,
        [yes, no]: [&str; 2],
    ) -> Result<Vec<bool>> {
        let Some(value) = self.0.remove(key) else {
            return Ok(default);
        };
        let names: Vec<String> = read(key, value)?;
        let is_first = |name: String| match name {
            _ if name == yes => Ok(true),
            _ if name == no => Ok(false),
            _ => refuse(format!(
                "{key} names {name}, but only {yes} and {no} can be run"
            )),
        };
        names.into_iter().map(is_first).collect()
    }

    /// Passes over what does not change what a trained network computes.
    pub fn skip(&mut self, keys: &[&str]) {
        for key in keys {
            self.0.remove(*key);
        }
    }

    /// Refuses a key with another value than the one that can be run.
    pub fn only<T: Serialize>(&mut self, key: &str, runs: T) -> Result<()> {
        let runs = serde_json::json!(runs);
        match self.0.remove(key) {
            Some(value) if !same(&value, &runs) => {
                refuse(format!("{key} is {value}, but only {runs} can be run"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what was not read, unless it is nothing: it may describe another network.
    pub fn finish(self) -> Result<()> {
        match self.0.into_iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((key, value)) => refuse(format!("{key} is {value}, which is not known here")),
        }
    }
}

/// Refuses a list that does not have one value for each level.
pub fn check_levels<T>(key: &str, list: &[T], levels: usize) -> Result<()> {
    if list.len() == levels {
        return Ok(());
    }
    refuse(format!(
        "{key} has {} values for {levels} levels",
        list.len()
    ))
}

/// Refuses a size that cannot be divided into so many parts, which another key names.
pub fn check_multiple(key: &str, size: i64, of: &str, parts: i64) -> Result<()> {
    if size % parts == 0 {
        return Ok(());
    }
    refuse(format!("{key} {size} is not a multiple of {of} {parts}"))
}

/// The error of a configuration that cannot be run.
pub fn refuse<T>(reason: String) -> Result<T> {
    Err(Error::Config(reason))
}

/// Refuses a size below 1 or beyond reason.
pub fn check_size(key: &str, size: i64) -> Result<i64> {
    if (1..=LARGEST).contains(&size) {
        return Ok(size);
    }
    refuse(format!("{key} is {size}, which is not in 1..={LARGEST}"))
}

fn read<T: DeserializeOwned>(key: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::Config(format!("{key}: {error}")))
}

/// Whether two values are the same; numbers as numbers, however they are written.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
