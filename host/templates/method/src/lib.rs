//! An attribution method for MedFocus: how much less likely the answer is without each cell of the image.

use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, BBox, Component, Context, GrayImage, HeatMap, Result,
    ScoreRequest, Slot, Task, VisionLanguageModel, WORKING_SIDE, Working,
    ndarray::{Array2, Ix2},
    params,
};

params! {
    /// Parameters of [`CellOcclusion`].
    pub struct OcclusionParams {
        /// Cells along each side of the image.
        pub cells: u32 = 8, in 1..=32;
        /// Grey level that takes a cell's place: 0 is black, 255 white.
        pub grey: u32 = 0, in 0..=255;
    }
}

/// Hides one cell of the image after the other and asks how likely the answer still is.
///
/// The map is the drop of the answer's log-probability in nats, at least 0.
pub struct CellOcclusion {
    params: OcclusionParams,
    context: Context,
}

impl Component for CellOcclusion {
    const NAME: &'static str = "template_name";
    const SUMMARY: &'static str = "Occlusion sensitivity (Zeiler and Fergus, ECCV 2014), in short.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Score])];
    type Params = OcclusionParams;

    fn new(params: OcclusionParams, context: Context) -> Result<Self> {
        Ok(Self { params, context })
    }
}

impl AttributionMethod for CellOcclusion {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let cells = self.params.cells;
        let edge = |cell: u32| cell * WORKING_SIDE / cells;
        let whole = self.log_probs(vec![task.image.clone()], task)?[0];
        let mut drops = Array2::zeros((cells as usize, cells as usize));
        for row in 0..cells {
            // Shows progress, and ends here if the user asked to stop.
            self.context.step(row.into(), cells.into(), "rows")?;
            let mut hidden = Vec::new();
            for column in 0..cells {
                let (next, below) = (edge(column + 1), edge(row + 1));
                let cell = BBox::<Working>::new(edge(column), edge(row), next, below)?;
                hidden.push(task.image.with_filled(&cell, self.params.grey as u8));
            }
            for (column, without) in self.log_probs(hidden, task)?.into_iter().enumerate() {
                drops[(row as usize, column)] = (whole - without).max(0.0);
            }
        }
        Ok(Attribution {
            heat: Some(HeatMap::from_grid(drops.view())?),
            ..Attribution::default()
        })
    }
}

impl CellOcclusion {
    /// Log-probability of the task's answer on each image.
    fn log_probs(&self, images: Vec<GrayImage>, task: &Task) -> Result<Vec<f32>> {
        let request = ScoreRequest::new(images, &*task.question, &*task.answer);
        let scores = self.context.model().score(&request)?;
        // A row for each image, a column for each token of the answer.
        let tokens = scores.log_probs.view_nd::<f32, Ix2>()?;
        Ok(tokens.rows().into_iter().map(|row| row.sum()).collect())
    }
}

medfocus_plugin_api::export_plugin! {
    method CellOcclusion;
}
