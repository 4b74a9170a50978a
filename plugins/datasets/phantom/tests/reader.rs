//! Samples are determined by their number, and their evidence is exact.

use std::collections::BTreeSet;

use medfocus_dataset_phantom::PhantomReader;
use medfocus_phantom::{CaseOptions, Concept, Finding, sample_case};
use medfocus_plugin_api::{
    DatasetReader, ErrorKind, Message, Native, Result, Sample, Tensor, testkit::LocalHost,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn reader(params: Value) -> Result<PhantomReader> {
    LocalHost::new().create(params)
}

/// All of a sample: its JSON and its pixels.
fn everything(sample: &Sample) -> (Vec<u8>, Vec<Vec<u8>>) {
    let message = Message::pack(sample).unwrap();
    let pixels = |tensor: &Tensor| tensor.view::<u8>().unwrap().iter().copied().collect();
    (
        message.body().to_vec(),
        message.tensors().iter().map(pixels).collect(),
    )
}

#[test]
fn a_sample_depends_on_its_number_alone() {
    let forwards = reader(json!({})).unwrap();
    let backwards = reader(json!({"len": 30})).unwrap();
    let mut samples: Vec<_> = (0..30)
        .rev()
        .map(|i| everything(&backwards.sample(i).unwrap()))
        .collect();
    samples.reverse();
    for (index, sample) in samples.iter().enumerate() {
        assert_eq!(*sample, everything(&forwards.sample(index as u64).unwrap()));
    }
    // An offset shifts the patients, who keep their keys.
    let shifted = reader(json!({"offset": 12})).unwrap().sample(0).unwrap();
    let there = forwards.sample(12).unwrap();
    assert_eq!((shifted.image, shifted.key), (there.image, there.key));
}

#[test]
fn every_finding_is_asked_in_turn() {
    let all = reader(json!({})).unwrap();
    let asked: Vec<_> = (0..12).map(|i| all.sample(i).unwrap().finding).collect();
    assert_eq!(asked, Finding::ALL.map(Finding::name));
    let some = reader(json!({"findings": "pneumothorax, lung nodule"})).unwrap();
    for index in 0..4 {
        let sample = some.sample(index).unwrap();
        let expected = ["pneumothorax", "lung nodule"][index as usize % 2];
        assert_eq!(sample.finding, expected);
        assert_eq!(
            sample.question,
            format!("Is there evidence of {expected} in the image?")
        );
    }
}

#[test]
fn alternating_presence_is_balanced_and_true() {
    let reader =
        reader(json!({"presence": "alternating", "findings": "cardiomegaly, pacemaker"})).unwrap();
    let samples: Vec<_> = (0..8).map(|i| reader.sample(i).unwrap()).collect();
    for (index, sample) in samples.iter().enumerate() {
        let present = index / 2 % 2 == 0;
        assert_eq!(sample.present, Some(present));
        assert_eq!(sample.boxes.is_empty(), !present);
        assert_eq!(sample.masks.contains_key(&sample.finding), present);
        assert_eq!(sample.masks.len(), 11 + usize::from(present));
    }
}

#[test]
fn the_healthy_are_normal() {
    let reader = reader(json!({"presence": "never"})).unwrap();
    for index in 0..6 {
        let sample = reader.sample(index).unwrap();
        assert!(sample.is_normal() && sample.boxes.is_empty());
        assert_eq!(sample.present, Some(false));
        assert_eq!(
            Vec::from_iter(sample.masks.keys().map(String::as_str)),
            BTreeSet::from(Concept::ALL.map(Concept::name))
                .into_iter()
                .collect::<Vec<_>>()
        );
        // The patient is the same, whatever they are asked.
        let seed = (1 << 40) + index;
        let patient = medfocus_phantom::Patient::sample(seed);
        let rendered = medfocus_phantom::render(&patient, &[], 224, 224);
        assert_eq!(sample.image.view(), rendered.image);
    }
}

#[test]
fn splits_share_no_patient() {
    let patients = |split: &str| -> BTreeSet<_> {
        let reader = reader(json!({"split": split})).unwrap();
        (0..20)
            .map(|i| reader.sample(i).unwrap().patient.unwrap())
            .collect()
    };
    let (train, test) = (patients("train"), patients("test"));
    assert_eq!(
        (train.len(), test.len()),
        (20, 20),
        "each sample is a patient of its own"
    );
    assert!(train.is_disjoint(&test));
    // The trainer draws its seeds from 0 on and tests from 2^40 on.
    assert!(train.contains("phantom-0") && test.contains(&format!("phantom-{}", 1u64 << 40)));
    let beyond = reader(json!({"split": "train", "offset": (1u64 << 40) - 999}))
        .err()
        .unwrap();
    assert_eq!(beyond.kind, ErrorKind::Invalid);
    let name = |split: &str| {
        reader(json!({"split": split}))
            .unwrap()
            .info()
            .unwrap()
            .name
    };
    assert_ne!(name("train"), name("test"));
}

#[test]
fn the_digest_changes_with_what_determines_the_samples() {
    let digest = |params: Value| reader(params).unwrap().info().unwrap().digest;
    let distinct = [
        json!({}),
        json!({"split": "train"}),
        json!({"offset": 1}),
        json!({"len": 10}),
        json!({"width": 256}),
        json!({"height": 256}),
        json!({"findings": "cardiomegaly"}),
        json!({"presence": "alternating"}),
        json!({"max_shift": 0.1}),
        json!({"max_zoom": 0.1}),
        json!({"presence": "never"}),
    ];
    let digests: BTreeSet<_> = distinct.iter().cloned().map(digest).collect();
    assert_eq!(digests.len(), distinct.len());
    // How the list is written does not.
    assert_eq!(
        digest(json!({"findings": "cardiomegaly,pacemaker"})),
        digest(json!({"findings": " cardiomegaly , pacemaker, "}))
    );
}

#[test]
fn the_patient_is_the_phantoms_own() {
    // With nothing asked for but its seed, the anatomy is that of the published mapping.
    let sample = reader(json!({})).unwrap().sample(3).unwrap();
    let case = sample_case(
        (1 << 40) + 3,
        &CaseOptions {
            require: Some(Finding::Consolidation),
            ..CaseOptions::default()
        },
    );
    assert_eq!(sample.finding, "consolidation");
    let rendered = medfocus_phantom::render(&case.patient, &case.findings, 224, 224);
    assert_eq!(sample.image.view(), rendered.image);
}

#[test]
fn displaced_patients_are_the_same_ones_elsewhere() {
    let still = reader(json!({})).unwrap();
    let moved = reader(json!({"max_shift": 0.07, "max_zoom": 0.15})).unwrap();
    assert_eq!(moved.info().unwrap().name, "phantom_displaced");
    let centre = |sample: &Sample| {
        let [x1, y1, x2, y2] = sample.boxes[0].corners().map(f64::from);
        [(x1 + x2) / 2.0, (y1 + y2) / 2.0]
    };
    let mut farthest = 0.0f64;
    for index in 0..24 {
        let (here, there) = (still.sample(index).unwrap(), moved.sample(index).unwrap());
        assert_eq!(
            (&here.patient, &here.question),
            (&there.patient, &there.question)
        );
        assert_ne!(here.key, there.key);
        let mask = &there.masks[&there.finding];
        assert_eq!(there.boxes, [mask.tight_box::<Native>().unwrap()]);
        for (from, to) in centre(&here).into_iter().zip(centre(&there)) {
            // A shift of 7 % of 224 pixels, and 15 % of the way from the middle; a pixel for rounding.
            let most = 0.07 * 224.0 + 0.15 * (from - 112.0).abs() + 1.0;
            assert!((to - from).abs() <= most, "sample {index}: {from} to {to}");
            farthest = farthest.max((to - from).abs());
        }
    }
    assert!(
        farthest > 12.0,
        "nothing moved by more than {farthest} pixels"
    );
}

#[test]
fn wrong_parameters_are_refused() {
    for (params, sentence) in [
        (
            json!({"findings": "cough"}),
            "the phantom has no `cough`; its findings are: cardiomegaly",
        ),
        (
            json!({"findings": "pacemaker, pacemaker"}),
            "names `pacemaker` twice",
        ),
        (json!({"width": 10}), "`width` must lie in 64 to 4096"),
        (json!({"len": 0}), "`len` must lie in 1"),
        (
            json!({"max_shift": 0.6}),
            "`max_shift` must lie in 0 to 0.5",
        ),
    ] {
        let error = reader(params).err().unwrap();
        assert!(error.to_string().contains(sentence), "{error}");
    }
    let beyond = reader(json!({"len": 5})).unwrap().sample(5).unwrap_err();
    assert_eq!(
        beyond.to_string(),
        "sample 5 is beyond the 5 of this dataset"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn evidence_is_exact(index in 0u64..100_000, width in 96usize..=320, height in 96usize..=320) {
        let reader = reader(json!({"len": 100_000, "width": width, "height": height})).unwrap();
        let sample = reader.sample(index).unwrap();
        prop_assert_eq!((sample.image.width() as usize, sample.image.height() as usize), (width, height));
        prop_assert_eq!(sample.present, Some(true));
        let mask = &sample.masks[&sample.finding];
        prop_assert_eq!(&sample.boxes, &[mask.tight_box::<Native>().unwrap()]);

        // Tight: the region touches each of the box's four sides and nothing lies outside.
        let [x1, y1, x2, y2] = sample.boxes[0].corners();
        let lit: Vec<_> = mask.view().indexed_iter().filter(|(_, p)| **p != 0).map(|((y, x), _)| (x as u32, y as u32)).collect();
        prop_assert!(lit.iter().all(|&(x, y)| sample.boxes[0].contains(x, y)));
        prop_assert!(lit.iter().any(|p| p.0 == x1) && lit.iter().any(|p| p.0 == x2 - 1));
        prop_assert!(lit.iter().any(|p| p.1 == y1) && lit.iter().any(|p| p.1 == y2 - 1));

        for concept in Concept::ALL {
            let mask = &sample.masks[concept.name()];
            prop_assert_eq!((mask.width() as usize, mask.height() as usize), (width, height));
        }
    }
}
