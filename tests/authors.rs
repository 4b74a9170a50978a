//! A stranger's afternoon: a plugin of each kind is written, tested, built, installed, used and removed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use medfocus::{
    config::{Filling, Layers},
    workbench::Workbench,
};
use medfocus_plugin_api::{DetectRequest, Detector, GrayImage, Kind};
use medfocus_tests::{Ran, User, built, run, workspace};
use ndarray::Array2;
use serde_json::Value;

const KINDS: [&str; 6] = [
    "method",
    "model",
    "dataset",
    "editor",
    "segmenter",
    "detector",
];

/// Where all written crates are built, so that what they depend on is compiled once.
fn target() -> PathBuf {
    built().join("authors")
}

fn interface() -> PathBuf {
    workspace().join("plugin-api")
}

/// `cargo` as an author without a network runs it, with the versions that are here.
fn cargo(krate: &Path, arguments: &[&str]) -> Ran {
    fs::copy(workspace().join("Cargo.lock"), krate.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(["--release", "--offline"]);
    cargo.current_dir(krate).env("CARGO_TARGET_DIR", target());
    run(cargo.env_remove("CARGO_BUILD_TARGET_DIR"))
}

/// A grey film with a white cell in row 2 and column 5 of an 8 x 8 grid.
fn film(folder: &Path) -> PathBuf {
    let white = |x: u32, y: u32| (140..168).contains(&x) && (56..84).contains(&y);
    let film = image::GrayImage::from_fn(224, 224, |x, y| {
        image::Luma([if white(x, y) { 255 } else { 120 }])
    });
    let path = folder.join("film.png");
    film.save(&path).unwrap();
    path
}

fn attribution(user: &User, arguments: &[&str]) -> Value {
    let out = user.data().join("out");
    let ran = run(user
        .command(&["attribute", "--model", "my_model=nowhere", "--image"])
        .arg(film(user.data()))
        .args(["--question", "Is it bright?", "--out"])
        .arg(&out)
        .args(arguments));
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_slice(&fs::read(out.join("attribution.json")).unwrap()).unwrap()
}

#[test]
fn a_plugin_of_each_kind_is_written_tested_built_installed_used_and_removed() {
    let user = User::new();
    for kind in KINDS {
        let name = format!("my-{kind}");
        let krate = user.data().join(&name);
        let written = run(user
            .command(&["plugin", "new", kind, &name, "--path"])
            .arg(&krate)
            .arg("--plugin-api")
            .arg(interface()));
        assert_eq!(written.code, 0, "{written:?}");

        let tested = cargo(&krate, &["test"]);
        assert_eq!(tested.code, 0, "{tested:?}");
        for test in ["it_conforms ... ok", "2 passed"] {
            assert!(tested.out.contains(test), "{tested:?}");
        }
        assert!(!tested.err.contains("warning"), "{tested:?}");
        let made = cargo(&krate, &["build"]);
        assert_eq!(made.code, 0, "{made:?}");

        // The line that the program itself suggests.
        let line = written.out.lines().last().unwrap().trim();
        let library = line
            .strip_prefix("medfocus plugins install target/")
            .unwrap();
        let installed = user.installs(&target().join(library), &[]);
        assert_eq!(installed.code, 0, "{installed:?}");
        assert!(
            installed
                .out
                .starts_with(&format!("installed {name} 0.1.0\n"))
        );
        let listed = user.says(&["plugins", "list"]);
        assert_eq!(listed.code, 0, "{listed:?}");
        let entry = format!("{name} 0.1.0 (installed)\n  {kind:<10} my_{kind}");
        assert!(listed.out.contains(&entry), "{listed:?}");
    }

    // The method finds the cell that makes the model say yes.
    let record = attribution(&user, &["--method", "my_method"]);
    assert_eq!(record["answer"], "Yes");
    let boxes = record["boxes"].as_array().unwrap();
    assert_eq!(boxes.len(), 1, "{record}");
    let corners: Vec<u64> = serde_json::from_value(boxes[0]["working"]["corners"].clone()).unwrap();
    let [x1, y1, x2, y2] = corners[..] else {
        panic!("{record}")
    };
    assert!(140 <= x1 && x2 <= 168 && 56 <= y1 && y2 <= 84, "{record}");
    assert_eq!(record["method"]["plugin"]["name"], "my-method");
    assert_eq!(record["model"]["plugin"]["name"], "my-model");

    // Editor and segmenter serve a method that is not theirs.
    let record = attribution(
        &user,
        &[
            "--method",
            "medfocus",
            "--set",
            "slots.editor.component=my_editor",
            "--set",
            "slots.segmenter.component=my_segmenter",
            "--set",
            "replacement=editor",
            "--set",
            "agreement=0",
        ],
    );
    for call in ["editor.edit", "segmenter.segment"] {
        assert!(
            record["calls"][call]["calls"].as_u64() > Some(0),
            "{record}"
        );
    }

    let checked = user.says(&["dataset", "check", "my_dataset"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.out.contains("8 of 8 samples read"), "{checked:?}");

    let mut layers = Layers::load(None, &[]).unwrap();
    layers.config.plugins.paths = vec![user.folder()];
    let bench = Workbench::new(layers);
    let filling = Filling {
        component: "my_detector".to_owned(),
        params: Default::default(),
        slots: Default::default(),
    };
    let recipe = bench.plan_component(Kind::Detector, &filling).unwrap();
    let detector = bench.make(&recipe, None).unwrap().instance.client();
    let image = GrayImage::from_array(Array2::zeros((224, 224))).unwrap();
    let request = DetectRequest::new(image, vec!["right lung".to_owned()], 0.1, 5);
    let found = detector.detect(&request).unwrap();
    assert_eq!(found[0][0].label.as_deref(), Some("right lung"));

    for kind in KINDS {
        let removed = user.says(&["plugins", "remove", &format!("my-{kind}")]);
        assert_eq!(removed.code, 0, "{removed:?}");
    }
    assert!(user.files().is_empty());
    let gone = user.says(&["dataset", "check", "my_dataset"]);
    gone.one_sentence(&["there is no dataset `my_dataset`"]);
}

#[test]
fn a_crate_that_cannot_be_is_not_written() {
    let user = User::new();
    let new = |name: &str, more: &[&str]| {
        let mut command = user.command(&["plugins", "new", "method", name]);
        run(command.args(more).current_dir(user.data()))
    };
    for name in [
        "My-Method",
        "4cells",
        "a/b",
        "..",
        "fn",
        "std",
        "méthode",
        "",
    ] {
        new(name, &[]).one_sentence(&["cannot be the name of a crate"]);
    }
    new("mine", &["--plugin-api", "/nonexistent"])
        .one_sentence(&["/nonexistent is not the folder of medfocus-plugin-api"]);
    let host = workspace().join("host");
    new("mine", &["--plugin-api", host.to_str().unwrap()]).one_sentence(&["is not the folder of"]);
    assert!(!user.data().join("mine").exists());

    // Without a folder of the interface it is the release of this program; what is there is never touched.
    let written = new("mine", &[]);
    assert_eq!(written.code, 0, "{written:?}");
    let manifest = fs::read_to_string(user.data().join("mine/Cargo.toml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(manifest.contains(&format!(
        "medfocus-plugin-api = {{ version = \"{version}\" }}"
    )));
    for text in ["template", "0.0.0"] {
        assert!(!manifest.contains(text), "{manifest}");
    }
    new("mine", &[]).one_sentence(&["`mine` is there and is no empty folder"]);
}
