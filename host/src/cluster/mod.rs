//! Experiments on clusters that others run: what to hand to a scheduler. There is no scheduler, no daemon and no protocol here;
//! each task is a shard, done by `medfocus run`.

mod hyperqueue;
mod job;
mod kubernetes;
mod quote;
mod settings;
mod slurm;

pub use hyperqueue::line;
pub use job::{Job, SUBMITTED, Submitted};
pub use kubernetes::manifest;
pub use settings::Settings;
pub use slurm::Slurm;
