//! Heat maps to boxes: threshold, connected components, ranking (paper, section 5.1).

use medfocus_plugin_api::{BBox, HeatMap, ScoredBox, WORKING_SIDE, Working, heat::normalise};
use ndarray::Array2;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// How boxes are read off a heat map.
///
/// The map is min-max normalised; pixels at or above the quantile of its positive values form
/// 8-connected components, each of which becomes its tight box, scored by its mean heat.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoxRule {
    /// Which quantile of the positive values a pixel must reach, 0 to 1; between two values it is
    /// interpolated linearly.
    #[serde(deserialize_with = "fraction")]
    pub quantile: f64,
    /// Components of fewer pixels are dropped.
    pub min_area: u32,
    /// At most this many boxes are kept, the best scores first.
    pub limit: usize,
    /// What a map without a component stands for.
    pub on_empty: OnEmpty,
    /// Where a box ends.
    pub edges: Edges,
}

impl Default for BoxRule {
    fn default() -> Self {
        Self {
            quantile: 0.9,
            min_area: 16,
            limit: 10,
            on_empty: OnEmpty::None,
            edges: Edges::HalfOpen,
        }
    }
}

/// What a map without a component stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnEmpty {
    /// There is no evidence, hence no box.
    #[default]
    None,
    /// The whole working image with score 0, as the published code has it.
    WholeImage,
}

/// Where a box ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edges {
    /// Just after the component's last row and column.
    #[default]
    HalfOpen,
    /// Just before them: the published code finds inclusive boxes and scores them as half-open
    /// ones. A component of one row or column has no area then and is lost.
    PublishedInclusive,
}

/// The boxes of one heat map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Boxes {
    /// The strongest first; equal scores by area, the larger first, then in reading order.
    pub boxes: Vec<ScoredBox>,
    /// What the user should know about them.
    pub warnings: Vec<String>,
}

impl BoxRule {
    /// The boxes of `heat` in the working image.
    pub fn apply(&self, heat: &HeatMap) -> Boxes {
        let mut values = heat.view().to_owned();
        normalise(&mut values);
        let Some(threshold) = positive_quantile(&values, self.quantile) else {
            return self.empty("the heat map is constant: it shows no evidence");
        };
        let mut components = components(&values, threshold);
        components.retain(|component| component.area >= u64::from(self.min_area));
        components.sort_by(Component::rank);
        components.truncate(self.limit);
        let boxes: Vec<_> = components
            .iter()
            .filter_map(|component| component.scored_box(self.edges))
            .collect();
        if boxes.is_empty() {
            return self.empty(&format!(
                "no part of the heat map above its threshold has {} connected pixels",
                self.min_area
            ));
        }
        Boxes {
            boxes,
            warnings: Vec::new(),
        }
    }

    fn empty(&self, reason: &str) -> Boxes {
        let (boxes, outcome) = match self.on_empty {
            OnEmpty::None => (Vec::new(), "there are no boxes"),
            OnEmpty::WholeImage => {
                let whole = BBox::whole(WORKING_SIDE, WORKING_SIDE).map(|bbox| ScoredBox {
                    bbox,
                    score: 0.0,
                    label: None,
                });
                (Vec::from_iter(whole), "the whole image stands in for it")
            }
        };
        Boxes {
            boxes,
            warnings: vec![format!("{reason}; {outcome}")],
        }
    }
}

/// A connected region at or above the threshold.
struct Component {
    x1: u32,
    y1: u32,
    /// Last column, inclusive.
    x2: u32,
    /// Last row, inclusive.
    y2: u32,
    area: u64,
    sum: f64,
}

impl Component {
    fn at((row, column): (usize, usize)) -> Self {
        let (x, y) = (column as u32, row as u32);
        Self {
            x1: x,
            y1: y,
            x2: x,
            y2: y,
            area: 0,
            sum: 0.0,
        }
    }

    fn add(&mut self, (row, column): (usize, usize), heat: f32) {
        let (x, y) = (column as u32, row as u32);
        (self.x1, self.y1) = (self.x1.min(x), self.y1.min(y));
        (self.x2, self.y2) = (self.x2.max(x), self.y2.max(y));
        self.area += 1;
        self.sum += f64::from(heat);
    }

    fn score(&self) -> f64 {
        self.sum / self.area as f64
    }

    fn rank(&self, other: &Self) -> std::cmp::Ordering {
        (other.score().total_cmp(&self.score()))
            .then(other.area.cmp(&self.area))
            .then((self.y1, self.x1).cmp(&(other.y1, other.x1)))
    }

    fn scored_box(&self, edges: Edges) -> Option<ScoredBox> {
        let end = match edges {
            Edges::HalfOpen => 1,
            Edges::PublishedInclusive => 0,
        };
        let bbox = BBox::<Working>::new(self.x1, self.y1, self.x2 + end, self.y2 + end).ok()?;
        Some(ScoredBox {
            bbox,
            score: self.score(),
            label: None,
        })
    }
}

/// The 8-connected components of `values >= threshold`, in reading order of their first pixels.
fn components(values: &Array2<f32>, threshold: f64) -> Vec<Component> {
    let mut inside = values.mapv(|value| f64::from(value) >= threshold);
    let mut components = Vec::new();
    for start in ndarray::indices(values.dim()) {
        let mut pending = Vec::from_iter(take(&mut inside, start).then_some(start));
        if pending.is_empty() {
            continue;
        }
        let mut component = Component::at(start);
        while let Some((row, column)) = pending.pop() {
            component.add((row, column), values[(row, column)]);
            for row in row.saturating_sub(1)..=row + 1 {
                for column in column.saturating_sub(1)..=column + 1 {
                    pending.extend(take(&mut inside, (row, column)).then_some((row, column)));
                }
            }
        }
        components.push(component);
    }
    components
}

/// Clears a pixel of the mask; whether it was set.
fn take(inside: &mut Array2<bool>, at: (usize, usize)) -> bool {
    inside.get_mut(at).is_some_and(std::mem::take)
}

/// The quantile of the positive values, as NumPy's default (linear) method has it; nothing if no
/// value is positive.
fn positive_quantile(values: &Array2<f32>, quantile: f64) -> Option<f64> {
    let mut positive: Vec<f32> = values.iter().copied().filter(|&v| v > 0.0).collect();
    let last = positive.len().checked_sub(1)?;
    positive.sort_by(f32::total_cmp);
    let at = quantile.clamp(0.0, 1.0) * last as f64;
    let low = f64::from(positive[at as usize]);
    let high = f64::from(positive[(at as usize + 1).min(last)]);
    Some(low + (high - low) * at.fract())
}

fn fraction<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(D::Error::custom(format!("must lie in 0 to 1, got {value}")))
    }
}
