//! Results as DICOM objects: what the config says about them, and how a record becomes some.

pub mod objects;
pub mod settings;
mod source;

pub use settings::Settings;
pub use source::Source;
