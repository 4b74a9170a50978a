//! The integral of a gradient along a straight line of images, summed up a few points at a time.

use medfocus_attribution::Target;
use medfocus_plugin_api::{
    Context, Error, PixelBaseline, PixelPath, Result, Task, Tensor, Trace, TraceRequest,
    VisionLanguageModel, Want, Wrt, choices,
};
use ndarray::{Array3, Ix3, Ix4, Zip};

choices! {
    /// Where on the line from baseline (0) to image (1) gradients are taken; they count equally.
    pub enum Rule {
        /// The middle of each of the steps.
        Midpoint = "midpoint",
        /// The steps' ends, 0 and 1 included, as the published code does.
        Published = "published",
    }
}

impl Rule {
    /// The places of `steps` gradients.
    pub fn alphas(self, steps: u32) -> Vec<f64> {
        let at = |k: u32| match self {
            Self::Midpoint => (f64::from(k) + 0.5) / f64::from(steps),
            Self::Published => f64::from(k) / f64::from(steps.saturating_sub(1).max(1)),
        };
        (0..steps).map(at).collect()
    }
}

/// The line, and where on it gradients are taken.
pub(crate) struct Line {
    pub baseline: PixelBaseline,
    pub alphas: Vec<f64>,
    /// Gradients of one trace: bounds the memory, and changes nothing else.
    pub chunk: usize,
}

const GRADIENT: Want = Want::Gradient(Wrt::Pixels);

impl Line {
    /// Sums up the target's gradients on the line.
    ///
    /// # Errors
    ///
    /// [`Error::cancelled`] between traces, [`Error::protocol`] if one contradicts itself, and whatever the model
    /// fails with.
    pub fn integrate(&self, context: &Context, task: &Task, target: &Target) -> Result<Integral> {
        let mut integral: Option<Integral> = None;
        for (number, alphas) in self.alphas.chunks(self.chunk).enumerate() {
            let done = (number * self.chunk) as u64;
            context.step(done, self.alphas.len() as u64, "gradients taken")?;
            let trace = context.model().trace(
                &TraceRequest::new(
                    task.image.clone(),
                    task.question.clone(),
                    task.answer.clone(),
                    vec![GRADIENT],
                )
                .with_span(target.span.into())
                .with_objective(target.objective())
                .with_path(PixelPath {
                    baseline: self.baseline.clone(),
                    alphas: alphas.to_vec(),
                }),
            )?;
            let integral = match &mut integral {
                Some(integral) => integral,
                None => integral.insert(Integral::new(&trace)?),
            };
            integral.add(trace.capture(GRADIENT)?, alphas.len())?;
        }
        integral.ok_or_else(|| Error::internal("a line without points was to be integrated"))
    }
}

/// Gradients summed up so far, in the model's normalised pixels: arrays are (3, H, W).
pub(crate) struct Integral {
    /// Image less baseline: x - b.
    way: Array3<f64>,
    sum: Array3<f64>,
    count: usize,
    /// L(x) - L(b).
    pub difference: f64,
    /// Tokens of the answer.
    pub tokens: usize,
}

impl Integral {
    fn new(trace: &Trace) -> Result<Self> {
        let (Some(values), Some(objective)) = (&trace.baseline_values, trace.baseline_objective)
        else {
            return Err(Error::protocol(
                "the model was given a path of pixels and did not say where it began",
            ));
        };
        let image = trace.pixel_values.view_nd::<f32, Ix3>()?;
        let baseline = values.view_nd::<f32, Ix3>()?;
        if image.is_empty() || image.dim() != baseline.dim() {
            return Err(Error::protocol(format!(
                "the model prepared an image of shape {:?} and a baseline of shape {:?}",
                image.dim(),
                baseline.dim()
            )));
        }
        Ok(Self {
            way: Zip::from(image)
                .and(baseline)
                .map_collect(|&x, &b| f64::from(x) - f64::from(b)),
            sum: Array3::zeros(image.raw_dim()),
            count: 0,
            difference: trace.objective - objective,
            tokens: trace.layout.tokens.len(),
        })
    }

    /// Adds gradients (A, 3, H, W), one after the other: in what chunks they come makes no difference to the sum.
    fn add(&mut self, gradients: &Tensor, count: usize) -> Result<()> {
        let gradients = gradients.view_nd::<f32, Ix4>()?;
        let (channels, height, width) = self.sum.dim();
        if gradients.dim() != (count, channels, height, width) {
            return Err(Error::protocol(format!(
                "the model gave gradients of shape {:?} at {count} inputs of shape {:?}",
                gradients.dim(),
                self.sum.dim()
            )));
        }
        for gradient in gradients.outer_iter() {
            Zip::from(&mut self.sum)
                .and(gradient)
                .for_each(|sum, &g| *sum += f64::from(g));
        }
        self.count += count;
        Ok(())
    }

    /// (x - b) times the mean gradient.
    pub fn attributions(&self) -> Array3<f64> {
        &self.way * &self.sum / self.count as f64
    }
}
