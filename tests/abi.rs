//! Real libraries through the real loader: one from outside, and broken ones.

use std::{
    fs,
    path::{Path, PathBuf},
};

use medfocus::{config::Layers, plugin::Registry, workbench::Workbench};
use medfocus_plugin_api::{AttributionMethod, ErrorKind, testkit};
use medfocus_tests::{built, medfocus, outside_plugin, run};
use ndarray::Array2;

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

#[test]
fn listing_loads_nothing() {
    let plugins = built().join("plugins");
    let registry = Registry::discover(std::slice::from_ref(&plugins));
    assert!(registry.plugins().len() >= 5, "{:?}", registry.refused());
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains("libmedfocus_"), "a plugin is in the process");
    assert!(!maps.contains("libtorch"), "libtorch is in the process");
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
