//! What the backend saves, in seconds and in peak memory, each case in a process of its own.
//!
//! - Scores: the vocabulary projected where the answer is predicted, against all positions.
//! - Gradients: the graph recorded from the wanted layer up, against the whole decoder.
//!
//! Random weights in the proportions of a small Gemma 3 with its real vocabulary; `cargo bench -p
//! medfocus-model-gemma3`.

use std::{env, fs, process::Command, time::Instant};

use medfocus_lvlm::{forward, network::Network};
use medfocus_model_gemma3::Backend;
use medfocus_plugin_api::{AnswerSpan, GrayImage, ScoreRequest, TraceRequest, Want, Wrt};
use medfocus_torch::{
    grad::GradMode,
    tch::{Kind, Tensor},
};
use ndarray::Array2;

#[path = "../tests/common/random.rs"]
mod random;

const QUESTION: &str = "Is there evidence of pleural effusion in the image?";
const ANSWER: &str = "Yes";
const CASES: [&str; 4] = [
    "score, answer positions",
    "score, all positions",
    "gradient, last layer",
    "gradient, all layers",
];

fn main() {
    match env::var("MEDFOCUS_BENCH_CASE") {
        Ok(case) => run(&case),
        Err(_) => CASES.iter().for_each(|case| {
            let this = env::current_exe().expect("a benchmark has an executable");
            let status = Command::new(this).env("MEDFOCUS_BENCH_CASE", case).status();
            assert!(status.is_ok_and(|status| status.success()), "{case} failed");
        }),
    }
}

fn run(case: &str) {
    let scoring = case.starts_with("score");
    let (vocabulary, layers) = if scoring { (65_536, 4) } else { (2_048, 24) };
    let (folder, backend) = random::backend(vocabulary, layers, 8);
    let image =
        |level| GrayImage::from_array(Array2::from_elem((224, 224), level)).expect("it has pixels");
    let loaded = peak_mebibytes();
    let start = Instant::now();
    match case {
        "score, answer positions" => {
            let request = ScoreRequest::new((0..8).map(image).collect(), QUESTION, ANSWER);
            backend.score(&request, &|_, _| Ok(())).expect("it scores");
        }
        "score, all positions" => naive_score(&backend, &image(0), 8),
        _ => {
            let layer = if case.ends_with("last layer") { -2 } else { 0 };
            let request = TraceRequest::new(
                image(0),
                QUESTION,
                ANSWER,
                vec![Want::Gradient(Wrt::Hidden { layer })],
            );
            backend.trace(&request, &|_, _| Ok(())).expect("it traces");
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{case:<26} {seconds:>8.3} s  {:>6} MiB above the weights",
        peak_mebibytes() - loaded
    );
    drop(folder);
}

/// The plain way: logits and log-softmax of every position, then the answer's are read.
fn naive_score(backend: &Backend, image: &GrayImage, images: i64) {
    let _off = GradMode::off();
    let tokens = backend.network().config().grid().tokens();
    let answered = backend
        .prompter()
        .answered(QUESTION, ANSWER, AnswerSpan::Answer, tokens)
        .expect("it has tokens");
    let pixels = backend
        .processor()
        .pixels(image.view())
        .expect("it has pixels");
    let pixels = pixels.unsqueeze(0).repeat([images, 1, 1, 1]);
    let ids = Tensor::from_slice(&answered.ids)
        .unsqueeze(0)
        .repeat([images, 1]);
    let network = backend.network();
    let hidden = forward::hidden(network, &ids, &pixels).expect("it runs");
    let logits = network.logits(&hidden).expect("it runs");
    let log_probs = logits.log_softmax(-1, Kind::Float);
    let rows = log_probs.narrow(
        1,
        answered.answer.start as i64 - 1,
        answered.answer.len() as i64,
    );
    let ids = Tensor::from_slice(&answered.ids[answered.answer.clone()]);
    let ids = ids.reshape([1, -1, 1]).expand([images, -1, 1], false);
    let _: f64 = rows
        .gather(2, &ids, false)
        .sum(Kind::Float)
        .double_value(&[]);
}

/// The most memory this process has held, in MiB.
fn peak_mebibytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes.unwrap_or_default() / 1024
}
