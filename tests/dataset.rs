//! Datasets from the command line to the last sample, through the program and its plugins.

use std::{fs, path::Path};

use medfocus_tests::{Ran, built, medfocus, run};
use serde_json::{Value, json};
use tempfile::TempDir;

fn dataset(args: &[&str]) -> Ran {
    let mut command = medfocus();
    command.arg("dataset").args(args).arg("--plugins");
    run(command.arg(built().join("plugins")))
}

fn parsed(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// A table of two images, of which the second is missing, with a phantom as the first.
fn table() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let drawn = run(medfocus()
        .args(["sample", "--out", out, "--plugins"])
        .arg(built().join("plugins")));
    assert_eq!(drawn.code, 0, "{drawn:?}");
    let rows = "image,finding,x,y,w,h,patient\r\n\
        image.png,pleural effusion,10,20,30,40,Anna Müller\r\n\
        image.png,pleural effusion,200,20,100,40,Anna Müller\r\n\
        image.png,mass,,,,,Anna Müller\r\n\
        gone.png,mass,1,1,2,2,Bea\r\n\
        ,mass,1,1,2,2,Bea\r\n";
    fs::write(folder.path().join("mine.csv"), rows).unwrap();
    folder
}

/// The settings of that table.
fn settings(folder: &Path) -> Vec<String> {
    let path = folder.join("mine.csv");
    [
        format!("dataset.path={}", path.display()),
        "dataset.boxes=\"x,y,w,h\"".into(),
        "dataset.form=size".into(),
        "dataset.patient=patient".into(),
    ]
    .into_iter()
    .flat_map(|setting| ["--set".to_owned(), setting])
    .collect()
}

fn of_table(folder: &Path, args: &[&str]) -> Ran {
    let settings = settings(folder);
    let settings = settings.iter().map(String::as_str);
    dataset(&args.iter().copied().chain(settings).collect::<Vec<_>>())
}

#[test]
fn phantoms_are_described_and_all_of_them_can_be_used() {
    let len = ["--set", "dataset.len=24"];
    let described = dataset(&["describe", "phantom", len[0], len[1]]);
    assert_eq!(described.code, 0, "{described:?}");
    for line in ["phantom", "  samples   24", "  digest    ", "dataset check"] {
        assert!(described.out.contains(line), "no `{line}` in {described:?}");
    }
    let checked = dataset(&["check", "phantom", "--json", len[0], len[1]]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let review = &parsed(&checked)[0];
    assert_eq!((&review["len"], &review["read"]), (&json!(24), &json!(24)));
    assert_eq!(review["failures"], json!([]));
    let info = &parsed(&dataset(&["describe", "phantom", "--json", len[0], len[1]]))[0]["info"];
    assert_eq!(review["digest"], info["digest"]);
    // Twelve findings in turn, all of them there.
    let findings = review["findings"].as_object().unwrap();
    assert_eq!(findings.len(), 12);
    for (finding, tally) in findings {
        assert_eq!(tally["samples"], 2, "{finding}");
        assert_eq!(tally["present"], 2, "{finding}");
        assert_eq!(tally["annotated"], 2, "{finding}");
    }
    let few = dataset(&["check", "phantom", "--samples", "3"]);
    assert_eq!(few.code, 0, "{few:?}");
    assert!(
        few.out.contains("phantom: 3 of 1000 samples read"),
        "{few:?}"
    );
    assert!(few.out.contains("every sample can be used"), "{few:?}");
}

#[test]
fn a_table_s_oddities_and_failures_are_said() {
    let folder = table();
    let described = of_table(folder.path(), &["describe", "table"]);
    assert_eq!(described.code, 0, "{described:?}");
    let line = "  oddity    rows without image or finding: 1, first in mine.csv, line 6";
    assert!(described.out.contains(line), "{described:?}");
    let checked = of_table(folder.path(), &["check", "table"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    for line in [
        "mine: 3 of 3 samples read",
        "  warning   1 box reaches beyond the image and is clipped: 1, first in sample 0",
        "  failed    sample 2: image ",
        "gone.png is missing",
    ] {
        assert!(checked.out.contains(line), "no `{line}` in {checked:?}");
    }
    assert!(!checked.out.contains("Anna"));
    let review = parsed(&of_table(folder.path(), &["check", "table", "--json"]));
    let tally = |samples, present, boxes: u64| json!({"samples": samples, "present": present, "absent": 0, "annotated": u64::from(boxes > 0), "boxes": boxes});
    assert_eq!(
        review[0]["findings"],
        json!({"pleural effusion": tally(1, 1, 2), "mass": tally(1, 0, 0)})
    );
    of_table(folder.path(), &["check", "tables"]).one_sentence(&["tables", "did you mean `table`"]);
    dataset(&["check", "table"]).one_sentence(&["dataset `table`", "parameter `path` is missing"]);
}

#[test]
fn a_sample_is_drawn_with_its_boxes() {
    let folder = table();
    let out = folder.path().join("shown.png");
    let shown = of_table(
        folder.path(),
        &["show", "table", "0", "--out", out.to_str().unwrap()],
    );
    assert_eq!(shown.code, 0, "{shown:?}");
    for line in [
        "  question  Is there evidence of pleural effusion in the image?",
        "  finding   pleural effusion, present",
        "  box 1     x 10-40  y 20-60",
        "  box 2     x 200-224  y 20-60",
        "  warning   1 box reaches beyond the image and is clipped",
    ] {
        assert!(shown.out.contains(line), "no `{line}` in {shown:?}");
    }
    let picture = image::open(&out).unwrap().to_rgb8();
    let read = image::open(folder.path().join("image.png"))
        .unwrap()
        .to_luma8();
    // 224 pixels, drawn four times as large; the outline of the first box, and the film elsewhere.
    assert_eq!(picture.get_pixel(40, 200).0, [255, 176, 0]);
    assert_eq!(picture.get_pixel(159, 200).0, [255, 176, 0]);
    assert_eq!(picture.width(), 4 * read.width());
    let film = picture.enumerate_pixels().filter(|(_, y, _)| *y < 896);
    let grey = film.filter(|(_, _, pixel)| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2]);
    assert!(grey.count() > 750_000, "all but the boxes is grey");
    of_table(
        folder.path(),
        &["show", "table", "7", "--out", "nowhere.png"],
    )
    .one_sentence(&["sample 7 is beyond the 3 of mine"]);
}

/// Records of two models about phantoms, as Python writes them.
fn records(folder: &Path) {
    let record = |model: &str, index: u64| {
        format!(
            "  {{\n    \"model\": \"{model}\",\n    \"dataset\": \"phantom\",\n    \"index\": {index},\n    \
             \"answer\": \"Yes\",\n    \"prediction_direct\": \"Yes\\n\",\n    \
             \"prediction_edited_direct\": \"No\",\n    \"prediction_edited_kept_direct\": \"Yes\",\n    \
             \"prediction_edited_kept_normal_direct\": \"Yes\"\n  }}"
        )
    };
    let all = [
        record("medgemma1_5", 4),
        record("gemma3_4b", 0),
        record("medgemma1_5", 2),
    ];
    fs::write(
        folder.join("direct.json"),
        format!("[\n{}\n]", all.join(",\n")),
    )
    .unwrap();
}

#[test]
fn the_benchmark_is_a_view_on_another_dataset() {
    let folder = tempfile::tempdir().unwrap();
    records(folder.path());
    let path = format!("dataset.path={}", folder.path().display());
    let source = [
        "--set",
        "slots.source.component=phantom",
        "--set",
        "slots.source.params.offset=700",
        "--set",
        "slots.source.params.len=5",
    ];
    let bench = |args: &[&str]| {
        let path = ["--set", &path];
        dataset(&[args, &path, &source].concat())
    };
    let described = parsed(&bench(&["describe", "medground_bench", "--json"]));
    let info = &described[0]["info"];
    assert_eq!(
        (&info["name"], &info["len"]),
        (&json!("phantom"), &json!(5))
    );
    let plain = dataset(&[
        "describe",
        "phantom",
        "--json",
        "--set",
        "dataset.offset=700",
        "--set",
        "dataset.len=5",
    ]);
    let plain = &parsed(&plain)[0]["info"];
    assert_ne!(plain["digest"], info["digest"]);
    assert_eq!(
        described[0]["reader"]["slots"]["source"]["samples"],
        plain["digest"]
    );
    let checked = bench(&["check", "medground_bench"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let shown = |args: &[&str], name: &str| {
        let out = folder.path().join(name);
        let out = ["--out", out.to_str().unwrap()];
        let ran = dataset(&[args, &out].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        fs::read(folder.path().join(name)).unwrap()
    };
    let view = shown(
        &[
            &["show", "medground_bench", "2", "--set", &path],
            &source[..],
        ]
        .concat(),
        "a.png",
    );
    let own = shown(
        &["show", "phantom", "2", "--set", "dataset.offset=700"],
        "b.png",
    );
    assert!(view == own, "the samples are the source's");
    dataset(&["check", "medground_bench", "--set", &path])
        .one_sentence(&["medground_bench", "a dataset in its slot `source`"]);
    let len = ["--set", "slots.source.params.len=4"];
    let check = ["check", "medground_bench", "--set", &path];
    dataset(&[&check[..], &source, &len].concat())
        .one_sentence(&["direct.json, record 1: its index 4 is beyond the 4 samples"]);
}

#[test]
fn an_experiment_s_datasets_are_described_with_what_each_model_gets() {
    let folder = tempfile::tempdir().unwrap();
    records(folder.path());
    let config = folder.path().join("bench.toml");
    let text = r#"
        [experiment]
        name = "bench"
        models = ["gemma3_4b", "medgemma1_5_4b", "qwen2_5_vl_3b"]
        modes = ["direct", "reasoning"]
        [[experiment.datasets]]
        component = "medground_bench"
        params = { path = "." }
        slots.source = { component = "phantom", params = { len = 6 } }
        [[experiment.datasets]]
        component = "phantom"
        params = { split = "train" }
        samples = 2
        [[experiment.methods]]
        component = "random_boxes"
    "#;
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let described = dataset(&["describe", config]);
    assert_eq!(described.code, 0, "{described:?}");
    for line in [
        "  chosen    1 for gemma3_4b, direct",
        "  chosen    2 for medgemma1_5_4b, direct",
        "  chosen    0 for medgemma1_5_4b, reasoning",
        "  chosen    0 for qwen2_5_vl_3b, direct",
        "phantom_train\n",
    ] {
        assert!(described.out.contains(line), "no `{line}` in {described:?}");
    }
    assert_eq!(described.out.matches("chosen").count(), 6, "{described:?}");
    let checked = parsed(&dataset(&["check", config, "--json"]));
    assert_eq!(checked[0]["read"], 6);
    assert_eq!(checked[1]["read"], 2);
    dataset(&["show", config, "0", "--out", "nowhere.png"]).one_sentence(&["has 2 datasets"]);
    dataset(&["check", config, "--config", config]).one_sentence(&["named twice"]);
    dataset(&["check", "configs/models/gemma3_4b.toml"]).one_sentence(&["config"]);
}
