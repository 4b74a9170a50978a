//! `prompting_medsam` as published, through the program and its real libraries: a model names regions, OWL-ViT finds and
//! MedSAM refines them. The model and SAM are the small ones that were trained on phantoms; OWL-ViT's weights are random, so
//! where the boxes lie means nothing here.

use std::path::Path;

use medfocus_tests::{Ran, medfocus, run};
use serde_json::Value;

/// One film, explained with the checkpoint of a folder as detector.
fn explain(detector: &str, folder: &Path) -> Ran {
    let film = folder.join("film");
    let drawn = run(medfocus()
        .args(["sample", "--dataset", "phantom", "--index", "1", "--out"])
        .arg(&film));
    assert_eq!(drawn.code, 0, "{drawn:?}");
    run(medfocus()
        .args(["attribute", "--config", "configs/demo.toml"])
        .args(["--model", "phantom-gemma3", "--method", "prompting_medsam"])
        .args(["--set", "slots.detector.component=owlvit"])
        .args(["--set", &format!("slots.detector.params.path={detector}")])
        .args(["--set", "slots.detector.params.device=cpu"])
        .args([
            "--question",
            "Is there evidence of pleural effusion in the image?",
        ])
        .arg("--image")
        .arg(film.join("image.png"))
        .arg("--out")
        .arg(folder.join("out")))
}

#[test]
fn regions_that_the_model_names_are_found_and_refined() {
    let folder = tempfile::tempdir().unwrap();
    let ran = explain("tests/fixtures/owlvit/hub", folder.path());
    assert_eq!(ran.code, 0, "{ran:?}");
    let record = std::fs::read(folder.path().join("out/attribution.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let evidence = &record["evidence"];
    assert_eq!(evidence["outcome"], "boxes");
    let count = |value: &Value| value.as_array().unwrap().len();
    let (phrases, boxes) = (count(&evidence["phrases"]), count(&record["boxes"]));
    assert!(phrases > 0 && boxes > 0 && boxes <= 5 * phrases, "{record}");
    assert_eq!(
        [&evidence["detections"], &evidence["confidences"]].map(count),
        [boxes; 2]
    );
    let scores: Vec<f64> = record["boxes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["score"].as_f64().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|&score| score > 0.10));
}

#[test]
fn another_models_checkpoint_is_no_detector() {
    let folder = tempfile::tempdir().unwrap();
    let ran = explain("configs/checkpoints/phantom-medsam", folder.path());
    ran.one_sentence(&["owlvit", "\"sam\"", "config.json"]);
}
