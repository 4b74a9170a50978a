//! PhantomCXR as a dataset: synthetic chest X-rays whose evidence is known, not annotated.
mod displace;
mod plan;
mod reader;

pub use plan::{Plan, Presence, Question, Split};
pub use reader::{PhantomParams, PhantomReader};

medfocus_plugin_api::export_plugin! {
    dataset PhantomReader;
}
