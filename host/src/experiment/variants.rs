//! Ablations: a method as several, one parameter changed at a time.

use figment::value::Value;
use medfocus_plugin_api::{Error, Kind, Result};
use serde_json::json;

use super::config::MethodConfig;
use crate::plugin::{Registry, nearest};

/// The methods, each followed by one for every value that it `ablate`s.
///
/// # Errors
///
/// There is no such component or parameter, or a parameter is `ablate`d over no value or is chosen by a `sweep` besides.
pub(super) fn rows(registry: &Registry, methods: &[MethodConfig]) -> Result<Vec<MethodConfig>> {
    let mut rows = Vec::new();
    for method in methods {
        if method.ablate.is_empty() {
            rows.push(method.clone());
        } else {
            let (_, manifest) = registry.find(Kind::Method, &method.component)?;
            rows.extend(variants(method, &manifest.params["properties"])?);
        }
    }
    Ok(rows)
}

/// A method without its `ablate`, then its variants; `properties` are those of its parameters' schema.
fn variants(method: &MethodConfig, properties: &serde_json::Value) -> Result<Vec<MethodConfig>> {
    let itself = MethodConfig {
        ablate: Default::default(),
        ..method.clone()
    };
    let mut rows = vec![itself.clone()];
    for (key, values) in &method.ablate {
        check(method, key, values, properties)?;
        let own = match method.params.get(key) {
            Some(value) => json!(value),
            None => properties[key]["default"].clone(),
        };
        for value in values.iter().filter(|value| !same(&json!(value), &own)) {
            let mut row = MethodConfig {
                name: Some(format!("{} {key}={}", method.label(), text(value))),
                compare: Some(method.label().to_owned()),
                ..itself.clone()
            };
            row.params.insert(key.clone(), value.clone());
            rows.push(row);
        }
    }
    Ok(rows)
}

fn check(
    method: &MethodConfig,
    key: &str,
    values: &[Value],
    properties: &serde_json::Value,
) -> Result<()> {
    let name = method.label();
    if values.is_empty() {
        let message = format!("method `{name}` ablates `{key}` over no value");
        return Err(Error::invalid(message));
    }
    if method.sweep.contains_key(key) {
        let message = format!("method `{name}` both ablates and sweeps `{key}`");
        return Err(Error::invalid(message));
    }
    if properties.get(key).is_none() {
        let component = &method.component;
        let message =
            format!("method `{name}` ablates `{key}`, but `{component}` has no such parameter");
        let known = properties
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys());
        let hint = match nearest(key, known.map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("see `medfocus plugins describe {component}`"),
        };
        return Err(Error::invalid(message).with_hint(hint));
    }
    Ok(())
}

/// Whether a parameter is the same with either value: a whole number may be written with or without a point.
fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// A value as part of a name.
fn text(value: &Value) -> String {
    match json!(value) {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn method(config: serde_json::Value) -> MethodConfig {
        serde_json::from_value(config).unwrap()
    }

    fn schema() -> serde_json::Value {
        json!({ "a": { "default": 1.0 }, "b": { "default": "x" }, "c": { "default": false } })
    }

    fn names(rows: &[MethodConfig]) -> Vec<&str> {
        rows.iter().map(MethodConfig::label).collect()
    }

    #[test]
    fn each_value_is_a_method_beside_the_first() {
        let base = method(json!({
            "component": "m", "name": "base", "params": { "b": "y" }, "compare": "other",
            "ablate": { "a": [1, 2, 0.5], "b": ["x", "y"], "c": [true] },
        }));
        let rows = variants(&base, &schema()).unwrap();
        // 1 is the default of `a`, "y" what the method sets itself.
        let expected = ["base", "base a=2", "base a=0.5", "base b=x", "base c=true"];
        assert_eq!(names(&rows), expected);
        assert_eq!(json!(rows[1].params), json!({ "a": 2, "b": "y" }));
        assert_eq!(json!(rows[3].params), json!({ "b": "x" }));
        let compared: Vec<_> = rows.iter().map(|row| row.compare.as_deref()).collect();
        assert_eq!(compared[0], Some("other"));
        assert!(compared[1..].iter().all(|name| *name == Some("base")));
    }

    #[test]
    fn what_cannot_be_ablated_is_refused_in_one_sentence() {
        for (config, sentence) in [
            (
                json!({ "component": "m", "ablate": { "a": [] } }),
                "method `m` ablates `a` over no value",
            ),
            (
                json!({ "component": "m", "sweep": { "a": [1] }, "ablate": { "a": [2] } }),
                "method `m` both ablates and sweeps `a`",
            ),
            (
                json!({ "component": "m", "name": "n", "ablate": { "d": [2] } }),
                "method `n` ablates `d`, but `m` has no such parameter; see `medfocus plugins describe m`",
            ),
        ] {
            let error = variants(&method(config), &schema()).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
    }

    /// A value that a parameter may take; no two have the same text.
    fn value() -> impl Strategy<Value = serde_json::Value> {
        prop_oneof![
            any::<bool>().prop_map(|value| json!(value)),
            any::<i32>().prop_map(|value| json!(value)),
            any::<f64>()
                .prop_filter("a number in TOML", |value| value.is_finite()
                    && value.fract() != 0.0)
                .prop_map(|value| json!(value)),
            "[a-z]{1,8}_".prop_map(|value| json!(value)),
        ]
    }

    proptest! {
        #[test]
        fn variants_have_names_of_their_own_and_one_other_parameter(
            ablate in prop::collection::btree_map("[a-z]{1,3}", prop::collection::vec(value(), 1..5), 1..4),
            set in prop::collection::vec(any::<bool>(), 4),
        ) {
            let mut ablate: BTreeMap<String, Vec<serde_json::Value>> = ablate;
            for values in ablate.values_mut() {
                let mut seen = BTreeSet::new();
                values.retain(|value| seen.insert(value.to_string()));
            }
            // The first value of each key is what the method has anyway: by itself or by default.
            let mut params = serde_json::Map::new();
            let mut properties = serde_json::Map::new();
            for ((key, values), set) in ablate.iter().zip(set) {
                let default = if set { json!("another") } else { values[0].clone() };
                properties.insert(key.clone(), json!({ "default": default }));
                if set {
                    params.insert(key.clone(), values[0].clone());
                }
            }
            let base = method(json!({ "component": "m", "params": params, "ablate": ablate }));
            let rows = variants(&base, &json!(properties)).unwrap();

            let different: usize = ablate.values().map(|values| values.len() - 1).sum();
            prop_assert_eq!(rows.len(), 1 + different);
            let distinct: BTreeSet<_> = names(&rows).into_iter().collect();
            prop_assert_eq!(distinct.len(), rows.len());
            prop_assert_eq!(json!(rows[0].params), json!(params));
            for row in &rows[1..] {
                prop_assert!(row.ablate.is_empty());
                let ours = json!(row.params);
                let changed: Vec<_> = ours.as_object().unwrap().iter()
                    .filter(|(key, value)| params.get(*key) != Some(*value))
                    .collect();
                prop_assert_eq!(changed.len(), 1, "{:?}", row);
                let (key, value) = changed[0];
                prop_assert!(ablate[key].contains(value));
                let beginning = format!("m {key}=");
                prop_assert!(row.label().starts_with(&beginning));
            }
        }
    }
}
