//! Results as DICOM objects: what the config says about them, and how a record becomes some.

pub mod objects;
pub mod settings;
pub mod source;

pub use settings::Settings;
