//! Which device a model runs on, and in which number format.
//!
//! The same binary runs with and without CUDA. libtorch's CUDA half is a library of its own that
//! must be open before the FIRST question about CUDA in the process, or CUDA stays unavailable for
//! good; linking it would make plugins unloadable on machines without it. So it is opened here, by
//! path, beside the `libtorch_cpu.so` that is already loaded.

#![allow(unsafe_code, reason = "libtorch's CUDA half is opened as code")]

use std::ffi::c_int;
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

/// The device to use, opening libtorch's CUDA half if the request may need it. That `auto` means the CPU although there is a
/// GPU, or a CUDA half of libtorch, is logged with the reason.
pub fn resolve(request: DeviceRequest) -> Result<Device> {
    let device = choose(request, || cuda().devices)?;
    if let (DeviceRequest::Auto, Device::Cpu, Some(why)) = (request, device, &cuda().why_none) {
        tracing::warn!("the model runs on the CPU: {why}");
    }
    Ok(device)
}

/// The choice itself. CUDA is asked about only when the request may need it.
fn choose(request: DeviceRequest, cuda_devices: impl Fn() -> usize) -> Result<Device> {
    match request {
        DeviceRequest::Cpu => Ok(Device::Cpu),
        DeviceRequest::Auto if cuda_devices() == 0 => Ok(Device::Cpu),
        DeviceRequest::Auto => Ok(Device::Cuda(0)),
        DeviceRequest::Cuda(number) => match cuda_devices() {
            0 => Err(Error::Device(format!(
                "cuda:{number} was asked for, but libtorch sees no CUDA device: use device = \"cpu\", or install a CUDA build of libtorch; `medfocus doctor` says what is missing"
            ))),
            count if number < count => Ok(Device::Cuda(number)),
            count => Err(Error::Device(format!(
                "cuda:{number} was asked for, but there are only {count} CUDA devices, numbered from 0"
            ))),
        },
    }
}

/// What libtorch can use of CUDA.
#[derive(Debug)]
struct CudaFound {
    devices: usize,
    /// Why there are none, where one might expect them.
    why_none: Option<String>,
}

/// libtorch's CUDA half.
#[derive(Debug)]
enum Half {
    Missing,
    Failed(String),
    Open,
}

/// Asked once a process.
fn cuda() -> &'static CudaFound {
    static FOUND: OnceLock<CudaFound> = OnceLock::new();
    FOUND.get_or_init(|| {
        let half = open_cuda_half();
        let devices = match half {
            Half::Open => Cuda::device_count().try_into().unwrap_or(0),
            Half::Missing | Half::Failed(_) => 0,
        };
        // The driver of NVIDIA makes this folder.
        let gpu = Path::new("/proc/driver/nvidia").is_dir();
        CudaFound {
            devices,
            why_none: why_none(devices, gpu, &half),
        }
    })
}

/// Why there is no CUDA device, where there is a GPU or a CUDA half: a machine without either needs no explanation.
fn why_none(devices: usize, gpu: bool, half: &Half) -> Option<String> {
    match half {
        _ if devices > 0 => None,
        Half::Failed(why) => Some(format!("libtorch's CUDA half cannot be opened ({why})")),
        Half::Missing if gpu => {
            Some("there is a GPU, but this libtorch is built without CUDA".to_owned())
        }
        Half::Open if gpu => Some(
            "there is a GPU, but libtorch sees none; its driver may be older than this CUDA needs"
                .to_owned(),
        ),
        Half::Missing | Half::Open => None,
    }
}

/// Opens `libtorch_cuda.so` for the rest of the process.
fn open_cuda_half() -> Half {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = libtorch_folder(&maps).map(|folder| folder.join("libtorch_cuda.so"));
    let Some(path) = path.filter(|path| path.is_file()) else {
        return Half::Missing;
    };
    // SAFETY: runs libtorch's own initialisers, as linking it would; it is never closed.
    match unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            std::mem::forget(library);
            Half::Open
        }
        Err(error) => Half::Failed(error.to_string()),
    }
}

/// Bytes of memory that a CUDA device has, by the CUDA runtime that libtorch uses; nothing for another device, or where that
/// runtime does not say.
pub fn memory(device: Device) -> Option<u64> {
    type SetDevice = unsafe extern "C" fn(c_int) -> c_int;
    type MemGetInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
    let Device::Cuda(number) = device else {
        return None;
    };
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let runtime = mapped(&maps, |name| name.starts_with("libcudart"))?;
    let (mut free, mut total) = (0, 0);
    // SAFETY: a library that is open already, whose two functions have had these signatures since CUDA 3; both
    // numbers live until the second returns.
    let failed = unsafe {
        let runtime = Library::open(Some(runtime), RTLD_NOW).ok()?;
        let set_device = runtime.get::<SetDevice>(b"cudaSetDevice").ok()?;
        let mem_get_info = runtime.get::<MemGetInfo>(b"cudaMemGetInfo").ok()?;
        set_device(c_int::try_from(number).ok()?) != 0 || mem_get_info(&mut free, &mut total) != 0
    };
    (!failed).then_some(total as u64)
}

/// The folder of the `libtorch_cpu.so` that this process has mapped.
fn libtorch_folder(maps: &str) -> Option<PathBuf> {
    let library = mapped(maps, |name| name == "libtorch_cpu.so")?;
    library.parent().map(Path::to_owned)
}

/// The file of a library that this process has mapped.
fn mapped(maps: &str, is: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let paths = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    let name = |path: &Path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(&is)
    };
    paths
        .into_iter()
        .find(|path| name(path))
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
    fn who_expects_a_gpu_is_told_why_there_is_none() {
        let failed = || Half::Failed("libcudart.so.13: cannot open shared object file".to_owned());
        assert_eq!(why_none(1, true, &Half::Open), None);
        assert_eq!(why_none(0, false, &Half::Missing), None);
        assert_eq!(why_none(0, false, &Half::Open), None);
        for (gpu, half, words) in [
            (true, Half::Missing, "built without CUDA"),
            (true, Half::Open, "driver"),
            (true, failed(), "libcudart.so.13"),
            (false, failed(), "libcudart.so.13"),
        ] {
            let why = why_none(0, gpu, &half).unwrap();
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn the_number_format_follows_the_device() {
        assert_eq!(Precision::Auto.kind(Device::Cpu), Kind::Float);
        assert_eq!(Precision::Auto.kind(Device::Cuda(0)), Kind::BFloat16);
        assert_eq!(Precision::F32.kind(Device::Cuda(0)), Kind::Float);
        assert_eq!(Precision::Bf16.kind(Device::Cpu), Kind::BFloat16);
    }

    #[test]
    fn only_a_cuda_device_that_is_there_has_memory_of_its_own() {
        assert_eq!(memory(Device::Cpu), None);
        if cuda().devices == 0 {
            assert_eq!(memory(Device::Cuda(0)), None);
        } else {
            assert!(memory(Device::Cuda(0)) > Some(1 << 30));
        }
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
