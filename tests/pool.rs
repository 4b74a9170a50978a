//! A reference pool from its making to its use, through the program and its plugins.

use std::{
    fs,
    path::{Path, PathBuf},
};

use medfocus::{
    config::{Filling, Layers},
    workbench::{Ready, Workbench},
};
use medfocus_plugin_api::{DatasetReader, Kind, Sample};
use medfocus_tests::{Ran, built, medfocus, outside_plugin, run};
use serde_json::{Value, json};

/// Healthy phantoms of no square shape.
const PHANTOMS: [&str; 4] = [
    "dataset.presence=\"never\"",
    "dataset.width=160",
    "dataset.height=192",
    "dataset.len=12",
];

fn pool(args: &[&str]) -> Ran {
    let mut command = medfocus();
    command.arg("pool").args(args).arg("--plugins");
    run(command.arg(built().join("plugins")))
}

fn build(out: &Path, settings: &[&str], more: &[&str]) -> Ran {
    let mut args = vec![
        "build",
        "--dataset",
        "phantom",
        "--out",
        out.to_str().unwrap(),
    ];
    args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    args.extend(more);
    pool(&args)
}

/// A pool of four phantoms in a folder of its own.
fn four() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pool");
    let ran = build(&out, &PHANTOMS, &["--count", "4"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("4 references"), "{ran:?}");
    (folder, out)
}

fn dataset(component: &str, params: Value) -> Ready {
    let mut layers = Layers::load(None, &[]).unwrap();
    layers.config.plugins.paths = vec![built().join("plugins")];
    let bench = Workbench::new(layers);
    let filling: Filling =
        serde_json::from_value(json!({"component": component, "params": params})).unwrap();
    let recipe = bench.plan_component(Kind::Dataset, &filling).unwrap();
    bench.make(&recipe, None).unwrap()
}

#[test]
fn a_pool_has_the_references_of_its_source() {
    let (_folder, out) = four();
    let checked = pool(&["check", out.to_str().unwrap()]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(
        checked.out.contains("4 references, findings: 0"),
        "{checked:?}"
    );

    let params = json!({"presence": "never", "width": 160, "height": 192, "len": 12});
    let source = dataset("phantom", params).client();
    let copy = dataset("reference_pool", json!({"path": out})).client();
    let info = copy.info().unwrap();
    assert_eq!((info.len, info.name.as_str()), (4, "reference_pool"));
    for index in 0..4 {
        let [from, to]: [Sample; 2] = [&source, &copy].map(|reader| reader.sample(index).unwrap());
        assert_eq!((from.image.width(), from.image.height()), (160, 192));
        assert!(from.image == to.image, "image {index}");
        assert!(from.masks == to.masks, "masks of {index}");
        assert_eq!(to.masks.len(), 11);
        assert!(to.is_normal());
    }
    let written: Value = serde_json::from_slice(&fs::read(out.join("pool.json")).unwrap()).unwrap();
    assert_eq!(written["digest"], source.info().unwrap().digest);
    assert_eq!(written["reader"]["params"]["presence"], "never");
    let indices: Vec<_> = written["references"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["index"])
        .collect();
    assert_eq!(indices, [0, 1, 2, 3]);
}

#[test]
fn what_is_odd_is_said_and_ends_in_code_1() {
    let (_folder, out) = four();
    let mask = |name: &str| out.join("masks").join(name);
    fs::rename(mask("00/left_lung.png"), mask("00/other")).unwrap();
    fs::rename(mask("00/right_lung.png"), mask("00/left_lung.png")).unwrap();
    fs::rename(mask("00/other"), mask("00/right_lung.png")).unwrap();
    fs::remove_file(mask("01/mediastinum.png")).unwrap();
    fs::copy(out.join("images/02.png"), out.join("images/03.png")).unwrap();
    let checked = pool(&["check", out.to_str().unwrap()]);
    assert_eq!(checked.code, 1, "{checked:?}");
    for finding in [
        "00: `left lung` does not lie on the image's right of `right lung`",
        "01: has no mask of `mediastinum`",
        "03: has the same image as `02`",
        "findings: 3",
    ] {
        assert!(
            checked.out.contains(finding),
            "no `{finding}` in {checked:?}"
        );
    }
    let checked = pool(&["check", out.to_str().unwrap(), "--json"]);
    let review: Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(
        (checked.code, &review["references"][1]["concepts"]),
        (1, &json!(10))
    );

    fs::write(mask("02/left_lung.png"), "no mask").unwrap();
    pool(&["check", out.to_str().unwrap()]).one_sentence(&["masks/02/left_lung.png is no PNG"]);
    pool(&["show", out.to_str().unwrap(), "--out", "nowhere.png"]).one_sentence(&["left_lung.png"]);
    pool(&["check", "nowhere/pool"]).one_sentence(&["pool nowhere/pool cannot be opened"]);
}

#[test]
fn a_pool_is_built_once_and_only_of_normal_images() {
    let (folder, out) = four();
    build(&out, &PHANTOMS, &[]).one_sentence(&["is there and is no empty folder"]);
    let other = folder.path().join("other");
    build(&other, &["dataset.len=2"], &[]).one_sentence(&[
        "none of 2 samples of `phantom` is normal",
        "dataset.presence",
    ]);
    assert!(!other.exists());
    let few = build(
        &other,
        &["dataset.presence=\"never\"", "dataset.len=2"],
        &["--segmenter", "otsu"],
    );
    assert_eq!(few.code, 1, "{few:?}");
    assert!(
        few.out.contains("no more than 2 that fit, of 16"),
        "{few:?}"
    );
    let written: Value =
        serde_json::from_slice(&fs::read(other.join("pool.json")).unwrap()).unwrap();
    assert_eq!(written["segmenter"]["component"], "otsu");
    assert_eq!(pool(&["check", other.to_str().unwrap()]).err, "");
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["other", "pool"]);
}

#[test]
fn a_killed_build_leaves_no_pool() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pool");
    let mut command = medfocus();
    command.args(["pool", "build", "--dataset", "phantom", "--count", "1000"]);
    command.args(["--set", "dataset.presence=\"never\"", "--out"]);
    command
        .arg(&out)
        .arg("--plugins")
        .arg(built().join("plugins"));
    let mut child = command.spawn().unwrap();
    let begun = || {
        let entries = fs::read_dir(folder.path()).unwrap();
        entries
            .flatten()
            .any(|entry| entry.path().join("images").is_dir())
    };
    while !begun() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "ended before it was killed"
        );
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!out.exists());
    assert_eq!(build(&out, &PHANTOMS, &["--count", "1"]).code, 0);
    assert_eq!(pool(&["check", out.to_str().unwrap()]).code, 0);
}

#[test]
fn a_pool_is_drawn() {
    let (folder, out) = four();
    let sheets = ["a.png", "b.png"].map(|name| folder.path().join(name));
    for sheet in &sheets {
        let ran = pool(&[
            "show",
            out.to_str().unwrap(),
            "--out",
            sheet.to_str().unwrap(),
        ]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let [a, b] = sheets.map(|sheet| image::open(sheet).unwrap().into_rgb8());
    assert!(a == b, "the same pool gives the same picture");
    assert!(a.width() > 2 * 360 && a.height() > 2 * 360, "two by two");
    let coloured = a
        .pixels()
        .filter(|pixel| pixel.0[0].abs_diff(pixel.0[2]) > 100)
        .count();
    assert!(coloured > 1000, "{coloured}");
}

#[test]
fn medfocus_takes_phantoms_or_the_pool_that_the_config_names() {
    let (folder, pool) = four();
    let sample = folder.path().join("sample");
    let drawn = run(medfocus()
        .args(["sample", "--out", sample.to_str().unwrap(), "--plugins"])
        .arg(built().join("plugins")));
    assert_eq!(drawn.code, 0, "{drawn:?}");
    let explained = |settings: &[&str]| -> Value {
        let out = folder.path().join("out");
        let mut command = medfocus();
        command.args([
            "attribute",
            "--model",
            "toy=nowhere",
            "--method",
            "medfocus",
        ]);
        command.args(["--question", "?", "--answer", "Yes", "--plugins"]);
        command
            .arg(outside_plugin())
            .arg("--plugins")
            .arg(built().join("plugins"));
        command
            .arg("--image")
            .arg(sample.join("image.png"))
            .arg("--out")
            .arg(&out);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        let ran = run(&mut command);
        assert_eq!(ran.code, 0, "{ran:?}");
        let record: Value =
            serde_json::from_slice(&fs::read(out.join("attribution.json")).unwrap()).unwrap();
        record["method"]["slots"]["pool"].clone()
    };
    let phantoms = explained(&[]);
    assert_eq!(phantoms["component"], "phantom");
    assert_eq!(phantoms["params"]["split"], "train");
    assert_eq!(phantoms["params"]["len"], 16);
    let path = format!("slots.pool.params.path={}", pool.display());
    let mine = explained(&["slots.pool.component=reference_pool", &path]);
    assert_eq!(mine["component"], "reference_pool");
    assert_eq!(mine["params"], json!({"path": pool}));
    let read = dataset("reference_pool", json!({"path": pool})).client();
    assert_eq!(mine["samples"], json!(read.info().unwrap().digest));
}

#[test]
fn results_of_two_pools_never_share_a_folder() {
    let (folder, pool) = four();
    let file = folder.path().join("experiment.toml");
    let write = |slot: &str| {
        let text = format!(
            r#"
            [experiment]
            name = "pools"
            out = {out:?}
            models = ["toy=nowhere"]
            datasets = [{{ component = "phantom", samples = 1 }}]
            [[experiment.methods]]
            component = "medfocus"
            slots.{slot} = {{ component = "reference_pool", params = {{ path = "pool" }} }}
            "#,
            out = folder.path().join("out"),
        );
        fs::write(&file, text).unwrap();
    };
    let give = |words: &[&str]| {
        let mut command = medfocus();
        command.args(words).arg("--plugins").arg(outside_plugin());
        command.arg("--plugins").arg(built().join("plugins"));
        run(command.arg(&file))
    };
    let plan = || give(&["plan", "--no-estimate"]);
    write("pool");
    for words in [
        &["plan", "--no-estimate"][..],
        &["run"],
        &["plan", "--no-estimate"],
    ] {
        let ran = give(words);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    fs::remove_file(pool.join("masks/01/mediastinum.png")).unwrap();
    plan().one_sentence(&["an experiment that differs in experiment.methods"]);
    write("pol");
    plan().one_sentence(&["`medfocus` has no slot `pol`; did you mean `pool`?"]);
}
