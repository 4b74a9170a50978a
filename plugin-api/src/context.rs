//! A component's way to the host: logging goes through `tracing`, everything else through here.

use std::sync::Arc;

use ndarray::Array1;

use crate::{
    error::{Error, Result},
    message::Message,
    picture::{DECODE, Picture},
    protocol::{
        Caller, Client, dataset::DatasetReader, detector::Detector, editor::CounterfactualEditor,
        model::VisionLanguageModel, segmenter::Segmenter,
    },
    tensor::Tensor,
};

/// What a host does for its components.
pub trait Services: Send + Sync {
    /// Shows how far a long operation is: `done` of `total` steps (0: unknown).
    fn progress(&self, done: u64, total: u64, note: &str);

    /// Whether the user asked to stop.
    fn cancelled(&self) -> bool;

    /// Whether something fills the slot.
    fn filled(&self, slot: &str) -> bool;

    /// Performs operation `op` of what fills `slot`, or one of the host's own if `slot` is empty.
    ///
    /// # Errors
    ///
    /// [`Error::missing`] if nothing fills the slot, [`Error::unsupported`] if the host has no such operation, and whatever
    /// the operation fails with.
    fn call(&self, slot: &str, op: &str, message: Message) -> Result<Message>;
}

/// Given to a component when it is made; cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<dyn Services>);

impl Context {
    /// A context over these services.
    pub fn new(services: impl Services + 'static) -> Self {
        Self(Arc::new(services))
    }

    /// What fills the slot `model`.
    pub fn model(&self) -> impl VisionLanguageModel + Clone + 'static {
        self.slot("model")
    }

    /// What fills the slot `segmenter`.
    pub fn segmenter(&self) -> impl Segmenter + Clone + 'static {
        self.slot("segmenter")
    }

    /// What fills the slot `detector`.
    pub fn detector(&self) -> impl Detector + Clone + 'static {
        self.slot("detector")
    }

    /// What fills the slot `editor`.
    pub fn editor(&self) -> impl CounterfactualEditor + Clone + 'static {
        self.slot("editor")
    }

    /// What fills the slot `dataset`.
    pub fn dataset(&self) -> impl DatasetReader + Clone + 'static {
        self.slot("dataset")
    }

    /// What fills a slot of another name, as a [`Client`] that implements the trait of its kind. An empty slot
    /// shows as [`ErrorKind::Missing`](crate::ErrorKind::Missing) at the first call.
    pub fn slot(&self, name: &str) -> Client {
        Client::new(SlotCaller {
            context: self.clone(),
            slot: name.to_owned(),
        })
    }

    /// Whether something fills the slot.
    pub fn filled(&self, slot: &str) -> bool {
        self.0.filled(slot)
    }

    /// The image in the bytes of a PNG, JPEG, TIFF or DICOM file, decoded by the host in a process that can do nothing else.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if they hold no image that can be decoded, [`Error::unsupported`] if this host decodes none.
    pub fn decode(&self, bytes: &[u8]) -> Result<Picture> {
        let bytes = Tensor::from_array(Array1::from(bytes.to_vec()));
        self.0.call("", DECODE, Message::pack(&bytes)?)?.unpack()
    }

    /// Shows progress, and stops here if the user asked to.
    ///
    /// # Errors
    ///
    /// [`Error::cancelled`]: return it to the caller.
    pub fn step(&self, done: u64, total: u64, note: &str) -> Result<()> {
        if self.0.cancelled() {
            return Err(Error::cancelled());
        }
        self.0.progress(done, total, note);
        Ok(())
    }
}

struct SlotCaller {
    context: Context,
    slot: String,
}

impl Caller for SlotCaller {
    fn call(&self, op: &str, message: Message) -> Result<Message> {
        self.context.0.call(&self.slot, op, message)
    }
}
