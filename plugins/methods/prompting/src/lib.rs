//! Attribution by asking the model itself where its evidence is.
//!
//! What a model writes is read as data by a tolerant scanner ([`answer`]) in one pass over the text: it costs linear
//! time and bounded memory whatever the text, and nothing in it is evaluated.
pub mod answer;
mod ask;
mod convention;
mod prompting;
mod prompting_medsam;

pub use convention::{Convention, Coordinates};
pub use prompting::{Prompting, PromptingParams};
pub use prompting_medsam::{PromptingMedSam, PromptingMedSamParams};

medfocus_plugin_api::export_plugin! {
    method Prompting;
    method PromptingMedSam;
}
