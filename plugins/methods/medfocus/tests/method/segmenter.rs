//! The optional segmenter.

use crate::host::{boxes_of, concept, host, method, task};
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{
    Attribution, AttributionMethod, BBox, ErrorKind, Mask, Result, Segment, SegmentRequest,
    Segmenter, Working,
};
use ndarray::{Array2, s};
use serde_json::json;

/// Sees the left half of each box, and nothing in boxes lower than 60 pixels.
struct LeftHalf;

impl Segmenter for LeftHalf {
    fn segment(&self, request: &SegmentRequest) -> Result<Vec<Segment>> {
        let half = |bbox: &BBox<Working>| {
            let mut mask = Array2::from_elem((224, 224), false);
            let [x1, y1, x2, y2] = bbox.corners().map(|c| c as usize);
            if bbox.height() >= 60 {
                mask.slice_mut(s![y1..y2, x1..(x1 + x2) / 2]).fill(true);
            }
            let mask = Mask::from_array(mask.view())?;
            Ok(Segment::new(mask, 0.5))
        };
        request.boxes.iter().map(half).collect()
    }
}

#[test]
fn a_segmenter_refines_what_it_sees() {
    let plain = method(&host(), json!({})).attribute(&task()).unwrap();
    assert!(!plain.evidence.contains_key("segmenter"));
    let host = host().with_segmenter(LeftHalf);
    let refined = method(&host, json!({"agreement": 0}));
    let refined = refined.attribute(&task()).unwrap();
    assert_eq!(host.calls("segmenter.segment"), 1);
    for name in CONCEPTS {
        let box_in = |found: &Attribution| boxes_of(&concept(found, name)["boxes"])[0];
        let (before, after) = (box_in(&plain), box_in(&refined));
        let [x1, y1, x2, y2] = before.corners();
        if before.height() < 60 {
            assert_eq!(after, before, "{name}");
        } else {
            assert_eq!(after.corners(), [x1, y1, (x1 + x2) / 2, y2], "{name}");
        }
    }
}

/// Moves each box to the right by a share of its width.
struct Shifted(f64);

impl Segmenter for Shifted {
    fn segment(&self, request: &SegmentRequest) -> Result<Vec<Segment>> {
        let shifted = |bbox: &BBox<Working>| {
            let mut mask = Array2::from_elem((224, 224), false);
            let [x1, y1, x2, y2] = bbox.corners().map(|c| c as usize);
            let by = ((x2 - x1) as f64 * self.0) as usize;
            let columns = (x1 + by).min(223)..(x2 + by).min(224);
            mask.slice_mut(s![y1..y2, columns]).fill(true);
            let mask = Mask::from_array(mask.view())?;
            Ok(Segment::new(mask, 1.0))
        };
        request.boxes.iter().map(shifted).collect()
    }
}

#[test]
fn a_mask_that_contradicts_the_vote_is_rejected_and_counted() {
    let plain = method(&host(), json!({})).attribute(&task()).unwrap();
    let of = |shift: f64, params| {
        let host = host().with_segmenter(Shifted(shift));
        method(&host, params).attribute(&task()).unwrap()
    };
    // Beside its box a mask agrees with nothing, however sure the segmenter is.
    let beside = of(1.0, json!({}));
    let said = json!({"accepted": 0, "rejected": CONCEPTS});
    assert_eq!(beside.evidence["segmenter"], said);
    assert_eq!(beside.evidence["concepts"], plain.evidence["concepts"]);
    let trusted = of(1.0, json!({"agreement": 0}));
    let said = json!({"accepted": CONCEPTS.len(), "rejected": []});
    assert_eq!(trusted.evidence["segmenter"], said);
    assert_ne!(trusted.evidence["concepts"], plain.evidence["concepts"]);
    // A box of width w, moved by d, shares w - d of w + d columns with itself.
    let lung = boxes_of(&concept(&plain, "right lung")["boxes"])[0];
    let width = f64::from(lung.width());
    let moved = (width / 4.0).floor();
    let share = (width - moved) / (width + moved);
    for (agreement, taken) in [(share - 1e-6, true), (share + 1e-6, false)] {
        let found = of(0.25, json!({"agreement": agreement}));
        let rejected = found.evidence["segmenter"]["rejected"].as_array().unwrap();
        assert_eq!(!rejected.contains(&json!("right lung")), taken);
        let now = boxes_of(&concept(&found, "right lung")["boxes"])[0];
        assert_eq!(now != lung, taken, "{now:?}");
    }
}

/// Answers with fewer masks, or smaller ones, than asked for.
struct Broken(usize);

impl Segmenter for Broken {
    fn segment(&self, request: &SegmentRequest) -> Result<Vec<Segment>> {
        let mask = Mask::from_array(Array2::from_elem((9, 9), true).view())?;
        let segment = Segment::new(mask, 1.0);
        Ok(vec![segment; request.boxes.len() - self.0])
    }
}

#[test]
fn a_broken_segmenter_is_named() {
    for (missing, words) in [
        (1, "answered 10 times to 11 boxes"),
        (0, "masks have (9, 9) pixels"),
    ] {
        let host = host().with_segmenter(Broken(missing));
        let error = method(&host, json!({})).attribute(&task()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert!(error.message.contains(words), "{error}");
    }
}
