//! The editor as the host meets it, on tiny networks.

use medfocus_editor_radedit::RadEdit;
use medfocus_plugin_api::{
    BBox, CounterfactualEditor, EditRequest, ErrorKind, GrayImage, Result, protocol::editor::Side,
    testkit::LocalHost,
};
use ndarray::Array2;
use serde_json::{Value, json};

use crate::reference::{copy, folder};

fn editor(more: Value) -> Result<RadEdit> {
    let path = |name: &str| folder(name).display().to_string();
    let mut params = json!({
        "unet": path("unet_three"), "vae": path("vae_four"), "text": path("../radedit_loop/text_encoder"),
        "steps": 6, "side": 64, "device": "cpu",
    });
    let all = params.as_object_mut().unwrap();
    all.extend(more.as_object().unwrap().clone());
    LocalHost::new().create(params)
}

fn request(width: usize, height: usize, side: Side) -> EditRequest {
    let image = Array2::from_shape_fn((height, width), |(y, x)| (3 * y + 2 * x) as u8);
    let image = GrayImage::from_array(image).unwrap();
    let boxes = vec![BBox::new(10, 12, 31, 40).unwrap()];
    let mut request = EditRequest::new(image, boxes, "No pleural effusion");
    request.side = side;
    request.seed = 4;
    request
}

/// The greatest change within so many pixels of the edited side, and beyond.
fn changes(request: &EditRequest, edited: &GrayImage, feather: i64) -> [u8; 2] {
    let region = request.edited().unwrap();
    let near = |y: usize, x: usize| {
        region.indexed_iter().any(|((row, column), &inside)| {
            let distance = row.abs_diff(y).max(column.abs_diff(x)) as i64;
            inside && distance <= feather
        })
    };
    let mut changes = [0; 2];
    for ((y, x), &pixel) in edited.view().indexed_iter() {
        let change = pixel.abs_diff(request.image.view()[(y, x)]);
        let at = usize::from(!near(y, x));
        changes[at] = changes[at].max(change);
    }
    changes
}

#[test]
fn an_edit_changes_its_side_and_nothing_beyond_the_feather() {
    for (width, height) in [(64, 64), (90, 50)] {
        for side in [Side::Foreground, Side::Background] {
            for feather in [0, 3] {
                let editor = editor(json!({ "feather": feather })).unwrap();
                let request = request(width, height, side);
                let edited = editor.edit(&request).unwrap();
                assert_eq!(
                    (edited.width(), edited.height()),
                    (width as u32, height as u32)
                );
                let [within, beyond] = changes(&request, &edited, feather);
                assert!(within > 0, "{width} {side:?}: nothing changed");
                assert_eq!(beyond, 0, "{width} {side:?}: the rest changed");
                // The same request, the same bytes.
                assert_eq!(editor.edit(&request).unwrap(), edited);
            }
        }
    }
    let whole = editor(json!({ "feather": -1 })).unwrap();
    let request = request(64, 64, Side::Foreground);
    let [_, beyond] = changes(&request, &whole.edit(&request).unwrap(), 3);
    assert!(beyond > 0, "the whole decoded image was wanted");
}

#[test]
fn the_seed_and_the_prompt_decide() {
    let editor = editor(json!({ "skip": 0.0 })).unwrap();
    let first = request(64, 64, Side::Foreground);
    let edited = editor.edit(&first).unwrap();
    let mut other = first.clone();
    other.seed = 5;
    assert_ne!(editor.edit(&other).unwrap(), edited);
    let mut other = first.clone();
    other.prompt = "heart enlarged".to_owned();
    assert_ne!(editor.edit(&other).unwrap(), edited);
}

#[test]
fn what_cannot_be_edited_with_is_one_sentence() {
    let refused = |more: Value| {
        let error = editor(more).err().expect("it must be refused");
        assert_ne!(error.kind, ErrorKind::Panicked);
        error.to_string()
    };
    for (more, words) in [
        (json!({ "unet": "" }), "parameter `unet` is missing"),
        (json!({ "unet": "/nowhere" }), "no folder /nowhere"),
        (
            json!({ "unet": folder("vae_four") }),
            "UNet2DConditionModel",
        ),
        (json!({ "unet": folder("unet_four") }), "5 channels"),
        (json!({ "side": 100 }), "no multiple of the 8 pixels"),
        (json!({ "steps": 5000 }), "steps"),
        (json!({ "device": "gpu" }), "gpu"),
    ] {
        let error = refused(more);
        assert!(error.contains(words), "{error}");
    }
    let broken = copy("vae_four");
    let weights = "diffusion_pytorch_model.fp16.safetensors";
    let bytes = std::fs::read(broken.path().join(weights)).unwrap();
    std::fs::write(broken.path().join(weights), &bytes[..bytes.len() / 2]).unwrap();
    let error = refused(json!({ "vae": broken.path() }));
    assert!(error.contains("safetensors"), "{error}");
}
