//! A digest in a record is that of the code that ran, whatever becomes of the file.

use std::{fs, path::Path};

use medfocus::{config::Layers, plugin::inspect, workbench::Workbench};
use medfocus_plugin_api::{AttributionMethod, VisionLanguageModel, testkit};
use medfocus_tests::outside_plugin;
use ndarray::Array2;

fn bench(plugin: &Path) -> Workbench {
    let mut layers = Layers::load(None, &[]).unwrap();
    layers.config.plugins.paths = vec![plugin.to_owned()];
    Workbench::new(layers)
}

fn digest(plugin: &Path) -> String {
    let bytes = fs::read(plugin).unwrap();
    format!("blake3:{}", blake3::hash(&bytes).to_hex())
}

#[test]
fn a_plugin_that_changed_since_it_was_planned_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("libmedfocus_outside.so");
    fs::copy(outside_plugin(), &plugin).unwrap();
    let before = digest(&plugin);
    let bench = bench(&plugin);
    let recipe = bench.plan_model("toy=nowhere", Default::default()).unwrap();
    assert_eq!(recipe.provenance.plugin.digest, before);

    // As sound as before, but another file.
    let mut bytes = fs::read(&plugin).unwrap();
    bytes.push(0);
    fs::write(&plugin, bytes).unwrap();
    let error = bench.make(&recipe, None).err().unwrap().to_string();
    let named = [
        plugin.to_str().unwrap(),
        &before,
        &digest(&plugin),
        "has changed since",
    ];
    for words in named {
        assert!(error.contains(words), "no `{words}` in {error}");
    }
}

#[test]
fn what_becomes_of_the_file_later_touches_neither_code_nor_record() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("libmedfocus_outside.so");
    fs::copy(outside_plugin(), &plugin).unwrap();
    let before = digest(&plugin);
    let bench = bench(&plugin);
    let model = bench.model("toy=nowhere", None).unwrap();
    let length = fs::metadata(&plugin).unwrap().len() as usize;
    // In place: a library mapped from the file itself would run these zeros.
    fs::write(&plugin, vec![0; length]).unwrap();

    let method = bench.method("outside_centre", &model).unwrap();
    assert_eq!(method.provenance.plugin.digest, before);
    assert_eq!(model.client().info().unwrap().family, "toy");
    let task = testkit::toy_task(Array2::zeros((224, 224))).unwrap();
    method.client().attribute(&task).unwrap();
}

#[test]
fn two_plugins_are_two_libraries() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("libmedfocus_broken.so");
    let mut bytes = fs::read(outside_plugin()).unwrap();
    // A plugin that fails to load gives its number back: the next one must not be taken for it.
    let symbol = b"_1as_0lib_1header_0root_bmodule_bloader\0";
    let found: Vec<_> = (0..bytes.len() - symbol.len())
        .filter(|&at| &bytes[at..at + symbol.len()] == symbol)
        .collect();
    for at in found {
        bytes[at] = b'x';
    }
    fs::write(&broken, bytes).unwrap();
    let bench = bench(&outside_plugin());
    let library = |file: &Path| bench.library(&inspect(file).unwrap().unwrap());
    let refused = library(&broken).err().unwrap().to_string();
    assert!(refused.contains("no root module"), "{refused}");
    assert!(library(&outside_plugin()).is_ok());
}
