//! What must hold of the regions, whatever the image.

mod common;

use std::sync::LazyLock;

use common::{TEST, displaced, moved, phantom};
use medfocus_method_medfocus::{Anatomy, Features, MedFocusParams, Pool, Reference, localise};
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{BBox, GrayImage, Params, Working};
use ndarray::Array2;
use proptest::prelude::*;
use serde_json::json;

static REFERENCES: LazyLock<Vec<Reference>> = LazyLock::new(|| {
    let looks = MedFocusParams::default().looks();
    let references = (0..8).map(|seed| Reference::of(&phantom(seed, true), &looks).unwrap());
    references.collect()
});

fn params(transfer: &str) -> MedFocusParams {
    let params = json!({"transfer": transfer});
    MedFocusParams::from_json(params.as_object().unwrap().clone()).unwrap()
}

fn located(image: &GrayImage, references: &[Reference], params: &MedFocusParams) -> Anatomy {
    let content = BBox::new(0, 0, 224, 224).unwrap();
    let features = Features::of(image, &content, &params.looks()).unwrap();
    let pool = Pool {
        references: references.to_vec(),
    };
    localise(&features, &content, &pool, None, &params.localisation()).unwrap()
}

fn boxes(anatomy: &Anatomy) -> Vec<[u32; 4]> {
    let regions = anatomy.regions.iter();
    let corners = regions.map(|region| region.as_ref().unwrap().bbox.corners());
    corners.collect()
}

/// How far the corners of the same concepts' boxes are apart on average, in pixels.
fn apart(a: &[[u32; 4]], b: &[[u32; 4]]) -> f64 {
    let corners = a.iter().flatten().zip(b.iter().flatten());
    corners.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / (4 * a.len()) as f64
}

fn middle(corners: [u32; 4]) -> f64 {
    f64::from(corners[0] + corners[2]) / 2.0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn boxes_go_with_the_patient(patient in 0u64..1000, zoom in 0.9f64..1.1, down in -14f64..14.0, right in -14f64..14.0) {
        let image = phantom(TEST + patient, false).image;
        let there = GrayImage::from_array(moved(image.view(), zoom, down, right)).unwrap();
        let params = params("aligned");
        let here = boxes(&located(&image, &REFERENCES, &params));
        let along = |at: u32, shift: f64| {
            ((f64::from(at) - 112.0) * zoom + 112.0 + shift).round().clamp(0.0, 224.0) as u32
        };
        let expected: Vec<_> = here
            .iter()
            .map(|&[x1, y1, x2, y2]| [along(x1, right), along(y1, down), along(x2, right), along(y2, down)])
            .collect();
        let found = boxes(&located(&there, &REFERENCES, &params));
        let missed = apart(&found, &expected);
        prop_assert!(missed < 5.0, "{missed}: {found:?} {expected:?}");
    }

    #[test]
    fn exposure_does_not_move_boxes(patient in 0u64..1000, gamma in 0.6f64..1.6, gain in 0.5f64..1.0) {
        let image = phantom(TEST + patient, false).image;
        let tone = |level: u8| (255.0 * gain * (f64::from(level) / 255.0).powf(gamma)).round() as u8;
        let exposed = GrayImage::from_array(image.view().mapv(tone)).unwrap();
        let params = params("aligned");
        let [a, b] = [&image, &exposed].map(|image| boxes(&located(image, &REFERENCES, &params)));
        let moved = apart(&a, &b);
        prop_assert!(moved < 2.0, "{moved}");
    }

    #[test]
    fn the_patients_left_is_on_the_images_right(patient in 0u64..1000, seed in 0u64..101, transfer in 0usize..5) {
        let target = displaced(&phantom(TEST + patient, false), seed);
        let transfer = ["aligned", "affine", "barycentric", "mass", "copy"][transfer];
        let found = boxes(&located(&target.image, &REFERENCES, &params(transfer)));
        for (c, name) in CONCEPTS.iter().enumerate() {
            if let Some(pair) = name.strip_prefix("left ") {
                let right = CONCEPTS.iter().position(|other| other.strip_prefix("right ") == Some(pair)).unwrap();
                prop_assert!(middle(found[c]) > middle(found[right]) + 10.0, "{transfer}: {pair} {found:?}");
            }
        }
    }

    #[test]
    fn the_order_of_the_pool_does_not_matter(
        patient in 0u64..1000, order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let image = phantom(TEST + patient, false).image;
        let shuffled: Vec<_> = order.iter().map(|&i| REFERENCES[i].clone()).collect();
        let params = params("aligned");
        let (a, b) = (located(&image, &REFERENCES, &params), located(&image, &shuffled, &params));
        prop_assert!(a.regions == b.regions);
        let voters = b.ranking.iter().map(|m| order[m.reference]);
        prop_assert!(a.ranking.iter().map(|m| m.reference).eq(voters));
        prop_assert_eq!(&a.transports, &b.transports);
        let again = located(&image, &REFERENCES, &params);
        prop_assert!(a.regions == again.regions && a.ranking == again.ranking);
    }
}

#[test]
fn a_reference_lies_on_itself() {
    for seed in 0..8 {
        let sample = phantom(seed, true);
        let params = MedFocusParams {
            references: 1,
            ..params("aligned")
        };
        let anatomy = located(&sample.image, &REFERENCES, &params);
        assert_eq!(anatomy.ranking[0].reference as u64, seed);
        assert!(anatomy.ranking[0].alignment.likeness > 0.999);
        let truth = CONCEPTS.map(|name| sample.masks[name].tight_box::<Working>().unwrap());
        let missed = apart(&boxes(&anatomy), &truth.map(|bbox| bbox.corners()));
        assert!(missed < 0.5, "{seed}: {missed}");
    }
}

#[test]
fn a_pool_of_one_is_enough() {
    let image = phantom(TEST + 3, false).image;
    let anatomy = located(&image, &REFERENCES[..1], &params("aligned"));
    assert_eq!((anatomy.ranking.len(), anatomy.transports.len()), (1, 1));
    assert_eq!(boxes(&anatomy).len(), CONCEPTS.len());
}

/// A film one pixel high or wide is no chest: still every likeness is a number and no box lies outside.
#[test]
fn slivers_have_regions_within_or_none() {
    for corners in [[0, 112, 224, 113], [111, 0, 112, 224]] {
        let [x1, y1, x2, y2] = corners;
        let content = BBox::new(x1, y1, x2, y2).unwrap();
        let pixels = Array2::from_shape_fn((224, 224), |(y, x)| {
            let inside = content.contains(x as u32, y as u32);
            if inside {
                100 + ((x + y) % 150) as u8
            } else {
                0
            }
        });
        let image = GrayImage::from_array(pixels).unwrap();
        for transfer in ["aligned", "affine", "barycentric", "mass", "copy"] {
            let params = params(transfer);
            let features = Features::of(&image, &content, &params.looks()).unwrap();
            let pool = Pool {
                references: REFERENCES.clone(),
            };
            let anatomy =
                localise(&features, &content, &pool, None, &params.localisation()).unwrap();
            for found in anatomy.ranking {
                let likeness = found.alignment.likeness;
                assert!((-1.001..=1.001).contains(&likeness), "{likeness}");
            }
            for region in anatomy.regions.iter().flatten() {
                assert_eq!(region.bbox.intersection(&content), Some(region.bbox));
            }
        }
    }
}
