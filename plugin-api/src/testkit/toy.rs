//! A model with closed-form answers.

use ndarray::{Array1, Array2, Array3, ArrayView2, s};

use crate::{
    Ability, AttentionKind, Capture, Coordinates, Error, GenerateRequest, Generation, GrayImage,
    Layout, Letterbox, Mode, ModelInfo, PixelBaseline, Quantity, Result, ScoreRequest, Scores,
    Task, Tensor, Token, Trace, TraceRequest, VisionLanguageModel, WORKING_SIDE, Want, Wrt,
};

/// Answers "Yes" with p = sigmoid(z), z = bias + sum over cells of weight x mean grey (0 to 1).
///
/// Its image features are (mean, 1 - mean) for each cell and z reads only the first, so
/// dL/d feature = ((1 - p) weight, 0) and dL/d pixel = (1 - p) weight / pixels of a cell (a third of
/// it for each colour). The logit of "Yes" is z, so a feature's relevance is (weight x mean); a cell's position gives
/// every token that logit, any other position none. Its pixels are normalised to 0..1. There is one layer, one head: every row
/// attends evenly to all positions up to itself. The sequence is: begin, the image tokens, end of
/// the question, the answer's one token.
#[derive(Clone, Debug)]
pub struct ToyModel {
    /// Weight of each cell.
    pub weights: Array2<f32>,
    /// z of a black image.
    pub bias: f32,
}

impl ToyModel {
    /// A model that looks at one cell of a grid alone.
    pub fn looking_at(grid: (usize, usize), cell: (usize, usize), weight: f32, bias: f32) -> Self {
        let mut weights = Array2::zeros(grid);
        weights[cell] = weight;
        Self { weights, bias }
    }

    /// Mean grey of each cell, 0 to 1.
    pub fn means(&self, image: &GrayImage) -> Array2<f32> {
        self.cell_means(image.view().mapv(|p| f32::from(p) / 255.0).view())
    }

    fn cell_means(&self, pixels: ArrayView2<'_, f32>) -> Array2<f32> {
        let (rows, columns) = self.weights.dim();
        let (h, w) = pixels.dim();
        Array2::from_shape_fn((rows, columns), |(r, c)| {
            let cell = pixels.slice(s![
                r * h / rows..(r + 1) * h / rows,
                c * w / columns..(c + 1) * w / columns
            ]);
            cell.mean().unwrap_or_default()
        })
    }

    /// p(Yes).
    pub fn probability(&self, image: &GrayImage) -> f32 {
        self.probability_of(&self.means(image))
    }

    fn probability_of(&self, means: &Array2<f32>) -> f32 {
        1.0 / (1.0 + (-(self.bias + (means * &self.weights).sum())).exp())
    }

    fn answers(text: &str) -> Result<()> {
        if text == "Yes" {
            Ok(())
        } else {
            Err(Error::invalid("the toy model only knows the answer `Yes`"))
        }
    }
}

fn yes() -> Vec<Token> {
    vec![Token {
        id: 1,
        text: "Yes".into(),
    }]
}

impl VisionLanguageModel for ToyModel {
    fn info(&self) -> Result<ModelInfo> {
        let (rows, columns) = self.weights.dim();
        let mut info = ModelInfo::new("toy", format!("toy:{:?}:{}", self.weights, self.bias));
        info.abilities = vec![
            Ability::Generate,
            Ability::Score,
            Ability::Trace,
            Ability::Gradient,
            Ability::Relevance,
        ];
        info.parameters = self.weights.len() as u64 + 1;
        info.input = Some((WORKING_SIDE, WORKING_SIDE));
        info.grid = (rows as u32, columns as u32);
        info.coordinates = Coordinates::XyxyPixels;
        info.layers = vec![AttentionKind::Full];
        info.heads = 1;
        info.hidden = 2;
        Ok(info)
    }

    fn generate(&self, request: &GenerateRequest) -> Result<Generation> {
        Ok(Generation::new(
            "Yes",
            yes(),
            vec![self.probability(&request.image).ln()],
            true,
        ))
    }

    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        Self::answers(&request.answer)?;
        let log_probs: Vec<f32> = request
            .images
            .iter()
            .map(|image| self.probability(image).ln())
            .collect();
        Ok(Scores::new(
            yes(),
            Tensor::from_array(Array1::from(log_probs).insert_axis(ndarray::Axis(1))),
        ))
    }

    fn trace(&self, request: &TraceRequest) -> Result<Trace> {
        Self::answers(&request.answer)?;
        let of_logit = match request.objective.quantity {
            Quantity::LogProb => false,
            Quantity::Logit => true,
            _ => {
                return Err(Error::unsupported(
                    "the toy model only differentiates log p and its logit",
                ));
            }
        };
        let slope = |means: &Array2<f32>| match of_logit {
            true => 1.0,
            false => 1.0 - self.probability_of(means),
        };
        let pixels = request.image.view().mapv(|p| f32::from(p) / 255.0);
        let means = self.cell_means(pixels.view());
        let cells = means.len();
        let length = cells + 3;
        let features = Array2::from_shape_fn((cells, 2), |(i, d)| {
            let mean = means.as_slice().map_or(0.0, |m| m[i]);
            if d == 0 { mean } else { 1.0 - mean }
        });
        let gradient = |means: &Array2<f32>| {
            let slope = slope(means);
            let weights: Vec<f32> = self.weights.iter().copied().collect();
            Array2::from_shape_fn(
                (cells, 2),
                |(i, d)| if d == 0 { slope * weights[i] } else { 0.0 },
            )
        };
        let logits: Vec<f32> = (&means * &self.weights).iter().copied().collect();
        let in_sequence = |rows: &Array2<f32>| {
            let mut all = Array2::zeros((length, 2));
            all.slice_mut(s![1..=cells, ..]).assign(rows);
            all
        };
        let pixel_gradient = |means: &Array2<f32>| {
            let slope = slope(means);
            let (rows, columns) = self.weights.dim();
            let (h, w) = pixels.dim();
            Array3::from_shape_fn((3, h, w), |(_, y, x)| {
                let area = (h / rows) * (w / columns);
                slope * self.weights[(y * rows / h, x * columns / w)] / area as f32 / 3.0
            })
        };
        let colour = |pixels: &Array2<f32>| {
            pixels
                .view()
                .insert_axis(ndarray::Axis(0))
                .broadcast((3, pixels.nrows(), pixels.ncols()))
                .map(|v| v.to_owned())
                .unwrap_or_default()
        };
        let baseline = request.path.as_ref().map(|path| match &path.baseline {
            PixelBaseline::NormalisedZero => Array2::zeros(pixels.dim()),
            PixelBaseline::Image(image) => image.view().mapv(|p| f32::from(p) / 255.0),
        });
        let captures = request
            .wants
            .iter()
            .map(|&want| {
                let tensor = match want {
                    Want::Attention { heads, .. } => {
                        let map = Array2::from_shape_fn((length, length), |(q, k)| {
                            if k <= q { 1.0 / (q + 1) as f32 } else { 0.0 }
                        });
                        if heads {
                            Tensor::from_array(map.insert_axis(ndarray::Axis(0)))
                        } else {
                            Tensor::from_array(map)
                        }
                    }
                    Want::Hidden { .. } => Tensor::from_array(in_sequence(&features)),
                    Want::Features => Tensor::from_array(features.clone()),
                    Want::Logits => Tensor::from_array(Array2::from_shape_fn(
                        (length, length),
                        |(_, p)| match p.checked_sub(1).and_then(|i| logits.get(i)) {
                            Some(&logit) => logit,
                            None => 0.0,
                        },
                    )),
                    Want::Relevance { layer, .. } => {
                        let features = Array1::from(logits.clone()) * slope(&means);
                        match layer {
                            None => Tensor::from_array(features),
                            Some(_) => {
                                let mut all = Array1::zeros(length);
                                all.slice_mut(s![1..=cells]).assign(&features);
                                Tensor::from_array(all)
                            }
                        }
                    }
                    Want::Gradient(Wrt::Features) => Tensor::from_array(gradient(&means)),
                    Want::Gradient(Wrt::Hidden { .. }) => {
                        Tensor::from_array(in_sequence(&gradient(&means)))
                    }
                    Want::Gradient(Wrt::Attention { .. }) => {
                        Tensor::from_array(Array3::<f32>::zeros((1, length, length)))
                    }
                    Want::Gradient(Wrt::Pixels) => match (&request.path, &baseline) {
                        (Some(path), Some(baseline)) => {
                            let steps: Vec<_> = path
                                .alphas
                                .iter()
                                .map(|&alpha| {
                                    let at = baseline + (&pixels - baseline) * alpha as f32;
                                    pixel_gradient(&self.cell_means(at.view()))
                                })
                                .collect();
                            let views: Vec<_> = steps.iter().map(Array3::view).collect();
                            let stacked =
                                ndarray::stack(ndarray::Axis(0), &views).map_err(|error| {
                                    Error::invalid(format!(
                                        "a path needs at least one alpha: {error}"
                                    ))
                                })?;
                            Tensor::from_array(stacked)
                        }
                        _ => Tensor::from_array(pixel_gradient(&means)),
                    },
                };
                Ok(Capture { want, tensor })
            })
            .collect::<Result<_>>()?;
        let log_prob = self.probability_of(&means).ln();
        let objective = |means: &Array2<f32>| match of_logit {
            true => f64::from(self.bias + (means * &self.weights).sum()),
            false => f64::from(self.probability_of(means).ln()),
        };
        let (rows, columns) = self.weights.dim();
        let mut trace = Trace::new(
            Layout::new(
                (0..length as u32).collect(),
                (1..=cells).collect(),
                (rows as u32, columns as u32),
                length - 1..length,
                yes(),
            ),
            captures,
            Tensor::from_array(Array1::from(vec![log_prob])),
            objective(&means),
            Tensor::from_array(colour(&pixels)),
        );
        trace.baseline_objective = baseline
            .as_ref()
            .map(|baseline| objective(&self.cell_means(baseline.view())));
        trace.baseline_values = baseline.map(|baseline| Tensor::from_array(colour(&baseline)));
        Ok(trace)
    }
}

/// A task on a working image of the given pixels, answered "Yes".
///
/// # Errors
///
/// [`Error::invalid`] if the image is not 224 x 224.
pub fn toy_task(pixels: Array2<u8>) -> Result<Task> {
    let image = GrayImage::from_array(pixels)?;
    if (image.width(), image.height()) != (WORKING_SIDE, WORKING_SIDE) {
        return Err(Error::invalid("a toy task needs an image of 224 x 224"));
    }
    let letterbox = Letterbox::new(image.width(), image.height(), WORKING_SIDE)?;
    let mut task = Task::new(
        image.clone(),
        image,
        letterbox,
        format!(
            "Is there evidence of a bright spot in the image?{}",
            Mode::Direct.suffix()
        ),
        "Yes",
    );
    task.finding = Some("bright spot".into());
    Ok(task)
}
