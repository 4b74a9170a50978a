//! The image tokens' activations and their gradients, wherever in the model they are read.

use medfocus_plugin_api::{Error, Layout, Result, Tensor, Trace, Want, Wrt};
use ndarray::{Array1, Array2, Axis, Ix2};

/// Activations h and gradients g = dL/dh of the image tokens, one row a token, row by row over the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Activations {
    /// Rows and columns of image tokens: (gh, gw).
    pub grid: (usize, usize),
    /// h: (gh gw, hidden).
    pub values: Array2<f32>,
    /// g: (gh gw, hidden).
    pub gradients: Array2<f32>,
}

impl Activations {
    /// What a trace must hold for [`Activations::read`]: the projected image features, or the hidden state that
    /// enters `layer`, and the gradient with respect to it.
    pub fn wants(layer: Option<i64>) -> [Want; 2] {
        match layer {
            None => [Want::Features, Want::Gradient(Wrt::Features)],
            Some(layer) => [
                Want::Hidden { layer },
                Want::Gradient(Wrt::Hidden { layer }),
            ],
        }
    }

    /// Takes the image tokens' rows out of a trace.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if the model left a capture out or shapes contradict the layout.
    pub fn read(trace: &Trace, layer: Option<i64>) -> Result<Self> {
        let layout = &trace.layout;
        let [values, gradients] = Self::wants(layer).map(|want| {
            let capture = trace.capture(want)?;
            match layer {
                // Features have no other rows than the image's; a hidden state has the whole sequence's.
                None => features(capture, layout),
                Some(_) => image_rows(capture, layout),
            }
            .map_err(|error| error.context(want))
        });
        let (values, gradients) = (values?, gradients?);
        if values.dim() != gradients.dim() {
            return Err(Error::protocol(format!(
                "the model gave activations of shape {:?} with gradients of shape {:?}",
                values.dim(),
                gradients.dim()
            )));
        }
        Ok(Self {
            grid: (layout.grid.0 as usize, layout.grid.1 as usize),
            values,
            gradients,
        })
    }

    /// One value a token, laid out as the grid: (gh, gw).
    ///
    /// # Errors
    ///
    /// [`Error::internal`] unless there is one for each token.
    pub fn on_grid(&self, tokens: Array1<f32>) -> Result<Array2<f32>> {
        tokens
            .into_shape_with_order(self.grid)
            .map_err(|error| Error::internal(format!("a map does not fill the grid: {error}")))
    }
}

fn features(capture: &Tensor, layout: &Layout) -> Result<Array2<f32>> {
    let rows = capture.view_nd::<f32, Ix2>()?;
    check_count(rows.nrows(), layout)?;
    Ok(rows.to_owned())
}

fn image_rows(capture: &Tensor, layout: &Layout) -> Result<Array2<f32>> {
    let rows = capture.view_nd::<f32, Ix2>()?;
    let positions = &layout.image_positions;
    check_count(positions.len(), layout)?;
    if let Some(position) = positions.iter().find(|&&p| p >= rows.nrows()) {
        return Err(Error::protocol(format!(
            "the layout places an image token at {position} of a sequence of {}",
            rows.nrows()
        )));
    }
    Ok(rows.select(Axis(0), positions))
}

fn check_count(tokens: usize, layout: &Layout) -> Result<()> {
    let (rows, columns) = layout.grid;
    if tokens as u64 == u64::from(rows) * u64::from(columns) {
        Ok(())
    } else {
        Err(Error::protocol(format!(
            "the model gave {tokens} image tokens for a grid of {rows} x {columns}"
        )))
    }
}
