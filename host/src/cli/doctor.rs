//! `medfocus doctor`.

use std::process::ExitCode;

use medfocus_plugin_api::{Kind, Result};
use nvml_wrapper::error::NvmlError;

use super::plugins::said;
use crate::{
    libtorch,
    machine::{Gpus, gpus},
    workbench::Workbench,
};

/// Looks at everything a run would need and says what is wrong.
pub fn run(bench: &Workbench) -> Result<ExitCode> {
    let mut sound = true;
    let mut report = |good: bool, line: String| {
        println!("{} {line}", if good { "ok  " } else { "FAIL" });
        sound &= good;
    };

    match bench.libtorch.locate() {
        Ok(dir) => {
            let version = libtorch::version(&dir).unwrap_or_else(|| "of unstated version".into());
            report(true, format!("libtorch {version} in {}", dir.display()));
        }
        Err(error) => report(false, error.to_string()),
    }
    report(true, format!("trust: {}", bench.layers.trust));
    for error in bench.registry.refused() {
        report(false, error.to_string());
    }
    for sentence in bench.registry.shadowed() {
        report(false, sentence.clone());
    }
    for plugin in bench.registry.plugins() {
        match bench.usable(plugin) {
            Ok((id, voucher)) => {
                let by = said(&voucher);
                report(true, format!("plugin {} {}{by}", id.name, id.version));
            }
            Err(error) => report(false, error.to_string()),
        }
    }
    for kind in [Kind::Method, Kind::Model, Kind::Dataset] {
        let names: Vec<_> = bench
            .registry
            .components(kind)
            .map(|(_, component)| component.name.as_str())
            .collect();
        report(
            !names.is_empty(),
            format!("{}s: {}", kind.name(), names.join(", ")),
        );
    }
    let half = bench
        .libtorch
        .locate()
        .is_ok_and(|dir| libtorch::has_cuda(&dir));
    for (good, line) in graphics(gpus(), half) {
        report(good, line);
    }
    for folder in &bench.layers.config.model_folders {
        match folder.read_dir() {
            Ok(entries) => report(
                true,
                format!(
                    "model folder {}: {} files",
                    folder.display(),
                    entries.count()
                ),
            ),
            Err(error) => report(
                true,
                format!("model folder {} is not used: {error}", folder.display()),
            ),
        }
    }
    Ok(ExitCode::from(u8::from(!sound)))
}

/// What there is to compute on, and what `device = "auto"` will use; `half` says whether libtorch has its CUDA half.
fn graphics(gpus: Result<Gpus, NvmlError>, half: bool) -> Vec<(bool, String)> {
    let Gpus {
        driver,
        cuda,
        devices,
    } = match gpus {
        Ok(gpus) if !gpus.devices.is_empty() => gpus,
        Ok(_) => return vec![(true, "no GPU: models run on the CPU".to_owned())],
        // No driver is no fault; a driver that answers with an error is one.
        Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound) => {
            return vec![(true, "no NVIDIA driver: models run on the CPU".to_owned())];
        }
        Err(error) => return vec![(false, format!("NVIDIA's driver does not answer: {error}"))],
    };
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let mut lines = vec![(true, format!("NVIDIA driver {driver}, up to CUDA {cuda}"))];
    lines.extend(devices.iter().enumerate().map(|(number, card)| {
        let (name, free, all) = (&card.name, gib(card.free), gib(card.total));
        (
            true,
            format!("cuda:{number} {name}, {free:.1} of {all:.1} GiB free"),
        )
    }));
    lines.push(if half {
        (true, "libtorch has its CUDA half: `auto` uses cuda:0 in bf16".to_owned())
    } else {
        let advice = "libtorch has no CUDA half, so models run on the CPU: point `libtorch.dir` or LIBTORCH to a CUDA build";
        (false, advice.to_owned())
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Card;

    fn one() -> Gpus {
        Gpus {
            driver: "580.95".to_owned(),
            cuda: "13.0".to_owned(),
            devices: vec![Card {
                name: "NVIDIA H100".to_owned(),
                free: 70 << 30,
                total: 80 << 30,
            }],
        }
    }

    #[test]
    fn a_gpu_that_cannot_be_used_is_a_fault_and_none_is_not() {
        let lines = graphics(Ok(one()), true);
        assert!(lines.iter().all(|(good, _)| *good));
        assert_eq!(lines[0].1, "NVIDIA driver 580.95, up to CUDA 13.0");
        assert_eq!(lines[1].1, "cuda:0 NVIDIA H100, 70.0 of 80.0 GiB free");
        assert!(lines[2].1.contains("uses cuda:0"));

        let lines = graphics(Ok(one()), false);
        assert!(
            !lines[2].0 && lines[2].1.contains("CUDA build"),
            "{lines:?}"
        );

        for none in [
            Err(NvmlError::LibraryNotFound),
            Ok(Gpus {
                devices: Vec::new(),
                ..one()
            }),
        ] {
            let lines = graphics(none, true);
            assert!(lines[0].0 && lines[0].1.ends_with("models run on the CPU"));
        }
        let lines = graphics(Err(NvmlError::DriverNotLoaded), true);
        assert!(!lines[0].0, "{lines:?}");
    }
}
