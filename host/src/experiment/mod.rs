//! Experiments: datasets x models x methods x modes, run to the end whatever happens on the way.
//!
//! [`config`] says what is wanted, `planning` works out the [`plan`], what that comes down to before anything runs, with
//! `variants` of a method as methods of their own, [`trial`] tries a few samples and [`estimate`] says what
//! all will cost,
//! [`tuning`] chooses swept parameters on a split of its own, [`filtering`] finds the samples whose region is proven to
//! cause the answer, [`run`] leads through the [`stage`]s, in which `workers`
//! take each sample through [`case`] with a `cast` of methods and write a [`record`] to the [`journal`], [`sanity`] checks
//! that attributions depend on what they should, [`results`] reads it all back, by an [`index`] of where each record lies.

pub mod case;
mod cast;
pub mod config;
pub mod estimate;
mod explaining;
mod filtered;
pub mod filtering;
mod flips;
pub mod index;
pub mod journal;
pub mod merge;
pub mod owner;
pub mod part;
pub mod phase;
pub mod plan;
mod planning;
pub mod record;
pub mod results;
mod roll;
pub mod run;
pub mod sanity;
mod seal;
pub mod shards;
pub mod stage;
pub mod trial;
pub mod tuning;
mod variants;
mod workers;
