//! A pool of phantoms and a model that looks at one place.

use crate::common::{TEST, phantom};
use medfocus_method_medfocus::{
    BothLungs, BothLungsParams, MedFocus, MedFocusFine, MedFocusFineParams, MedFocusParams,
};
use medfocus_plugin_api::{
    Attribution, BBox, Component, Context, DatasetInfo, DatasetReader, Message, Params, Result,
    Sample, Services, Task, Working,
    testkit::{LocalHost, ToyModel, toy_task},
};
use serde_json::Value;

/// Samples in a slot of any name.
pub struct Cohort(pub Vec<Sample>);

impl DatasetReader for Cohort {
    fn info(&self) -> Result<DatasetInfo> {
        Ok(DatasetInfo::new("cohort", self.0.len() as u64, ""))
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        Ok(self.0[index as usize].clone())
    }
}

/// A host whose dataset fills the slot `pool`.
#[derive(Clone)]
pub struct WithPool(pub LocalHost);

impl Services for WithPool {
    fn progress(&self, done: u64, total: u64, note: &str) {
        self.0.progress(done, total, note);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    fn filled(&self, slot: &str) -> bool {
        self.0.filled(if slot == "pool" { "dataset" } else { slot })
    }

    fn call(&self, slot: &str, op: &str, message: Message) -> Result<Message> {
        self.0
            .call(if slot == "pool" { "dataset" } else { slot }, op, message)
    }
}

/// The method with this host's components, its dataset as the pool.
pub fn method(host: &LocalHost, params: Value) -> MedFocus {
    try_method(host, params).unwrap()
}

/// The same, if it can be made.
pub fn try_method(host: &LocalHost, params: Value) -> Result<MedFocus> {
    let params = MedFocusParams::from_json(params.as_object().unwrap().clone())?;
    MedFocus::new(params, Context::new(WithPool(host.clone())))
}

/// The control with this host's dataset as the pool.
pub fn both_lungs(host: &LocalHost, params: Value) -> BothLungs {
    let params = BothLungsParams::from_json(params.as_object().unwrap().clone()).unwrap();
    BothLungs::new(params, Context::new(WithPool(host.clone()))).unwrap()
}

/// The finer method with this host's dataset as the pool.
pub fn fine(host: &LocalHost, params: Value) -> MedFocusFine {
    let params = MedFocusFineParams::from_json(params.as_object().unwrap().clone()).unwrap();
    MedFocusFine::new(params, Context::new(WithPool(host.clone()))).unwrap()
}

/// Answers by one cell of 14 x 14 that lies in the patient's right lung.
pub fn model() -> ToyModel {
    ToyModel::looking_at((14, 14), (6, 4), 12.0, -2.0)
}

pub fn pool() -> Cohort {
    Cohort((0..6).map(|seed| phantom(seed, true)).collect())
}

pub fn host() -> LocalHost {
    LocalHost::new().with_model(model()).with_dataset(pool())
}

pub fn task_of(sample: &Sample) -> Task {
    toy_task(sample.image.view().to_owned()).unwrap()
}

pub fn task() -> Task {
    task_of(&phantom(TEST + 7, false))
}

pub fn boxes_of(value: &Value) -> Vec<BBox<Working>> {
    let corners: Vec<[u32; 4]> = serde_json::from_value(value.clone()).unwrap();
    corners
        .iter()
        .map(|[x1, y1, x2, y2]| BBox::new(*x1, *y1, *x2, *y2).unwrap())
        .collect()
}

pub fn concept<'a>(found: &'a Attribution, name: &str) -> &'a Value {
    let concepts = found.evidence["concepts"].as_array().unwrap();
    concepts
        .iter()
        .find(|concept| concept["name"] == name)
        .unwrap()
}

pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}
