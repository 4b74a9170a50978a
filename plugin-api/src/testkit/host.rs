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
    /// So many requests later it is cancelled.
    patience: Mutex<Option<u64>>,
    calls: Mutex<BTreeMap<String, u64>>,
    steps: AtomicU64,
}

/// Fills slots with plain structs and counts what a component does with them.
///
/// Messages are packed and unpacked as between plugins, and a cancelled host answers no call, so what passes here passes
/// there.
#[derive(Clone, Default)]
pub struct LocalHost(Arc<State>);

macro_rules! fills {
    ($($(#[$doc:meta])* $function:ident, $module:ident, $bound:path;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $function(self, component: impl $bound + 'static) -> Self {
            self.with_slot(stringify!($module), move |op, message| {
                $module::serve(&component, op, message)
            })
        }
    )*};
}

impl LocalHost {
    /// A host with empty slots.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fills a slot of any name with what performs its operations, as the `serve` function of a kind does; the one without
    /// a name is the host itself.
    #[must_use]
    pub fn with_slot(
        self,
        slot: &str,
        serve: impl Fn(&str, Message) -> Result<Message> + Send + Sync + 'static,
    ) -> Self {
        lock(&self.0.slots).insert(slot.to_owned(), Arc::new(Box::new(serve)));
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

    /// Asks them so once they have made this many further [requests](Self::requests).
    pub fn cancel_after(&self, requests: u64) {
        *lock(&self.0.patience) = Some(requests);
        if requests == 0 {
            self.cancel();
        }
    }

    /// How often components called a slot or showed progress.
    pub fn requests(&self) -> u64 {
        self.steps() + lock(&self.0.calls).values().sum::<u64>()
    }

    /// Whether a slot was called.
    pub fn called(&self, slot: &str) -> bool {
        let calls = lock(&self.0.calls);
        let mut operations = calls
            .keys()
            .filter_map(|operation| operation.split_once('.'));
        operations.any(|(called, _)| called == slot)
    }

    /// Counts a request against the patience.
    fn tire(&self) {
        let mut patience = lock(&self.0.patience);
        if let Some(left) = patience.as_mut() {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.cancel();
            }
        }
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

    /// Makes a component with these parameters.
    ///
    /// # Errors
    ///
    /// What the component's `new` fails with.
    pub fn make<T: Component>(&self, params: T::Params) -> Result<T> {
        T::new(params, self.context())
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
        self.tire();
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    fn filled(&self, slot: &str) -> bool {
        lock(&self.0.slots).contains_key(slot)
    }

    fn call(&self, slot: &str, op: &str, message: Message) -> Result<Message> {
        let serve = lock(&self.0.slots).get(slot).cloned();
        let serve = serve.ok_or_else(|| match slot {
            "" => Error::unsupported(format!("this host has no operation `{op}`")),
            _ => Error::missing(format!("slot `{slot}` is empty")),
        })?;
        if self.cancelled() {
            return Err(Error::cancelled());
        }
        *lock(&self.0.calls)
            .entry(format!("{slot}.{op}"))
            .or_default() += 1;
        let answer = serve(op, message);
        self.tire();
        answer
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
