//! A pool is what its files say, and a file that does not fit is named.

use std::{fs, io::Cursor, path::Path};

use image::{DynamicImage, GrayAlphaImage, ImageBuffer, ImageFormat, RgbImage};
use medfocus_dataset_reference_pool::PoolReader;
use medfocus_imaging::encode::encode_png_gray;
use medfocus_plugin_api::{CONCEPTS, DatasetReader, Result, SampleKey, testkit::LocalHost};
use ndarray::Array2;
use ndarray_npy::WriteNpyExt as _;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

fn open(pool: &Path) -> Result<PoolReader> {
    LocalHost::new().create(json!({"path": pool.to_str().unwrap()}))
}

fn put(pool: &Path, file: &str, bytes: &[u8]) {
    let path = pool.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn grey(height: usize, width: usize, level: impl Fn(usize, usize) -> u8) -> Vec<u8> {
    let pixels = Array2::from_shape_fn((height, width), |(y, x)| level(y, x));
    encode_png_gray(pixels.view()).unwrap()
}

/// A pool of two references, the second with one concept only.
fn pool() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    put(at, "images/b.png", &grey(6, 5, |y, x| (10 * y + x) as u8));
    put(at, "images/a.png", &grey(4, 4, |y, x| (y * x) as u8));
    put(
        at,
        "masks/b/left_lung.png",
        &grey(6, 5, |_, x| if x > 2 { 255 } else { 0 }),
    );
    // Any level but zero is inside.
    put(
        at,
        "masks/b/right_lung.png",
        &grey(6, 5, |_, x| if x < 2 { 1 } else { 0 }),
    );
    put(
        at,
        "masks/a/cardiac_silhouette.png",
        &grey(4, 4, |y, _| y as u8),
    );
    folder
}

/// The sentence with which the pool is refused, after a file was put there.
fn refused(file: &str, bytes: &[u8]) -> String {
    let folder = pool();
    put(folder.path(), file, bytes);
    open(folder.path()).err().unwrap().to_string()
}

fn says(sentence: &str, words: &[&str]) {
    for word in words {
        assert!(sentence.contains(word), "no `{word}` in {sentence}");
    }
}

#[test]
fn references_come_in_the_order_of_their_names() {
    let folder = pool();
    put(folder.path(), "pool.json", b"{}");
    put(folder.path(), "images/.hidden", b"no image");
    let reader = open(folder.path()).unwrap();
    assert_eq!(reader.info().unwrap().len, 2);
    let [a, b] = [0, 1].map(|index| reader.sample(index).unwrap());
    assert_eq!(a.patient.as_deref(), Some("a"));
    assert_eq!(b.patient.as_deref(), Some("b"));
    assert_eq!(
        b.key,
        SampleKey {
            dataset: "reference_pool".into(),
            index: 1
        }
    );
    assert_eq!(b.image.view()[(5, 4)], 54);
    assert_eq!(Vec::from_iter(a.masks.keys()), ["cardiac silhouette"]);
    assert_eq!(Vec::from_iter(b.masks.keys()), ["left lung", "right lung"]);
    assert_eq!(a.masks["cardiac silhouette"].area(), 12);
    assert_eq!(
        (b.masks["left lung"].area(), b.masks["right lung"].area()),
        (12, 12)
    );
    assert!(a.is_normal() && b.is_normal());
    assert_eq!((a.present, a.boxes.len()), (Some(false), 0));
    let beyond = reader.sample(2).unwrap_err().to_string();
    assert_eq!(beyond, "sample 2 is beyond the 2 of this pool");
}

#[test]
fn every_concept_has_its_file() {
    let folder = pool();
    for concept in CONCEPTS {
        let file = format!("masks/a/{}.png", concept.replace(' ', "_"));
        put(folder.path(), &file, &grey(4, 4, |_, _| 255));
    }
    let sample = open(folder.path()).unwrap().sample(0).unwrap();
    let mut concepts = CONCEPTS.to_vec();
    concepts.sort_unstable();
    assert_eq!(Vec::from_iter(sample.masks.keys()), concepts);
}

#[test]
fn numpy_masks_are_read_in_either_order() {
    let folder = pool();
    let inside = Array2::from_shape_fn((4, 4), |(y, x)| y < 2 && x == 1);
    let (mut bools, mut bytes) = (Vec::new(), Vec::new());
    inside.write_npy(&mut bools).unwrap();
    inside
        .mapv(|i| 7 * u8::from(i))
        .reversed_axes()
        .write_npy(&mut bytes)
        .unwrap();
    put(folder.path(), "masks/a/left_clavicle.npy", &bools);
    put(folder.path(), "masks/a/right_clavicle.npy", &bytes);
    let masks = open(folder.path()).unwrap().sample(0).unwrap().masks;
    assert_eq!(masks["left clavicle"].view().mapv(|p| p != 0), inside);
    assert_eq!(
        masks["right clavicle"].view().mapv(|p| p != 0),
        inside.reversed_axes()
    );
}

#[test]
fn what_is_missing_is_named() {
    let nowhere = open(Path::new("/nowhere/pool")).err().unwrap().to_string();
    says(&nowhere, &["pool /nowhere/pool cannot be opened", "`path`"]);
    let unset = LocalHost::new()
        .create::<PoolReader>(json!({}))
        .err()
        .unwrap();
    says(&unset.to_string(), &["parameter `path` is missing"]);

    let folder = pool();
    fs::remove_dir_all(folder.path().join("masks/a")).unwrap();
    let maskless = open(folder.path()).err().unwrap().to_string();
    says(
        &maskless,
        &["images/a.png has no mask", "masks/a/CONCEPT.png"],
    );
    fs::create_dir(folder.path().join("masks/a")).unwrap();
    assert_eq!(open(folder.path()).err().unwrap().to_string(), maskless);
    fs::remove_dir_all(folder.path().join("masks")).unwrap();
    says(
        &open(folder.path()).err().unwrap().to_string(),
        &["/masks cannot be read"],
    );
    for image in ["a.png", "b.png"] {
        fs::remove_file(folder.path().join("images").join(image)).unwrap();
    }
    says(
        &open(folder.path()).err().unwrap().to_string(),
        &["/images holds no image"],
    );
}

#[test]
fn what_does_not_belong_there_is_named() {
    let mask = grey(4, 4, |_, _| 255);
    says(
        &refused("images/a.jpg", b""),
        &["images/a.jpg and a.png are two images of one name"],
    );
    says(
        &refused("images/c.png", b"text"),
        &["images/c.png has no mask"],
    );
    says(
        &refused("images/a.png", b"text"),
        &["images/a.png: the file is no PNG"],
    );
    says(
        &refused("masks/a/left_long.png", &mask),
        &["masks/a/left_long.png names no concept", "left_lung.png"],
    );
    says(
        &refused("masks/a/left lung.png", &mask),
        &["left lung.png names no concept"],
    );
    says(
        &refused("masks/a/left_lung.jpg", &mask),
        &["left_lung.jpg names no concept"],
    );
    says(
        &refused("masks/c/left_lung.png", &mask),
        &["masks/c belongs to no image"],
    );
    says(
        &refused("masks/a/left_lung.png", &grey(4, 5, |_, _| 255)),
        &["masks/a/left_lung.png has 5 x 4 pixels, its image 4 x 4"],
    );
    says(
        &refused("masks/a/left_lung.png", &grey(4, 4, |_, _| 0)),
        &["masks/a/left_lung.png is an empty mask"],
    );
    says(
        &refused("masks/a/left_lung.png", b"\xff\xd8\xff\xe0"),
        &["masks/a/left_lung.png is no PNG image"],
    );
    let mut npy = Vec::new();
    Array2::from_elem((4, 4), true).write_npy(&mut npy).unwrap();
    says(
        &refused("masks/a/cardiac_silhouette.npy", &npy),
        &["two masks of one concept"],
    );
}

/// The faintest level that is not black must not become black on the way to 8-bit grey.
#[test]
fn masks_that_would_be_rounded_are_refused() {
    let png = |image: DynamicImage| {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let deep = ImageBuffer::from_fn(4, 4, |x, y| image::Luma([(x * y * 1000 + 1) as u16]));
    let blue = RgbImage::from_pixel(4, 4, image::Rgb([0, 0, 1]));
    let clear = GrayAlphaImage::from_pixel(4, 4, image::LumaA([255, 0]));
    for image in [deep.into(), blue.into(), clear.into()] {
        says(
            &refused("masks/a/left_lung.png", &png(image)),
            &[
                "masks/a/left_lung.png is no 8-bit grey image",
                "save masks as",
            ],
        );
    }
}

#[test]
fn a_png_that_says_it_is_huge_is_refused() {
    // Width and height stand after the signature and the name of the header; its checksum is wrong then, or not asked.
    for side in [0u32, 60_000, u32::MAX] {
        let mut bytes = grey(4, 4, |_, _| 255);
        bytes[16..20].copy_from_slice(&side.to_be_bytes());
        bytes[20..24].copy_from_slice(&side.to_be_bytes());
        says(&refused("images/a.png", &bytes), &["images/a.png: "]);
        says(
            &refused("masks/a/left_lung.png", &bytes),
            &["masks/a/left_lung.png: "],
        );
    }
}

#[test]
fn names_may_be_in_any_script_but_must_be_text() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    let folder = pool();
    put(
        folder.path(),
        "images/胸部 é.v2.png",
        &grey(4, 4, |y, _| y as u8),
    );
    put(
        folder.path(),
        "masks/胸部 é.v2/mediastinum.png",
        &grey(4, 4, |_, _| 1),
    );
    let reader = open(folder.path()).unwrap();
    assert_eq!(
        reader.sample(2).unwrap().patient.as_deref(),
        Some("胸部 é.v2")
    );

    let images = folder.path().join("images");
    fs::write(images.join(OsStr::from_bytes(b"\xff.png")), "").unwrap();
    says(
        &open(folder.path()).err().unwrap().to_string(),
        &["the name of", "is not UTF-8"],
    );
}

#[test]
fn hostile_numpy_files_are_refused() {
    let header = |dict: &str| {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((dict.len() as u16 + 1).to_le_bytes());
        bytes.extend(dict.as_bytes());
        bytes.push(b'\n');
        bytes
    };
    let with_shape = |shape: &str| {
        header(&format!(
            "{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
        ))
    };
    let nested = "(".repeat(60_000);
    for bytes in [
        Vec::new(),
        b"\x93NUMPY\x03\x00\xff\xff\xff\xff".to_vec(),
        with_shape("(4611686018427387904, 4611686018427387904)"),
        with_shape("(0, 18446744073709551615)"),
        with_shape("(4, 4)"),
        with_shape("(16,)"),
        header(&nested),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 0), }"),
        header("{'descr': oh no"),
    ] {
        let sentence = refused("masks/a/left_lung.npy", &bytes);
        says(
            &sentence,
            &["masks/a/left_lung.npy is no NumPy array of bool or u8"],
        );
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
    }
    says(
        &refused("masks/a/left_lung.npy", &with_shape("(0, 0)")),
        &["has 0 x 0 pixels"],
    );
}

#[test]
fn links_lead_nowhere_else() {
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "secret.png", &grey(4, 4, |_, _| 9));
    let folder = pool();
    let link = folder.path().join("masks/a/left_lung.png");
    std::os::unix::fs::symlink(outside.path().join("secret.png"), &link).unwrap();
    let sentence = open(folder.path()).err().unwrap().to_string();
    says(
        &sentence,
        &["masks/a/left_lung.png is a link out of the pool"],
    );
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(folder.path().join("masks/a/cardiac_silhouette.png"), &link)
        .unwrap();
    assert_eq!(
        open(folder.path()).unwrap().sample(0).unwrap().masks.len(),
        2
    );
    // The pool itself may be one.
    let alias = outside.path().join("alias");
    std::os::unix::fs::symlink(folder.path(), &alias).unwrap();
    assert!(open(&alias).is_ok());
    fs::remove_file(&link).unwrap();
    // Nor to themselves, nor as a folder.
    std::os::unix::fs::symlink(&link, &link).unwrap();
    says(
        &open(folder.path()).err().unwrap().to_string(),
        &["masks/a/left_lung.png cannot be read"],
    );
    fs::remove_file(&link).unwrap();
    fs::rename(folder.path().join("masks/b"), outside.path().join("b")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("b"), folder.path().join("masks/b")).unwrap();
    says(
        &open(folder.path()).err().unwrap().to_string(),
        &["masks/b/left_lung.png is a link out of the pool"],
    );
    fs::remove_file(folder.path().join("masks/b")).unwrap();
    fs::rename(outside.path().join("b"), folder.path().join("masks/b")).unwrap();
    fs::create_dir(&link).unwrap();
    says(
        &open(folder.path()).err().unwrap().to_string(),
        &["left_lung.png cannot be read: it is"],
    );
}

#[test]
fn the_digest_covers_names_concepts_and_content() {
    let digest = |change: &dyn Fn(&Path)| {
        let folder = pool();
        change(folder.path());
        open(folder.path()).unwrap().info().unwrap().digest
    };
    let same = digest(&|_| ());
    assert_eq!(digest(&|at| put(at, "pool.json", b"{}")), same);
    let rename = |at: &Path, from: &str, to: &str| fs::rename(at.join(from), at.join(to)).unwrap();
    let changes: [&dyn Fn(&Path); 4] = [
        &|at| put(at, "images/a.png", &grey(4, 4, |y, _| y as u8)),
        &|at| {
            put(
                at,
                "masks/a/cardiac_silhouette.png",
                &grey(4, 4, |_, _| 255),
            )
        },
        &|at| {
            rename(
                at,
                "masks/a/cardiac_silhouette.png",
                "masks/a/mediastinum.png",
            )
        },
        &|at| {
            rename(at, "images/a.png", "images/aa.png");
            rename(at, "masks/a", "masks/aa");
        },
    ];
    for change in changes {
        assert_ne!(digest(change), same);
    }
}

#[test]
fn a_pool_that_changes_while_it_is_open_is_refused() {
    let folder = pool();
    let reader = open(folder.path()).unwrap();
    put(folder.path(), "images/a.png", &grey(4, 4, |_, _| 77));
    assert_eq!(
        reader.sample(0).unwrap_err().to_string(),
        "reference `a` changed since the pool was opened"
    );
    assert!(reader.sample(1).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_bytes_are_a_mask_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), npy: bool, start: bool) {
        let (file, magic) = if npy {
            ("masks/a/left_lung.npy", &b"\x93NUMPY\x01\x00\x60\x00"[..])
        } else {
            ("masks/a/left_lung.png", &b"\x89PNG\r\n\x1a\n"[..])
        };
        let bytes = if start { [magic, &bytes].concat() } else { bytes };
        let sentence = refused(file, &bytes);
        prop_assert!(sentence.contains(file), "{}", sentence);
    }
}

#[test]
fn an_image_that_a_tag_turns_is_refused_as_its_masks_may_lie_either_way() {
    let turned = include_bytes!("../../../support/imaging/tests/fixtures/oriented.jpg");
    let folder = pool();
    put(folder.path(), "images/c.jpg", turned);
    put(
        folder.path(),
        "masks/c/left_lung.png",
        &grey(16, 24, |_, _| 1),
    );
    let opened = open(folder.path());
    let sentence = opened.and_then(|reader| reader.sample(2).map(drop));
    let sentence = sentence.unwrap_err().to_string();
    says(
        &sentence,
        &["c.jpg is turned by its orientation tag", "save it upright"],
    );
}
