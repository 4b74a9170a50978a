//! The optional segmenter.

use crate::host::{boxes_of, concept, host, method, task};
use medfocus_attribution::CONCEPTS;
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
    let host = host().with_segmenter(LeftHalf);
    let refined = method(&host, json!({})).attribute(&task()).unwrap();
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
