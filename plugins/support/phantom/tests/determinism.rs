//! The same seeds give the same bytes, today and in every later version.

use medfocus_phantom::{
    Case, CaseOptions, Finding, FindingInstance, Patient, Renderer, render, sample_case,
};

/// FNV-1a, 64 bits.
fn digest(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn cases() -> Vec<Case> {
    (0..64)
        .map(|seed| sample_case(seed, &CaseOptions::default()))
        .collect()
}

/// The frozen mapping. If this fails, a seed no longer names the case it named: restore the mapping, never
/// the digest.
#[test]
fn seeds_name_the_cases_they_always_named() {
    let text = serde_json::to_string(&cases()).unwrap();
    assert_eq!(
        digest(text.bytes()),
        CASES,
        "seeds name other cases than before"
    );
}

/// The picture of a case may improve; then this digest changes together with the shipped checkpoints.
#[test]
fn cases_look_as_they_always_looked() {
    let pixels = cases()
        .into_iter()
        .take(16)
        .flat_map(|case| render(&case.patient, &case.findings, 112, 112).image);
    assert_eq!(
        digest(pixels),
        PIXELS,
        "phantoms look other than when the checkpoints were trained"
    );
}

const CASES: u64 = 0x6f22_66b8_899b_25f9;
const PIXELS: u64 = 0xaeec_be5c_8b5b_20de;

#[test]
fn a_reused_renderer_gives_the_same_bytes_as_a_fresh_one() {
    let mut renderer = Renderer::default();
    for case in cases() {
        for (height, width) in [(112, 112), (97, 160), (224, 224)] {
            let reused = renderer.render(&case.patient, &case.findings, height, width);
            let fresh = render(&case.patient, &case.findings, height, width);
            assert_eq!(reused.image, fresh.image);
        }
    }
}

#[test]
fn the_patient_depends_on_the_seed_alone() {
    let require = CaseOptions {
        require: Some(Finding::Cardiomegaly),
        ..Default::default()
    };
    for seed in 0..50 {
        let case = sample_case(seed, &require);
        assert_eq!(case.patient, Patient::sample(seed));
        assert!(case.instance(Finding::Cardiomegaly).is_some());
        assert!(
            !case
                .without(Finding::Cardiomegaly)
                .iter()
                .any(|f| f.finding == Finding::Cardiomegaly)
        );
    }
}

#[test]
fn cases_survive_serde() {
    for case in cases() {
        let text = serde_json::to_string(&case).unwrap();
        let back: Case = serde_json::from_str(&text).unwrap();
        assert_eq!(back, case);
        let picture = |case: &Case| render(&case.patient, &case.findings, 64, 64).image;
        assert_eq!(picture(&back), picture(&case));
    }
}

#[test]
fn counts_and_findings_follow_the_options() {
    let n = 4000;
    let mut counts = [0usize; 4];
    let mut seen = [0usize; Finding::ALL.len()];
    for seed in 0..n {
        let case = sample_case(seed, &CaseOptions::default());
        counts[case.findings.len()] += 1;
        for instance in &case.findings {
            seen[instance.finding as usize] += 1;
        }
        for (i, a) in case.findings.iter().enumerate() {
            assert!(
                case.findings[i + 1..]
                    .iter()
                    .all(|b: &FindingInstance| !a.collides(b))
            );
        }
    }
    for (count, share) in counts.iter().zip([0.25, 0.35, 0.25, 0.15]) {
        let got = *count as f64 / n as f64;
        assert!((got - share).abs() < 0.03, "share {got} instead of {share}");
    }
    let mean = seen.iter().sum::<usize>() / seen.len();
    assert!(
        seen.iter()
            .all(|&count| count > mean * 3 / 4 && count < mean * 5 / 4),
        "{seen:?}"
    );
}
