//! Adding a finding changes the picture where its mask says, and nowhere else.

mod common;

use common::{area, pair};
use medfocus_phantom::{Finding, dilate, render};

const SIDE: usize = 224;
/// Pixels by which point spread and thin strokes reach beyond a mask at 224 pixels.
const REACH: usize = 3;

/// Largest change allowed outside the mask, in grey levels: quantisation, or the tail below the stated
/// threshold of an ill-defined finding.
fn tolerance(finding: Finding) -> i32 {
    match finding {
        Finding::Consolidation => 6,
        Finding::MediastinalWidening => 3,
        _ => 1,
    }
}

/// Least mean change inside the mask, in grey levels.
fn least_change(finding: Finding) -> f64 {
    match finding {
        // The silhouette holds the normal heart, which changes little.
        Finding::Cardiomegaly => 8.0,
        _ => 12.0,
    }
}

#[test]
fn a_finding_changes_its_mask_and_nothing_else() {
    let mut failures = Vec::new();
    for finding in Finding::ALL {
        let mut least: f64 = 1e9;
        let mut worst = 0;
        for seed in 0..24 {
            let (patient, instance) = pair(finding, seed);
            let without = render(&patient, &[], SIDE, SIDE).image;
            let with = render(&patient, std::slice::from_ref(&instance), SIDE, SIDE);
            let mask = with.finding_mask(0).unwrap();
            let near = dilate(&mask, REACH);
            let mut inside = 0.0;
            for (index, (a, b)) in with.image.iter().zip(&without).enumerate() {
                let change = (i32::from(*a) - i32::from(*b)).abs();
                let at = [index / SIDE, index % SIDE];
                if !near[at] {
                    worst = worst.max(change);
                }
                if mask[at] {
                    inside += f64::from(change);
                }
            }
            least = least.min(inside / area(&mask) as f64);
        }
        println!(
            "{}: least mean change {least:.1}, largest change outside {worst}",
            finding.name()
        );
        if worst > tolerance(finding) {
            failures.push(format!(
                "{finding:?} changes pixels outside its mask by {worst}"
            ));
        }
        if least < least_change(finding) {
            failures.push(format!("{finding:?} changes its mask by only {least:.1}"));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn a_finding_moves_to_another_patient_unchanged() {
    for finding in Finding::ALL {
        for seed in 0..10 {
            let (_, instance) = pair(finding, seed);
            let (other, _) = pair(finding, seed + 1000);
            let moved = render(&other, std::slice::from_ref(&instance), SIDE, SIDE);
            let mask = moved.finding_mask(0).unwrap();
            let region = dilate(&moved.concept_mask(instance.region), 4);
            let shared = mask.iter().zip(&region).filter(|(a, b)| **a && **b).count();
            assert!(area(&mask) > 0, "{finding:?} vanished in another patient");
            assert!(shared > 0, "{finding:?} left its region in another patient");
        }
    }
}
