//! What every component of a kind owes its host, checked in one call.
//!
//! ```
//! # use medfocus_plugin_api::{*, testkit::conformance};
//! # pub struct UpperHalf;
//! # impl Component for UpperHalf {
//! #     const NAME: &'static str = "upper_half";
//! #     const SUMMARY: &'static str = "The upper half of the image, whatever the question.";
//! #     type Params = NoParams;
//! #     fn new(_: NoParams, _: Context) -> Result<Self> { Ok(Self) }
//! # }
//! # impl AttributionMethod for UpperHalf {
//! #     fn attribute(&self, task: &Task) -> Result<Attribution> {
//! #         let bbox = BBox::new(0, 0, task.image.width(), task.image.height() / 2)?;
//! #         let boxes = Some(vec![ScoredBox { bbox, score: 1.0, label: None }]);
//! #         Ok(Attribution { boxes, ..Attribution::default() })
//! #     }
//! # }
//! conformance::method::<UpperHalf>(NoParams::default()).assert();
//! ```
//!
//! The component is made by its own constructor with the given parameters. Its slots are filled with the toys of
//! [`testkit`](super), and every message is packed and unpacked as between plugins. Of every kind it is checked:
//!
//! | check | what holds |
//! | --- | --- |
//! | `declaration` | the name is lower case, digits and `_`; the summary is one line; every parameter has a description |
//! | `defaults` | all parameters may be left out; with their defaults the component is made, or says what it lacks |
//! | `parameters` | an unknown key, a value of another type and one out of range are refused by a sentence that names the key |
//! | `determinism` | the same request twice, and to another instance, gives the same answer to the last bit |
//! | `cancellation` | once the host says cancelled, a component that calls slots, shows progress or takes longer than a second ends with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), within a second |
//! | `growth` | after 100 runs no more tensors of requests and answers are held than after 50, and the process has grown by less than [`GROWTH`] bytes in between (Linux only) |
//! | `empty slots` | without a required slot that it uses it fails with [`ErrorKind::Missing`](crate::ErrorKind::Missing); without the optional ones it works |
//! | `failing slots` | when what fills a required slot fails, that error is passed on with its kind and its sentence |
//! | `answers` | what it answers is well-formed; see the function of its kind |
//!
//! A component that holds on to a bounded number of requests, as a cache of the last image does, passes `growth`.

mod answers;
mod common;
mod dataset;
mod detector;
mod editor;
mod growth;
mod method;
mod model;
mod parameters;
mod report;
mod scene;
mod segmenter;
mod subject;

pub use dataset::dataset;
pub use detector::detector;
pub use editor::{Outside, editor};
pub use growth::GROWTH;
pub use method::method;
pub use model::{TOLERANCE, model};
pub use report::Report;
pub use segmenter::segmenter;
