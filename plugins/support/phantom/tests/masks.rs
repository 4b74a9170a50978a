//! Masks lie where anatomy says, and boxes hold them tightly.

mod common;

use common::{area, centroid};
use medfocus_phantom::{
    CaseOptions, Concept, Finding, FindingInstance, Mask, Patient, Rendered, render, sample_case,
};
use medfocus_phantom::{dilate, tight_box};
use proptest::prelude::*;

fn masks(rendered: &Rendered) -> impl Fn(Concept) -> Mask {
    |concept| rendered.concept_mask(concept)
}

#[test]
fn anatomy_is_in_its_place() {
    for seed in 0..60 {
        let rendered = render(&Patient::sample(seed), &[], 224, 224);
        let mask = masks(&rendered);
        let at = |concept| centroid(&mask(concept));
        let (heart, left, right) = (
            at(Concept::CardiacSilhouette),
            at(Concept::LeftLung),
            at(Concept::RightLung),
        );
        assert!(
            left.1 > 112.0 && right.1 < 112.0,
            "seed {seed}: lungs on the wrong sides"
        );
        assert!(
            right.1 < heart.1 && heart.1 < left.1,
            "seed {seed}: heart not between the lungs"
        );
        assert!(
            heart.0 > left.0 && heart.0 > right.0,
            "seed {seed}: heart above the lungs"
        );
        for (clavicle, hilum, angle, lung) in [
            (
                Concept::LeftClavicle,
                Concept::LeftHilarStructures,
                Concept::LeftCostophrenicAngle,
                left,
            ),
            (
                Concept::RightClavicle,
                Concept::RightHilarStructures,
                Concept::RightCostophrenicAngle,
                right,
            ),
        ] {
            let (clavicle, hilum, angle) = (at(clavicle), at(hilum), at(angle));
            assert!(
                clavicle.0 < hilum.0 && hilum.0 < angle.0,
                "seed {seed}: wrong order from top to bottom"
            );
            assert!(
                (hilum.1 - heart.1).abs() < (lung.1 - heart.1).abs(),
                "seed {seed}: hilum lateral of its lung"
            );
            assert!(
                (angle.1 - heart.1).abs() > (lung.1 - heart.1).abs(),
                "seed {seed}: angle medial of its lung"
            );
        }
        let upper = at(Concept::UpperMediastinum);
        assert!(
            upper.0 < heart.0 && (upper.1 - heart.1).abs() < 40.0,
            "seed {seed}: upper mediastinum misplaced"
        );
    }
}

#[test]
fn regions_nest_and_exclude_one_another() {
    for seed in 0..30 {
        let case = sample_case(seed, &CaseOptions::default());
        let rendered = render(&case.patient, &case.findings, 160, 160);
        let mask = masks(&rendered);
        let overlap = |a, b| area(&(mask(a) & mask(b)));
        assert_eq!(overlap(Concept::LeftLung, Concept::RightLung), 0);
        for lung in [Concept::LeftLung, Concept::RightLung] {
            assert_eq!(overlap(lung, Concept::CardiacSilhouette), 0);
            assert!(area(&mask(lung)) > 160 * 160 / 40);
        }
        assert_eq!(
            overlap(Concept::LeftCostophrenicAngle, Concept::LeftLung),
            area(&mask(Concept::LeftCostophrenicAngle))
        );
        let upper = area(&mask(Concept::UpperMediastinum));
        assert_eq!(
            overlap(Concept::UpperMediastinum, Concept::Mediastinum),
            upper
        );
    }
}

#[test]
fn findings_touch_their_region() {
    for finding in Finding::ALL {
        for seed in 0..40 {
            let instance = FindingInstance::sample(finding, seed);
            let rendered = render(
                &Patient::sample(seed + 500),
                std::slice::from_ref(&instance),
                224,
                224,
            );
            let mask = rendered.finding_mask(0).unwrap();
            let region = dilate(&rendered.concept_mask(instance.region), 3);
            let shared = area(&(&mask & &region)) as f64 / area(&mask) as f64;
            assert!(
                shared > 0.12,
                "{finding:?} of seed {seed} lies {shared:.2} in {}",
                instance.region_phrase()
            );
            assert_eq!(instance.region.side(), instance.side, "{finding:?}");
        }
    }
}

/// Definition of a tight half-open box, checked pixel by pixel.
fn assert_tight(mask: &Mask) {
    let Some(b) = tight_box(mask) else {
        assert_eq!(area(mask), 0);
        return;
    };
    for ((y, x), _) in mask.indexed_iter().filter(|(_, set)| **set) {
        assert!((b.x1..b.x2).contains(&x) && (b.y1..b.y2).contains(&y));
    }
    assert!(
        mask.column(b.x1).iter().any(|&set| set) && mask.column(b.x2 - 1).iter().any(|&set| set)
    );
    assert!(mask.row(b.y1).iter().any(|&set| set) && mask.row(b.y2 - 1).iter().any(|&set| set));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_case_renders_at_any_size(seed: u64, height in 0usize..200, width in 0usize..200) {
        let case = sample_case(seed, &CaseOptions::default());
        let rendered = render(&case.patient, &case.findings, height, width);
        prop_assert_eq!(rendered.image.dim(), (height, width));
        prop_assert_eq!(rendered.findings(), case.findings.len());
        for concept in Concept::ALL {
            let mask = rendered.concept_mask(concept);
            prop_assert_eq!(mask.dim(), (height, width));
            assert_tight(&mask);
        }
        for index in 0..case.findings.len() {
            let mask = rendered.finding_mask(index).unwrap();
            prop_assert_eq!(mask.dim(), (height, width));
            assert_tight(&mask);
            if height.min(width) >= 64 {
                prop_assert!(area(&mask) >= 20, "{:?} is too small", case.findings[index]);
            }
        }
        prop_assert!(rendered.finding_mask(case.findings.len()).is_none());
        if height.min(width) >= 64 {
            let (low, high) = rendered.image.iter().fold((255, 0), |(low, high), &v| (v.min(low), v.max(high)));
            prop_assert!(low < 60 && high > 150, "greys from {} to {}", low, high);
        }
    }

    #[test]
    fn masks_agree_across_sizes(seed: u64) {
        let patient = Patient::sample(seed);
        let (small, large) = (render(&patient, &[], 112, 112), render(&patient, &[], 336, 336));
        for concept in Concept::ALL {
            let (a, b) = (centroid(&small.concept_mask(concept)), centroid(&large.concept_mask(concept)));
            let off = (3.0 * a.0 + 1.0 - b.0).abs().max((3.0 * a.1 + 1.0 - b.1).abs());
            prop_assert!(off < 4.5, "{:?} is {} pixels of the larger off", concept, off);
        }
    }
}

#[test]
fn a_longer_side_only_shows_more_film() {
    for (height, width) in [(512, 640), (640, 512)] {
        let patient = Patient::sample(3);
        let (square, long) = (
            render(&patient, &[], 512, 512),
            render(&patient, &[], height, width),
        );
        let (dy, dx) = ((height - 512) / 2, (width - 512) / 2);
        let heart = square.concept_box(Concept::CardiacSilhouette).unwrap();
        let shifted = long.concept_box(Concept::CardiacSilhouette).unwrap();
        assert_eq!(
            (heart.x1 + dx, heart.y1 + dy, heart.area()),
            (shifted.x1, shifted.y1, shifted.area())
        );
    }
}

#[test]
fn names_are_unique_and_found_again() {
    for concept in Concept::ALL {
        assert_eq!(Concept::from_name(concept.name()), Some(concept));
    }
    for finding in Finding::ALL {
        assert_eq!(Finding::from_name(finding.name()), Some(finding));
    }
    assert_eq!(Concept::from_name("spleen"), None);
}
