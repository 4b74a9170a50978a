//! The folder as it is found, and as it should not be.

use std::{fs, path::Path};

use medfocus_editor_precomputed::{Precomputed, fit};
use medfocus_imaging::{
    encode::encode_png_gray,
    resample::{Filter, resize},
    working,
};
use medfocus_plugin_api::{
    CounterfactualEditor, EditRequest, ErrorKind, GrayImage, Letterbox, Result, SampleKey,
    protocol::editor::Side, testkit::LocalHost,
};
use ndarray::Array2;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The files of sample 7, by the grey that each is filled with.
const FILES: [(&str, u8); 4] = [
    ("7_edited.png", 10),
    ("7_edited_kept.png", 20),
    ("7_edited_kept_normal.png", 30),
    ("7_sham.png", 40),
];

fn save(path: impl AsRef<Path>, pixels: &Array2<u8>) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, encode_png_gray(pixels.view()).unwrap()).unwrap();
}

/// A folder of sample 7's edits, of 50 x 40 pixels, below `inside`.
fn folder(inside: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, grey) in FILES {
        save(
            folder.path().join(inside).join(name),
            &Array2::from_elem((40, 50), grey),
        );
    }
    folder
}

fn editor(params: Value) -> Result<Precomputed> {
    LocalHost::new().create(params)
}

fn at(folder: &TempDir) -> Precomputed {
    editor(json!({"path": folder.path()})).unwrap()
}

fn request(side: Side, prompt: &str) -> EditRequest {
    let image = GrayImage::from_array(Array2::from_elem((40, 50), 99u8)).unwrap();
    let mut request = EditRequest::new(image, Vec::new(), prompt);
    request.side = side;
    request.sample = Some(SampleKey {
        dataset: "vindr_cxr".into(),
        index: 7,
    });
    request
}

/// The grey that an edit is filled with.
fn grey(editor: &Precomputed, request: &EditRequest) -> u8 {
    let edited = editor.edit(request).unwrap();
    assert_eq!(edited.view().dim(), request.image.view().dim());
    let grey = edited.view()[(0, 0)];
    assert!(edited.bytes().iter().all(|&pixel| pixel == grey));
    grey
}

/// A picture in which no two places look alike.
fn picture(height: usize, width: usize) -> Array2<u8> {
    Array2::from_shape_fn((height, width), |(y, x)| {
        (40 + (3 * y + 5 * x + y * x / 7) % 200) as u8
    })
}

#[test]
fn side_and_prompt_say_which_file() {
    use Side::{Background, Foreground};
    let cases = [
        (Foreground, "No pleural effusion", 10),
        (Foreground, "NO PLEURAL EFFUSION", 10),
        (Foreground, "  no Abnormality", 10),
        (Foreground, "", 40),
        (Foreground, "Nodule", 40),
        (Foreground, "Pleural effusion", 40),
        (Background, "No pleural effusion", 20),
        (Background, "No abnormality or so", 20),
        (Background, "No abnormality", 30),
        (Background, " nO ABnormality ", 30),
    ];
    for inside in ["", "vindr_cxr"] {
        let folder = folder(inside);
        for (side, prompt, expected) in cases {
            let mut request = request(side, prompt);
            assert_eq!(grey(&at(&folder), &request), expected, "{prompt:?}");
            request.seed = 5;
            assert_eq!(grey(&at(&folder), &request), expected);
        }
        let error = at(&folder).edit(&request(Background, "")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert_eq!(
            error.to_string(),
            "precomputed edits of the background are known for prompts that begin with `No ` only"
        );
    }
}

#[test]
fn a_datasets_own_folder_comes_first() {
    let folder = folder("");
    let own = folder.path().join("vindr_cxr");
    save(own.join("7_edited.png"), &Array2::from_elem((40, 50), 77));
    let mut request = request(Side::Foreground, "No mass");
    assert_eq!(grey(&at(&folder), &request), 77);
    request.sample.as_mut().unwrap().dataset = "imagenome".into();
    assert_eq!(grey(&at(&folder), &request), 10);
}

#[test]
fn files_may_have_other_names() {
    let folder = TempDir::new().unwrap();
    for (name, grey) in [
        ("vindr_cxr/fg/case-7.png", 1),
        ("vindr_cxr/bg/7.png", 2),
        ("normal/vindr_cxr.7.x.png", 3),
        ("vindr_cxr/7-7", 4),
    ] {
        save(folder.path().join(name), &Array2::from_elem((40, 50), grey));
    }
    let editor = editor(json!({
        "path": folder.path(),
        "foreground": "{dataset}/fg/case-{index}.png",
        "background": "bg/{index}.png",
        "background_normal": "normal/{dataset}.{index}.x.png",
        "sham": "{index}-{index}",
    }))
    .unwrap();
    for (side, prompt, expected) in [
        (Side::Foreground, "No mass", 1),
        (Side::Background, "No mass", 2),
        (Side::Background, "No abnormality", 3),
        (Side::Foreground, "mass", 4),
    ] {
        assert_eq!(grey(&editor, &request(side, prompt)), expected);
    }
}

#[test]
fn wrong_parameters_are_refused() {
    let folder = folder("");
    for (key, pattern, why) in [
        ("foreground", "edited.png", "`edited.png` has no `{index}`"),
        ("sham", "", "`` has no `{index}`"),
        ("background", "{index}_{name}.png", "other braces"),
        ("background", "{index}{.png", "other braces"),
        ("sham", "../{index}.png", "leads out of the folder"),
        (
            "background_normal",
            "/tmp/{index}.png",
            "leads out of the folder",
        ),
        (
            "foreground",
            "a/../../{index}.png",
            "leads out of the folder",
        ),
    ] {
        let error = editor(json!({"path": folder.path(), key: pattern}))
            .err()
            .unwrap();
        assert_eq!(error.key.as_deref(), Some(key));
        assert!(error.to_string().contains(why), "{error}");
    }
    let error = editor(json!({})).err().unwrap();
    assert_eq!(
        error.to_string(),
        "parameter `path` is missing; it names the folder of the edited images"
    );
    for path in [folder.path().join("none"), folder.path().join("7_sham.png")] {
        let error = editor(json!({"path": path})).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Missing);
        let sentence = format!("{} is no folder; ", path.display());
        assert!(error.to_string().starts_with(&sentence), "{error}");
    }
}

#[test]
fn what_cannot_be_looked_up_is_said() {
    let folder = folder("");
    let editor = at(&folder);
    let good = request(Side::Foreground, "No mass");
    let refused = |change: &dyn Fn(&mut EditRequest)| {
        let mut request = good.clone();
        change(&mut request);
        editor.edit(&request).unwrap_err()
    };
    assert_eq!(
        refused(&|request| request.sample = None).to_string(),
        "a precomputed edit is looked up by its sample, and the request names none; only images of a dataset have \
         precomputed edits"
    );
    let missing = refused(&|request| request.sample.as_mut().unwrap().index = 8);
    assert_eq!(missing.kind, ErrorKind::Missing);
    let path = folder.path().join("8_edited.png");
    let sentence = format!("edited image {} cannot be opened: ", path.display());
    assert!(missing.to_string().starts_with(&sentence), "{missing}");
    for name in ["..", "", "a/b", "/etc", "."] {
        let error = refused(&|request| request.sample.as_mut().unwrap().dataset = name.into());
        let sentence = format!("the dataset's name `{name}` cannot be that of a folder");
        assert_eq!(error.to_string(), sentence);
    }
}

#[test]
fn damaged_files_are_named() {
    let folder = folder("");
    let path = folder.path().join("7_edited.png");
    let whole = fs::read(&path).unwrap();
    let request = request(Side::Foreground, "No mass");
    let error = || at(&folder).edit(&request).unwrap_err().to_string();
    let contents: [(&[u8], &str); 4] = [
        (&[], "no PNG, JPEG, TIFF or DICOM"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "no PNG",
        ),
        (&whole[..whole.len() / 2], "damaged or cut short"),
        (&whole[..8], "damaged or cut short"),
    ];
    for (content, why) in contents {
        fs::write(&path, content).unwrap();
        let error = error();
        let sentence = format!("edited image {}: ", path.display());
        assert!(
            error.starts_with(&sentence) && error.contains(why),
            "{error}"
        );
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(
        error().ends_with("cannot be opened: it is a folder, not a file"),
        "{}",
        error()
    );
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let folder = folder("");
    let mut request = request(Side::Foreground, "No mass");
    for size in [(50, 40), (40, 60), (10, 50)] {
        request.image = GrayImage::from_array(Array2::from_elem(size, 9u8)).unwrap();
        let error = at(&folder).edit(&request).unwrap_err().to_string();
        let sizes = format!(
            "has 50 x 40 pixels, which do not fit the image's {} x {};",
            size.1, size.0
        );
        assert!(error.contains(&sizes), "{error}");
    }
    // In a square that is bright where its letterbox would be black, there is no image of 50 x 40 pixels.
    request.image = GrayImage::from_array(Array2::from_elem((50, 50), 9u8)).unwrap();
    let error = at(&folder).edit(&request).unwrap_err().to_string();
    assert!(error.contains("fit the image's 50 x 50;"), "{error}");
}

#[test]
fn other_sizes_are_resampled() {
    // As it is, and the same shape.
    let image = picture(100, 80);
    assert_eq!(fit(image.view(), image.view()).unwrap().unwrap(), image);
    let large = picture(201, 160);
    let small = resize(large.view(), 100, 80, Filter::Bicubic);
    assert_eq!(fit(large.view(), image.view()).unwrap().unwrap(), small);

    // An edit of the image itself, where a method works on the letterboxed one.
    let square = working::letterbox(image.view(), 224);
    assert_eq!(fit(image.view(), square.view()).unwrap().unwrap(), square);
    // An edit of the letterboxed one at another side.
    let larger = working::letterbox(image.view(), 512);
    let smaller = resize(larger.view(), 224, 224, Filter::Bicubic);
    assert_eq!(fit(larger.view(), square.view()).unwrap().unwrap(), smaller);

    // An edit of the letterboxed one, where the image has its own size: the letterbox is cut off.
    let content = square.slice(ndarray::s![.., 22..201]);
    let back = resize(content, 100, 80, Filter::Bicubic);
    assert_eq!(fit(square.view(), image.view()).unwrap().unwrap(), back);

    // Where the image is nearly square, too; but what is not black beside it is no letterbox.
    let image = picture(100, 99);
    let mut square = working::letterbox(image.view(), 224);
    let back = resize(
        square.slice(ndarray::s![.., 1..223]),
        100,
        99,
        Filter::Bicubic,
    );
    assert_eq!(fit(square.view(), image.view()).unwrap().unwrap(), back);
    square[[0, 0]] = 9;
    let whole = resize(square.view(), 100, 99, Filter::Bicubic);
    assert_eq!(fit(square.view(), image.view()).unwrap().unwrap(), whole);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A smooth picture comes back from the letterbox as it was, wherever its edges lie.
    #[test]
    fn a_letterboxed_picture_comes_back(height in 60usize..=300, width in 60usize..=300) {
        let image = Array2::from_shape_fn((height, width), |(y, x)| {
            (30 + 90 * y / height + 100 * x / width) as u8
        });
        let square = working::letterbox(image.view(), 224);
        let back = fit(square.view(), image.view()).unwrap().unwrap();
        prop_assert_eq!(back.dim(), image.dim());
        let place = Letterbox::new(width as u32, height as u32, 224).unwrap();
        let (scaled_width, scaled_height) = place.scaled;
        // Steps of this many grey levels from one pixel of the smaller picture to the next.
        let step = 90.0 / f64::from(scaled_height).min(height as f64)
            + 100.0 / f64::from(scaled_width).min(width as f64);
        for (one, other) in image.iter().zip(&back) {
            let change = f64::from(one.abs_diff(*other));
            prop_assert!(change <= 2.0 + step, "{change} of {step}");
        }
    }

    #[test]
    fn any_two_sizes_fit_or_do_not(a in 1usize..60, b in 1usize..60, c in 1usize..60, d in 1usize..60) {
        let fitted = fit(picture(a, b).view(), picture(c, d).view()).unwrap();
        prop_assert!(fitted.is_none_or(|fitted| fitted.dim() == (c, d)));
    }
}
