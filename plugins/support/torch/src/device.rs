//! Which device a model runs on, and in which number format.
//!
//! The same binary runs with and without CUDA. libtorch's CUDA half is a library of its own that
//! must be open before the FIRST question about CUDA in the process, or CUDA stays unavailable for
//! good; linking it would make plugins unloadable on machines without it. So it is opened here, by
//! path, beside the `libtorch_cpu.so` that is already loaded.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::{Cuda, Device, Kind};

use crate::{Error, Result};

/// The device a configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceRequest {
    /// The first CUDA device if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl FromStr for DeviceRequest {
    type Err = Error;

    /// Reads `auto`, `cpu`, `cuda` (the first one) or `cuda:N`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| {
                    Error::Device(format!("unknown device {text:?}: use auto, cpu or cuda:N"))
                }),
        }
    }
}

/// The number format a configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// f32 on the CPU, bf16 on CUDA.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// bfloat16.
    Bf16,
}

impl FromStr for Precision {
    type Err = Error;

    /// Reads `auto`, `f32` or `bf16`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::Device(format!(
                "unknown precision {text:?}: use auto, f32 or bf16"
            ))),
        }
    }
}

impl Precision {
    /// The libtorch number format on this device.
    pub fn kind(self, device: Device) -> Kind {
        match (self, device) {
            (Self::F32, _) | (Self::Auto, Device::Cpu) => Kind::Float,
            (Self::Bf16, _) | (Self::Auto, _) => Kind::BFloat16,
        }
    }
}

/// The device to use, opening libtorch's CUDA half if the request may need it.
pub fn resolve(request: DeviceRequest) -> Result<Device> {
    choose(request, cuda_devices)
}

/// The choice itself. CUDA is asked about only when the request may need it.
fn choose(request: DeviceRequest, cuda_devices: impl Fn() -> usize) -> Result<Device> {
    match request {
        DeviceRequest::Cpu => Ok(Device::Cpu),
        DeviceRequest::Auto if cuda_devices() == 0 => Ok(Device::Cpu),
        DeviceRequest::Auto => Ok(Device::Cuda(0)),
        DeviceRequest::Cuda(number) => match cuda_devices() {
            0 => Err(Error::Device(format!(
                "cuda:{number} was asked for, but libtorch sees no CUDA device: use device = \"cpu\", or install a CUDA build of libtorch"
            ))),
            count if number < count => Ok(Device::Cuda(number)),
            count => Err(Error::Device(format!(
                "cuda:{number} was asked for, but there are only {count} CUDA devices, numbered from 0"
            ))),
        },
    }
}

/// How many CUDA devices libtorch can use; asked once a process.
fn cuda_devices() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        if open_cuda_half() {
            Cuda::device_count().try_into().unwrap_or(0)
        } else {
            0
        }
    })
}

/// Opens `libtorch_cuda.so` for the rest of the process; false when there is none to open.
fn open_cuda_half() -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let Some(path) = libtorch_folder(&maps).map(|folder| folder.join("libtorch_cuda.so")) else {
        return false;
    };
    if !path.is_file() {
        return false;
    }
    // SAFETY: runs libtorch's own initialisers, as linking it would; it is never closed.
    match unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            std::mem::forget(library);
            true
        }
        Err(_) => false,
    }
}

/// The folder of the `libtorch_cpu.so` that this process has mapped.
fn libtorch_folder(maps: &str) -> Option<PathBuf> {
    maps.lines()
        .filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])))
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name == "libtorch_cpu.so")
        })
        .and_then(Path::parent)
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_typos_are_named() {
        assert_eq!(
            "auto".parse::<DeviceRequest>().unwrap(),
            DeviceRequest::Auto
        );
        assert_eq!("cpu".parse::<DeviceRequest>().unwrap(), DeviceRequest::Cpu);
        assert_eq!(
            "cuda".parse::<DeviceRequest>().unwrap(),
            DeviceRequest::Cuda(0)
        );
        assert_eq!(
            "cuda:3".parse::<DeviceRequest>().unwrap(),
            DeviceRequest::Cuda(3)
        );
        for wrong in ["gpu", "cuda:", "cuda:x", "CPU", ""] {
            let error = wrong.parse::<DeviceRequest>().unwrap_err().to_string();
            assert!(error.contains(&format!("{wrong:?}")), "{error}");
        }
        assert!("fp8".parse::<Precision>().is_err());
    }

    #[test]
    fn the_choice_follows_what_is_there() {
        let never = || panic!("the CPU needs no question about CUDA");
        assert_eq!(choose(DeviceRequest::Cpu, never).unwrap(), Device::Cpu);
        assert_eq!(choose(DeviceRequest::Auto, || 0).unwrap(), Device::Cpu);
        assert_eq!(choose(DeviceRequest::Auto, || 2).unwrap(), Device::Cuda(0));
        assert_eq!(
            choose(DeviceRequest::Cuda(1), || 2).unwrap(),
            Device::Cuda(1)
        );
        let none = choose(DeviceRequest::Cuda(0), || 0)
            .unwrap_err()
            .to_string();
        assert!(none.contains("no CUDA device"), "{none}");
        let few = choose(DeviceRequest::Cuda(2), || 2)
            .unwrap_err()
            .to_string();
        assert!(few.contains("only 2"), "{few}");
    }

    #[test]
    fn the_number_format_follows_the_device() {
        assert_eq!(Precision::Auto.kind(Device::Cpu), Kind::Float);
        assert_eq!(Precision::Auto.kind(Device::Cuda(0)), Kind::BFloat16);
        assert_eq!(Precision::F32.kind(Device::Cuda(0)), Kind::Float);
        assert_eq!(Precision::Bf16.kind(Device::Cpu), Kind::BFloat16);
    }

    #[test]
    fn the_folder_is_read_from_the_memory_map() {
        let maps = "7f00-7f01 r-xp 00000000 08:01 12 /usr/lib/libc.so.6\n\
                    7f02-7f03 r--p 00000000 00:00 0\n\
                    7f04-7f05 r-xp 00000000 08:01 13 /opt/torch 2/lib/libtorch_cpu.so\n";
        assert_eq!(
            libtorch_folder(maps),
            Some(PathBuf::from("/opt/torch 2/lib"))
        );
        assert_eq!(libtorch_folder("7f00-7f01 r-xp 0 0:0 0 [stack]\n"), None);
    }

    #[test]
    fn this_process_has_libtorch_mapped() {
        let _ = Device::Cpu;
        let _ = tch::Tensor::zeros([1], (Kind::Float, Device::Cpu));
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(libtorch_folder(&maps).is_some());
    }
}
