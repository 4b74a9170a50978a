//! A component's parameters, checked against its manifest before any of its code runs: a wrong one should not cost the
//! loading of a model.

use figment::value::Dict;
use medfocus_plugin_api::{Error, Result, manifest::ComponentManifest};
use serde_json::{Map, Value};

use crate::plugin::nearest;

/// Parameters of a config as JSON.
///
/// # Errors
///
/// A value is none of JSON's.
pub fn of_config(params: &Dict) -> Result<Map<String, Value>> {
    let value = |(name, value): (&String, _)| match serde_json::to_value(value) {
        Ok(value) => Ok((name.clone(), value)),
        Err(error) => {
            Err(Error::invalid(format!("parameter `{name}` is not JSON: {error}")).with_key(name))
        }
    };
    params.iter().map(value).collect()
}

/// The manifest's defaults under the `given` values.
///
/// What a schema of a later version demands beyond types, choices and bounds is left to the component itself.
///
/// # Errors
///
/// A key is unknown, or a value is of the wrong type or out of range; the error knows the key.
pub fn resolve(
    component: &ComponentManifest,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>> {
    let none = Map::new();
    let fields = component.params["properties"].as_object().unwrap_or(&none);
    let mut params: Map<String, Value> = fields
        .iter()
        .map(|(name, field)| (name.clone(), field["default"].clone()))
        .collect();
    for (name, value) in given {
        match fields.get(name) {
            Some(field) => check(name, field, value)?,
            None => return Err(unknown(name, fields)),
        }
        params.insert(name.clone(), value.clone());
    }
    Ok(params)
}

fn unknown(name: &str, fields: &Map<String, Value>) -> Error {
    let names = || fields.keys().map(String::as_str);
    let hint = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if fields.is_empty() => "it has no parameters".to_owned(),
        None => format!("its parameters are: {}", listed(names())),
    };
    Error::invalid(format!("unknown parameter `{name}`"))
        .with_key(name)
        .with_hint(hint)
}

fn check(name: &str, field: &Value, value: &Value) -> Result<()> {
    let wrong = |why: String| {
        Err(Error::invalid(format!("parameter `{name}` must {why}, got {value}")).with_key(name))
    };
    let types: Vec<&str> = match &field["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|ty| is_a(value, ty)) {
        let words: Vec<_> = types.iter().map(|ty| in_words(ty)).collect();
        return wrong(format!("be {}", words.join(" or ")));
    }
    if let Some(choices) = field["enum"].as_array()
        && !choices.contains(value)
    {
        let names = || choices.iter().filter_map(Value::as_str);
        let near = value.as_str().and_then(|text| nearest(text, names()));
        return wrong(format!("be one of {}", listed(names()))).map_err(|error| match near {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error,
        });
    }
    let (low, high) = (&field["minimum"], &field["maximum"]);
    let below = |a: &Value, b: &Value| a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a < b);
    if below(value, low) || below(high, value) {
        return wrong(format!("lie in {low} to {high}"));
    }
    Ok(())
}

fn is_a(value: &Value, ty: &str) -> bool {
    match ty {
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn in_words(ty: &str) -> &str {
    match ty {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "null" => "nothing",
        other => other,
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn component() -> ComponentManifest {
        let field = |ty: Value, default: Value, more: Value| {
            let mut field = json!({"type": ty, "default": default});
            let all = field.as_object_mut().unwrap();
            all.extend(more.as_object().unwrap().clone());
            field
        };
        let choices = json!({"enum": ["zero", "mean", null]});
        let properties = json!({
            "cells": field(json!("integer"), json!(8), json!({"minimum": 1, "maximum": 64})),
            "share": field(json!("number"), json!(0.5), json!({"minimum": -1, "maximum": 1.5})),
            "on": field(json!("boolean"), json!(true), json!({})),
            "path": field(json!("string"), json!(""), json!({})),
            "layer": field(json!(["integer", "null"]), Value::Null, json!({})),
            "fill": field(json!(["string", "null"]), json!("zero"), choices),
        });
        serde_json::from_value(json!({
            "kind": "method", "name": "m", "summary": "", "params": {"properties": properties}
        }))
        .unwrap()
    }

    fn resolved(given: Value) -> Result<Map<String, Value>> {
        resolve(&component(), given.as_object().unwrap())
    }

    #[test]
    fn what_is_given_goes_over_the_defaults() {
        let params = resolved(json!({"cells": 64, "share": -1, "layer": null, "fill": null}));
        let expected = json!({
            "cells": 64, "share": -1, "on": true, "path": "", "layer": null, "fill": null
        });
        assert_eq!(Value::Object(params.unwrap()), expected);
    }

    #[test]
    fn what_does_not_fit_is_one_sentence_that_knows_its_key() {
        for (key, value, sentence) in [
            (
                "clels",
                json!(4),
                "unknown parameter `clels`; did you mean `cells`?",
            ),
            (
                "q",
                json!(4),
                "unknown parameter `q`; its parameters are: `cells`, `fill`, `layer`, `on`, `path`, `share`",
            ),
            (
                "cells",
                json!(0),
                "parameter `cells` must lie in 1 to 64, got 0",
            ),
            (
                "cells",
                json!(65),
                "parameter `cells` must lie in 1 to 64, got 65",
            ),
            (
                "cells",
                json!(4.0),
                "parameter `cells` must be a whole number, got 4.0",
            ),
            (
                "cells",
                json!("4"),
                "parameter `cells` must be a whole number, got \"4\"",
            ),
            (
                "share",
                json!(1.6),
                "parameter `share` must lie in -1 to 1.5, got 1.6",
            ),
            (
                "on",
                json!(1),
                "parameter `on` must be true or false, got 1",
            ),
            ("path", json!(7), "parameter `path` must be a text, got 7"),
            (
                "layer",
                json!("last"),
                "parameter `layer` must be a whole number or nothing, got \"last\"",
            ),
            (
                "fill",
                json!("meen"),
                "parameter `fill` must be one of `zero`, `mean`, got \"meen\"; did you mean `mean`?",
            ),
        ] {
            let error = resolved(json!({key: value})).unwrap_err();
            assert_eq!(error.to_string(), sentence);
            assert_eq!(error.key.as_deref(), Some(key));
        }
    }
}
