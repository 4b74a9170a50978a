//! Declaration and parameters.

use serde_json::{Map, Value, json};

use super::subject::Subject;
use crate::{
    component::Component,
    error::{Error, ErrorKind},
    params::{Field, Params, Type},
};

/// Name, summary and descriptions are there.
pub(super) fn declaration<T: Component>() -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if T::NAME.is_empty() || !T::NAME.chars().all(plain) {
        return Err(format!(
            "the name `{}` is not lower case, digits and `_` alone",
            T::NAME
        ));
    }
    if T::SUMMARY.trim().is_empty() || T::SUMMARY.contains('\n') {
        return Err("the summary is not one line that says what it does".into());
    }
    match T::Params::FIELDS
        .iter()
        .find(|field| field.doc.trim().is_empty())
    {
        Some(field) => Err(format!("parameter `{}` has no description", field.name)),
        None => Ok(()),
    }
}

/// Everything may be left out.
pub(super) fn defaults<T: Component>(subject: &Subject<T>) -> Result<(), String> {
    let params = T::Params::from_json(Map::new());
    let params = params.map_err(|error| format!("not all parameters have a default: {error}"))?;
    let written = serde_json::to_value(&params).map_err(|error| error.to_string())?;
    for field in T::Params::FIELDS {
        let default: Value = serde_json::from_str(field.default)
            .map_err(|error| format!("the default of `{}` is no JSON: {error}", field.name))?;
        let used = &written[field.name];
        // A float of 32 bits is written with more digits.
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(b.abs());
        let same = match (default.as_f64(), used.as_f64()) {
            (Some(a), Some(b)) => near(a, b),
            _ => default == *used,
        };
        if !same {
            return Err(format!(
                "the declared default of `{}` is {default}, but {used} is used",
                field.name
            ));
        }
    }
    match subject.make_with(&subject.host(), Map::new()) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind, ErrorKind::Missing | ErrorKind::Invalid) => Ok(()),
        Err(error) => Err(format!("with its defaults it cannot be made: {error}")),
    }
}

/// What cannot be meant is refused by a sentence that names the key.
pub(super) fn refusals<T: Component>(subject: &Subject<T>) -> Result<(), String> {
    refused(subject, "no_such_parameter", json!(1))?;
    for field in T::Params::FIELDS {
        for value in wrong(field) {
            refused(subject, field.name, value)?;
        }
    }
    Ok(())
}

/// Values that a parameter cannot have.
fn wrong(field: &Field) -> Vec<Value> {
    // No parameter is a list.
    let mut values = vec![json!([])];
    let bound = |text: &str| text.parse::<f64>().ok();
    if let Some((low, high)) = field.range {
        let beyond = [
            bound(low).map(|low| low - 1.0),
            bound(high).map(|high| high + 1.0),
        ];
        values.extend(beyond.into_iter().flatten().map(|beyond| match field.ty {
            Type::Integer | Type::Optional(&Type::Integer) => json!(beyond as i64),
            _ => json!(beyond),
        }));
    }
    values
}

fn refused<T: Component>(subject: &Subject<T>, key: &str, value: Value) -> Result<(), String> {
    let mut params = subject.params.clone();
    params.insert(key.to_owned(), value.clone());
    match subject.make_with(&subject.host(), params) {
        Ok(_) => Err(format!("`{key}` = {value} is not refused")),
        Err(error) if names(&error, key) => Ok(()),
        Err(error) => Err(format!(
            "the error about `{key}` = {value} does not name the parameter: {error}"
        )),
    }
}

fn names(error: &Error, key: &str) -> bool {
    error.kind == ErrorKind::Invalid && error.message.contains(key)
}
