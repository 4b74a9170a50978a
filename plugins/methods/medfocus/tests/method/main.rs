//! MedFocus on phantoms, against a model of closed form.

#[path = "../common/mod.rs"]
mod common;
mod editor;
mod fine;
mod host;
mod lungs;
#[path = "../published/mod.rs"]
mod published;
mod refused;
mod result;
mod segmenter;
mod shapley;
