//! A bundle of strokes in one allocation.

use crate::raster::Knot;

#[derive(Clone, Debug, Default)]
pub(crate) struct Strokes {
    knots: Vec<Knot>,
    ends: Vec<usize>,
}

impl Strokes {
    /// Adds one stroke.
    pub fn push(&mut self, knots: impl IntoIterator<Item = Knot>) {
        self.knots.extend(knots);
        self.ends.push(self.knots.len());
    }

    /// The strokes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[Knot]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.knots[start..end])
    }
}
