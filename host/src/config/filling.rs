//! What the config says of one component.

use std::collections::BTreeMap;

use figment::value::Dict;
use serde::{Deserialize, Serialize};

/// A component and its parameters.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filling {
    /// Its name.
    pub component: String,
    /// Its parameters.
    #[serde(default)]
    pub params: Dict,
    /// What fills its slots, over the config's `slots`; the component `none` leaves one empty.
    #[serde(default)]
    pub slots: BTreeMap<String, Filling>,
}
