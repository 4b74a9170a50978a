//! Where an effect begins and ends: four edges, each sought by halving.

/// What the answer loses when all before a line is replaced, and when all after it is.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Without what lies to the left, or above.
    pub before: f64,
    /// Without what lies to the right, or below.
    pub after: f64,
}

/// The search for the box that holds an effect. An edge is where a side of the line first matters: where its loss hurts, or
/// where it alone says something already. So redundant parts belong to the box, and so do parts that only count together.
#[derive(Clone, Debug)]
pub struct Cuts {
    /// Left, right, top, bottom: the ends of the stretch in which the edge lies, in pixels, and the effect up to them.
    stretches: [[(f64, f64); 2]; 4],
    /// What the answer loses without the whole box.
    total: f64,
    /// Share of the total that may lie beyond an edge.
    rest: f64,
}

impl Cuts {
    /// A search in a box (left, top, right, bottom) without which the answer loses `total`, above 0.
    pub fn new([x1, y1, x2, y2]: [f64; 4], total: f64, rest: f64) -> Self {
        let along = |from, to| [(from, 0.0), (to, total)];
        let (right, down) = (along(x1, x2), along(y1, y2));
        Self {
            stretches: [right, right, down, down],
            total,
            rest,
        }
    }

    /// The next line for each edge, at whole pixels.
    pub fn lines(&self) -> [f64; 4] {
        self.stretches
            .map(|[(from, _), (to, _)]| ((from + to) / 2.0).round())
    }

    /// Halves each stretch by what the answer loses at its line.
    pub fn halve(&mut self, losses: [Loss; 4]) {
        let lines = self.lines();
        for (edge, loss) in losses.into_iter().enumerate() {
            let alone = self.total - loss.after;
            let first = is_start(edge);
            let effect = if first {
                loss.before.max(alone)
            } else {
                loss.before.min(alone)
            };
            let end = usize::from(effect >= self.goal(edge));
            self.stretches[edge][end] = (lines[edge], effect);
        }
    }

    /// The box found (left, top, right, bottom), linear between the last lines; at least a pixel wide and high.
    pub fn found(&self) -> [f64; 4] {
        let at = |edge: usize| {
            let [(from, low), (to, high)] = self.stretches[edge];
            let share = (self.goal(edge) - low) / (high - low);
            from + (to - from)
                * if share.is_finite() {
                    share.clamp(0.0, 1.0)
                } else {
                    0.5
                }
        };
        let [left, right, top, bottom] = [0, 1, 2, 3].map(at);
        [left, top, right.max(left + 1.0), bottom.max(top + 1.0)]
    }

    fn goal(&self, edge: usize) -> f64 {
        let share = if is_start(edge) {
            self.rest
        } else {
            1.0 - self.rest
        };
        share * self.total
    }
}

/// Whether an edge is the left or the upper one.
fn is_start(edge: usize) -> bool {
    edge.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The search in a square of 224 pixels, given the value of what is left of each axis (from, to).
    fn search(value: impl Fn(usize, f64, f64) -> f64) -> [f64; 4] {
        let whole = value(0, 0.0, 224.0);
        let mut cuts = Cuts::new([0.0, 0.0, 224.0, 224.0], whole, 0.02);
        for _ in 0..8 {
            let lines = cuts.lines();
            cuts.halve([0, 1, 2, 3].map(|edge| Loss {
                before: whole - value(edge / 2, lines[edge], 224.0),
                after: whole - value(edge / 2, 0.0, lines[edge]),
            }));
        }
        cuts.found()
    }

    const TRUE: [[f64; 2]; 2] = [[40.0, 90.0], [100.0, 180.0]];

    /// The share of the true stretch that is left.
    fn left(axis: usize, from: f64, to: f64) -> f64 {
        let [low, high] = TRUE[axis];
        (to.min(high) - from.max(low)).max(0.0) / (high - low)
    }

    fn near(found: [f64; 4]) {
        for (found, exact) in found.into_iter().zip([40.0, 100.0, 90.0, 180.0]) {
            assert!((found - exact).abs() < 3.0, "{found} {exact}");
        }
    }

    #[test]
    fn an_effect_that_adds_up_is_bounded() {
        near(search(|axis, from, to| 7.0 * left(axis, from, to)));
    }

    #[test]
    fn redundant_parts_belong_to_the_box() {
        near(search(|axis, from, to| {
            f64::from(u8::from(left(axis, from, to) > 0.01))
        }));
    }

    #[test]
    fn parts_that_count_only_together_belong_to_the_box() {
        near(search(|axis, from, to| {
            f64::from(u8::from(left(axis, from, to) > 0.99))
        }));
    }
}
