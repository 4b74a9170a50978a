//! The estimate of working memory against what a process really takes.

mod common;

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use common::random;
use medfocus_lvlm::memory::{Batch, budget, estimate};
use medfocus_lvlm::network::Family as _;
use medfocus_lvlm_parity::fixture::go_on;
use medfocus_model_gemma3::config::Config;
use medfocus_model_gemma3::{Backend, Family};
use medfocus_plugin_api::{
    GrayImage, Memory, PixelBaseline, PixelPath, ScoreRequest, TraceRequest, Want, Wrt,
};
use medfocus_torch::tch::{Device, Kind};
use ndarray::Array2;

const CASE: &str = "MEDFOCUS_MEMORY_CASE";
/// Images of the larger batch; the smaller has one.
const IMAGES: usize = 17;
/// About as long as the estimate supposes.
const QUESTION: &str = "Is there evidence of pleural effusion in the image? Think step by step.";
const ANSWER: &str = "The left costophrenic angle is blunted, and the right one is not, so yes.";

#[test]
fn the_estimate_is_within_a_factor_of_two() {
    for network in ["demo", "wide"] {
        for work in ["score", "pixel gradient"] {
            // A process of its own, since memory that was freed is still held.
            let output = Command::new(env::current_exe().unwrap())
                .args(["measure", "--exact", "--ignored", "--nocapture"])
                .env(CASE, format!("{network} {work}"))
                .env("OMP_NUM_THREADS", "1")
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            let line = text.lines().find_map(|line| line.split_once("measured: "));
            let (_, line) = line.unwrap_or_else(|| panic!("{network} {work}: {text}"));
            println!("{network} {work}: {line}");
            let numbers: Vec<f64> = line
                .split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect();
            let ratio = numbers[1] / numbers[0];
            assert!((0.5..2.0).contains(&ratio), "{network} {work}: {line}");
        }
    }
}

#[test]
#[ignore = "a case of the other test"]
fn measure() {
    let Ok(case) = env::var(CASE) else { return };
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../configs/checkpoints/phantom-gemma3");
    let (_folder, backend) = if case.starts_with("demo") {
        let backend = Backend::from_folder(&folder, Device::Cpu, Kind::Float, IMAGES).unwrap();
        (None, backend)
    } else {
        let (folder, backend) = random::backend(8_192, 12, IMAGES);
        (Some(folder), backend)
    };
    let expected = backend.memory((224, 224)).unwrap();
    let (run, expected): (fn(&Backend, usize), u64) = if case.ends_with("score") {
        (score, expected.score)
    } else {
        (gradient, expected.pixel_gradient)
    };
    let [one, many] = [1, IMAGES].map(|images| {
        run(&backend, images);
        peak_bytes()
    });
    let each = (many - one) / (IMAGES as u64 - 1);
    println!("measured: {each} estimated: {expected}");
}

fn image(level: u8) -> GrayImage {
    GrayImage::from_array(Array2::from_elem((224, 224), level)).unwrap()
}

fn score(backend: &Backend, images: usize) {
    // Equal ones would be run once.
    let images = (0..images as u8).map(image).collect();
    let request = ScoreRequest::new(images, QUESTION, ANSWER);
    backend.score(&request, &go_on).unwrap();
}

fn gradient(backend: &Backend, points: usize) {
    let request = TraceRequest::new(
        image(90),
        QUESTION,
        ANSWER,
        vec![Want::Gradient(Wrt::Pixels)],
    )
    .with_path(PixelPath {
        baseline: PixelBaseline::NormalisedZero,
        alphas: vec![0.5; points],
    });
    backend.trace(&request, &go_on).unwrap();
}

/// The most memory this process has held.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes.unwrap() * 1024
}

#[test]
fn the_released_model_fits_a_workstation() {
    let text = |depth: usize| {
        format!(
            r#"{{"model_type": "gemma3", "mm_tokens_per_image": 256, "boi_token_index": 255999,
            "eoi_token_index": 256000, "image_token_index": 262144,
            "text_config": {{"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": {depth},
                "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262208}},
            "vision_config": {{"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
                "num_attention_heads": 16, "image_size": 896, "patch_size": 14}}}}"#
        )
    };
    let memory = |depth, kind| {
        let config = Config::parse(&text(depth)).unwrap();
        estimate(Family::shapes(&config, 896, 896), kind)
    };
    let (narrow, wide) = (memory(34, Kind::BFloat16), memory(34, Kind::Float));
    assert!((100 << 20..400 << 20).contains(&narrow.score), "{narrow:?}");
    assert!(
        (1 << 30..4 << 30).contains(&narrow.pixel_gradient),
        "{narrow:?}"
    );
    assert!(wide.score > narrow.score && wide.pixel_gradient > narrow.pixel_gradient);
    // Nothing is recorded for a score, so depth costs nothing.
    let deeper = memory(48, Kind::BFloat16);
    assert_eq!(deeper.score, narrow.score);
    assert!(deeper.pixel_gradient > narrow.pixel_gradient);
}

#[test]
fn the_batch_follows_the_shapes_alone_within_limits() {
    let each = |bytes: u64| Memory {
        score: bytes,
        pixel_gradient: 4 * bytes,
    };
    let own = budget(None, 1 << 40);
    assert_eq!(own, 2 << 30, "however much is free");
    let fitting = |bytes, device| Batch::fitting(each(bytes), own, device);
    assert_eq!(fitting(1, Device::Cpu), Batch::from(8));
    assert_eq!(fitting(1 << 60, Device::Cpu), Batch::from(1));
    let cpu = fitting(1 << 28, Device::Cpu);
    assert_eq!((cpu.score, cpu.pixel_gradient), (8, 2));
    let large = fitting(1 << 30, Device::Cpu);
    assert_eq!((large.score, large.pixel_gradient), (2, 1));
    let cuda = fitting(1 << 28, Device::Cuda(0));
    assert_eq!((cuda.score, cuda.pixel_gradient), (8, 2));
    // A device that says what it has: a quarter of what the weights leave.
    assert_eq!(budget(Some(80 << 30), 8 << 30), 18 << 30);
    assert_eq!(budget(Some(8 << 30), 9 << 30), 0);
    let large = Batch::fitting(each(1 << 28), 18 << 30, Device::Cuda(0));
    assert_eq!((large.score, large.pixel_gradient), (32, 18));
    assert_eq!(Batch::from(0), Batch::from(1));
}
