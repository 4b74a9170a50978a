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

/// The debug lines that say of a component what happened to it.
fn events(log: &str, event: &str) -> Vec<(usize, String)> {
    let lines = log.lines().enumerate();
    lines
        .filter_map(|(at, line)| {
            let component = line.split_once(&format!("{event} component=\""))?.1;
            Some((at, component.split('"').next()?.to_owned()))
        })
        .collect()
}

#[test]
fn a_run_shares_what_fills_slots_and_frees_all_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = [outside_plugin(), built().join("plugins")];
    let out = folder.path().join("out");
    let config = format!(
        "[plugins]\npaths = {plugins:?}\n[slots.segmenter]\ncomponent = \"otsu\"\n\
         [experiment]\nname = \"shared\"\nout = {out:?}\nmodels = [\"toy=a\", \"toy=b\"]\n\
         [[experiment.datasets]]\ncomponent = \"phantom\"\nsamples = 1\n\
         [[experiment.methods]]\ncomponent = \"medfocus\"\n\
         [[experiment.methods]]\ncomponent = \"medfocus\"\nname = \"again\"\n"
    );
    let file = folder.path().join("shared.toml");
    std::fs::write(&file, config).unwrap();
    let ran = run(medfocus()
        .arg("run")
        .arg(&file)
        .env("MEDFOCUS_LOG", "medfocus=debug")
        .env("NO_COLOR", "1"));
    assert_eq!(ran.code, 0, "{ran:?}");

    let (made, freed) = (events(&ran.err, "made"), events(&ran.err, "freed"));
    let named = |events: &[(usize, String)], name: &str| -> Vec<usize> {
        let mut of = events.to_vec();
        of.retain(|(_, component)| component == name);
        of.into_iter().map(|(at, _)| at).collect()
    };
    // Two methods, two models: one for each model.
    assert_eq!(named(&made, "medfocus").len(), 4, "{made:?}");
    assert_eq!(named(&made, "otsu").len(), 2, "{made:?}");
    let (models, gone) = (named(&made, "toy"), named(&freed, "toy"));
    assert_eq!((models.len(), gone.len()), (2, 2), "{made:?} {freed:?}");
    assert!(
        gone[0] < models[1],
        "the first model makes room for the second"
    );
    let names = |events: Vec<(usize, String)>| {
        let mut names: Vec<_> = events.into_iter().map(|(_, name)| name).collect();
        names.sort();
        names
    };
    assert_eq!(names(made), names(freed), "all that was made is freed");
}

#[test]
fn a_wrong_parameter_of_the_method_costs_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(medfocus()
        .args([
            "attribute",
            "--model",
            "toy=nowhere",
            "--method",
            "occlusion",
        ])
        .args(["--question", "Where?", "--set", "cells=0", "--plugins"])
        .arg(outside_plugin())
        .arg("--plugins")
        .arg(built().join("plugins"))
        .arg("--image")
        .arg(bright_cell(folder.path(), 2, 5))
        .arg("--out")
        .arg(folder.path().join("out"))
        .env("MEDFOCUS_LOG", "medfocus=debug")
        .env("NO_COLOR", "1"));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("must lie in"), "{ran:?}");
    assert_eq!(events(&ran.err, "made"), []);
}
