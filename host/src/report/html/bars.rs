//! Means and intervals as small pictures beside their numbers.

use maud::{Markup, html};

use crate::statistics::Summary;

const HEIGHT: f64 = 14.0;

/// A scale from one value to another, drawn so many pixels wide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    width: f64,
}

impl Scale {
    /// From zero to the next round number above all values and interval ends.
    pub fn from_zero<'a>(values: impl Iterator<Item = &'a Summary>, width: f64) -> Self {
        let high = values.map(|s| s.high.unwrap_or(s.mean)).fold(0.0, f64::max);
        Self {
            low: 0.0,
            high: round_up(high),
            width,
        }
    }

    /// The same distance to both sides of zero.
    pub fn around_zero<'a>(values: impl Iterator<Item = &'a Summary>, width: f64) -> Self {
        let far = |s: &Summary| {
            let ends = [s.low, s.high, Some(s.mean)];
            ends.iter()
                .flatten()
                .fold(0.0, |far: f64, end| far.max(end.abs()))
        };
        let high = round_up(values.map(far).fold(0.0, f64::max));
        Self {
            low: -high,
            high,
            width,
        }
    }

    /// Its ends, for the head of a column.
    pub fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        (share.clamp(0.0, 1.0) * self.width * 100.0).round() / 100.0
    }

    /// A bar from zero to the mean, and a line from one end of the interval to the other.
    pub fn bar(&self, summary: &Summary) -> Markup {
        let (zero, mean) = (self.at(0.0), self.at(summary.mean));
        let middle = HEIGHT / 2.0;
        html! {
            svg.bar width=(self.width) height=(HEIGHT) viewBox={ "0 0 " (self.width) " " (HEIGHT) } aria-hidden="true" {
                rect.track x="0" y="4" width=(self.width) height="6" rx="1.5" {}
                rect.mean x=(zero.min(mean)) y="4" width=((mean - zero).abs()) height="6" rx="1.5" {}
                @if self.low < 0.0 {
                    line.zero x1=(zero) x2=(zero) y1="0" y2=(HEIGHT) {}
                }
                @if let (Some(low), Some(high)) = (summary.low, summary.high) {
                    @let (low, high) = (self.at(low), self.at(high));
                    line.interval x1=(low) x2=(high) y1=(middle) y2=(middle) {}
                    line.interval x1=(low) x2=(low) y1="3.5" y2="10.5" {}
                    line.interval x1=(high) x2=(high) y1="3.5" y2="10.5" {}
                }
            }
        }
    }
}

/// The next of 1, 2, 5 and their multiples by ten; a scale has some length in any case.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let ten = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]
        .into_iter()
        .map(|step| step * ten)
        .find(|&round| round >= value * (1.0 - 1e-9))
        .unwrap_or(10.0 * ten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        for (value, round) in [
            (0.0, 1.0),
            (-3.0, 1.0),
            (f64::NAN, 1.0),
            (0.07, 0.08),
            (1.0, 1.0),
            (41.0, 50.0),
            (55.0, 60.0),
            (81.0, 100.0),
            (100.0, 100.0),
        ] {
            assert!((round_up(value) - round).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn a_bar_ends_at_its_mean() {
        let summary = Summary {
            n: 2,
            clusters: 2,
            mean: 25.0,
            low: Some(10.0),
            high: Some(50.0),
        };
        let scale = Scale::from_zero([summary].iter(), 100.0);
        assert_eq!(scale.ends(), (0.0, 50.0));
        let svg = scale.bar(&summary).into_string();
        assert!(
            svg.contains(r#"<rect class="mean" x="0" y="4" width="50""#),
            "{svg}"
        );
        assert!(svg.contains(r#"x1="20" x2="100""#), "{svg}");
        let loss = Summary {
            mean: -25.0,
            ..summary
        };
        let svg = Scale::around_zero([loss].iter(), 100.0)
            .bar(&loss)
            .into_string();
        assert!(
            svg.contains(r#"<rect class="mean" x="25" y="4" width="25""#),
            "{svg}"
        );
    }
}
