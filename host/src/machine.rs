//! What this computes on, and how much memory that takes.

use std::{fs, num::NonZero, thread};

use nvml_wrapper::{Nvml, error::NvmlError};
use serde::{Deserialize, Serialize};

/// A machine, for the record of a measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name for itself.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Names of its graphics cards.
    pub cards: Vec<String>,
}

impl Machine {
    /// The one that this runs on.
    pub fn this() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = field(&processors, "model name");
        let cards = gpus().map(|gpus| gpus.devices).unwrap_or_default();
        Self {
            processor: processor.unwrap_or("unknown processor").to_owned(),
            cores: thread::available_parallelism().map_or(1, NonZero::get),
            cards: cards.into_iter().map(|card| card.name).collect(),
        }
    }
}

/// The graphics cards of this machine.
pub struct Gpus {
    /// Version of the driver.
    pub driver: String,
    /// The newest CUDA that it serves, as 13.0.
    pub cuda: String,
    /// The cards, in the driver's order.
    pub devices: Vec<Card>,
}

/// A graphics card.
pub struct Card {
    /// Its name.
    pub name: String,
    /// Bytes of its memory that nobody uses.
    pub free: u64,
    /// Bytes of its memory.
    pub total: u64,
}

/// Asks NVIDIA's driver.
///
/// # Errors
///
/// There is none, or it does not answer.
pub fn gpus() -> Result<Gpus, NvmlError> {
    let nvml = Nvml::init()?;
    let cuda = nvml.sys_cuda_driver_version()?;
    let devices = (0..nvml.device_count()?).map(|number| {
        let device = nvml.device_by_index(number)?;
        let memory = device.memory_info()?;
        Ok(Card {
            name: device.name()?,
            free: memory.free,
            total: memory.total,
        })
    });
    Ok(Gpus {
        driver: nvml.sys_driver_version()?,
        cuda: format!("{}.{}", cuda / 1000, cuda % 1000 / 10),
        devices: devices.collect::<Result<_, NvmlError>>()?,
    })
}

/// Lets [`peak`] begin anew. Where the kernel does not allow it, the peak is that since the process began.
pub fn restart_peak() {
    let begun = fs::write("/proc/self/clear_refs", "5");
    if let Err(error) = begun {
        tracing::debug!("the peak of memory cannot be counted anew: {error}");
    }
}

/// Bytes of memory that this process held at most since [`restart_peak`], all of its threads and what it has mapped and
/// read among them; nothing where the kernel does not say.
pub fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 = field(&status, "VmHWM")?.strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// The value of a line `NAME : VALUE`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(key, _)| key.trim() == name);
    values.next().map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_of_what_was_held_since() {
        const SIZE: usize = 256 << 20;
        let hold = || std::hint::black_box(vec![1_u8; SIZE]).len() as u64;
        restart_peak();
        let before = peak().unwrap();
        let held = hold();
        let reached = peak().unwrap();
        assert!(reached >= before + held / 2, "{before} to {reached}");
        restart_peak();
        let after = peak().unwrap();
        assert!(after <= reached - held / 2, "{reached} to {after}");
    }

    #[test]
    fn a_machine_has_cores_and_a_name() {
        let machine = Machine::this();
        assert!(machine.cores > 0 && !machine.processor.is_empty());
        assert_eq!(field("a : b\nVmHWM:\t  12 kB\n", "VmHWM"), Some("12 kB"));
    }
}
