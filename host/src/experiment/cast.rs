//! The methods of a cell, made around a model.

use medfocus_plugin_api::{Error, Result};

use super::plan::{Cell, Plan, Tuned};
use crate::{
    config::Filling,
    workbench::{Ready, Workbench},
};

/// The methods of a cell with the parameters chosen for it.
pub(super) fn chosen_methods(
    bench: &Workbench,
    plan: &Plan,
    tuned: &[Tuned],
    cell: &Cell,
    model: &Ready,
) -> Result<Vec<(String, Ready)>> {
    let configs = plan.experiment.methods.iter();
    let fitting = configs.filter(|config| cell.methods.iter().any(|name| name == config.label()));
    fitting
        .map(|config| {
            let name = config.label();
            let mut filling = config.filling();
            let choice = tuned
                .iter()
                .find(|t| t.method == name && t.model == cell.model && t.mode == cell.mode);
            if let Some(choice) = choice {
                with_params(&mut filling, &choice.params)?;
            }
            let recipe = bench.plan_method(&filling, &model.manifest)?;
            Ok((name.to_owned(), bench.make(&recipe, Some(model))?))
        })
        .collect()
}

/// Puts JSON parameters over those of a config.
pub(super) fn with_params(
    filling: &mut Filling,
    params: &serde_json::Map<String, serde_json::Value>,
) -> Result<()> {
    for (name, value) in params {
        let value = figment::value::Value::serialize(value)
            .map_err(|error| Error::internal(format!("parameter `{name}`: {error}")))?;
        filling.params.insert(name.clone(), value);
    }
    Ok(())
}
