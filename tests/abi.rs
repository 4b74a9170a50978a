//! Real libraries through the real loader: one from outside, and broken ones.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use medfocus::{
    config::Layers,
    plugin::{Registry, inspect},
    workbench::{Ready, Workbench},
};
use medfocus_plugin_api::{
    AttributionMethod, ErrorKind, ScoreRequest, VisionLanguageModel, testkit,
};
use medfocus_tests::{Ran, built, medfocus, outside_plugin, run, workspace};
use ndarray::{Array2, Ix2};

fn bench(plugins: &[&Path]) -> Workbench {
    let mut layers = Layers::load(None, &[]).unwrap();
    layers.config.plugins.paths = plugins.iter().map(|path| path.to_path_buf()).collect();
    Workbench::new(layers)
}

/// A copy of the outside plugin with its bytes changed.
fn doctored(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = fs::read(outside_plugin()).unwrap();
    change(&mut bytes);
    let path = folder.join("libmedfocus_doctored.so");
    fs::write(&path, bytes).unwrap();
    path
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .expect("the text is there");
    bytes[at..at + to.len()].copy_from_slice(to);
}

#[test]
fn a_plugin_from_outside_runs_and_its_panics_stay_inside() {
    let plugin = outside_plugin();
    let bench = bench(&[&plugin]);
    let model = bench.model("toy=nowhere", None).unwrap();
    let task = testkit::toy_task(Array2::from_elem((224, 224), 100)).unwrap();

    let error = bench.method("panics_in_new", &model).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Panicked);
    assert!(
        error.message.contains("no construction today") && error.message.contains("src/lib.rs:"),
        "{error}"
    );

    let panicking = bench.method("panics_in_call", &model).unwrap();
    let error = panicking.client().attribute(&task).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Panicked);
    assert!(
        error.message.contains("`panics_in_call` panicked")
            && error.message.contains("lost the thread"),
        "{error}"
    );
    // The same component may be called again.
    assert_eq!(
        panicking.client().attribute(&task).unwrap_err().kind,
        ErrorKind::Panicked
    );

    drop(bench.method("panics_in_drop", &model).unwrap());

    let centre = bench.method("outside_centre", &model).unwrap();
    let found = centre.client().attribute(&task).unwrap();
    assert_eq!(found.boxes.unwrap()[0].bbox.corners(), [56, 56, 168, 168]);
    assert_eq!(found.evidence["model_family"], "toy");
    let ledger = bench.session.take_ledger();
    assert_eq!(
        ledger["model.info"].calls, 1,
        "the mediated call is counted: {ledger:?}"
    );
    assert_eq!(ledger["method.attribute"].calls, 3);
}

#[test]
fn cancelling_reaches_a_plugin() {
    let bench = bench(&[&outside_plugin()]);
    let model = bench.model("toy=nowhere", None).unwrap();
    let centre = bench.method("outside_centre", &model).unwrap();
    let task = testkit::toy_task(Array2::zeros((224, 224))).unwrap();
    bench.session.cancel();
    assert_eq!(
        centre.client().attribute(&task).unwrap_err().kind,
        ErrorKind::Cancelled
    );
}

/// The libraries that the dynamic loader maps while the program runs with these arguments.
fn loaded_by(arguments: &[&OsStr]) -> Vec<String> {
    let ran = run(medfocus().args(arguments).env("LD_DEBUG", "files"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let loaded = ran
        .err
        .lines()
        .filter(|line| line.contains("generating link map"));
    loaded.map(str::to_owned).collect()
}

#[test]
fn listing_loads_nothing() {
    let plugin = outside_plugin();
    let checked = loaded_by(&["plugins".as_ref(), "check".as_ref(), plugin.as_ref()]);
    let names = |loaded: &[String], name: &str| loaded.iter().any(|line| line.contains(name));
    // A plugin is loaded from a file in memory, which has no path.
    assert!(names(&checked, "/proc/self/fd/"), "{checked:?}");

    let listed = loaded_by(&["plugins".as_ref(), "list".as_ref()]);
    assert!(names(&listed, "libc.so"), "{listed:?}");
    assert!(!names(&listed, "/proc/self/fd/"), "{listed:?}");
    assert!(!names(&listed, "libmedfocus_"), "{listed:?}");
    assert!(!names(&listed, "libtorch"), "{listed:?}");
}

/// The same plugin as a stranger shipped it: version 0.7.0 of `medfocus-plugin-api`, another compiler.
/// It must load for as long as the epoch is 1, and is never built again (`tests/plugins/golden/README.md`).
fn golden_plugin() -> PathBuf {
    workspace().join("tests/plugins/golden/libmedfocus_outside.so")
}

#[test]
fn a_plugin_of_another_release_and_compiler_runs() {
    let plugin = golden_plugin();
    let inspected = inspect(&plugin).unwrap().unwrap();
    assert_ne!(inspected.manifest.api_version, env!("CARGO_PKG_VERSION"));
    assert!(inspected.refused.is_empty());

    let bench = bench(&[&plugin]);
    let model = bench.model("toy=nowhere", None).unwrap();
    let task = testkit::toy_task(Array2::from_elem((224, 224), 100)).unwrap();
    let centre = bench.method("outside_centre", &model).unwrap();
    let found = centre.client().attribute(&task).unwrap();
    assert_eq!(found.boxes.unwrap()[0].bbox.corners(), [56, 56, 168, 168]);
    assert_eq!(found.evidence["model_family"], "toy");
    let panicking = bench.method("panics_in_call", &model).unwrap();
    let error = panicking.client().attribute(&task).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Panicked);

    // Its answers are those of the same source built today.
    let today = self::bench(&[&outside_plugin()]);
    let request = ScoreRequest::new(vec![task.image.clone()], task.question.clone(), "Yes");
    let log_probs = |model: &Ready| {
        let scores = VisionLanguageModel::score(&model.instance.client(), &request).unwrap();
        scores.log_probs.view_nd::<f32, Ix2>().unwrap().to_owned()
    };
    let today = today.model("toy=nowhere", None).unwrap();
    assert_eq!(log_probs(&model), log_probs(&today));
}

#[test]
fn a_component_of_an_unknown_kind_is_refused_and_the_others_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let newer = doctored(folder.path(), |bytes| {
        replace(
            bytes,
            br#""kind":"method","name":"panics_in_new""#,
            br#""kind":"oracle","name":"panics_in_new""#,
        )
    });
    let listed = run(medfocus()
        .args(["plugins", "list", "--plugins"])
        .arg(&newer));
    assert_eq!(listed.code, 1, "{listed:?}");
    let refused = listed
        .out
        .lines()
        .filter(|line| line.starts_with("refused:"));
    let refused: Vec<_> = refused.collect();
    assert_eq!(refused.len(), 1, "{listed:?}");
    for word in ["panics_in_new", "oracle", "update this host"] {
        assert!(refused[0].contains(word), "{listed:?}");
    }
    assert!(listed.out.contains("outside_centre"), "{listed:?}");
    assert_eq!(
        run(medfocus().args(["plugins", "check"]).arg(&newer)).code,
        0
    );
}

#[test]
fn the_manifest_of_another_epoch_may_hold_anything() {
    let folder = tempfile::tempdir().unwrap();
    let newer = doctored(folder.path(), |bytes| {
        replace(bytes, b"\"abi_epoch\":1", b"\"abi_epoch\":9");
        replace(bytes, b"\"components\":", b"\"elementary\":");
    });
    let checked = run(medfocus().args(["plugins", "check"]).arg(&newer));
    assert!(checked.out.contains("epoch 9"), "{checked:?}");
}

#[test]
fn a_truncated_plugin_is_refused_and_the_others_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    for keep in [0.0, 0.001, 0.3, 0.999] {
        let cut = doctored(folder.path(), |bytes| {
            bytes.truncate((bytes.len() as f64 * keep) as usize)
        });
        let listed = run(medfocus()
            .args(["plugins", "list", "--plugins"])
            .arg(&cut)
            .arg("--plugins")
            .arg(outside_plugin()));
        assert_eq!(listed.code, 1, "{listed:?}");
        let refusals: Vec<_> = listed
            .out
            .lines()
            .filter(|line| line.starts_with("refused:"))
            .collect();
        assert_eq!(refusals.len(), 1, "{listed:?}");
        assert!(refusals[0].contains("copy it again"), "{listed:?}");
        assert!(listed.out.contains("outside_centre"), "{listed:?}");
    }
}

#[test]
fn another_epoch_is_refused_with_both_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let newer = doctored(folder.path(), |bytes| {
        replace(bytes, b"\"abi_epoch\":1", b"\"abi_epoch\":9")
    });
    let checked = run(medfocus().args(["plugins", "check"]).arg(&newer));
    assert_eq!(checked.code, 1);
    assert_eq!(checked.out.lines().count(), 1, "{checked:?}");
    for word in ["epoch 9", "epoch 1", "update this host"] {
        assert!(checked.out.contains(word), "{checked:?}");
    }
}

#[test]
fn another_machine_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = doctored(folder.path(), |bytes| {
        replace(bytes, b"-linux-gnu", b"-plan9-gnu")
    });
    let checked = run(medfocus().args(["plugins", "check"]).arg(&foreign));
    assert!(
        checked.out.contains("-plan9-gnu") && checked.out.contains("build it for this machine"),
        "{checked:?}"
    );
}

#[test]
fn a_plugin_that_is_not_pinned_stays_shut() {
    let plugin = outside_plugin();
    let checked = run(medfocus().args(["plugins", "check"]).arg(&plugin));
    let digest = checked.out.split_whitespace().last().unwrap().to_owned();
    assert!(digest.starts_with("blake3:"), "{checked:?}");
    let pinned = |pin: &str| {
        run(medfocus()
            .args(["plugins", "check", "--set"])
            .arg(format!("plugins.pins.medfocus-outside=\"{pin}\""))
            .arg(&plugin))
    };
    assert_eq!(pinned(&digest).code, 0);
    let other = pinned("blake3:00");
    assert_eq!(other.code, 1);
    assert!(
        other.out.contains("blake3:00") && other.out.contains(&digest),
        "{other:?}"
    );
    let elsewhere = run(medfocus()
        .args([
            "plugins",
            "check",
            "--set",
            "plugins.pins.another=\"blake3:00\"",
        ])
        .arg(&plugin));
    assert!(elsewhere.out.contains("is not pinned"), "{elsewhere:?}");
}

#[test]
fn without_libtorch_only_its_plugins_are_refused() {
    let plugins = built().join("plugins");
    let checked = run(medfocus()
        .args(["plugins", "check", "--set", "libtorch.dir=/nonexistent"])
        .arg(plugins.join("libmedfocus_model_gemma3.so"))
        .arg(plugins.join("libmedfocus_method_controls.so")));
    assert_eq!(checked.code, 1);
    let lines: Vec<_> = checked.out.lines().collect();
    assert_eq!(lines.len(), 2, "{checked:?}");
    assert!(
        lines[0].contains("needs libtorch") && lines[0].contains("/nonexistent"),
        "{checked:?}"
    );
    assert!(
        lines[1].starts_with("ok medfocus-method-controls"),
        "{checked:?}"
    );
}

#[test]
fn a_library_that_is_no_plugin_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let stranger = doctored(folder.path(), |bytes| {
        replace(bytes, b".medfocus.manifest\0", b".somebody.elsewhat\0")
    });
    let registry = Registry::discover(&[folder.path().to_owned()]);
    assert!(registry.plugins().is_empty() && registry.refused().is_empty());
    let checked = run(medfocus().args(["plugins", "check"]).arg(&stranger));
    assert!(checked.out.contains("no manifest"), "{checked:?}");
}

/// Builds a host whose interface is of this release, over a surface of this version, beside a copy of the sources; opens
/// the plugin of this tree with it.
fn opened_elsewhere(release: &str, surface: &str) -> Ran {
    let place = built()
        .join("elsewhere")
        .join(format!("{release}-{surface}"));
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    for folder in ["plugin-api", "tests/plugins/elsewhere"] {
        let copied = Command::new("cp")
            .arg("-r")
            .arg(workspace().join(folder))
            .arg(&place)
            .status();
        assert!(copied.unwrap().success());
    }
    let edit = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(place.join(file)).unwrap();
        assert!(text.contains(from), "{file} has no `{from}`");
        fs::write(place.join(file), text.replacen(from, to, 1)).unwrap();
    };
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let (_, shared) = manifest.split_once("[workspace.package]").unwrap();
    let members = "[workspace]\nresolver = \"3\"\nmembers = [\"plugin-api\", \"plugin-api/abi\", \"elsewhere\"]\n";
    fs::write(
        place.join("Cargo.toml"),
        format!("{members}\n[workspace.package]{shared}"),
    )
    .unwrap();
    edit(
        "Cargo.toml",
        "version = \"0.1.0\"",
        &format!("version = \"{release}\""),
    );
    edit(
        "Cargo.toml",
        "path = \"plugin-api/abi\", version = \"1.0.0\"",
        &format!("path = \"plugin-api/abi\", version = \"{surface}\""),
    );
    edit(
        "plugin-api/abi/Cargo.toml",
        "version = \"1.0.0\"",
        &format!("version = \"{surface}\""),
    );
    fs::copy(workspace().join("Cargo.lock"), place.join("Cargo.lock")).unwrap();
    let target = built().join("elsewhere/target");
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--quiet",
            "--offline",
            "--package",
            "elsewhere",
        ])
        .current_dir(&place)
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("CARGO_BUILD_TARGET_DIR")
        .status()
        .unwrap();
    assert!(status.success(), "the other host does not build");
    run(Command::new(target.join("release/elsewhere")).arg(outside_plugin()))
}

#[test]
fn a_plugin_of_this_tree_loads_in_hosts_of_later_releases() {
    for release in ["0.2.0", "1.0.0"] {
        let ran = opened_elsewhere(release, "1.0.0");
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.starts_with(release), "{ran:?}");
        assert!(ran.out.contains("\"medfocus-outside\""), "{ran:?}");
    }
    // Were the surface's own version to move, it would be refused: that is what this test would see.
    let ran = opened_elsewhere("0.2.0", "2.0.0");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("refused"), "{ran:?}");
}
