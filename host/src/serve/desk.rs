//! What the requests share.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use medfocus_plugin_api::{DatasetReader, Error, Kind, Result, Sample};
use tokio::sync::Semaphore;

use super::{
    catalogue::{self, Catalogue},
    gate::Gate,
    id::Id,
    job::{Asked, Job},
    lane::{Lane, Rules},
    store::{Limits, Store},
};
use crate::{
    config::Filling,
    dicom::source::Source,
    workbench::{Ready, Workbench},
};

/// What is kept of images, and of jobs with their results.
const IMAGES: Limits = Limits {
    count: 64,
    bytes: 512 << 20,
    age: Duration::from_secs(3600),
};
const JOBS: Limits = Limits {
    count: 256,
    bytes: 512 << 20,
    age: Duration::from_secs(3600),
};
/// Uploads that are read at once: they take memory and processors before anything else is known of them.
const UPLOADS: usize = 4;
/// Samples that are offered.
pub const SAMPLES: u64 = 8;

/// Everything behind the routes.
pub struct Desk {
    /// For planning; nothing is made on it but the samples' dataset.
    pub bench: Workbench,
    /// What can be asked.
    pub catalogue: Catalogue,
    /// The images that were handed in.
    pub images: Store<Source>,
    /// The jobs, done and to be done.
    pub jobs: Arc<Store<Job>>,
    /// Who may come in.
    pub gate: Arc<Gate>,
    /// Places of uploads.
    pub uploads: Semaphore,
    lanes: BTreeMap<String, Arc<Lane>>,
    dataset: String,
    samples: Mutex<Option<Ready>>,
}

impl Desk {
    /// Opens a lane for each device.
    pub fn new(
        bench: Workbench,
        catalogue: Catalogue,
        gate: Gate,
        rules: Rules,
        dataset: String,
    ) -> Self {
        let jobs = Arc::new(Store::new(JOBS));
        let lane = |device: String| {
            let kept = Arc::clone(&jobs);
            let ended = Box::new(move |job: &Job, bytes| kept.weigh(job.id, bytes));
            (device, Lane::open(&bench, rules, ended))
        };
        Self {
            lanes: catalogue.devices().into_iter().map(lane).collect(),
            bench,
            catalogue,
            images: Store::new(IMAGES),
            jobs,
            gate: Arc::new(gate),
            uploads: Semaphore::new(UPLOADS),
            dataset,
            samples: Mutex::default(),
        }
    }

    /// Keeps an image.
    ///
    /// # Errors
    ///
    /// There is no randomness for its name.
    pub fn keep(&self, source: Source) -> Result<(Id, Arc<Source>)> {
        let (id, source) = (Id::random()?, Arc::new(source));
        self.images.add(id, source.clone(), source.study.bytes());
        Ok((id, source))
    }

    /// Puts a question into the queue of its model's device; nothing if that is full.
    ///
    /// # Errors
    ///
    /// There is no randomness for its name.
    pub fn ask(&self, asked: Asked) -> Result<Option<Arc<Job>>> {
        let job = Arc::new(Job::new(Id::random()?, asked));
        let Some(lane) = self.lane(&job) else {
            return Err(Error::internal("there is no lane for this model's device"));
        };
        // Before it is in the queue, which weighs it when it ends.
        self.jobs.add(job.id, job.clone(), 0);
        if lane.push(job.clone()).is_err() {
            self.jobs.forget(&job.id.to_string());
            return Ok(None);
        }
        Ok(Some(job))
    }

    /// Stops a job.
    pub fn cancel(&self, job: &Job) {
        if let Some(lane) = self.lane(job) {
            lane.cancel(job);
        }
    }

    /// One of the dataset's first samples; nothing if it has not so many.
    ///
    /// # Errors
    ///
    /// The dataset cannot be opened or read.
    pub fn sample(&self, index: u64) -> Result<Option<Sample>> {
        if index >= SAMPLES {
            return Ok(None);
        }
        let mut held = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = match &mut *held {
            Some(reader) => reader,
            none => {
                let filling = Filling {
                    component: self.dataset.clone(),
                    params: self.bench.layers.config.dataset.clone(),
                    ..Filling::default()
                };
                let recipe = self.bench.plan_component(Kind::Dataset, &filling)?;
                none.insert(self.bench.make(&recipe, None)?)
            }
        };
        let client = reader.client();
        let there = index < DatasetReader::info(&client)?.len;
        there.then(|| client.sample(index)).transpose()
    }

    /// Looks after what takes too long or lies about too long.
    pub fn tidy(&self) {
        let now = Instant::now();
        self.lanes.values().for_each(|lane| lane.watch(now));
        self.images.tidy(now);
        self.jobs.tidy(now);
    }

    /// Stops everything.
    pub fn close(&self) {
        self.lanes.values().for_each(|lane| lane.close());
    }

    /// Whether nothing is being worked on.
    pub fn is_idle(&self) -> bool {
        self.lanes.values().all(|lane| lane.is_idle())
    }

    fn lane(&self, job: &Job) -> Option<&Arc<Lane>> {
        self.lanes.get(&catalogue::device(&job.asked.model_recipe))
    }
}
