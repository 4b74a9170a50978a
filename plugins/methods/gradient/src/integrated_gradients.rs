//! Integrated gradients (Sundararajan et al., ICML 2017) of a vision-language model's pixels.

use medfocus_attribution::{Aim, Baseline, Quantity, Span, content, normalised, token_heat};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, HeatMap, ModelInfo, PixelBaseline,
    Result, Slot, Task, VisionLanguageModel, choices, params,
};
use ndarray::{Array3, Axis};
use serde_json::{Value, json};

use crate::{
    Rule,
    path::{Integral, Line},
    shrink::to_working,
};

choices! {
    /// Where the line to the image begins.
    pub enum Start {
        /// A black image.
        Black = "black",
        /// The image's mean grey.
        Mean = "mean",
        /// The image under a Gaussian of standard deviation 0.2 times the working image's shorter side.
        Blur = "blur",
        /// Zero in the model's own normalised pixels, as the published code does; mid-grey in most models.
        Zero = "zero",
    }
}

params! {
    /// Parameters of [`IntegratedGradients`].
    pub struct IntegratedGradientsParams {
        /// Gradients on the line.
        pub steps: u32 = 36, in 1..=4096;
        /// Where on the line they are taken.
        pub rule: Rule = "midpoint";
        /// Where the line begins. A letterbox's padding stays as it is, but for `zero`.
        pub baseline: Start = "black";
        /// What is explained.
        pub target: Quantity = "log_prob";
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
        /// Only these tokens of the answer, as `0..3`, counted from its first, or `verdict`, its last yes or no; all if empty.
        pub tokens: String = "";
        /// Also a map for each answer token: all steps again for each.
        pub per_token: bool = false;
        /// Memory of one model call, in MiB: of its gradients where the model says in what batches it computes them, else all that it estimates. Changes speed and memory, not the result.
        pub memory_mib: u32 = 2048, in 1..=4194304;
    }
}

/// Gradients of one trace where the model does not say what memory they take.
const CHUNK: usize = 4;

/// A share of L(x) - L(b) that the attributions may miss without a warning.
const TOLERANCE: f64 = 0.05;

/// Integrated gradients: what each pixel adds to the answer on the way from a baseline b to the image x. With L the
/// target, in the model's normalised pixels, for each of the three colours,
///
/// IG = (x - b) mean over k of dL/dx at b + alpha_k (x - b), heat = sum over colours of |IG|,
///
/// averaged from the model's input to the working image. The exact integral is complete, sum IG = L(x) - L(b); how
/// far the sum is from it is in the evidence as `completeness`.
///
/// The published rule takes alphas from 0 to 1 inclusive and weighs the two ends as much as any other, twice as much
/// as the trapezoid rule. Its baseline is zero in normalised pixels, where a model that divides its input by its norm
/// is singular; the midpoint rule never takes a gradient at the baseline itself.
pub struct IntegratedGradients {
    context: Context,
    params: IntegratedGradientsParams,
    aim: Aim,
}

impl Component for IntegratedGradients {
    const NAME: &'static str = "integrated_gradients";
    const SUMMARY: &'static str = "Integrated gradients of the pixels (Sundararajan et al., ICML 2017); one pixel gradient a step.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Trace, Ability::Gradient])];
    type Params = IntegratedGradientsParams;

    fn new(params: IntegratedGradientsParams, context: Context) -> Result<Self> {
        let aim = Aim::new(params.target, params.answer_span, &params.tokens)?;
        Ok(Self {
            aim: aim.with_maps(params.per_token)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for IntegratedGradients {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let target = self.aim.of(task)?;
        let line = Line {
            baseline: self.params.baseline.of(task)?,
            alphas: self.params.rule.alphas(self.params.steps),
            chunk: chunk(&self.context.model().info()?, self.params.memory_mib),
        };
        let integral = line.integrate(&self.context, task, &target)?;
        let attributions = integral.attributions();
        let heat = map(&attributions)?;
        let (completeness, incomplete) = completeness(&attributions, &integral);
        let each_token = |t| {
            let target = target.of_token(t);
            let integral = line.integrate(&self.context, task, &target)?;
            map(&integral.attributions())
        };
        let empty = heat
            .is_zero()
            .then(|| "no pixel counts more than another: the map is empty".into());
        Ok(Attribution {
            token_heat: self
                .params
                .per_token
                .then(|| token_heat(integral.tokens, each_token))
                .transpose()?,
            heat: Some(heat),
            evidence: [("completeness".into(), completeness)]
                .into_iter()
                .collect(),
            warnings: empty.into_iter().chain(incomplete).collect(),
            ..Attribution::default()
        })
    }
}

impl Start {
    fn of(self, task: &Task) -> Result<PixelBaseline> {
        let baseline = match self {
            Self::Zero => return Ok(PixelBaseline::NormalisedZero),
            Self::Black => Baseline::Zero,
            Self::Mean => Baseline::Mean,
            Self::Blur => Baseline::Blur,
        };
        let image = baseline.of(&task.image, &content(task)?)?;
        Ok(PixelBaseline::Image(image))
    }
}

/// How many gradients one trace may take. Each trace also looks at image and baseline, so few are better; a model that says
/// how many images it computes at once keeps to that by itself, and only the gradients that it returns are to be held.
fn chunk(model: &ModelInfo, memory_mib: u32) -> usize {
    let budget = u64::from(memory_mib) << 20;
    let returned = |(height, width)| 3 * 4 * u64::from(height) * u64::from(width);
    let returned = model.input.filter(|_| model.batch.is_some()).map(returned);
    let each = returned.or(model.memory.map(|memory| memory.pixel_gradient));
    let fit = each.and_then(|each| budget.checked_div(each));
    fit.map_or(CHUNK, |fit| fit.max(1) as usize)
}

/// The heat of attributions (3, H, W).
fn map(attributions: &Array3<f64>) -> Result<HeatMap> {
    let heat = attributions.mapv(f64::abs).sum_axis(Axis(0));
    normalised(to_working(heat.view()))
}

/// How far the attributions are from adding up to the target's change, and a warning if that is far.
fn completeness(attributions: &Array3<f64>, integral: &Integral) -> (Value, Option<String>) {
    let (sum, difference) = (attributions.sum(), integral.difference);
    let gap = (sum - difference).abs();
    let evidence = json!({
        "sum_ig": sum,
        "difference": difference,
        "gap": gap,
        "relative": gap / difference.abs(),
    });
    let warning = (gap > TOLERANCE * difference.abs()).then(|| {
        format!(
            "the attributions add up to {sum:.4}, but the target changes by {difference:.4} from baseline to image; \
             more `steps` bring them together"
        )
    });
    (evidence, warning)
}
