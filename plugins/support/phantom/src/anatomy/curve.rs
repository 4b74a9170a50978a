//! Smooth curves through a few knots.

/// A cubic Hermite curve (Catmull-Rom tangents) through knots with increasing abscissae.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    knots: Vec<[f32; 2]>,
    tangents: Vec<f32>,
}

impl Curve {
    /// `knots` are `[t, value]`, at least two, sorted by `t`.
    pub fn new(knots: Vec<[f32; 2]>) -> Curve {
        let slope = |a: [f32; 2], b: [f32; 2]| (b[1] - a[1]) / (b[0] - a[0]);
        let last = knots.len() - 1;
        let tangents = (0..=last)
            .map(|i| slope(knots[i.saturating_sub(1)], knots[(i + 1).min(last)]))
            .collect();
        Curve { knots, tangents }
    }

    /// Value and slope at `t`; constant beyond the ends.
    pub fn at(&self, t: f32) -> (f32, f32) {
        let last = self.knots.len() - 1;
        if t <= self.knots[0][0] {
            return (self.knots[0][1], 0.0);
        }
        if t >= self.knots[last][0] {
            return (self.knots[last][1], 0.0);
        }
        let i = self.knots.partition_point(|k| k[0] <= t) - 1;
        let ([t0, v0], [t1, v1]) = (self.knots[i], self.knots[i + 1]);
        let h = t1 - t0;
        let s = (t - t0) / h;
        let (m0, m1) = (self.tangents[i] * h, self.tangents[i + 1] * h);
        let c2 = 3.0 * (v1 - v0) - 2.0 * m0 - m1;
        let c3 = 2.0 * (v0 - v1) + m0 + m1;
        (
            v0 + s * (m0 + s * (c2 + s * c3)),
            (m0 + s * (2.0 * c2 + s * 3.0 * c3)) / h,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Curve;

    #[test]
    fn passes_through_its_knots_with_the_slope_it_reports() {
        let knots = vec![[0.0, 1.0], [0.3, 2.0], [0.5, 1.5], [1.0, 1.7]];
        let curve = Curve::new(knots.clone());
        for [t, value] in knots {
            assert!((curve.at(t).0 - value).abs() < 1e-6);
        }
        for i in 1..99 {
            let (t, h) = (i as f32 * 0.01 + 0.0007, 1e-3);
            let difference = (curve.at(t + h).0 - curve.at(t - h).0) / (2.0 * h);
            assert!((curve.at(t).1 - difference).abs() < 0.05, "slope at {t}");
        }
    }

    #[test]
    fn follows_a_straight_line_exactly_and_stays_constant_beyond_it() {
        let curve = Curve::new(vec![[0.0, 0.0], [0.25, 0.5], [1.0, 2.0]]);
        for i in 1..10 {
            let t = i as f32 / 10.0;
            assert!((curve.at(t).0 - 2.0 * t).abs() < 1e-6 && (curve.at(t).1 - 2.0).abs() < 1e-5);
        }
        assert_eq!((curve.at(-1.0), curve.at(3.0)), ((0.0, 0.0), (2.0, 0.0)));
    }
}
