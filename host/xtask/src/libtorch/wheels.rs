//! The pinned files libtorch is made of.
//!
//! PyTorch's Linux wheels carry libtorch; its library folder finds NVIDIA's wheels beside it. Even
//! without a GPU, libtorch_cpu.so needs the CUDA runtime and CUPTI. The digests are those PyPI
//! publishes; the C++ libraries are the same for every Python version, so one wheel (CPython 3.11)
//! serves all.

/// What is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Runs on the CPU.
    Cpu,
    /// Runs on the CPU and on NVIDIA GPUs.
    Cuda,
}

/// One wheel of a package index, and what of it is unpacked.
pub struct Wheel {
    pub file: &'static str,
    /// Lower-case hexadecimal.
    pub sha256: &'static str,
    /// Members for both variants: a path, or a folder (ending in `/`).
    base: &'static [&'static str],
    /// Further members for CUDA.
    cuda: &'static [&'static str],
}

impl Wheel {
    /// The project's name on a package index: a wheel's file name begins with it, `-` spelt `_`.
    pub fn project(&self) -> String {
        self.file
            .split('-')
            .next()
            .unwrap_or_default()
            .replace('_', "-")
    }

    /// Whether the archive member `path` is unpacked.
    pub fn keeps(&self, path: &str, variant: Variant) -> bool {
        self.members(variant)
            .any(|kept| match kept.strip_suffix('/') {
                Some(folder) => path
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.starts_with('/')),
                None => path == *kept,
            })
            && !path.ends_with(".a")
    }

    /// The single files that must be found in the wheel.
    pub fn required(&self, variant: Variant) -> impl Iterator<Item = &'static str> {
        self.members(variant)
            .copied()
            .filter(|member| !member.ends_with('/'))
    }

    fn members(&self, variant: Variant) -> impl Iterator<Item = &'static &'static str> {
        self.base.iter().chain(match variant {
            Variant::Cpu => &[],
            Variant::Cuda => self.cuda,
        })
    }
}

/// The wheels a variant needs.
pub fn wheels(variant: Variant) -> impl Iterator<Item = &'static Wheel> {
    WHEELS
        .iter()
        .filter(move |wheel| wheel.members(variant).next().is_some())
}

const CUDA_LIBRARIES: &[&str] = &["nvidia/cu13/lib/"];

/// CUDA versions are those torch 2.13.0 requires through cuda-toolkit 13.0.3; where it allows a
/// range (nvJitLink), the one of that toolkit.
const WHEELS: [Wheel; 15] = [
    Wheel {
        file: "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        sha256: "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
        base: &[
            "torch/include/",
            "torch/lib/libc10.so",
            "torch/lib/libgomp.so.1",
            "torch/lib/libtorch.so",
            "torch/lib/libtorch_cpu.so",
            "torch/lib/libtorch_global_deps.so",
        ],
        cuda: &[
            "torch/lib/libc10_cuda.so",
            "torch/lib/libcaffe2_nvrtc.so",
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libtorch_cuda_linalg.so",
            "torch/lib/libtorch_nvshmem.so",
        ],
    },
    Wheel {
        file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        base: &["nvidia/cu13/lib/libcudart.so.13"],
        cuda: &[],
    },
    Wheel {
        file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        base: &["nvidia/cu13/lib/libcupti.so.13"],
        cuda: CUDA_LIBRARIES,
    },
    Wheel {
        file: "nvidia_cublas-13.1.1.3-py3-none-manylinux_2_27_x86_64.whl",
        sha256: "37936a16db8fe4ac1f065c2139360608a543a09275cb1a1af612e08cfa065436",
        base: &[],
        cuda: CUDA_LIBRARIES,
    },
    Wheel {
        file: "nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        sha256: "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
        base: &[],
        cuda: CUDA_LIBRARIES,
    },
    Wheel {
        file: "nvidia_cudnn_cu13-9.20.0.48-py3-none-manylinux_2_27_x86_64.whl",
        sha256: "0c45dd8eeb50b603f07995b1b300c62ffe6a1980482b82b3bcf94a4ca9d49304",
        base: &[],
        cuda: &["nvidia/cudnn/lib/"],
    },
    Wheel {
        file: "nvidia_cufft-12.0.0.61-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        sha256: "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3",
        base: &[],
        cuda: CUDA_LIBRARIES,
    },
    Wheel {
        file: "nvidia_cufile-1.15.1.6-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        sha256: "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44",
        base: &[],
        cuda: CUDA_LIBRARIES,
    },
    Wheel {
        file: "nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_x86_64.whl",
        sha256: "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
        base: &[],
        cuda: CUDA_LIBRARIES,
    },
    Wheel {
        file: "nvidia_cusolver-12.0.4.66-py3-none-manylinux_2_27_x86_64.whl",
        sha256: "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112",
        base: &[],
        cuda: CUDA_LIBRARIES,
    },
    Wheel {
        file: "nvidia_cusparse-12.6.3.3-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        sha256: "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b",
        base: &[],
        cuda: CUDA_LIBRARIES,
    },
    Wheel {
        file: "nvidia_cusparselt_cu13-0.8.1-py3-none-manylinux2014_x86_64.whl",
        sha256: "786ce87568c303fadb5afcc7102d454cd3040d75f6f8626f5db460d1871f4dd0",
        base: &[],
        cuda: &["nvidia/cusparselt/lib/"],
    },
    Wheel {
        file: "nvidia_nccl_cu13-2.29.7-py3-none-manylinux_2_18_x86_64.whl",
        sha256: "edd81538446786ec3b73972543e53bb43bcaf0bfc8ef76cb679fcc390ffe136d",
        base: &[],
        cuda: &["nvidia/nccl/lib/"],
    },
    Wheel {
        file: "nvidia_nvjitlink-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        sha256: "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b",
        base: &[],
        cuda: CUDA_LIBRARIES,
    },
    Wheel {
        file: "nvidia_nvshmem_cu13-3.4.5-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        sha256: "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80",
        base: &[],
        cuda: &["nvidia/nvshmem/lib/"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn torch() -> &'static Wheel {
        &WHEELS[0]
    }

    #[test]
    fn the_cpu_variant_is_torch_and_the_two_libraries_it_needs() {
        let projects: Vec<_> = wheels(Variant::Cpu).map(Wheel::project).collect();
        assert_eq!(
            projects,
            ["torch", "nvidia-cuda-runtime", "nvidia-cuda-cupti"]
        );
        assert_eq!(wheels(Variant::Cuda).count(), WHEELS.len());
    }

    #[test]
    fn cuda_libraries_are_kept_only_for_cuda() {
        assert!(torch().keeps("torch/lib/libtorch_cpu.so", Variant::Cpu));
        assert!(!torch().keeps("torch/lib/libtorch_cuda.so", Variant::Cpu));
        assert!(torch().keeps("torch/lib/libtorch_cuda.so", Variant::Cuda));
        assert!(!torch().keeps("torch/lib/libtorch_python.so", Variant::Cuda));
    }

    #[test]
    fn a_folder_is_kept_whole_and_only_that_folder() {
        assert!(torch().keeps("torch/include/c10/core/Device.h", Variant::Cpu));
        assert!(!torch().keeps("torch/includes.txt", Variant::Cpu));
        assert!(!torch().keeps("functorch/include/x.h", Variant::Cpu));
    }

    #[test]
    fn static_libraries_are_left_out() {
        let cupti = &WHEELS[2];
        assert!(cupti.keeps("nvidia/cu13/lib/libnvperf_host.so", Variant::Cuda));
        assert!(!cupti.keeps("nvidia/cu13/lib/libcupti_static.a", Variant::Cuda));
    }

    #[test]
    fn every_pin_is_a_linux_wheel_with_a_sha256() {
        for wheel in &WHEELS {
            assert!(wheel.file.ends_with("x86_64.whl"), "{}", wheel.file);
            assert_eq!(wheel.sha256.len(), 64, "{}", wheel.file);
            assert!(
                wheel
                    .sha256
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
                "{}",
                wheel.file
            );
        }
    }
}
