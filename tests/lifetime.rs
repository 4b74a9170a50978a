//! What a component leaves behind, and whose words its lines are.

use std::sync::Arc;

use medfocus::{config::Layers, workbench::Workbench};
use medfocus_plugin_api::{AttributionMethod, testkit};
use medfocus_tests::{bright_cell, built, medfocus, outside_plugin, run};
use ndarray::Array2;

fn bench() -> Workbench {
    let mut layers = Layers::load(None, &[]).unwrap();
    layers.config.plugins.paths = vec![
        outside_plugin(),
        built().join("plugins/libmedfocus_method_perturbation.so"),
    ];
    Workbench::new(layers)
}

#[test]
fn a_model_is_freed_with_the_last_that_uses_it() {
    let bench = bench();
    let model = bench.model("toy=nowhere", None).unwrap();
    // Of another library than the model, and the first component of it.
    let method = bench.method("occlusion", &model).unwrap();
    let task = testkit::toy_task(Array2::zeros((224, 224))).unwrap();
    method.client().attribute(&task).unwrap();

    let alive = Arc::downgrade(&model.instance);
    drop(model);
    assert!(alive.upgrade().is_some(), "the method holds its model");
    drop(method);
    assert!(alive.upgrade().is_none(), "the first model stays for ever");
}

#[test]
fn a_line_bears_the_name_of_the_component_that_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    // The model is made first, of the same library.
    let ran = run(medfocus()
        .args(["attribute", "--model", "toy=nowhere", "--method"])
        .args(["outside_centre", "--question", "Where?", "--plugins"])
        .arg(outside_plugin())
        .arg("--image")
        .arg(bright_cell(folder.path(), 2, 5))
        .arg("--out")
        .arg(folder.path().join("out")));
    assert_eq!(ran.code, 0, "{ran:?}");
    let line = ran
        .err
        .lines()
        .find(|line| line.contains("a word from outside"));
    let line = line.expect("the warning is shown");
    assert!(
        line.contains("outside_centre") && !line.contains("toy:"),
        "{line}"
    );
}
