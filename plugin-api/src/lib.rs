//! The stable interface between the MedFocus host and its plugins: all that a plugin author reads.
//!
//! A plugin is a `cdylib` crate. Each of its components implements [`Component`] and the trait of
//! its kind, and one [`export_plugin!`] line lists them:
//!
//! ```
//! use medfocus_plugin_api::{
//!     Attribution, AttributionMethod, BBox, Component, Context, NoParams, Result, ScoredBox, Task,
//! };
//!
//! /// Blames the upper half of every image.
//! pub struct UpperHalf;
//!
//! impl Component for UpperHalf {
//!     const NAME: &'static str = "upper_half";
//!     const SUMMARY: &'static str = "The upper half of the image, whatever the question.";
//!     type Params = NoParams;
//!
//!     fn new(_: NoParams, _: Context) -> Result<Self> {
//!         Ok(Self)
//!     }
//! }
//!
//! impl AttributionMethod for UpperHalf {
//!     fn attribute(&self, task: &Task) -> Result<Attribution> {
//!         let bbox = BBox::new(0, 0, task.image.width(), task.image.height() / 2)?;
//!         Ok(Attribution {
//!             boxes: Some(vec![ScoredBox { bbox, score: 1.0, label: None }]),
//!             ..Attribution::default()
//!         })
//!     }
//! }
//!
//! medfocus_plugin_api::export_plugin! {
//!     method UpperHalf;
//! }
//! ```
//!
//! A method reaches its model through [`Context::model`], which implements the same
//! [`VisionLanguageModel`] trait as the model itself; a test can put a plain struct in its place
//! (feature `testkit`). Panics become errors at the boundary. Logging goes through `tracing`.
//!
//! What is in which frame, and how, is in the types: [`BBox`]`<`[`Native`]`>` and
//! [`BBox`]`<`[`Working`]`>` convert through one [`Letterbox`] and do not mix.

extern crate self as medfocus_plugin_api;

mod component;
mod concepts;
mod context;
mod error;
pub mod export;
pub mod file;
mod frame;
pub mod heat;
mod image;
mod logging;
pub mod manifest;
mod message;
pub mod params;
mod picture;
pub mod protocol;
mod tensor;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;

/// The frozen surface: for the macros of this crate and for the host.
#[doc(hidden)]
pub use medfocus_abi as abi;

/// The version of `ndarray` whose arrays and views this crate takes and gives.
pub use ndarray;

pub use component::Component;
pub use concepts::CONCEPTS;
pub use context::{Context, Services};
pub use error::{Error, ErrorKind, Result};
pub use frame::{BBox, Frame, Letterbox, Native, WORKING_SIDE, Working};
pub use heat::HeatMap;
pub use image::{GrayImage, Mask};
pub use manifest::{Ability, Kind, Manifest, Slot};
pub use message::Message;
pub use params::{NoParams, Params};
pub use picture::{DECODE, Picture};
pub use protocol::{
    Caller, Client,
    dataset::{
        ChoiceRequest, Chosen, DatasetInfo, DatasetReader, NO_FINDING, Oddity, Sample, SampleKey,
    },
    detector::{DetectRequest, Detector},
    editor::{CounterfactualEditor, EditRequest},
    method::{Attribution, AttributionMethod, ScoredBox, Task},
    mode::Mode,
    model::{
        AttentionKind, Batch, Coordinates, GenerateEachRequest, GenerateRequest, Generation,
        Memory, ModelInfo, ScoreRequest, Scores, VisionLanguageModel,
    },
    segmenter::{Segment, SegmentRequest, Segmenter},
    tokens::{AnswerSpan, Token},
    trace::{
        Capture, Layout, Objective, PixelBaseline, PixelPath, Quantity, RelevanceRule, Trace,
        TraceRequest, Want, Wrt,
    },
};
pub use tensor::{Dtype, Element, Tensor};

/// The page of the registry: its component compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// For the macros of this crate.
#[doc(hidden)]
pub mod __private {
    pub use {serde, serde_json};
}
