//! What every plugin's component is.

use crate::{
    context::Context,
    error::Result,
    manifest::{Ability, Slot},
    params::Params,
};

/// What every component declares, whatever its kind.
pub trait Component: Sized + Send + Sync + 'static {
    /// Name in configs and on the command line.
    const NAME: &'static str;
    /// One line on what it does, with its source.
    const SUMMARY: &'static str;
    /// What it calls.
    const SLOTS: &'static [Slot] = &[];
    /// What it can do, for a model.
    const ABILITIES: &'static [Ability] = &[];
    /// Its parameters.
    type Params: Params;

    /// Makes the component. Called once a configuration; long loading belongs here.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from working: a missing file, a parameter that does not fit another.
    fn new(params: Self::Params, context: Context) -> Result<Self>;
}
