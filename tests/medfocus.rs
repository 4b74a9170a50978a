//! MedFocus through the real libraries, against NumPy with every matrix formed (`tests/fixtures/medfocus`).

use std::{fs, path::PathBuf};

use medfocus::{
    config::{Filling, Layers},
    study::Study,
    workbench::{Ready, Workbench},
};
use medfocus_imaging::picture;
use medfocus_plugin_api::{Attribution, AttributionMethod, HeatMap, Task};
use medfocus_tests::{built, workspace};
use ndarray::{Array2, s};
use safetensors::SafeTensors;
use serde_json::{Value, json};

/// Largest difference of what is made of the model's log-probabilities, which are reported to four decimals.
const TOLERANCE: f64 = 1e-4;

/// What the reference computes.
struct Reference {
    listing: Value,
    heats: Vec<u8>,
}

impl Reference {
    fn load() -> Self {
        let listing = fs::read(fixtures().join("medfocus/cases.json")).unwrap();
        Self {
            listing: serde_json::from_slice(&listing).unwrap(),
            heats: fs::read(fixtures().join("medfocus/expected.safetensors")).unwrap(),
        }
    }

    fn cases(&self) -> &[Value] {
        self.listing["cases"].as_array().unwrap()
    }

    fn task(&self, case: &Value) -> Task {
        let file = format!("medfocus/images/{}.png", text(&case["image"]));
        let study = Study::read(&fs::read(fixtures().join(file)).unwrap(), picture::here).unwrap();
        Task::new(
            study.working,
            study.native,
            study.letterbox,
            text(&self.listing["question"]),
            text(&case["answer"]),
        )
    }

    /// The map of a case at every n-th row and column.
    fn heat(&self, case: &str) -> Array2<f32> {
        let tensors = SafeTensors::deserialize(&self.heats).unwrap();
        let tensor = tensors.tensor(case).unwrap();
        let [rows, columns] = *tensor.shape() else {
            panic!("{case} is no matrix");
        };
        let values = tensor
            .data()
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        Array2::from_shape_vec((rows, columns), values.collect()).unwrap()
    }

    /// What is wrong with what the method says of a case.
    fn faults(&self, case: &Value, found: Attribution) -> Vec<String> {
        let mut said = Value::Object(found.evidence);
        let boxes = found.boxes.unwrap().into_iter();
        said["boxes"] = boxes
            .map(|found| json!({"corners": found.bbox.corners(), "score": found.score}))
            .collect();
        let mut faults = Vec::new();
        let relative = case["relative"].as_f64().unwrap();
        compare("", &case["expected"], &said, relative, &mut faults);
        let difference = self.heat_difference(case, &found.heat.unwrap());
        if f64::from(difference) > TOLERANCE {
            faults.push(format!("the maps differ by {difference:e}"));
        }
        faults
    }

    fn heat_difference(&self, case: &Value, heat: &HeatMap) -> f32 {
        let step = self.listing["stride"].as_u64().unwrap() as isize;
        let found = heat.view().slice_move(s![..;step, ..;step]);
        let difference = (&self.heat(text(&case["name"])) - &found).mapv(f32::abs);
        difference.fold(0.0, |largest, &d| largest.max(d))
    }
}

/// Notes each value that is not as expected: numbers of the transport to a share of their own, of the model within
/// [`TOLERANCE`], all else exactly. What is not expected is not looked at.
fn compare(at: &str, expected: &Value, found: &Value, relative: f64, faults: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, expected) in expected {
                let found = found.get(key).unwrap_or(&Value::Null);
                compare(&format!("{at}.{key}"), expected, found, relative, faults);
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (i, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{at}.{i}"), expected, found, relative, faults);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            let allowed = match at.rsplit('.').next() {
                Some("cost" | "mass") => relative * a.abs(),
                _ => TOLERANCE,
            };
            if (a - b).abs() > allowed {
                faults.push(format!("{at} is {b}, not {a}"));
            }
        }
        _ if expected == found => {}
        _ => faults.push(format!("{at} is {found}, not {expected}")),
    }
}

fn fixtures() -> PathBuf {
    workspace().join("tests/fixtures")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A component of the fixtures.
fn filling(component: &str, folder: &str) -> Filling {
    let params = json!({"path": fixtures().join(folder)});
    serde_json::from_value(json!({"component": component, "params": params})).unwrap()
}

fn attribute(
    bench: &mut Workbench,
    model: &Ready,
    params: &Value,
    task: &Task,
) -> Result<Attribution, String> {
    bench.layers.config.method = serde_json::from_value(params.clone()).unwrap();
    bench
        .method("medfocus", model)
        .and_then(|method| method.client().attribute(task))
        .map_err(|error| error.to_string())
}

#[test]
fn every_step_is_that_of_the_reference() {
    let reference = Reference::load();
    let mut layers = Layers::load(None, &[]).unwrap();
    layers.config.plugins.paths = vec![built().join("plugins")];
    let slots = &mut layers.config.slots;
    slots.insert("pool".into(), filling("reference_pool", "medfocus/pool"));
    let mut bench = Workbench::new(layers);

    let mut wrong = Vec::new();
    for checkpoint in ["gemma3/hub", "gemma3/saved", "qwen2_5_vl/hub"] {
        let (family, _) = checkpoint.split_once('/').unwrap();
        let model = format!("{family}={}", fixtures().join(checkpoint).display());
        let model = bench.model(&model, Some("cpu")).unwrap();
        let cases = reference.cases().iter();
        for case in cases.filter(|case| case["checkpoint"] == checkpoint) {
            let slots = &mut bench.layers.config.slots;
            slots.remove("segmenter");
            if let Some(checkpoint) = case["segmenter"].as_str() {
                let medsam = filling("medsam", &format!("medsam/{checkpoint}"));
                slots.insert("segmenter".into(), medsam);
            }
            let params = &reference.listing["variants"][text(&case["variant"])];
            let faults = match attribute(&mut bench, &model, params, &reference.task(case)) {
                Ok(found) => reference.faults(case, found),
                Err(error) => vec![error],
            };
            let name = text(&case["name"]);
            wrong.extend(faults.iter().map(|fault| format!("{name}: {fault}")));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} faults in {} cases:\n{}",
        wrong.len(),
        reference.cases().len(),
        wrong.join("\n")
    );
}

#[test]
fn the_reference_decides_more_than_one_way() {
    let reference = Reference::load();
    let distinct = |read: fn(&Value) -> &Value| {
        let mut values: Vec<_> = reference
            .cases()
            .iter()
            .map(read)
            .map(Value::to_string)
            .collect();
        values.sort();
        values.dedup();
        values.len()
    };
    assert_eq!(distinct(|case| &case["expected"]["fallback"]), 2);
    assert!(distinct(|case| &case["expected"]["winner"]) > 4);
    assert!(distinct(|case| &case["expected"]["references"][0]["index"]) > 1);
}
