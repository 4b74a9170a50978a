//! Every attribution method through the real libraries, against NumPy on what transformers computes
//! (`tests/fixtures/methods`).

use std::{fs, path::PathBuf};

use medfocus::{
    boxes::BoxRule,
    config::Layers,
    workbench::{Ready, Workbench},
};
use medfocus_plugin_api::{
    AttributionMethod, BBox, GrayImage, HeatMap, Letterbox, Task, WORKING_SIDE, Working,
};
use medfocus_tests::{built, workspace};
use ndarray::{Array2, ArrayView2, s};
use safetensors::SafeTensors;
use serde_json::{Value, json};

/// Largest difference of a normalised map. Grad-CAM++ divides by sums that nearly cancel, which makes more of the rounding.
fn tolerance(method: &Value) -> f32 {
    if method == "gradcampp" { 3e-4 } else { 1e-4 }
}

/// What the reference computes.
struct Reference {
    listing: Value,
    tensors: Vec<u8>,
}

impl Reference {
    fn load() -> Self {
        let folder = fixtures().join("methods");
        let listing = fs::read(folder.join("cases.json")).unwrap();
        Self {
            listing: serde_json::from_slice(&listing).unwrap(),
            tensors: fs::read(folder.join("expected.safetensors")).unwrap(),
        }
    }

    /// Shape and bytes of a tensor.
    fn tensor(&self, name: &str) -> ((usize, usize), Vec<u8>) {
        let tensors = SafeTensors::deserialize(&self.tensors).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let [rows, columns] = *tensor.shape() else {
            panic!("{name} is no matrix");
        };
        ((rows, columns), tensor.data().to_vec())
    }

    /// The map of a case at every n-th row and column.
    fn heat(&self, case: &str) -> Array2<f32> {
        let (shape, bytes) = self.tensor(case);
        let values = bytes
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        Array2::from_shape_vec(shape, values.collect()).unwrap()
    }

    fn cases(&self) -> &[Value] {
        self.listing["cases"].as_array().unwrap()
    }

    fn task(&self, answer: &str) -> Task {
        let (shape, bytes) = self.tensor("image");
        let pixels = Array2::from_shape_vec(shape, bytes).unwrap();
        let [width, height] = [0, 1].map(|i| self.listing["native"][i].as_u64().unwrap() as u32);
        let letterbox = Letterbox::new(width, height, WORKING_SIDE).unwrap();
        let [x1, y1, x2, y2] = letterbox.content().corners().map(|edge| edge as usize);
        Task::new(
            GrayImage::from_array(pixels.clone()).unwrap(),
            GrayImage::from_array(pixels.slice(s![y1..y2, x1..x2]).to_owned()).unwrap(),
            letterbox,
            text(&self.listing["question"]),
            answer,
        )
    }

    /// What is wrong with what a method makes of a case.
    fn differs(&self, case: &Value, heat: &HeatMap) -> Option<String> {
        let step = self.listing["stride"].as_u64().unwrap() as isize;
        let expected = self.heat(text(&case["name"]));
        let most = |values: ArrayView2<'_, f32>| values.fold(0.0f32, |most, &v| most.max(v));
        if !heat.is_zero() && (most(heat.view()) - 1.0).abs() > 1e-6 {
            return Some(format!("the map ends at {}", most(heat.view())));
        }
        // The reference adds 1e-8 to the range of faint maps as they are: all of them are less by one factor, which cancels.
        let found = heat.view().slice_move(s![..;step, ..;step]);
        let scale = |values: ArrayView2<'_, f32>| most(values).max(f32::MIN_POSITIVE);
        let factor = scale(found) / scale(expected.view());
        let difference = (expected * factor - found).mapv(f32::abs);
        let largest = difference.fold(0.0f32, |largest, &d| largest.max(d));
        if largest > tolerance(&case["method"]) {
            return Some(format!("the maps differ by {largest:e}"));
        }
        let rule: BoxRule = serde_json::from_value(case["rule"].clone()).unwrap();
        let boxes = rule.apply(heat).boxes.into_iter().map(|found| found.bbox);
        let boxes: Vec<BBox<Working>> = boxes.collect();
        let corners = json!(Vec::from_iter(boxes.iter().map(BBox::corners)));
        (case["stable"] == true && corners != case["boxes"])
            .then(|| format!("the boxes are {corners}, not {}", case["boxes"]))
    }
}

fn fixtures() -> PathBuf {
    workspace().join("tests/fixtures")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn attribute(
    bench: &mut Workbench,
    model: &Ready,
    case: &Value,
    task: &Task,
) -> Result<HeatMap, String> {
    bench.layers.config.method = serde_json::from_value(case["params"].clone()).unwrap();
    bench
        .method(text(&case["method"]), model)
        .and_then(|method| method.client().attribute(task))
        .map_err(|error| error.to_string())?
        .heat
        .ok_or_else(|| "there is no map".to_owned())
}

#[test]
fn maps_and_boxes_are_those_of_the_reference() {
    let reference = Reference::load();
    let mut layers = Layers::load(None, &[]).unwrap();
    layers.config.plugins.paths = vec![built().join("plugins")];
    let mut bench = Workbench::new(layers);

    let mut wrong = Vec::new();
    for (family, checkpoint) in [
        ("gemma3", "hub"),
        ("gemma3", "saved"),
        ("qwen2_5_vl", "hub"),
    ] {
        let folder = fixtures().join(family).join(checkpoint);
        let model = format!("{family}={}", folder.display());
        let model = bench.model(&model, Some("cpu")).unwrap();
        let cases = reference.cases().iter();
        let own = |case: &&Value| case["family"] == family && case["checkpoint"] == checkpoint;
        for case in cases.filter(own) {
            let task = reference.task(text(&case["answer"]));
            let fault = match attribute(&mut bench, &model, case, &task) {
                Ok(heat) => reference.differs(case, &heat),
                Err(error) => Some(error),
            };
            wrong.extend(fault.map(|fault| format!("{}: {fault}", text(&case["name"]))));
        }
    }
    let count = reference.cases().len();
    assert!(
        wrong.is_empty(),
        "{} of {count} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
