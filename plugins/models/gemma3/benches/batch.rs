//! What an image costs at each batch size, in time: 65 scores, and 36 pixel gradients along a path.
//!
//! On the demo checkpoint and one thread, unless `OMP_NUM_THREADS` says otherwise; the best of some
//! rounds. `cargo bench -p medfocus-model-gemma3 --bench batch`.

use std::path::Path;

use medfocus_model_gemma3::Backend;
use medfocus_plugin_api::{
    GrayImage, PixelBaseline, PixelPath, ScoreRequest, TraceRequest, Want, Wrt,
};
use medfocus_torch::tch::{self, Device, Kind};
use ndarray::Array2;

const QUESTION: &str = "Is there evidence of pleural effusion in the image? \
                        Answer directly with yes or no without any explanation.";
const SCORES: usize = 65;
const POINTS: usize = 36;
const ROUNDS: usize = 6;

fn main() {
    if std::env::var_os("OMP_NUM_THREADS").is_none() {
        tch::set_num_threads(1);
    }
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../configs/checkpoints/phantom-gemma3");
    let image = |seed: usize| {
        let pixels = Array2::from_shape_fn((224, 224), |(y, x)| ((y * x + 37 * seed) % 251) as u8);
        GrayImage::from_array(pixels).expect("it has pixels")
    };
    let score = ScoreRequest::new((0..SCORES).map(image).collect(), QUESTION, "Yes");
    let trace = TraceRequest::new(image(0), QUESTION, "Yes", vec![Want::Gradient(Wrt::Pixels)])
        .with_path(PixelPath {
            baseline: PixelBaseline::NormalisedZero,
            alphas: (0..POINTS).map(|at| at as f64 / POINTS as f64).collect(),
        });
    println!("batch   ms a score   ms a gradient");
    for batch in [1, 2, 4, 8, 16, 32] {
        let backend = Backend::from_folder(&folder, Device::Cpu, Kind::Float, batch)
            .expect("the demo checkpoint is there");
        let scores = best(|| drop(backend.score(&score, &|_, _| Ok(())).expect("it scores")));
        let gradients = best(|| drop(backend.trace(&trace, &|_, _| Ok(())).expect("it traces")));
        println!(
            "{batch:>5} {:>12.2} {:>15.2}",
            scores / SCORES as f64,
            gradients / POINTS as f64
        );
    }
}

/// Milliseconds of the fastest round.
fn best(run: impl Fn()) -> f64 {
    let times = (0..ROUNDS).map(|_| {
        let start = cpu_milliseconds();
        run();
        cpu_milliseconds() - start
    });
    times.fold(f64::INFINITY, f64::min)
}

/// How long this thread has run so far; unlike a clock it does not count the work of others.
fn cpu_milliseconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text
        .split_whitespace()
        .next()
        .and_then(|n| n.parse::<f64>().ok());
    nanoseconds.unwrap_or_default() / 1e6
}
