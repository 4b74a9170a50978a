//! What is found, and why.

use crate::common::{TEST, displaced, phantom};
use crate::host::{boxes_of, concept, host, method, model, number, pool, task, task_of};
use crate::published::published;
use medfocus_attribution::COMPOSITES;
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{
    Attribution, AttributionMethod, BBox, GrayImage, Letterbox, Working,
    testkit::{LocalHost, ToyModel},
};
use ndarray::{Array2, Ix3, s};
use serde_json::json;

#[test]
fn the_concept_that_the_answer_misses_most_is_its_evidence() {
    let host = host();
    let method = method(&host, json!({"per_token": true}));
    let task = task();
    let found = method.attribute(&task).unwrap();

    // Every concept's drop, from its boxes alone.
    let log_p = |image: &GrayImage| f64::from(model().probability(image)).ln();
    let concepts = found.evidence["concepts"].as_array().unwrap();
    assert_eq!(concepts.len(), CONCEPTS.len() + COMPOSITES.len());
    let mut painted = Array2::<f64>::zeros((224, 224));
    let mut deltas = Vec::new();
    for (c, concept) in concepts.iter().enumerate() {
        let boxes = boxes_of(&concept["boxes"]);
        let without = boxes
            .iter()
            .fold(task.image.clone(), |image, bbox| image.with_filled(bbox, 0));
        let delta = (log_p(&task.image) - log_p(&without)).max(0.0);
        let name = &concept["name"];
        assert!(
            (number(&concept["delta"]) - delta).abs() < 1e-5,
            "{name}: {concept} {delta}"
        );
        assert!((number(&concept["ratio"]) - (-delta).exp()).abs() < 1e-5);
        assert!((number(&found.evidence["matrix"][c][0]) - delta).abs() < 1e-4);
        // Pairs are not painted.
        for bbox in boxes.iter().filter(|_| boxes.len() == 1) {
            let [x1, y1, x2, y2] = bbox.corners().map(|c| c as usize);
            painted
                .slice_mut(s![y1..y2, x1..x2])
                .mapv_inplace(|most| most.max(delta));
        }
        deltas.push(delta);
    }
    let highest = deltas.iter().copied().fold(0.0, f64::max);
    assert!(highest > 0.5, "the model looks at something: {deltas:?}");

    // Of equals the first: the lung, not both lungs.
    assert_eq!(found.evidence["winner"], "right lung");
    assert_eq!(found.evidence["fallback"], false);
    let boxes = found.boxes.unwrap();
    assert_eq!(boxes.len(), 1);
    assert_eq!(boxes[0].label.as_deref(), Some("right lung"));
    assert!((boxes[0].score - highest).abs() < 1e-5);
    let mask = found.mask.unwrap();
    assert_eq!(mask.tight_box(), Some(boxes[0].bbox));
    assert!(mask.area() < boxes[0].bbox.area(), "a lung is no box");
    let heat = found.heat.unwrap();
    for (at, expected) in painted.indexed_iter() {
        assert!(
            (f64::from(heat.view()[at]) - expected / highest).abs() < 1e-5,
            "{at:?}"
        );
    }
    let token_heat = found.token_heat.unwrap();
    let token_heat = token_heat.view_nd::<f32, Ix3>().unwrap();
    assert_eq!(token_heat.dim(), (1, 224, 224));
    assert_eq!(token_heat.slice(s![0, .., ..]), heat.view());
    assert_eq!(found.evidence["tokens"], json!(["Yes"]));
    assert_eq!(found.evidence["reliable"], true, "{:?}", found.warnings);
    let references = found.evidence["references"].as_array().unwrap();
    assert_eq!(references.len(), 5);
    assert!(
        references
            .iter()
            .all(|r| r["transport"]["converged"] == true)
    );
    assert!(
        references
            .windows(2)
            .all(|two| number(&two[0]["likeness"]) >= number(&two[1]["likeness"]))
    );

    // The image and all interventions in one call; equal ones (those that hide nothing seen) once.
    assert_eq!(host.calls("model.score"), 1);
    let different = 1 + concepts.len() as u64;
    assert!(found.evidence["images_scored"].as_u64().unwrap() <= different);
    method.attribute(&task).unwrap();
    assert_eq!(host.calls("dataset.sample"), 6, "the pool is read once");
}

#[test]
fn an_answer_that_needs_no_concept_needs_the_whole_image() {
    let blind = ToyModel::looking_at((14, 14), (0, 0), 0.0, 1.0);
    let host = LocalHost::new().with_model(blind).with_dataset(pool());
    let mut task = task();
    task.letterbox = Letterbox::new(1000, 900, 224).unwrap();
    let found = method(&host, json!({})).attribute(&task).unwrap();
    assert_eq!(found.evidence["fallback"], true);
    let boxes = found.boxes.unwrap();
    assert_eq!((boxes.len(), boxes[0].bbox), (1, task.letterbox.content()));
    assert_eq!(boxes[0].label, None);
    assert_eq!(found.mask.unwrap().area(), task.letterbox.content().area());
    assert!(found.heat.unwrap().is_zero());
}

#[test]
fn tau_decides_on_the_share_that_is_left() {
    let found = method(&host(), json!({})).attribute(&task()).unwrap();
    let left = number(&concept(&found, "right lung")["ratio"]);
    let fallback = |tau: f64| {
        let found = method(&host(), json!({"tau": tau}))
            .attribute(&task())
            .unwrap();
        found.evidence["fallback"].as_bool().unwrap()
    };
    assert!(!fallback(left + 0.01));
    assert!(fallback(left - 0.01));
}

#[test]
fn concepts_are_found_where_they_are() {
    let host = host();
    let method = method(&host, json!({"composites": false}));
    for (seed, least) in [(TEST + 1, 0.6), (TEST + 2, 0.6)] {
        for target in [phantom(seed, false), displaced(&phantom(seed, false), 3)] {
            let found = method.attribute(&task_of(&target)).unwrap();
            for name in [
                "left lung",
                "right lung",
                "cardiac silhouette",
                "mediastinum",
            ] {
                let bbox = boxes_of(&concept(&found, name)["boxes"])[0];
                let truth: BBox<Working> = target.masks[name].tight_box().unwrap();
                let both = bbox.intersection(&truth).map_or(0, |both| both.area()) as f64;
                let iou = both / ((bbox.area() + truth.area()) as f64 - both);
                assert!(iou > least, "{name} of {seed}: {iou:.2}");
            }
        }
    }
}

#[test]
fn composites_are_members_or_their_hull() {
    // Both lungs count.
    let mut weights = Array2::zeros((14, 14));
    weights[(6, 4)] = 8.0;
    weights[(6, 10)] = 8.0;
    let model = ToyModel {
        weights,
        bias: -4.0,
    };
    let host = LocalHost::new().with_model(model).with_dataset(pool());
    let attribute = |params| method(&host, params).attribute(&task()).unwrap();
    let members = attribute(json!({}));
    assert_eq!(members.evidence["winner"], "bilateral lungs");
    let boxes = members.boxes.unwrap();
    let labels: Vec<_> = boxes.iter().map(|b| b.label.as_deref().unwrap()).collect();
    assert_eq!(labels, ["left lung", "right lung"]);
    let (left, right) = (boxes[0].bbox.corners(), boxes[1].bbox.corners());
    let hull = attribute(json!({"composite_boxes": "hull"})).boxes.unwrap();
    assert_eq!(hull[0].label.as_deref(), Some("bilateral lungs"));
    let low = |i: usize| left[i].min(right[i]);
    let high = |i: usize| left[i].max(right[i]);
    assert_eq!(hull[0].bbox.corners(), [low(0), low(1), high(2), high(3)]);
    assert_eq!(hull.len(), 1);
    let single = attribute(json!({"composites": false}));
    assert_ne!(single.evidence["winner"], "bilateral lungs");
}

#[test]
fn every_setting_runs() {
    let settings = [
        published(),
        json!({"transfer": "copy", "references": 1}),
        json!({"transfer": "barycentric", "debias": false, "references": 16}),
        json!({"transfer": "mass", "eps": 0.005, "lambda": 0.1, "grid": 56, "references": 3}),
        json!({"intervention": "mask", "replacement": "mean", "drop": "signed", "delta": "mean"}),
        json!({"replacement": "blur", "tokens": "0..1", "answer_span": "turn", "batch": 1}),
        json!({"grid": 5, "selection_grid": 3}),
    ];
    for setting in settings {
        let found = method(&host(), setting.clone()).attribute(&task()).unwrap();
        let right = boxes_of(&concept(&found, "right lung")["boxes"])[0];
        assert!(right.contains(70, 100), "{setting}: {right:?}");
        assert!(!right.contains(150, 100), "{setting}: {right:?}");
    }
}

#[test]
fn other_transfers_rank_by_cost() {
    let found = method(&host(), json!({"transfer": "affine"}))
        .attribute(&task())
        .unwrap();
    let references = found.evidence["references"].as_array().unwrap();
    let costs: Vec<_> = references.iter().map(|r| number(&r["cost"])).collect();
    assert!(costs.is_sorted(), "{costs:?}");
}

#[test]
fn published_regions_mark_one_pixel_of_a_cell() {
    // The grid's cells have 4 x 4 pixels, of which the mass fills all.
    let of = |transfer: &str| {
        let mut params = published();
        params["transfer"] = json!(transfer);
        method(&host(), params).attribute(&task()).unwrap()
    };
    let (marked, filled) = (of("published"), of("mass"));
    for name in CONCEPTS {
        let corners = |found| boxes_of(&concept(found, name)["boxes"])[0].corners();
        let ([x1, y1, x2, y2], full) = (corners(&marked), corners(&filled));
        assert_eq!([x1, y1, x2 + 3, y2 + 3], full, "{name}");
        assert_eq!([x1 % 4, y1 % 4, x2 % 4, y2 % 4], [0, 0, 1, 1], "{name}");
    }
    // Their mask is the marks themselves.
    assert_eq!(marked.evidence["winner"], filled.evidence["winner"]);
    let area = |found: &Attribution| found.mask.as_ref().unwrap().area();
    assert_eq!(16 * area(&marked), area(&filled));
}

#[test]
fn a_transport_that_was_cut_short_is_reported() {
    let found = method(&host(), json!({"iterations": 2}))
        .attribute(&task())
        .unwrap();
    assert!(
        found
            .warnings
            .iter()
            .any(|w| w.contains("not converged after 2")),
        "{:?}",
        found.warnings
    );
    assert_eq!(
        found.evidence["references"][0]["transport"]["iterations"],
        2
    );
    let found = method(&host(), json!({})).attribute(&task()).unwrap();
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
}
