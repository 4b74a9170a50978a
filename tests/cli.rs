//! The program as its users meet it, on a model without libtorch.

use std::path::Path;

use medfocus_tests::{Ran, bright_cell, built, medfocus, outside_plugin, read_npy, run};
use serde_json::Value;

fn attribute(out: &Path, image: &Path, more: &[&str]) -> Ran {
    run(medfocus()
        .args([
            "attribute",
            "--model",
            "toy=nowhere",
            "--question",
            "Is there evidence of a bright spot in the image?",
        ])
        .arg("--plugins")
        .arg(outside_plugin())
        .arg("--plugins")
        .arg(built().join("plugins"))
        .arg("--image")
        .arg(image)
        .arg("--out")
        .arg(out)
        .args(more))
}

fn record(out: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(out.join("attribution.json")).unwrap()).unwrap()
}

#[test]
fn occlusion_finds_the_cell_the_model_looks_at() {
    let folder = tempfile::tempdir().unwrap();
    let image = bright_cell(folder.path(), 2, 5);
    let out = folder.path().join("out");
    let ran = attribute(&out, &image, &["--method", "occlusion"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let record = record(&out);
    assert_eq!(record["answer"], "Yes");
    assert_eq!(record["answer_source"], "generated");
    assert!(
        record["question"]
            .as_str()
            .unwrap()
            .ends_with("without any explanation.")
    );
    let corners = &record["boxes"][0]["native"]["corners"];
    assert_eq!(*corners, serde_json::json!([140, 56, 168, 84]), "{record}");
    assert_eq!(record["boxes"].as_array().unwrap().len(), 1);
    assert_eq!(
        record["method"]["params"]["cells"], 8,
        "defaults are recorded"
    );
    assert!(record["calls"]["model.score"]["tensors"].as_u64().unwrap() >= 2);
    // Without its image the answer is less likely.
    let [with, without] = ["with_image", "without_image"]
        .map(|which| record["language_prior"][which].as_f64().unwrap());
    assert!(with > without && without > 0.0, "{with} against {without}");
    let heat: ndarray::Array2<f32> = read_npy(&out.join("heatmap.npy"));
    assert_eq!(heat.dim(), (224, 224));
    assert!(heat[(70, 150)] > 0.0 && heat[(10, 10)] == 0.0);
    let overlay = image::open(out.join("overlay.png")).unwrap();
    assert!(overlay.width() >= 224 && overlay.height() >= 224);
}

/// The values of a version 1 `.npy` file of f32 in row-major order.

#[test]
fn a_given_answer_is_not_generated() {
    let folder = tempfile::tempdir().unwrap();
    let image = bright_cell(folder.path(), 0, 0);
    let out = folder.path().join("out");
    let ran = attribute(
        &out,
        &image,
        &["--method", "whole_image", "--answer", "Yes"],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let record = record(&out);
    assert_eq!(record["answer_source"], "given");
    assert!(record["calls"].get("model.generate").is_none());
    assert_eq!(record["heatmap"], Value::Null);
    assert!(!out.join("heatmap.npy").exists());
    assert_eq!(
        record["boxes"][0]["native"]["corners"],
        serde_json::json!([0, 0, 224, 224])
    );
}

#[test]
fn equal_runs_give_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let image = bright_cell(folder.path(), 4, 4);
    let outs = ["a", "b"].map(|name| folder.path().join(name));
    for out in &outs {
        assert_eq!(attribute(out, &image, &["--method", "gradcam"]).code, 0);
    }
    for file in ["heatmap.npy", "overlay.png"] {
        let [a, b] = outs
            .each_ref()
            .map(|out| std::fs::read(out.join(file)).unwrap());
        assert!(a == b, "{file} differs");
    }
    let timeless = |out: &Path| {
        let mut record = record(out);
        record["seconds"] = Value::Null;
        for calls in record["calls"].as_object_mut().unwrap().values_mut() {
            calls["seconds"] = Value::Null;
        }
        record
    };
    assert_eq!(timeless(&outs[0]), timeless(&outs[1]));
}

#[test]
fn wrong_input_gets_one_sentence_and_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let image = bright_cell(folder.path(), 0, 0);
    let out = folder.path().join("out");
    let fails = |more: &[&str], words: &[&str]| attribute(&out, &image, more).one_sentence(words);
    fails(
        &["--method", "oclusion"],
        &["no method `oclusion`", "did you mean `occlusion`"],
    );
    fails(
        &["--method", "occlusion", "--set", "cells=0"],
        &["`cells` must lie in", "--set cells=0"],
    );
    fails(
        &["--method", "occlusion", "--set", "method.clels=4"],
        &[
            "unknown parameter `clels`",
            "--set method.clels=4",
            "`cells`",
        ],
    );
    fails(
        &["--method", "occlusion", "--set", "boxes.quantile=high"],
        &["quantile", "--set boxes.quantile=high"],
    );
    fails(
        &["--method", "occlusion", "--set", "cells"],
        &["write --set KEY=VALUE"],
    );
    fails(
        &["--method", "gives_nothing"],
        &["`gives_nothing` gave neither a heat map nor boxes"],
    );
    fails(
        &["--method", "panics_in_call"],
        &["panicked", "report it to its author"],
    );
    fails(
        &["--method", "occlusion", "--answer", " "],
        &["no answer to explain"],
    );
    fails(
        &["--method", "occlusion", "--config", "nowhere.toml"],
        &["nowhere.toml cannot be read: No such file"],
    );
    let missing = attribute(&out, Path::new("nowhere.png"), &["--method", "occlusion"]);
    missing.one_sentence(&["nowhere.png cannot be read"]);
    let text = folder.path().join("text.png");
    std::fs::write(&text, "I am no picture").unwrap();
    attribute(&out, &text, &["--method", "occlusion"]).one_sentence(&["text.png"]);
    assert!(!out.join("attribution.json").exists());
}

#[test]
fn a_config_file_is_named_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let image = bright_cell(folder.path(), 0, 0);
    let config = folder.path().join("mine.toml");
    let with = |text: &str, words: &[&str]| {
        std::fs::write(&config, text).unwrap();
        attribute(
            &folder.path().join("out"),
            &image,
            &[
                "--method",
                "occlusion",
                "--config",
                config.to_str().unwrap(),
            ],
        )
        .one_sentence(words);
    };
    with(
        "[method]\ncells = 1000\n",
        &["`cells` must lie in", "mine.toml"],
    );
    with("seeed = 1\n", &["seeed", "mine.toml"]);
    with("seed = \n", &["mine.toml"]);
}

#[test]
fn an_impossible_pairing_is_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let image = bright_cell(folder.path(), 0, 0);
    let refused = run(medfocus()
        .args([
            "attribute",
            "--model",
            "black_box=nowhere",
            "--method",
            "occlusion",
            "--question",
            "?",
        ])
        .arg("--plugins")
        .arg(outside_plugin())
        .arg("--plugins")
        .arg(built().join("plugins"))
        .arg("--image")
        .arg(&image)
        .arg("--out")
        .arg(folder.path().join("out")));
    refused.one_sentence(&[
        "`occlusion` needs a model that can score",
        "`black_box` cannot",
    ]);
}

#[test]
fn scores_and_traces_come_out() {
    let folder = tempfile::tempdir().unwrap();
    let images = [
        bright_cell(folder.path(), 2, 5),
        bright_cell(folder.path(), 0, 0),
    ];
    let model = |command: &str| {
        let mut cli = medfocus();
        cli.args([
            "model",
            command,
            "--model",
            "toy=nowhere",
            "--json",
            "--plugins",
        ])
        .arg(outside_plugin());
        cli
    };
    let scored = run(model("score")
        .args(["--question", "?", "--answer", "Yes", "--image"])
        .args(&images));
    let scored: Value = serde_json::from_str(&scored.out).unwrap();
    let p = |i: usize| scored["images"][i]["sum"].as_f64().unwrap().exp();
    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
    assert!((p(0) - sigmoid(6.0 * 200.0 / 255.0 - 2.0)).abs() < 1e-5);
    assert!((p(1) - sigmoid(6.0 * 10.0 / 255.0 - 2.0)).abs() < 1e-5);

    let file = folder.path().join("trace.safetensors");
    let traced = run(model("trace")
        .args([
            "--question",
            "?",
            "--answer",
            "Yes",
            "--want",
            "attention:0",
            "--want",
            "gradient:pixels",
            "--out",
        ])
        .arg(&file)
        .arg("--image")
        .arg(&images[0]));
    assert_eq!(traced.code, 0, "{traced:?}");
    let bytes = std::fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("attention:0").unwrap().shape(), [67, 67]);
    assert_eq!(
        tensors.tensor("gradient:pixels").unwrap().shape(),
        [3, 224, 224]
    );
    assert_eq!(tensors.tensor("image_positions").unwrap().shape(), [64]);
    let wrong = run(model("trace")
        .args([
            "--question",
            "?",
            "--answer",
            "Yes",
            "--want",
            "atention:0",
            "--out",
        ])
        .arg(&file)
        .arg("--image")
        .arg(&images[0]));
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("attention:L"), "{wrong:?}");
}

#[test]
fn the_program_explains_itself() {
    for args in [
        &["--help"][..],
        &["attribute", "--help"],
        &["completions", "bash"],
        &["man"],
    ] {
        let ran = run(medfocus().args(args));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains("medfocus"), "{ran:?}");
    }
    let described = run(medfocus()
        .args(["plugins", "describe", "toy", "--plugins"])
        .arg(outside_plugin()));
    for words in [
        "model `toy`",
        "row = 2, 0 to 7",
        "can generate, score, trace, gradient",
        "blake3:",
    ] {
        assert!(described.out.contains(words), "{described:?}");
    }
}

/// A named pipe: whoever opens it waits for its other end.
fn pipe(path: &Path) -> &Path {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
    path
}

#[test]
fn what_is_no_file_is_named_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let config = run(medfocus()
        .arg("--config")
        .arg(pipe(&place("config.toml")))
        .arg("doctor"));
    config.one_sentence(&["config.toml", "it is a named pipe, not a file"]);
    let config = run(medfocus().arg("run").arg(folder.path()));
    config.one_sentence(&["it is a folder, not a file"]);
    let image = run(medfocus()
        .args(["image", "--out"])
        .arg(place("out.png"))
        .arg(pipe(&place("film.dcm"))));
    image.one_sentence(&["film.dcm", "it is a named pipe, not a file"]);
    let plugins = place("plugins");
    std::fs::create_dir(&plugins).unwrap();
    pipe(&plugins.join("libx.so"));
    let listed = run(medfocus()
        .args(["plugins", "list", "--plugins"])
        .arg(&plugins));
    assert_eq!(listed.code, 1, "{listed:?}");
    assert!(
        listed
            .out
            .contains("libx.so cannot be opened: it is a named pipe"),
        "{listed:?}"
    );
    let checkpoint = place("checkpoint");
    std::fs::create_dir(&checkpoint).unwrap();
    pipe(&checkpoint.join("config.json"));
    let model = format!("gemma3={}", checkpoint.display());
    let info = run(medfocus().args(["model", "info", "--model", &model]));
    info.one_sentence(&["config.json", "it is a named pipe, not a file"]);
}

#[test]
fn plugins_of_the_command_line_are_added_to_the_others() {
    let both = run(medfocus()
        .args(["plugins", "list", "--plugins"])
        .arg(outside_plugin()));
    assert_eq!(both.code, 0, "{both:?}");
    assert!(
        both.out.contains("toy") && both.out.contains("occlusion"),
        "{both:?}"
    );
    let alone = format!("plugins.paths=[{:?}]", outside_plugin());
    let alone = run(medfocus().args(["plugins", "list", "--set", &alone]));
    assert!(
        alone.out.contains("toy") && !alone.out.contains("occlusion"),
        "{alone:?}"
    );
    let missing = run(medfocus().args(["plugins", "list", "--plugins", "not/there"]));
    missing.one_sentence(&["`--plugins not/there`: there is no such file or folder"]);
}

#[test]
fn what_a_file_says_is_no_command_to_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("lab.toml");
    std::fs::write(&config, "\"a\\nb\\u001b[2J\" = 1\n").unwrap();
    let ran = run(medfocus().args(["doctor", "--config"]).arg(&config));
    ran.one_sentence(&["a b\\u{1b}[2J"]);
    assert!(!ran.err.contains('\u{1b}'), "{ran:?}");
}
