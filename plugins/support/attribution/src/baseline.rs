//! What a hidden part of the image is replaced by.

use medfocus_plugin_api::{BBox, Error, GrayImage, Result, Task, WORKING_SIDE, Working, choices};
use ndarray::{Array2, ArrayView2, Axis, s};

choices! {
    /// What a hidden part of the image is replaced by.
    pub enum Baseline {
        /// Black.
        Zero = "zero",
        /// The image's mean grey.
        Mean = "mean",
        /// The image under a Gaussian of standard deviation 0.2 times the working image's shorter side.
        Blur = "blur",
    }
}

/// Standard deviation of the blur, in shorter sides of the working image.
const BLUR: f64 = 0.2;

/// The part of a task's image that is not a letterbox's padding.
///
/// # Errors
///
/// [`Error::invalid`] if the image is no working image, or is all padding.
pub fn content(task: &Task) -> Result<BBox<Working>> {
    let (width, height) = (task.image.width(), task.image.height());
    if (width, height) != (WORKING_SIDE, WORKING_SIDE) {
        return Err(Error::invalid(format!(
            "a working image has {WORKING_SIDE} x {WORKING_SIDE} pixels, got {width} x {height}"
        )));
    }
    let content = task.letterbox.content().clip(width, height);
    content.ok_or_else(|| Error::invalid("the letterbox leaves nothing of the working image"))
}

impl Baseline {
    /// The image with all of `content` replaced. Mean and blur see `content` alone, so that a letterbox's padding
    /// darkens neither.
    ///
    /// # Errors
    ///
    /// None for an image that has pixels.
    pub fn of(self, image: &GrayImage, content: &BBox<Working>) -> Result<GrayImage> {
        let [x1, y1, x2, y2] = content.corners().map(|c| c as usize);
        let mut pixels = image.view().to_owned();
        let mut inside = pixels.slice_mut(s![y1..y2, x1..x2]);
        match self {
            Self::Zero => inside.fill(0),
            Self::Mean => {
                let mean = inside.iter().map(|&p| f64::from(p)).sum::<f64>() / inside.len() as f64;
                inside.fill(to_grey(mean));
            }
            Self::Blur => {
                let sigma = BLUR * f64::from(image.width().min(image.height()));
                let blurred = blur(inside.mapv(f64::from).view(), sigma);
                inside.assign(&blurred.mapv(to_grey));
            }
        }
        GrayImage::from_array(pixels)
    }
}

/// The nearest grey level.
fn to_grey(value: f64) -> u8 {
    value.round() as u8
}

/// Gaussian blur, edges replicated, one axis after the other.
fn blur(image: ArrayView2<'_, f64>, sigma: f64) -> Array2<f64> {
    let once = blur_columns(image, sigma);
    blur_columns(once.t(), sigma).reversed_axes()
}

/// Blurs along the first axis.
fn blur_columns(image: ArrayView2<'_, f64>, sigma: f64) -> Array2<f64> {
    let last = image.nrows() - 1;
    // Three standard deviations hold 99.7 % of the weight.
    let reach = (3.0 * sigma).ceil() as usize;
    let weights: Vec<f64> = (0..=2 * reach)
        .map(|i| (-0.5 * ((i as f64 - reach as f64) / sigma).powi(2)).exp())
        .collect();
    let total: f64 = weights.iter().sum();
    let mut blurred = Array2::zeros(image.raw_dim());
    for (y, mut row) in blurred.axis_iter_mut(Axis(0)).enumerate() {
        for (i, weight) in weights.iter().enumerate() {
            let from = (y + i).saturating_sub(reach).min(last);
            row.scaled_add(weight / total, &image.row(from));
        }
    }
    blurred
}

#[cfg(test)]
mod tests {
    use super::*;
    use medfocus_plugin_api::{Letterbox, testkit::toy_task};

    fn step() -> (GrayImage, BBox<Working>) {
        // 40 columns of padding, then dark, then bright.
        let pixels = Array2::from_shape_fn((224, 224), |(_, x)| match x {
            0..40 => 0,
            40..132 => 20,
            _ => 220,
        });
        let image = GrayImage::from_array(pixels).unwrap();
        (image, BBox::new(40, 0, 224, 224).unwrap())
    }

    #[test]
    fn content_is_what_the_letterbox_shows() {
        let mut task = toy_task(Array2::zeros((224, 224))).unwrap();
        assert_eq!(content(&task).unwrap().corners(), [0, 0, 224, 224]);
        task.letterbox = Letterbox::new(500, 1000, 224).unwrap();
        assert_eq!(content(&task).unwrap().corners(), [56, 0, 168, 224]);
        task.letterbox.left = 224;
        assert!(content(&task).is_err());
        task.image = GrayImage::from_array(Array2::zeros((30, 40))).unwrap();
        let error = content(&task).unwrap_err().to_string();
        assert!(error.contains("got 40 x 30"), "{error}");
    }

    #[test]
    fn padding_is_left_alone_and_out_of_the_mean() {
        let (image, content) = step();
        for baseline in [Baseline::Zero, Baseline::Mean, Baseline::Blur] {
            let made = baseline.of(&image, &content).unwrap();
            assert!(made.view().slice(s![.., ..40]).iter().all(|&p| p == 0));
        }
        let mean = Baseline::Mean.of(&image, &content).unwrap();
        assert_eq!(mean.view()[(0, 40)], 120, "the mean of 92 columns each");
        assert_eq!(mean.view()[(223, 223)], 120);
    }

    #[test]
    fn a_blurred_step_is_the_normal_distribution() {
        let (image, content) = step();
        let row = Baseline::Blur.of(&image, &content).unwrap();
        let row = row.view().row(100).to_owned();
        // The edge at 132 lies half a pixel right of column 131's centre and as far left of 132's.
        assert_eq!(i16::from(row[131]) + i16::from(row[132]), 240);
        // One sigma (44.8) right of the edge: 20 + 200 Phi(1) = 188.3.
        assert!((188..=189).contains(&row[132 + 44]), "{}", row[132 + 44]);
        assert!((51..=52).contains(&row[131 - 44]), "{}", row[131 - 44]);
    }

    #[test]
    fn a_constant_image_is_its_own_mean_and_blur() {
        let image = GrayImage::from_array(Array2::from_elem((224, 224), 137)).unwrap();
        let whole = BBox::whole(224, 224).unwrap();
        assert_eq!(Baseline::Mean.of(&image, &whole).unwrap(), image);
        assert_eq!(Baseline::Blur.of(&image, &whole).unwrap(), image);
    }
}
