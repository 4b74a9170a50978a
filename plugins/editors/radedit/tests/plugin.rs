//! The plugin as the host sees it: requests, and errors in one sentence.

mod editor;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use editor::{Tensors, copy, edit_weights, fixture};
use medfocus_editor_radedit::RadEdit;
use medfocus_plugin_api::protocol::editor::Side;
use medfocus_plugin_api::testkit::LocalHost;
use medfocus_plugin_api::{
    BBox, Component, Context, CounterfactualEditor, EditRequest, Error, ErrorKind, GrayImage, Mask,
    Message, Params, Result, Services,
};
use medfocus_torch::tch::Tensor;
use ndarray::Array2;
use serde_json::{Value, json};

const PROMPT: &str = "No pleural effusion";

/// The fixture's checkpoint as its edits were made, with some parameters changed.
fn settings(changes: Value) -> Value {
    let mut settings = json!({
        "path": fixture("checkpoint").display().to_string(), "device": "cpu", "steps": 10, "side": 32,
    });
    let keys = settings.as_object_mut().unwrap();
    keys.extend(changes.as_object().unwrap().clone());
    settings
}

fn radedit(changes: Value) -> RadEdit {
    LocalHost::new().create(settings(changes)).unwrap()
}

fn refusal(changes: Value) -> Error {
    let refused = LocalHost::new().create::<RadEdit>(settings(changes));
    let error = refused.err().expect("settings that cannot work");
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

fn bbox(x1: u32, y1: u32, x2: u32, y2: u32) -> BBox<medfocus_plugin_api::Native> {
    BBox::new(x1, y1, x2, y2).unwrap()
}

/// The edit of the fixture.
fn request(side: Side) -> EditRequest {
    let square = Tensors::of("edits.safetensors")
        .get("square")
        .flatten(0, -1);
    let square = Array2::from_shape_vec((32, 32), Vec::<u8>::try_from(square).unwrap()).unwrap();
    let image = GrayImage::from_array(square).unwrap();
    let mut request = EditRequest::new(image, vec![bbox(6, 9, 19, 22)], PROMPT);
    request.side = side;
    request
}

/// A film of 90 x 60 pixels, edited in a box.
fn film() -> EditRequest {
    let pixels = Array2::from_shape_fn((60, 90), |(y, x)| {
        (120.0 + 60.0 * (x as f64 / 9.0).sin() * (y as f64 / 7.0).cos()) as u8
    });
    EditRequest::new(
        GrayImage::from_array(pixels).unwrap(),
        vec![bbox(30, 12, 62, 45)],
        PROMPT,
    )
}

fn changed(a: &GrayImage, b: &GrayImage) -> usize {
    let pairs = a.bytes().iter().zip(b.bytes());
    pairs.filter(|(a, b)| a != b).count()
}

#[test]
fn a_whole_edit_is_the_references_draws_and_all() {
    let tensors = Tensors::of("edits.safetensors");
    for (name, side) in [
        ("foreground", Side::Foreground),
        ("background", Side::Background),
    ] {
        for composition in ["paper", "released"] {
            let editor = radedit(json!({"paste_back": "none", "composition": composition}));
            let found = editor.edit(&request(side)).unwrap();
            let expected = tensors.get(&format!("{name}.{composition}.7.5.0.3.image"));
            let expected = Vec::<u8>::try_from(expected.flatten(0, -1)).unwrap();
            for (found, expected) in found.bytes().iter().zip(expected) {
                assert!(found.abs_diff(expected) <= 1, "{name} {composition}");
            }
            assert!(changed(&found, &request(side).image) > 900, "{name}");
        }
    }
}

#[test]
fn beyond_the_border_nothing_changes_and_within_the_region_something_does() {
    // A pixel of the square is 90 / 32 of the film.
    for (feather, border) in [(0, 0), (3, 8)] {
        let editor = radedit(json!({"feather": feather}));
        for side in [Side::Foreground, Side::Background] {
            let mut request = film();
            request.side = side;
            let found = editor.edit(&request).unwrap();
            assert_eq!((found.width(), found.height()), (90, 60));
            let (mut inside, mut beyond) = (0, 0);
            let region = request.edited().unwrap();
            for ((y, x), &pixel) in found.view().indexed_iter() {
                let near = region
                    .indexed_iter()
                    .any(|((v, u), &inside)| inside && y.abs_diff(v).max(x.abs_diff(u)) <= border);
                if pixel != request.image.view()[(y, x)] {
                    inside += usize::from(region[(y, x)]);
                    beyond += usize::from(!near);
                }
            }
            assert_eq!(beyond, 0, "{side:?} {feather}");
            let area = region.iter().filter(|&&inside| inside).count();
            assert!(inside > area / 2, "{side:?} {inside}");
        }
    }
    let published = radedit(json!({"paste_back": "none"}));
    let found = published.edit(&film()).unwrap();
    assert!(changed(&found, &film().image) > 4000);
}

#[test]
fn a_request_has_one_answer_whatever_was_asked_before() {
    let editor = radedit(json!({}));
    let first = editor.edit(&film()).unwrap();
    let mut other = film();
    other.prompt = "the right lung".to_owned();
    let prompted = editor.edit(&other).unwrap();
    let mut seeded = film();
    seeded.seed = 1;
    let seeded = editor.edit(&seeded).unwrap();
    editor.edit(&request(Side::Foreground)).unwrap();
    assert_eq!(editor.edit(&film()).unwrap(), first);
    assert_eq!(editor.edit(&other).unwrap(), prompted);
    assert_eq!(radedit(json!({})).edit(&other).unwrap(), prompted);
    assert!(changed(&first, &prompted) > 100 && changed(&first, &seeded) > 100);
}

#[test]
fn every_setting_of_an_edit_matters() {
    let plain = radedit(json!({})).edit(&film()).unwrap();
    for change in [
        json!({"steps": 20}),
        json!({"guidance": 1.0}),
        json!({"skip": 0.6}),
        json!({"side": 64}),
        json!({"composition": "released"}),
        json!({"latent_mask": "cover"}),
        json!({"paste_back": "none"}),
        json!({"feather": 1}),
        json!({"text_mask": "tokenizer"}),
        json!({"invert_prompt": "the right lung"}),
        json!({"dtype": "bf16"}),
    ] {
        let found = radedit(change.clone()).edit(&film()).unwrap();
        assert!(changed(&plain, &found) > 20, "{change}");
    }
}

#[test]
fn the_wire_form_is_understood() {
    let host = LocalHost::new().with_editor(radedit(json!({}))).context();
    let direct = radedit(json!({})).edit(&film()).unwrap();
    assert_eq!(host.editor().edit(&film()).unwrap(), direct);
}

#[test]
fn regions_of_every_size_are_edited_or_refused() {
    let editor = radedit(json!({}));
    let mut nothing = film();
    nothing.boxes = vec![bbox(200, 200, 300, 300)];
    assert_eq!(editor.edit(&nothing).unwrap(), nothing.image);
    // The other side of nothing is everything.
    nothing.side = Side::Background;
    let everything = editor.edit(&nothing).unwrap();
    assert!(changed(&everything, &nothing.image) > 4000);
    let mut small = film();
    small.boxes = vec![bbox(1, 1, 4, 4)];
    let error = editor.edit(&small).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.to_string().contains("cover"), "{error}");
    let covering = radedit(json!({"latent_mask": "cover"}));
    assert!(changed(&covering.edit(&small).unwrap(), &small.image) > 0);
    let mut misfit = film();
    misfit.mask = Some(Mask::from_array(Array2::from_elem((90, 60), true)).unwrap());
    let error = editor.edit(&misfit).unwrap_err();
    assert!(error.to_string().contains("60 x 90"), "{error}");
}

#[test]
fn images_of_any_size_are_taken() {
    let editor = radedit(json!({}));
    for (height, width) in [(1, 1), (1, 300), (300, 1), (7, 5), (32, 32)] {
        let image = GrayImage::from_array(Array2::from_elem((height, width), 128)).unwrap();
        let whole = vec![bbox(0, 0, width as u32, height as u32)];
        match editor.edit(&EditRequest::new(image, whole, "")) {
            Ok(found) => {
                assert_eq!(found.view().dim(), (height, width));
            }
            // A thin line lies between the first pixels of the latents.
            Err(error) => assert!(error.to_string().contains("too small"), "{error}"),
        }
    }
}

/// A host that remembers every step it is told of, and stops at one.
#[derive(Clone, Default)]
struct Listener {
    steps: Arc<Mutex<Vec<(u64, u64, String)>>>,
    stop_after: Option<usize>,
}

impl Services for Listener {
    fn progress(&self, done: u64, total: u64, note: &str) {
        let step = (done, total, note.to_owned());
        self.steps.lock().unwrap().push(step);
    }

    fn cancelled(&self) -> bool {
        let told = self.steps.lock().unwrap().len();
        self.stop_after.is_some_and(|most| told >= most)
    }

    fn filled(&self, _: &str) -> bool {
        false
    }

    fn call(&self, slot: &str, _: &str, _: Message) -> Result<Message> {
        Err(Error::missing(format!("nothing fills `{slot}`")))
    }
}

fn listened(listener: &Listener) -> RadEdit {
    let Value::Object(settings) = settings(json!({})) else {
        unreachable!("settings are an object")
    };
    let settings = Params::from_json(settings).unwrap();
    RadEdit::new(settings, Context::new(listener.clone())).unwrap()
}

#[test]
fn every_step_is_shown_and_an_image_is_inverted_once() {
    let listener = Listener::default();
    let editor = listened(&listener);
    let told = || std::mem::take(&mut *listener.steps.lock().unwrap());
    editor.edit(&film()).unwrap();
    let first = told();
    let done: Vec<u64> = first.iter().map(|(done, ..)| *done).collect();
    let expected: Vec<u64> = (0..=17).collect();
    assert_eq!(done, expected);
    assert!(first.iter().all(|(_, total, _)| *total == 18));
    assert_eq!(first[9].2, "inverting the image");
    assert_eq!(first[10].2, "editing the image");
    assert_eq!(first[17].2, "decoding the image");
    let mut other = film();
    other.side = Side::Background;
    editor.edit(&other).unwrap();
    assert_eq!(told().first().unwrap().0, 10);
}

#[test]
fn the_user_can_stop_it_at_any_step() {
    for most in [0, 5, 12, 17] {
        let listener = Listener {
            stop_after: Some(most),
            ..Listener::default()
        };
        let error = listened(&listener).edit(&film()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Cancelled);
        assert_eq!(listener.steps.lock().unwrap().len(), most);
    }
}

#[test]
fn without_its_file_the_schedule_is_radedits_own() {
    let folder = copy("checkpoint");
    fs::remove_dir_all(folder.path().join("scheduler")).unwrap();
    let editor = radedit(json!({"path": folder.path().display().to_string()}));
    let with = radedit(json!({})).edit(&film()).unwrap();
    assert_eq!(editor.edit(&film()).unwrap(), with);
}

#[test]
fn each_network_may_be_in_a_folder_of_its_own() {
    let part = |name: &str| fixture("checkpoint").join(name).display().to_string();
    let editor = radedit(json!({
        "path": "", "unet": part("unet"), "vae": part("vae"), "text": part("text_encoder"),
    }));
    let together = radedit(json!({})).edit(&film()).unwrap();
    assert_eq!(editor.edit(&film()).unwrap(), together);
}

#[test]
fn settings_that_cannot_work_are_refused_in_one_sentence() {
    for (changes, named) in [
        (json!({"path": ""}), "microsoft/radedit"),
        (json!({"path": ""}), "for research only"),
        (json!({"path": "nowhere"}), "no folder nowhere/unet"),
        (json!({"unet": "nowhere"}), "hf download microsoft/radedit"),
        (json!({"vae": "nowhere"}), "stabilityai/sdxl-vae"),
        (json!({"text": "nowhere"}), "microsoft/BiomedVLP-BioViL-T"),
        (json!({"device": "gpu"}), "\"gpu\""),
        (json!({"dtype": "fp4"}), "\"fp4\""),
        (json!({"steps": 0}), "`steps`"),
        (json!({"skip": 1.0}), "`skip`"),
        (json!({"side": 50}), "multiple of 4"),
        (json!({"composition": "other"}), "`composition`"),
        (
            json!({"vae": fixture("checkpoint/unet").display().to_string()}),
            "AutoencoderKL",
        ),
        (
            json!({"text": fixture("cxr").display().to_string()}),
            "width 12",
        ),
    ] {
        let error = refusal(changes).to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
    let spoilt = |spoil: &dyn Fn(&Path)| {
        let folder = copy("checkpoint");
        spoil(folder.path());
        refusal(json!({"path": folder.path().display().to_string()})).to_string()
    };
    let channels = spoilt(&|folder| {
        let config = folder.join("unet/config.json");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(
            config,
            text.replace("\"in_channels\": 4", "\"in_channels\": 9"),
        )
        .unwrap();
    });
    assert!(channels.contains("9 channels"), "{channels}");
    let cut = spoilt(&|folder| {
        let weights = folder.join("vae/diffusion_pytorch_model.safetensors");
        let bytes = fs::read(&weights).unwrap();
        fs::write(weights, &bytes[..bytes.len() / 2]).unwrap();
    });
    assert!(cut.contains("truncated"), "{cut}");
}

#[test]
fn weights_that_are_not_numbers_make_no_image() {
    let folder = copy("checkpoint");
    let weights = folder
        .path()
        .join("unet/diffusion_pytorch_model.safetensors");
    edit_weights(&weights, |tensors| {
        let nan: Tensor = tensors["conv_out.bias"].copy() * f64::NAN;
        tensors.insert("conv_out.bias".to_owned(), nan);
    });
    let editor = radedit(json!({"path": folder.path().display().to_string()}));
    let error = editor.edit(&film()).unwrap_err();
    assert!(error.to_string().contains("not numbers"), "{error}");
}
