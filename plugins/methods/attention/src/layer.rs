//! Which layer of the decoder is read, which of its heads, and whether it sees the image.

use std::ops::Range;

use medfocus_plugin_api::{AttentionKind, Error, ModelInfo, Result};

use crate::Places;

/// A layer of a model, and one of its heads or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its number, from 0.
    pub number: i64,
    /// How far it sees.
    pub kind: AttentionKind,
    /// How many heads it has.
    pub count: usize,
    /// The heads that are read.
    pub heads: Range<usize>,
}

impl Layer {
    /// The layer of that number, negative from the end, and that head. Without a number it is the last one with full
    /// attention, or the last if none has; without a head it is all of them.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if the model has no such layer or head, [`Error::protocol`] if it has none at all.
    pub fn choose(info: &ModelInfo, layer: Option<i64>, head: Option<u32>) -> Result<Self> {
        let (depth, count) = (info.layers.len(), info.heads as usize);
        if depth == 0 || count == 0 {
            return Err(Error::protocol(format!(
                "the model says that it has {depth} layers of {count} attention heads"
            )));
        }
        let number = match layer {
            None => info
                .layers
                .iter()
                .rposition(|kind| *kind == AttentionKind::Full)
                .unwrap_or(depth - 1),
            Some(layer) => usize::try_from(layer)
                .ok()
                .or_else(|| depth.checked_sub(usize::try_from(layer.unsigned_abs()).ok()?))
                .filter(|&number| number < depth)
                .ok_or_else(|| {
                    Error::invalid(format!(
                        "parameter `layer` is {layer}, but the model has {depth} layers"
                    ))
                    .with_key("layer")
                    .with_hint(format!(
                        "give a number from 0 to {}, or from -{depth} to -1",
                        depth - 1
                    ))
                })?,
        };
        let heads = match head.map(|head| head as usize) {
            None => 0..count,
            Some(head) if head < count => head..head + 1,
            Some(head) => {
                return Err(Error::invalid(format!(
                    "parameter `head` is {head}, but the model has {count} heads a layer"
                ))
                .with_key("head")
                .with_hint(format!("give a number from 0 to {}", count - 1)));
            }
        };
        Ok(Self {
            number: number as i64,
            kind: info.layers[number],
            count,
            heads,
        })
    }

    /// Every layer with all its heads, from the first.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if the model has none.
    pub fn all(info: &ModelInfo) -> Result<Vec<Self>> {
        let depth = info.layers.len().max(1) as i64;
        let layer = |number| Self::choose(info, Some(number), None);
        (0..depth).map(layer).collect()
    }

    /// Warns if the layer's window hides image tokens from these rows.
    pub fn hidden_image(&self, places: &Places, rows: Range<usize>) -> Option<String> {
        let AttentionKind::Sliding(window) = self.kind else {
            return None;
        };
        // A window moves on with the rows, so what the first does not see is lost.
        let seen = |&&k: &&usize| k + window as usize > rows.start;
        let (seen, all) = (places.image.iter().filter(seen).count(), places.image.len());
        (seen < all).then(|| {
            format!(
                "layer {} has a sliding window of size {window} and sees only {seen} of the {all} image tokens from the \
                 answer; choose a layer with full attention",
                self.number
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medfocus_plugin_api::{VisionLanguageModel, testkit::ToyModel};

    const NEAR: AttentionKind = AttentionKind::Sliding(4);

    fn info(layers: &[AttentionKind]) -> ModelInfo {
        let toy = ToyModel::looking_at((1, 1), (0, 0), 1.0, 0.0);
        let mut info = toy.info().unwrap();
        info.layers = layers.to_vec();
        info.heads = 3;
        info
    }

    #[test]
    fn the_last_full_layer_is_the_default() {
        let number = |layers: &[AttentionKind], layer| {
            let layer = Layer::choose(&info(layers), layer, None).unwrap();
            assert_eq!(layer.heads, 0..3);
            layer.number
        };
        let mixed = [NEAR, AttentionKind::Full, AttentionKind::Full, NEAR];
        assert_eq!(number(&mixed, None), 2);
        assert_eq!(number(&[NEAR, NEAR, NEAR], None), 2);
        for (layer, expected) in [(0, 0), (3, 3), (-1, 3), (-4, 0)] {
            assert_eq!(number(&mixed, Some(layer)), expected);
        }
    }

    #[test]
    fn layers_and_heads_that_are_not_there_are_refused() {
        let info = info(&[NEAR, NEAR]);
        for layer in [2, -3, i64::MAX, i64::MIN] {
            let error = Layer::choose(&info, Some(layer), None).unwrap_err();
            assert!(error.to_string().contains("has 2 layers"), "{error}");
        }
        let head = Layer::choose(&info, None, Some(2)).unwrap().heads;
        assert_eq!(head, 2..3);
        let error = Layer::choose(&info, None, Some(3)).unwrap_err();
        assert!(error.to_string().contains("has 3 heads"), "{error}");
        let mut none = info;
        none.layers = vec![];
        assert!(Layer::choose(&none, None, None).is_err());
        assert!(Layer::all(&none).is_err());
    }

    #[test]
    fn a_window_is_measured_from_the_first_row() {
        let places = Places {
            length: 12,
            grid: (2, 3),
            image: (1..7).collect(),
            rows: 8..10,
        };
        let warning = |kind, rows| {
            let layer = Layer {
                kind,
                ..Layer::choose(&info(&[NEAR]), None, None).unwrap()
            };
            layer.hidden_image(&places, rows)
        };
        // A window of w tokens reaches from row q to column q - w + 1.
        assert_eq!(warning(AttentionKind::Full, 8..10), None);
        assert_eq!(warning(AttentionKind::Sliding(8), 8..10), None);
        let text = |kind, rows| warning(kind, rows).unwrap();
        assert!(text(AttentionKind::Sliding(7), 8..10).contains("sees only 5 of the 6"));
        assert!(text(AttentionKind::Sliding(8), 9..10).contains("sees only 5 of the 6"));
        assert!(text(AttentionKind::Sliding(2), 8..10).contains("sees only 0 of the 6"));
    }
}
