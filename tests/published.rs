//! The published profile: the configs that set it and the page that explains it name the same differences.

use std::{collections::BTreeSet, fs};

use medfocus::{config::Layers, workbench::Workbench};
use medfocus_plugin_api::Kind;
use medfocus_tests::{built, workspace};
use serde_json::{Map, Value};

/// Who behaves otherwise (a method, or a section of the config), by which key, at which value.
type Difference = (String, String, String);

fn difference(who: &str, key: &str, value: &Value) -> Difference {
    let value = match value.as_f64() {
        Some(number) => number.to_string(),
        None => value.to_string(),
    };
    (who.to_owned(), key.to_owned(), value)
}

/// Methods by their names, with the parameters that a config sets.
type Methods = Vec<(String, Map<String, Value>)>;

/// A config, and of each of its methods the parameters that it sets.
fn config(file: &str) -> (Value, Methods) {
    let layers = Layers::load(Some(&workspace().join(file)), &[]).unwrap();
    let config = serde_json::to_value(&layers.config).unwrap();
    let methods = config["experiment"]["methods"].as_array().unwrap();
    let methods = methods.iter().map(|method| {
        let name = method["name"].as_str().or(method["component"].as_str());
        let params = method["params"].as_object().cloned();
        (name.unwrap().to_owned(), params.unwrap_or_default())
    });
    let methods = methods.collect();
    (config, methods)
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn profile_page_and_ablation_do_not_drift() {
    let (profile, methods) = config("configs/paper/published.toml");
    let mut layers = Layers::load(None, &[]).unwrap();
    layers.config.plugins.paths = vec![built().join("plugins")];
    let bench = Workbench::new(layers);
    let schema = |name: &str| {
        let plugins = bench.registry.plugins().iter();
        let mut components = plugins.flat_map(|plugin| &plugin.manifest.components);
        let found = components.find(|c| c.kind == Kind::Method && c.name == name);
        found.unwrap().params["properties"]
            .as_object()
            .unwrap()
            .clone()
    };

    // What the profile sets, defaults left out.
    let mut set = BTreeSet::new();
    for (method, params) in &methods {
        let known = schema(method);
        for (key, value) in params {
            let ours = difference(method, key, &known[key]["default"]);
            let theirs = difference(method, key, value);
            set.extend((theirs != ours).then_some(theirs));
        }
    }
    for (section, key) in [
        ("boxes", "on_empty"),
        ("boxes", "edges"),
        ("experiment", "verdict"),
    ] {
        set.insert(difference(section, key, &profile[section][key]));
    }

    // What the page says: | here | published | who | by |. `all` are the methods that have the key.
    let page = fs::read_to_string(workspace().join("docs/published.md")).unwrap();
    let mut said = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let [_, _, who, by] = cells[..] else {
            panic!("{row}");
        };
        for setting in quoted(by) {
            let (key, value) = setting.split_once(" = ").unwrap();
            let value = serde_json::from_str(value).unwrap();
            if who.trim() == "all" {
                let all = methods
                    .iter()
                    .filter(|(name, _)| schema(name).contains_key(key));
                said.extend(all.map(|(name, _)| difference(name, key, &value)));
            } else {
                said.extend(quoted(who).map(|who| difference(who, key, &value)));
            }
        }
    }
    let apart: Vec<_> = set.symmetric_difference(&said).collect();
    assert!(apart.is_empty(), "on one side only: {apart:#?}");
    assert!(said.len() > 30, "{said:#?}");

    // The ablations' row is the profile's.
    let (_, rows) = config("configs/ablations.toml");
    let of = |methods: &Methods, name: &str| {
        let found = methods.iter().find(|(method, _)| method == name);
        found.unwrap().1.clone()
    };
    assert_eq!(of(&rows, "published"), of(&methods, "medfocus"));
}
