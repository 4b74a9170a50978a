//! The MedFocus host: finds plugins, lets them work together, and keeps the record.
//!
//! The way of one attribution through this crate: [`config`] says what is wanted, [`plugin`] finds
//! and opens it, [`workbench`] makes the components and fills their slots, [`study`] reads the
//! image, [`attribute`] asks model and method, [`boxes`] turns heat into regions, [`overlay`] draws
//! them, [`output`] writes files that are whole or absent. [`cli`] is the command line over all this.

pub mod attribute;
pub mod boxes;
pub mod cli;
pub mod config;
pub mod libtorch;
pub mod output;
pub mod overlay;
pub mod plugin;
pub mod study;
pub mod workbench;
