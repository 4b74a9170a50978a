//! The stage of the methods: every sample's answer is explained.

use std::collections::{BTreeMap, btree_map::Entry};

use medfocus_plugin_api::Result;

use super::{
    case::Scene,
    filtered::Filtered,
    plan::{Cell, Plan},
    record::Record,
    stage::Desk,
};
use crate::{
    output::OutDir,
    workbench::{Ready, Workbench},
};

/// Makes the methods of a cell around a worker's model.
type MakeMethods<'a> =
    &'a (dyn Fn(&Cell, &Ready, &Workbench) -> Result<Vec<(String, Ready)>> + Sync);

/// How samples are explained.
pub(super) struct Explaining<'a> {
    pub plan: &'a Plan,
    /// Where pictures and maps go, if any are wanted.
    pub folder: Option<&'a OutDir>,
    pub filtered: &'a Filtered,
    pub methods: MakeMethods<'a>,
}

impl Explaining<'_> {
    /// Takes samples from a worker's desk until there is none.
    pub fn work(&self, bench: &Workbench, model: &Ready, desk: &Desk<'_, Record>) -> Result<()> {
        let mut scenes: BTreeMap<String, Scene<'_>> = BTreeMap::new();
        while let Some((cell, index)) = desk.next() {
            let scene = match scenes.entry(cell.slug()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let methods = (self.methods)(cell, model, bench)?;
                    entry.insert(Scene::new(
                        bench,
                        self.plan,
                        cell,
                        model,
                        methods,
                        self.filtered,
                        self.folder,
                    )?)
                }
            };
            desk.put(scene.record(index)?)?;
        }
        Ok(())
    }
}
