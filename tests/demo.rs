//! The demo model on phantoms whose evidence is known.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use medfocus_tests::{medfocus, run};
use serde_json::Value;

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("the run wrote it")).expect("it is JSON")
}

/// Draws sample `index`; its image and its truth.
fn sample(folder: &Path, index: usize) -> (PathBuf, Value) {
    let out = folder.join(format!("sample{index}"));
    let drawn = run(medfocus()
        .args(["sample", "--index", &index.to_string(), "--out"])
        .arg(&out));
    assert_eq!(drawn.code, 0, "{drawn:?}");
    (out.join("image.png"), read(&out.join("sample.json")))
}

/// The first samples whose finding is there.
fn positives(folder: &Path, count: usize) -> Vec<(PathBuf, Value)> {
    (0..)
        .map(|index| sample(folder, index))
        .filter(|(_, truth)| truth["present"] == true)
        .take(count)
        .collect()
}

fn attribute(image: &Path, question: &Value, method: &str, out: &Path) -> Value {
    attribute_of("phantom-gemma3", image, question, method, out)
}

fn attribute_of(model: &str, image: &Path, question: &Value, method: &str, out: &Path) -> Value {
    let ran = run(&mut attributing(model, image, question, method, out));
    assert_eq!(ran.code, 0, "{ran:?}");
    read(&out.join("attribution.json"))
}

fn attributing(model: &str, image: &Path, question: &Value, method: &str, out: &Path) -> Command {
    let mut command = medfocus();
    command
        .args([
            "attribute",
            "--model",
            model,
            "--method",
            method,
            "--question",
        ])
        .arg(question.as_str().expect("a question is text"))
        .arg("--image")
        .arg(image)
        .arg("--out")
        .arg(out);
    command
}

fn corners(bbox: &Value) -> [f64; 4] {
    std::array::from_fn(|i| bbox["corners"][i].as_f64().expect("a corner is a number"))
}

fn overlap(a: [f64; 4], b: [f64; 4]) -> f64 {
    let side = |low: usize, high: usize| (a[high].min(b[high]) - a[low].max(b[low])).max(0.0);
    side(0, 2) * side(1, 3)
}

#[test]
fn occlusion_finds_what_either_model_saw() {
    for model in ["phantom-gemma3", "phantom-qwen2_5_vl"] {
        occlusion_finds_what_was_seen(model);
    }
}

fn occlusion_finds_what_was_seen(model: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut right = 0;
    let mut hit = 0;
    let samples = positives(folder.path(), 8);
    for (i, (image, truth)) in samples.iter().enumerate() {
        let out = folder.path().join(format!("out{i}"));
        let record = attribute_of(model, image, &truth["question"], "occlusion", &out);
        if !record["answer"]
            .as_str()
            .unwrap()
            .to_lowercase()
            .starts_with("yes")
        {
            continue;
        }
        right += 1;
        assert!(out.join("overlay.png").is_file() && out.join("heatmap.npy").is_file());
        let truths: Vec<_> = truth["boxes"]
            .as_array()
            .unwrap()
            .iter()
            .map(corners)
            .collect();
        let found = record["boxes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|found| !found["native"].is_null());
        if found.take(1).any(|found| {
            truths
                .iter()
                .any(|&truth| overlap(corners(&found["native"]), truth) > 0.0)
        }) {
            hit += 1;
        }
    }
    assert!(right >= 7, "{model}: only {right} of 8 answered yes");
    assert!(
        hit * 10 >= right * 7,
        "{model}: the strongest box touches the finding in {hit} of {right}"
    );
}

#[test]
fn medfocus_finer_forms_hold_what_they_promise_on_either_model() {
    let folder = tempfile::tempdir().unwrap();
    let (image, truth) = (0..)
        .map(|index| sample(folder.path(), index))
        .find(|(_, truth)| truth["finding"] == "lung nodule" && truth["present"] == true)
        .unwrap();
    let nodule = corners(&truth["boxes"][0]);
    let area = |[x1, y1, x2, y2]: [f64; 4]| (x2 - x1) * (y2 - y1);
    for model in ["phantom-gemma3", "phantom-qwen2_5_vl"] {
        let explained = |method: &str| {
            let out = folder.path().join(format!("{model}-{method}"));
            attribute_of(model, &image, &truth["question"], method, &out)
        };
        let fine = explained("medfocus_fine");
        let evidence = &fine["evidence"];
        let found = corners(&fine["boxes"][0]["native"]);
        let both = overlap(found, nodule);
        let iou = both / (area(found) + area(nodule) - both);
        assert!(iou > 0.4, "{model}: {found:?} is not {nodule:?}");
        assert_eq!(evidence["winner"], fine["boxes"][0]["label"], "{model}");
        let images = |name: &str| evidence[name].as_u64().unwrap();
        let (first, more) = (images("images_scored"), images("fine_images"));
        assert!(more <= 2 * first, "{model}: {first} and {more}");

        let shapley = explained("concept_shapley");
        let evidence = &shapley["evidence"];
        let number = |value: &Value| value.as_f64().unwrap();
        let concepts = evidence["concepts"].as_array().unwrap();
        let sum: f64 = concepts
            .iter()
            .map(|concept| number(&concept["delta"]))
            .sum();
        let all = number(&evidence["all"]) - number(&evidence["none"]);
        assert!((sum - all).abs() < 1e-6, "{model}: {sum} is not {all}");
    }
}

#[test]
fn every_config_that_needs_no_data_can_be_planned() {
    let folder = tempfile::tempdir().unwrap();
    let out = format!("experiment.out={:?}", folder.path().display().to_string());
    for (config, methods) in [
        ("configs/demo.toml", 18),
        ("configs/paper/published.toml", 17),
        ("configs/ablations.toml", 30),
        ("configs/study.toml", 48),
    ] {
        let planned = run(medfocus().args(["plan", config, "--no-estimate", "--set", &out]));
        assert_eq!(planned.code, 0, "{planned:?}");
        let plan = read(&folder.path().join("plan.json"));
        assert!(
            plan["methods"].as_array().unwrap().len() >= methods,
            "{config}"
        );
        std::fs::remove_file(folder.path().join("plan.json")).unwrap();
    }
}

#[test]
fn gradcam_and_the_control_run_on_the_demo_model() {
    let folder = tempfile::tempdir().unwrap();
    let (image, truth) = positives(folder.path(), 1).remove(0);
    let record = attribute(
        &image,
        &truth["question"],
        "gradcam",
        &folder.path().join("gradcam"),
    );
    assert_eq!(
        record["calls"]["model.trace"]["calls"], 1,
        "one trace is enough"
    );
    let whole = attribute(
        &image,
        &truth["question"],
        "whole_image",
        &folder.path().join("whole"),
    );
    let size = [&whole["image"]["width"], &whole["image"]["height"]].map(|n| n.as_f64().unwrap());
    assert_eq!(
        corners(&whole["boxes"][0]["native"]),
        [0.0, 0.0, size[0], size[1]]
    );
}

/// The demo's experiment on a few samples: each method is scored on each, and no number is lost on the way to the table.
#[test]
fn the_demo_experiment_scores_every_method() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let ran = run(medfocus()
        .args(["run", "configs/demo.toml", "--set"])
        .arg(format!("experiment.out={}", out.display()))
        .args([
            "--set",
            "experiment.datasets=[{component=\"phantom\", samples=4}]",
            "--set",
            "experiment.tuning.dataset.samples=2",
            "--set",
            "experiment.curves.samples=1",
            "--set",
            "experiment.sanity.samples=1",
            "--set",
            "experiment.gallery=1",
            "--set",
            "experiment.flips.samples=1",
        ]));
    assert_eq!(ran.code, 0, "{ran:?}");

    // All answers are explained, but tables are of the grounded ones.
    let mut overlaps: BTreeMap<[String; 3], Vec<f64>> = BTreeMap::new();
    let journal = std::fs::read_to_string(out.join("journal.jsonl")).unwrap();
    for line in journal.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let grounded = record["subject"]["group"] == "grounded";
        let results = record["results"].as_array().filter(|_| grounded);
        for result in results.into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let iou = result["metrics"]["iou"].as_f64();
            let iou = iou.unwrap_or_else(|| panic!("no score: {result}"));
            let case = &record["case"];
            let key = [&case["model"], &case["mode"], &result["method"]].map(text);
            overlaps.entry(key).or_default().push(iou);
        }
    }
    assert_eq!(
        overlaps.len(),
        2 * 2 * 22,
        "MedFocus, without its segmenter and without its transport, its finer form, thirteen baselines and five controls, of two models in two modes"
    );

    let mut table = csv::Reader::from_path(out.join("table.csv")).unwrap();
    let names = table.headers().unwrap().clone();
    let mut rows = 0;
    for row in table.records() {
        let row = row.unwrap();
        let of = |name: &str| &row[names.iter().position(|n| n == name).unwrap()];
        if of("model") == "all" {
            // What all models have in common is a mean of the others.
            continue;
        }
        let found = &overlaps[&["model", "mode", "method"].map(|name| of(name).to_owned())];
        let mean = 100.0 * found.iter().sum::<f64>() / found.len() as f64;
        assert!(
            (of("iou").parse::<f64>().unwrap() - mean).abs() < 1e-9,
            "{row:?}"
        );
        assert_eq!(of("failed"), "0", "{row:?}");
        rows += 1;
    }
    assert_eq!(rows, overlaps.len());
}

/// A nodule is the smallest finding, and scaling a film down changes its grain.
#[test]
fn both_models_know_a_nodule_on_films_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let mut answers: BTreeMap<(String, bool), (u32, u32)> = BTreeMap::new();
    for (height, width) in [(224, 224), (512, 640), (640, 512)] {
        let out = folder.path().join(format!("{height}x{width}"));
        let config = folder.path().join("nodule.toml");
        let text = format!(
            r#"
            threads = 1
            [experiment]
            name = "nodule"
            models = ["phantom-gemma3", "phantom-qwen2_5_vl"]
            modes = ["direct"]
            out = {out:?}
            [[experiment.datasets]]
            component = "phantom"
            params = {{ findings = "lung nodule", presence = "alternating", height = {height}, width = {width} }}
            samples = 80
            [[experiment.methods]]
            component = "whole_image"
            "#
        );
        std::fs::write(&config, text).unwrap();
        let ran = run(medfocus().arg("run").arg(&config));
        assert!(ran.code < 2, "{ran:?}");
        let journal = std::fs::read_to_string(out.join("journal.jsonl")).unwrap();
        for line in journal.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let Some(present) = record["subject"]["present"].as_bool() else {
                continue;
            };
            let model = record["case"]["model"].as_str().unwrap().to_owned();
            let (right, all) = answers.entry((model, height > 224)).or_default();
            let verdict = if present { "yes" } else { "no" };
            *right += u32::from(record["subject"]["verdict"] == verdict);
            *all += 1;
        }
    }
    assert_eq!(answers.values().map(|(_, all)| all).sum::<u32>(), 480);
    for ((model, large), (right, all)) in answers {
        println!("{model}, large films: {large}: {right} of {all}");
        assert!(
            right * 100 >= all * 95,
            "{model}, large films: {large}: {right} of {all}"
        );
    }
}

#[test]
fn a_wrong_checkpoint_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let (image, _) = sample(folder.path(), 0);
    let ask = |checkpoint: &Path| {
        run(medfocus()
            .args(["model", "generate", "--question", "?", "--model"])
            .arg(format!("gemma3={}", checkpoint.display()))
            .arg("--image")
            .arg(&image))
    };
    ask(&folder.path().join("nowhere")).one_sentence(&["nowhere"]);
    let broken = folder.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    for file in medfocus_tests::workspace()
        .join("configs/checkpoints/phantom-gemma3")
        .read_dir()
        .unwrap()
        .flatten()
    {
        std::fs::copy(file.path(), broken.join(file.file_name())).unwrap();
    }
    let weights = broken.join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    ask(&broken).one_sentence(&["model.safetensors"]);
    std::fs::remove_file(&weights).unwrap();
    ask(&broken).one_sentence(&["safetensors"]);
}

/// Runs where `MEDFOCUS_REAL_DATA` names a folder with `images/*.png` and `dicom/*.dcm`: each is
/// explained, or refused in one sentence because of its compression.
#[test]
fn real_radiographs_run_without_a_fault() {
    let Some(data) = std::env::var_os("MEDFOCUS_REAL_DATA").map(PathBuf::from) else {
        eprintln!("skipped: MEDFOCUS_REAL_DATA is not set");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let question = Value::from("Is there evidence of cardiomegaly in the image?");
    for kind in ["images", "dicom"] {
        let files = data
            .join(kind)
            .read_dir()
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        for file in files.filter(|file| file.extension().is_some_and(|e| e == "png" || e == "dcm"))
        {
            let ran = run(&mut attributing(
                "phantom-gemma3",
                &file,
                &question,
                "occlusion",
                &out,
            ));
            if ran.code != 0 {
                ran.one_sentence(&["is not supported", "uncompress the file first"]);
            }
        }
    }
}

#[test]
fn an_answer_that_was_cut_is_explained_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (image, truth) = sample(folder.path(), 1);
    let out = folder.path().join("cut");
    let mut command = attributing(
        "phantom-gemma3",
        &image,
        &truth["question"],
        "gradcam",
        &out,
    );
    let cut = ["--mode", "reasoning", "--set", "answer.max_new_tokens=4"];
    let ran = run(command.args(cut));
    assert_eq!(ran.code, 0, "{ran:?}");
    let record = read(&out.join("attribution.json"));
    let warnings = record["warnings"].to_string();
    assert!(
        warnings.contains("the answer was cut after 4 tokens"),
        "{warnings}"
    );
}
