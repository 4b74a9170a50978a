//! The published profile as users run it.

use figment::{
    Figment,
    providers::{Format, Toml},
};
use serde_json::Value;

/// MedFocus's parameters in `configs/paper/published.toml`.
pub fn published() -> Value {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../configs/paper/published.toml"
    );
    let config: Value = Figment::from(Toml::file_exact(file)).extract().unwrap();
    let methods = config["experiment"]["methods"].as_array().unwrap();
    let ours = methods
        .iter()
        .find(|method| method["component"] == "medfocus");
    ours.unwrap()["params"].clone()
}
