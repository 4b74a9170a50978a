//! Deletion and insertion curves (Petsiuk et al., BMVC 2018, section 4.1).

use std::cmp::Ordering;

use medfocus_plugin_api::{Error, GrayImage, HeatMap, Result};

/// The images on the way from `from` to `to`, both included: step k of `steps` has the hottest k / `steps` of the
/// pixels of `to` (rounded down), those of equal heat in reading order.
///
/// Deletion goes from the image to a baseline (black, say), insertion from a baseline (a blurred image, say) to the
/// image. If the heat is right, the answer's score falls soon in the first and rises soon in the second.
///
/// # Errors
///
/// [`Error::invalid`] if an image does not have the size of the heat map, or `steps` is zero or above its pixels.
pub fn images(
    heat: &HeatMap,
    from: &GrayImage,
    to: &GrayImage,
    steps: usize,
) -> Result<impl ExactSizeIterator<Item = GrayImage> + use<>> {
    let heat = heat.view();
    let size = heat.dim();
    for image in [from, to] {
        let found = image.view().dim();
        if found != size {
            let ((h, w), (height, width)) = (size, found);
            return Err(Error::invalid(format!(
                "a deletion or insertion curve needs images of the heat map's size, {w} x {h}, got {width} x {height}"
            )));
        }
    }
    let pixels = heat.len();
    if steps == 0 || pixels < steps {
        return Err(Error::invalid(format!(
            "a deletion or insertion curve has 1 to {pixels} steps, got {steps}"
        )));
    }
    let mut order: Vec<_> = heat
        .indexed_iter()
        .map(|(at, &value)| (value, at))
        .collect();
    // Stable: equal heat, be it 0 or -0, stays in reading order.
    order.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal));

    let (mut current, to) = (from.view().to_owned(), to.clone());
    let mut changed = 0;
    Ok((0..steps + 1).map(move |step| {
        let next = step * pixels / steps;
        let to = to.view();
        for &(_, at) in &order[changed..next] {
            current[at] = to[at];
        }
        changed = next;
        GrayImage::from_array(current.clone()).expect("it has the pixels of `from`")
    }))
}

/// Area under the curve through `scores`, evenly spaced over 0 to 1: the trapezoidal rule. Nothing for fewer than two
/// scores.
pub fn auc(scores: &[f64]) -> Option<f64> {
    let trapezoids = scores.windows(2).map(|ends| (ends[0] + ends[1]) / 2.0);
    (scores.len() > 1).then(|| trapezoids.sum::<f64>() / (scores.len() - 1) as f64)
}
