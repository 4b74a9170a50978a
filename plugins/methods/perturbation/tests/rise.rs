//! RISE against a model whose score of every image is known in closed form.

mod common;

use common::{TwoTokens, YesNo};
use medfocus_method_perturbation::{Cells, MaskKind, Masks, Normalise, Rise, saliency};
use medfocus_plugin_api::{
    Attribution, AttributionMethod, ErrorKind, GrayImage, HeatMap, Letterbox, ModelInfo, Result,
    ScoreRequest, Scores, Task, VisionLanguageModel, WORKING_SIDE, heat,
    testkit::{LocalHost, ToyModel, toy_task},
};
use ndarray::{Array2, Axis, Ix3, s};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::{Value, json};

const SIDE: usize = WORKING_SIDE as usize;

fn explain(
    model: impl VisionLanguageModel + 'static,
    params: Value,
    task: &Task,
) -> Result<Attribution> {
    let host = LocalHost::new().with_model(model);
    host.create::<Rise>(params)?.attribute(task)
}

/// A model that looks at cell (2, 5) of 8 x 8.
fn looking() -> ToyModel {
    ToyModel::looking_at((8, 8), (2, 5), 4.0, -1.0)
}

fn grey() -> Task {
    toy_task(Array2::from_elem((SIDE, SIDE), 153)).unwrap()
}

fn masks(kind: MaskKind, cells: u32, seed: u64) -> Masks {
    Masks {
        kind,
        cells,
        keep: 0.5,
        seed,
    }
}

#[test]
fn the_cell_the_model_looks_at_stands_out() {
    let task = grey();
    for (kind, count) in [("cells", 64), ("petsiuk", 128)] {
        let params = json!({"masks": kind, "count": count});
        let heat = explain(looking(), params, &task).unwrap().heat.unwrap();
        let view = heat.view();
        let cell = view.slice(s![56..84, 140..168]).mean().unwrap();
        let rest = (view.sum() - cell * 784.0) / (224.0 * 224.0 - 784.0);
        assert!(cell > 0.8 && rest < 0.4, "{kind}: {cell} against {rest}");
        assert!(view[(70, 154)] > 0.9);
    }
}

#[test]
fn given_masks_and_scores_numpy_agrees() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../tests/fixtures/methods/expected.safetensors"
    );
    let bytes = std::fs::read(file).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    let doubles = |name: &str| -> Vec<f64> {
        let tensor = reference.tensor(name).unwrap();
        let values = tensor.data().chunks_exact(8);
        values
            .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
            .collect()
    };
    let scores = doubles("rise.scores");
    let keep = reference.tensor("rise.keep").unwrap();
    let (count, cells) = (keep.shape()[0], keep.shape()[1]);
    assert_eq!(scores.len(), count);
    let grid = Cells::new(cells as u32);
    for (name, normalise) in [
        ("counts", Normalise::Counts),
        ("published", Normalise::Published),
    ] {
        let expected =
            Array2::from_shape_vec((cells, cells), doubles(&format!("rise.{name}"))).unwrap();
        let masks = keep.data().chunks(cells * cells).map(|mask| {
            let mask = mask.iter().map(|&kept| f32::from(kept)).collect();
            grid.paint(Array2::from_shape_vec((cells, cells), mask).unwrap().view())
        });
        let whole = Array2::from_elem((SIDE, SIDE), true);
        let found = saliency(masks, &scores, 0.5, normalise, whole.view());
        // By counts the map is relative to the first score.
        let origin = if normalise == Normalise::Counts {
            scores[0]
        } else {
            0.0
        };
        for ((y, x), &found) in found.indexed_iter() {
            let expected = expected[(y * cells / SIDE, x * cells / SIDE)];
            assert!(
                (found + origin - expected).abs() < 1e-6,
                "{name} at {y}, {x}"
            );
        }
    }
}

#[test]
fn the_map_is_the_definition() {
    let pixels = Array2::from_shape_fn((SIDE, SIDE), |(y, x)| ((y * 7 + x * 3) % 251) as u8);
    let mut task = toy_task(pixels).unwrap();
    task.seed = 7;
    let count = 12;
    let check = |name: &str, kind: MaskKind, target: &str, score: fn(f64) -> f64| {
        let mut sums = Array2::<f64>::zeros((SIDE, SIDE));
        let mut kept = Array2::<f64>::zeros((SIDE, SIDE));
        for m in 0..count {
            let mask = masks(kind, 5, 7).mask(m).mapv(f64::from);
            let shown = (&mask * &task.image.view().mapv(f64::from)).mapv(|p| p.round() as u8);
            let p = looking().probability(&GrayImage::from_array(shown).unwrap());
            sums.scaled_add(score(f64::from(p)), &mask);
            kept += &mask;
        }
        assert!(
            kept.iter().all(|&n| n > 0.0),
            "the seed hides nothing for good"
        );
        let expected = 0.5 * count as f64;
        for (normalise, map) in [("counts", &sums / &kept), ("published", &sums / expected)] {
            let mut map = map.mapv(|v| v as f32);
            heat::normalise(&mut map);
            let params = json!({
                "masks": name, "cells": 5, "count": count, "normalise": normalise, "target": target,
            });
            let found = explain(YesNo(looking()), params, &task).unwrap();
            assert_eq!(found.evidence["images_scored"], count);
            let error = (&found.heat.unwrap().view() - &map).mapv(f32::abs);
            assert!(
                error.iter().all(|&e| e < 1e-5),
                "{name} {normalise} {target}"
            );
        }
    };
    check("cells", MaskKind::Cells, "mean_probability", |p| p);
    check("petsiuk", MaskKind::Petsiuk, "log_prob", f64::ln);
    check("petsiuk", MaskKind::Petsiuk, "margin", |p| {
        (p / (1.0 - p)).ln()
    });
}

#[test]
fn a_blind_model_shows_why_counts_are_divided_by() {
    let blind = ToyModel::looking_at((1, 1), (0, 0), 0.0, 0.4);
    for kind in ["cells", "petsiuk"] {
        let found = explain(blind.clone(), json!({"masks": kind, "count": 24}), &grey()).unwrap();
        assert!(found.heat.unwrap().is_zero(), "{kind}");
        assert_eq!(found.warnings.len(), 1);
    }
    // The published map is how often each cell was kept.
    let found = explain(blind, json!({"normalise": "published"}), &grey()).unwrap();
    let mut kept = Array2::<f32>::zeros((SIDE, SIDE));
    for m in 0..64 {
        kept += &masks(MaskKind::Cells, 8, 0).mask(m);
    }
    heat::normalise(&mut kept);
    let error = (&found.heat.unwrap().view() - &kept).mapv(f32::abs);
    assert!(error.iter().all(|&e| e < 1e-5));
}

#[test]
fn a_pixel_that_no_mask_kept_is_no_evidence_and_no_number_is_lost() {
    // With few masks that keep little, most cells are never seen.
    let task = grey();
    let masks = Masks {
        keep: 0.1,
        ..masks(MaskKind::Cells, 8, 0)
    };
    let seen = (0..6).fold(Array2::<f32>::zeros((SIDE, SIDE)), |seen, m| {
        seen + masks.mask(m)
    });
    assert!(seen.iter().any(|&n| n == 0.0) && seen.iter().any(|&n| n > 0.0));
    let model = ToyModel {
        weights: Array2::from_shape_fn((8, 8), |(r, c)| (r * 8 + c) as f32 / 8.0),
        bias: -3.0,
    };
    for normalise in ["counts", "published"] {
        let params = json!({"count": 6, "keep": 0.1, "normalise": normalise});
        let heat = explain(model.clone(), params, &task).unwrap().heat.unwrap();
        for (&value, &seen) in heat.view().iter().zip(&seen) {
            assert!(seen > 0.0 || value == 0.0);
        }
        assert!(!heat.is_zero());
    }
    // One mask that keeps nothing at all.
    let none = Masks {
        keep: 0.01,
        cells: 1,
        ..masks
    };
    assert!(none.mask(0).iter().all(|&keep| keep == 0.0));
    let params = json!({"count": 1, "cells": 1, "keep": 0.01});
    assert!(
        explain(model, params, &task)
            .unwrap()
            .heat
            .unwrap()
            .is_zero()
    );
}

/// Refuses images whose padding, 56 columns on each side, is not 9.
struct Padded;

impl VisionLanguageModel for Padded {
    fn info(&self) -> Result<ModelInfo> {
        looking().info()
    }

    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        for image in &request.images {
            for side in [s![.., ..56], s![.., 168..]] {
                assert!(image.view().slice(side).iter().all(|&p| p == 9));
            }
        }
        looking().score(request)
    }
}

#[test]
fn padding_is_never_hidden_nor_evidence() {
    let mut pixels = Array2::from_elem((SIDE, SIDE), 9);
    pixels.slice_mut(s![.., 56..168]).fill(200);
    let mut task = toy_task(pixels).unwrap();
    task.letterbox = Letterbox::new(500, 1000, WORKING_SIDE).unwrap();
    for kind in ["cells", "petsiuk"] {
        for baseline in ["zero", "mean", "blur"] {
            let params = json!({"masks": kind, "baseline": baseline, "count": 12});
            let heat = explain(Padded, params, &task).unwrap().heat.unwrap();
            for ((_, x), &value) in heat.view().indexed_iter() {
                assert!((56..168).contains(&x) || value == 0.0);
            }
        }
    }
}

#[test]
fn the_seed_is_the_tasks_and_decides_all() {
    let mut task = grey();
    let run = |task: &Task, batch: usize| -> HeatMap {
        let params = json!({"masks": "petsiuk", "batch": batch, "count": 12});
        explain(looking(), params, task).unwrap().heat.unwrap()
    };
    let first = run(&task, 16);
    assert_eq!(first.view(), run(&task, 5).view());
    task.seed = 1;
    assert_ne!(first.view(), run(&task, 16).view());
    // Masks do not depend on how many there are, and differ from one another.
    let masks = masks(MaskKind::Cells, 8, 0);
    assert_ne!(masks.mask(0), masks.mask(1));
}

#[test]
fn equal_masks_are_scored_once() {
    // One cell: every mask keeps all or nothing.
    let host = LocalHost::new().with_model(looking());
    let method = host.create::<Rise>(json!({"cells": 1})).unwrap();
    let found = method.attribute(&grey()).unwrap();
    assert_eq!(found.evidence["images_scored"], 2);
    assert_eq!(host.calls("model.score"), 1);
}

#[test]
fn each_token_has_a_map_of_its_own() {
    let alone = explain(looking(), json!({}), &grey())
        .unwrap()
        .heat
        .unwrap();
    let params = json!({"per_token": true, "tokens": "1..2"});
    let found = explain(TwoTokens(looking()), params, &grey()).unwrap();
    assert!(
        found.heat.unwrap().is_zero(),
        "the second token sees nothing"
    );
    let maps = found.token_heat.unwrap();
    let maps = maps.view_nd::<f32, Ix3>().unwrap();
    assert_eq!(maps.dim(), (2, SIDE, SIDE));
    assert_eq!(maps.index_axis(Axis(0), 0), alone.view());
    assert!(maps.index_axis(Axis(0), 1).iter().all(|&v| v == 0.0));
}

#[test]
fn wrong_inputs_are_refused() {
    for params in [
        json!({"count": 0}),
        json!({"cells": 225}),
        json!({"keep": 0.0}),
        json!({"keep": 1.0}),
        json!({"masks": 64}),
        json!({"target": "margin", "per_token": true}),
    ] {
        let error = explain(looking(), params, &grey()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
    let mut task = grey();
    task.image = GrayImage::from_array(Array2::zeros((30, 40))).unwrap();
    let error = explain(looking(), json!({}), &task).unwrap_err();
    assert!(error.to_string().contains("got 40 x 30"), "{error}");
}

#[test]
fn bilinear_maps_are_those_of_the_cells() {
    let task = grey();
    let count = 12;
    let (mut sums, mut kept) = (Array2::<f64>::zeros((8, 8)), Array2::<f64>::zeros((8, 8)));
    for m in 0..count {
        let grid = masks(MaskKind::Cells, 8, 0).grid(m).mapv(f64::from);
        // The model sees nothing but cell (2, 5), 153 of 255 bright.
        let p = 1.0 / (1.0 + (1.0 - 4.0 * 0.6 * grid[(2, 5)]).exp());
        sums.scaled_add(p, &grid);
        kept += &grid;
    }
    assert!(kept.iter().all(|&n| n > 0.0));
    for (normalise, map) in [("published", &sums / 6.0), ("counts", &sums / &kept)] {
        let expected = HeatMap::from_grid(map.mapv(|v| v as f32).view()).unwrap();
        let params = json!({"count": count, "normalise": normalise, "upsample": "bilinear"});
        let found = explain(looking(), params, &task).unwrap().heat.unwrap();
        let error = (&found.view() - &expected.view()).mapv(f32::abs);
        assert!(error.iter().all(|&e| e < 1e-5), "{normalise}");
    }
    // Rows 0 to 55 and 168 to 223 are padding: the cells there tell nothing.
    let mut task = grey();
    task.letterbox = Letterbox::new(200, 100, WORKING_SIDE).unwrap();
    let found = explain(looking(), json!({"upsample": "bilinear"}), &task).unwrap();
    let heat = found.heat.unwrap();
    assert_eq!(heat.view()[(70, 154)], 1.0);
    assert!(heat.view().slice(s![..42, ..]).iter().all(|&v| v == 0.0));
    let params = json!({"upsample": "bilinear", "masks": "petsiuk"});
    let error = explain(looking(), params, &grey()).unwrap_err();
    assert_eq!(
        (error.kind, error.key.as_deref()),
        (ErrorKind::Invalid, Some("upsample"))
    );
}

#[test]
fn masks_keep_their_share() {
    for kind in [MaskKind::Cells, MaskKind::Petsiuk] {
        for keep in [0.2, 0.5, 0.9] {
            let masks = Masks {
                keep,
                ..masks(kind, 8, 3)
            };
            let mean = (0..100).map(|m| masks.mask(m).mean().unwrap()).sum::<f32>() / 100.0;
            // 100 x 64 cells: the standard error is at most 0.0063.
            assert!(
                (f64::from(mean) - keep).abs() < 0.025,
                "{kind:?}: {mean} for {keep}"
            );
        }
    }
}

#[test]
fn smooth_masks_are_binary_grids_enlarged_and_shifted() {
    // 56 cells of 4 pixels, enlarged to 57: for each mask one shift under a cell explains all of it.
    let (cells, cell) = (56, 4);
    let large = (cells + 1) * cell;
    let node = |k: usize, shift: usize| {
        let centre = (k as f32 + 0.5) * large as f32 / cells as f32 - 0.5 - shift as f32;
        (centre.round().max(0.0) as usize).min(SIDE - 1)
    };
    // Away from the edges, beyond which a grid's outermost cells may lie.
    let inner = |y: usize, x: usize| s![y + 8..y + SIDE - 8, x + 8..x + SIDE - 8];
    let mut seen = std::collections::HashSet::new();
    for m in 0..16 {
        let mask = masks(MaskKind::Petsiuk, cells as u32, 5).mask(m);
        let explains = |&(y, x): &(usize, usize)| {
            let grid = Array2::from_shape_fn((cells, cells), |(r, c)| {
                mask[(node(r, y), node(c, x))].round()
            });
            let enlarged = heat::upsample(grid.view(), large, large);
            let error = (&enlarged.slice(inner(y, x)) - &mask.slice(inner(0, 0))).mapv(f32::abs);
            error.iter().all(|&e| e < 1e-4)
        };
        let shifts = (0..cell).flat_map(|y| (0..cell).map(move |x| (y, x)));
        let found: Vec<_> = shifts.filter(explains).collect();
        assert_eq!(found.len(), 1, "mask {m}: {found:?}");
        seen.extend(found);
    }
    assert!(seen.len() > 5, "shifts vary: {seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn smooth_masks_are_smooth(cells in 1u32..=224, seed in any::<u64>(), m in 0usize..1000) {
        let mask = masks(MaskKind::Petsiuk, cells, seed).mask(m);
        prop_assert_eq!(mask.dim(), (SIDE, SIDE));
        prop_assert!(mask.iter().all(|v| (0.0..=1.0).contains(v)));
        // From 0 to 1 takes a cell of the enlarged grid.
        let width = SIDE.div_ceil(cells as usize) as f32 * (cells + 1) as f32 / cells as f32;
        let steps = &mask.slice(s![.., 1..]) - &mask.slice(s![.., ..-1]);
        prop_assert!(steps.iter().all(|&step| step.abs() <= 1.0 / width + 1e-5));
    }

    #[test]
    fn cells_are_kept_whole(cells in 1u32..=224, seed in any::<u64>()) {
        let mask = masks(MaskKind::Cells, cells, seed).mask(3);
        prop_assert!(mask.iter().all(|&v| v == 0.0 || v == 1.0));
        for cell in Cells::new(cells).boxes().unwrap() {
            let [x1, y1, x2, y2] = cell.corners().map(|c| c as usize);
            let inside = mask.slice(s![y1..y2, x1..x2]);
            prop_assert!(inside.iter().all(|&v| v == mask[(y1, x1)]));
        }
    }
}
