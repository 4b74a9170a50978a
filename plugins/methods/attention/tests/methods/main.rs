//! The methods against models whose attention is fixed, and plain matrix products.

mod attention_head;
mod chefer_rollout;
mod fixed;
mod grad_weighted_attention;
mod hostile;
mod propagation;

use std::ops::Range;

use fixed::{CLOSING, Fixed, random, seeds};
use medfocus_plugin_api::{
    Attribution, AttributionMethod, Component, HeatMap, Result, Task, VisionLanguageModel,
    testkit::{LocalHost, toy_task},
};
use ndarray::{Array1, Array2, ArrayView2, Axis, Ix3, s};
use serde_json::Value;

fn task() -> Task {
    toy_task(Array2::zeros((224, 224))).unwrap()
}

/// One pass, and nothing else of the model.
fn explain<M: Component + AttributionMethod>(
    model: impl VisionLanguageModel + 'static,
    params: Value,
) -> Result<Attribution> {
    let host = LocalHost::new().with_model(model);
    let found = host.create::<M>(params)?.attribute(&task());
    assert_eq!(host.calls("model.info"), 1);
    assert!(host.calls("model.trace") <= 1, "one pass and no more");
    assert_eq!(host.calls("model.score") + host.calls("model.generate"), 0);
    found
}

/// The rows that stand for the chosen tokens of a span, counted from the answer's first.
fn rows(model: &Fixed, rows: &str, span: &str, tokens: Option<Range<usize>>) -> Range<usize> {
    let last = if span == "turn" { CLOSING } else { 0 };
    let tokens = tokens.unwrap_or(0..model.tokens + last);
    let first = model.first() - usize::from(rows == "predicting");
    first + tokens.start..first + tokens.end
}

/// The mean of some rows of a map at the image tokens.
fn columns(model: &Fixed, map: ArrayView2<'_, f64>, rows: Range<usize>) -> Array1<f64> {
    let mean = map.slice(s![rows, ..]).mean_axis(Axis(0)).unwrap();
    mean.select(Axis(0), &model.image)
}

/// The map of these columns, whose scale has no meaning.
fn heat(model: &Fixed, columns: &Array1<f64>) -> HeatMap {
    let values = columns.iter().map(|&v| v as f32).collect();
    let grid = Array2::from_shape_vec(model.grid, values).unwrap();
    HeatMap::from_grid(grid.view()).unwrap()
}

fn near(found: ArrayView2<'_, f32>, expected: ArrayView2<'_, f32>) -> bool {
    let mut pairs = found.iter().zip(&expected);
    found.dim() == expected.dim() && pairs.all(|(a, b)| (a - b).abs() < 1e-4)
}

/// Whether the maps of the tokens are these, in order.
fn near_tokens(found: &Attribution, expected: &[HeatMap]) -> bool {
    let maps = found.token_heat.as_ref().unwrap();
    let maps = maps.view_nd::<f32, Ix3>().unwrap();
    let mut pairs = maps.outer_iter().zip(expected);
    maps.len_of(Axis(0)) == expected.len() && pairs.all(|(a, b)| near(a, b.view()))
}
