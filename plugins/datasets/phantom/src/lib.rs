//! PhantomCXR as a dataset: synthetic chest X-rays whose evidence is known, not annotated.
mod displace;
mod editor;
mod phantoms;
mod plan;
mod reader;

pub use editor::PhantomEditor;
pub use phantoms::{PhantomParams, Phantoms};
pub use plan::{Plan, Presence, Question, Split};
pub use reader::PhantomReader;

medfocus_plugin_api::export_plugin! {
    dataset PhantomReader;
    editor PhantomEditor;
}
