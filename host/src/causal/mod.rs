//! The causal filter: is the annotated region proven, by counterfactual editing, to cause the model's answer?
//!
//! Of a sample that is answered correctly, [`edits`] makes images in which either the region or all else was changed, and
//! [`gate`] says what the model's answers to them prove; [`record`] holds both, and [`published`] writes the samples that
//! are kept as MedGround-Bench does. The stage that leads through it is
//! [`experiment::filtering`](crate::experiment::filtering).

pub mod edits;
pub mod gate;
pub mod published;
pub mod record;
