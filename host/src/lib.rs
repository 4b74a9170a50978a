//! The MedFocus host: finds plugins, lets them work together, and keeps the record.
//!
//! The way of one attribution through this crate: [`config`] says what is wanted, [`plugin`] finds
//! and opens it if [`trust`] allows that, [`workbench`] makes the components and fills their slots, [`params`] refuses what they cannot take, [`study`]
//! reads the image, [`score`] asks how likely an answer is, [`attribute`] asks model and method, [`boxes`] turns heat into regions, [`evidence`]
//! reads what a method says of concepts, [`overlay`] draws them, [`files`] names what comes of it, [`encode`] says it in bytes,
//! [`output`] writes files that are whole or absent. [`experiment`] does this for every sample, method and
//! model of a config, [`metrics`] judges the results, [`statistics`] says how sure that is, [`report`] shows them.
//! [`machine`] says what it computes on, [`calibration`] how fast that is, and [`causal`] is the filter that proves which samples' annotated region causes the answer.
//! [`audit`] writes down who ran what. [`dicom`] brings a result back into the archive, [`watch`] keeps track of films that come, [`dataset`] walks a dataset,
//! [`pool`] builds and checks the references of MedFocus. [`serve`] asks over the web, [`bundle`] carries all this to machines without a network. [`cli`] is the command line over
//! all this.

pub mod attribute;
pub mod audit;
pub mod boxes;
pub mod bundle;
pub mod calibration;
pub mod causal;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod dataset;
pub mod dicom;
pub mod encode;
pub mod evidence;
pub mod experiment;
pub mod files;
pub mod isolation;
pub mod libtorch;
pub mod machine;
pub mod metrics;
pub mod output;
pub mod overlay;
pub mod params;
pub mod plugin;
pub mod pool;
pub mod report;
pub mod score;
pub mod serve;
pub mod statistics;
pub mod study;
pub mod trust;
pub mod verdict;
pub mod watch;
pub mod workbench;
