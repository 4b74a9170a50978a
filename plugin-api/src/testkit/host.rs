//! A host without plugins: plain structs fill the slots.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{
    component::Component,
    context::{Context, Services},
    error::{Error, Result},
    message::Message,
    protocol::{dataset, detector, editor, model, segmenter},
};

type Serve = Box<dyn Fn(&str, Message) -> Result<Message> + Send + Sync>;

#[derive(Default)]
struct State {
    slots: Mutex<BTreeMap<String, Arc<Serve>>>,
    cancelled: AtomicBool,
    calls: Mutex<BTreeMap<String, u64>>,
    steps: AtomicU64,
}

/// Fills slots with plain structs and counts what a component does with them.
///
/// Messages are packed and unpacked as between plugins, so what passes here passes there.
#[derive(Clone, Default)]
pub struct LocalHost(Arc<State>);

macro_rules! fills {
    ($($(#[$doc:meta])* $function:ident, $module:ident, $bound:path;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $function(self, component: impl $bound + 'static) -> Self {
            self.fill(stringify!($module), Box::new(move |op, message| {
                $module::serve(&component, op, message)
            }))
        }
    )*};
}

impl LocalHost {
    /// A host with empty slots.
    pub fn new() -> Self {
        Self::default()
    }

    fn fill(self, slot: &str, serve: Serve) -> Self {
        lock(&self.0.slots).insert(slot.to_owned(), Arc::new(serve));
        self
    }

    fills! {
        /// Fills the slot `model`.
        with_model, model, model::VisionLanguageModel;
        /// Fills the slot `dataset`.
        with_dataset, dataset, dataset::DatasetReader;
        /// Fills the slot `editor`.
        with_editor, editor, editor::CounterfactualEditor;
        /// Fills the slot `segmenter`.
        with_segmenter, segmenter, segmenter::Segmenter;
        /// Fills the slot `detector`.
        with_detector, detector, detector::Detector;
    }

    /// Asks components to stop at their next step.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// How often an operation was called, as `model.score`.
    pub fn calls(&self, operation: &str) -> u64 {
        lock(&self.0.calls)
            .get(operation)
            .copied()
            .unwrap_or_default()
    }

    /// How often progress was shown.
    pub fn steps(&self) -> u64 {
        self.0.steps.load(Ordering::Relaxed)
    }

    /// What a component is given.
    pub fn context(&self) -> Context {
        Context::new(self.clone())
    }

    /// Makes a component with the parameters of a JSON object, as the host does from a config.
    ///
    /// # Errors
    ///
    /// A wrong parameter, or what the component's `new` fails with.
    pub fn create<T: Component>(&self, params: serde_json::Value) -> Result<T> {
        let serde_json::Value::Object(params) = params else {
            return Err(Error::invalid("parameters are a JSON object"));
        };
        T::new(crate::Params::from_json(params)?, self.context())
    }
}

impl Services for LocalHost {
    fn progress(&self, _: u64, _: u64, _: &str) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    fn filled(&self, slot: &str) -> bool {
        lock(&self.0.slots).contains_key(slot)
    }

    fn call(&self, slot: &str, op: &str, message: Message) -> Result<Message> {
        let serve = lock(&self.0.slots).get(slot).cloned();
        let serve = serve.ok_or_else(|| Error::missing(format!("slot `{slot}` is empty")))?;
        *lock(&self.0.calls)
            .entry(format!("{slot}.{op}"))
            .or_default() += 1;
        serve(op, message)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
