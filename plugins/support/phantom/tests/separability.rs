//! An absent finding is really absent: one measured quantity with one threshold tells normal from abnormal.

use medfocus_phantom::{Concept, Finding, FindingInstance, Mask, Patient, Rendered, Side, render};

const N: u64 = 120;
const SIDE: usize = 112;

fn with(finding: Finding, seed: u64) -> (Rendered, FindingInstance) {
    let instance = FindingInstance::sample(finding, seed);
    (
        render(
            &Patient::sample(seed),
            std::slice::from_ref(&instance),
            SIDE,
            SIDE,
        ),
        instance,
    )
}

fn without(seed: u64) -> Rendered {
    render(&Patient::sample(seed + 10_000), &[], SIDE, SIDE)
}

/// Greatest width of a mask's rows, in pixels.
fn width(mask: &Mask) -> f64 {
    let row_width = |row: ndarray::ArrayView1<bool>| row.iter().filter(|set| **set).count();
    mask.outer_iter().map(row_width).max().unwrap_or(0) as f64
}

/// Inner width of the thorax: from one costophrenic angle to the other.
fn thorax(rendered: &Rendered) -> f64 {
    let right = rendered.concept_box(Concept::RightLung).unwrap();
    let left = rendered.concept_box(Concept::LeftLung).unwrap();
    (left.x2 - right.x1) as f64
}

fn mean(rendered: &Rendered, mask: &Mask) -> f64 {
    let inside = rendered.image.iter().zip(mask).filter(|(_, set)| **set);
    let (sum, n) = inside.fold((0.0, 0.0), |(sum, n), (grey, _)| {
        (sum + f64::from(*grey), n + 1.0)
    });
    sum / n
}

/// Share of `normal` below and of `abnormal` above the threshold halfway between their means.
fn accuracy(normal: &[f64], abnormal: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let threshold = 0.5 * (mean(normal) + mean(abnormal));
    let right = normal.iter().filter(|v| **v < threshold).count()
        + abnormal.iter().filter(|v| **v > threshold).count();
    right as f64 / (normal.len() + abnormal.len()) as f64
}

#[test]
fn cardiothoracic_ratio_tells_cardiomegaly() {
    let ratio = |rendered: &Rendered| {
        width(&rendered.concept_mask(Concept::CardiacSilhouette)) / thorax(rendered)
    };
    let normal: Vec<f64> = (0..N).map(|seed| ratio(&without(seed))).collect();
    let large: Vec<f64> = (0..N)
        .map(|seed| ratio(&with(Finding::Cardiomegaly, seed).0))
        .collect();
    let (highest, lowest) = (
        normal.iter().fold(0.0, |a: f64, b| a.max(*b)),
        large.iter().fold(1.0, |a: f64, b| a.min(*b)),
    );
    assert!(
        highest + 0.04 < lowest,
        "normal up to {highest}, enlarged from {lowest}"
    );
}

#[test]
fn mediastinal_width_tells_widening() {
    let ratio = |rendered: &Rendered| {
        width(&rendered.concept_mask(Concept::UpperMediastinum)) / thorax(rendered)
    };
    let normal: Vec<f64> = (0..N).map(|seed| ratio(&without(seed))).collect();
    let wide: Vec<f64> = (0..N)
        .map(|seed| ratio(&with(Finding::MediastinalWidening, seed).0))
        .collect();
    assert!(accuracy(&normal, &wide) > 0.98);
}

#[test]
fn brightness_of_the_region_tells_lateral_opacities() {
    for finding in [Finding::PleuralEffusion, Finding::HilarEnlargement] {
        // Brightness of the region between that of the other lung (0) and of the heart (1).
        let brightness = |rendered: &Rendered, region: Concept| {
            let grey = |concept| mean(rendered, &rendered.concept_mask(concept));
            let other = match region.side() {
                Some(Side::Left) => grey(Concept::RightLung),
                _ => grey(Concept::LeftLung),
            };
            (grey(region) - other) / (grey(Concept::CardiacSilhouette) - other)
        };
        let region = |seed: u64| FindingInstance::sample(finding, seed).region;
        let normal: Vec<f64> = (0..N)
            .map(|seed| brightness(&without(seed), region(seed)))
            .collect();
        let abnormal: Vec<f64> = (0..N)
            .map(|seed| brightness(&with(finding, seed).0, region(seed)))
            .collect();
        let right = accuracy(&normal, &abnormal);
        println!("{}: {right:.3}", finding.name());
        assert!(right > 0.95, "{finding:?}: {right}");
    }
}

#[test]
fn metal_is_brighter_than_anything_around_it() {
    for finding in [Finding::Pacemaker, Finding::SternotomyWires] {
        for seed in 0..N {
            let (rendered, _) = with(finding, seed);
            let plain = render(&Patient::sample(seed), &[], SIDE, SIDE);
            let mask = rendered.finding_mask(0).unwrap();
            let gain = mean(&rendered, &mask) - mean(&plain, &mask);
            assert!(
                gain > 15.0,
                "{finding:?} of seed {seed} is only {gain:.1} brighter"
            );
        }
    }
}

#[test]
fn every_finding_stands_out_of_the_noise_at_the_training_size() {
    for finding in Finding::ALL {
        for seed in 0..N / 2 {
            let (rendered, _) = with(finding, seed);
            let patient = Patient::sample(seed);
            let plain = render(&patient, &[], SIDE, SIDE);
            let energy: f64 = rendered
                .image
                .iter()
                .zip(&plain.image)
                .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                .sum();
            // Detectability index of an ideal observer in white noise.
            let index = energy.sqrt() / f64::from(patient.film.noise);
            assert!(
                index > 50.0,
                "{finding:?} of seed {seed}: detectability {index:.0}"
            );
        }
    }
}
