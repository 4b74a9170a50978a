//! A small dataset and a host that puts it into any slot.

use medfocus_plugin_api::{
    BBox, Component, Context, DatasetInfo, DatasetReader, GrayImage, Message, Native, Params,
    Result, Sample, SampleKey, Services, Task,
    testkit::{LocalHost, toy_task},
};
use ndarray::Array2;
use serde_json::Value;

/// Corners of a native box.
type Corners = [u32; 4];

/// A finding and its boxes.
type Annotated = (&'static str, Vec<Corners>);

/// Samples of one size.
pub struct Cohort {
    pub size: (u32, u32),
    pub samples: Vec<Annotated>,
}

impl DatasetReader for Cohort {
    fn info(&self) -> Result<DatasetInfo> {
        Ok(DatasetInfo::new("cohort", self.samples.len() as u64, ""))
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        let (finding, boxes) = &self.samples[index as usize];
        let boxes = boxes
            .iter()
            .map(|&[x1, y1, x2, y2]| BBox::<Native>::new(x1, y1, x2, y2));
        let mut sample = Sample::new(
            key("cohort", index),
            GrayImage::from_array(Array2::zeros((self.size.1 as usize, self.size.0 as usize)))?,
            *finding,
            "",
        );
        sample.boxes = boxes.collect::<Result<_>>()?;
        Ok(sample)
    }
}

pub fn key(dataset: &str, index: u64) -> SampleKey {
    SampleKey {
        dataset: dataset.into(),
        index,
    }
}

/// A host whose dataset fills the slot of this name.
#[derive(Clone)]
struct Filling(LocalHost, &'static str);

impl Services for Filling {
    fn progress(&self, done: u64, total: u64, note: &str) {
        self.0.progress(done, total, note);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    fn filled(&self, slot: &str) -> bool {
        slot == self.1
    }

    fn call(&self, slot: &str, op: &str, message: Message) -> Result<Message> {
        self.0
            .call(if slot == self.1 { "dataset" } else { slot }, op, message)
    }
}

/// A component whose slot holds the cohort, and the host that counts what it does.
pub fn with<T: Component>(slot: &'static str, cohort: Cohort, params: Value) -> (T, LocalHost) {
    let host = LocalHost::new().with_dataset(cohort);
    let params = T::Params::from_json(params.as_object().unwrap().clone()).unwrap();
    let context = Context::new(Filling(host.clone(), slot));
    (T::new(params, context).unwrap(), host)
}

/// A task on a black working image.
pub fn task() -> Task {
    toy_task(Array2::zeros((224, 224))).unwrap()
}
