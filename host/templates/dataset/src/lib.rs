//! A dataset for MedFocus: dark images, every other one with a bright spot whose place is known.

use medfocus_plugin_api::{
    BBox, Component, Context, DatasetInfo, DatasetReader, Error, GrayImage, Mask, Native, Result,
    Sample, SampleKey, ndarray::Array2, params,
};

params! {
    /// Parameters of [`Spots`].
    pub struct SpotsParams {
        /// Samples.
        pub len: u64 = 8, in 1..=100000;
        /// Grey level of a spot: 0 is black, 255 white.
        pub grey: u32 = 220, in 60..=255;
    }
}

/// Height and width of the images in pixels.
const SIZE: (usize, usize) = (192, 256);

/// Side of a spot in pixels; spots lie on a grid of this step.
const SPOT: u32 = 32;

/// Sample `i` is dark but for a slanted ramp; those of even number hold a bright spot.
pub struct Spots {
    params: SpotsParams,
    context: Context,
}

impl Component for Spots {
    const NAME: &'static str = "template_name";
    const SUMMARY: &'static str = "Bright spots on a dark ground, with their boxes and masks.";
    type Params = SpotsParams;

    fn new(params: SpotsParams, context: Context) -> Result<Self> {
        // A dataset on disk reads its table here, once, and the images as they are asked for.
        Ok(Self { params, context })
    }
}

impl DatasetReader for Spots {
    fn info(&self) -> Result<DatasetInfo> {
        let SpotsParams { len, grey } = self.params;
        // The same digest must mean the same samples: all that decides them goes in.
        Ok(DatasetInfo::new(
            Self::NAME,
            len,
            format!("spots:{len}:{grey}"),
        ))
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        self.context.step(0, 1, "drawing")?;
        if index >= self.params.len {
            return Err(Error::invalid(format!(
                "there is no sample {index}: this dataset has {}",
                self.params.len
            )));
        }
        let ramp = Array2::from_shape_fn(SIZE, |(y, x)| ((x + y) % 40) as u8);
        let ground = GrayImage::from_array(ramp)?;
        let present = index.is_multiple_of(2);
        let spot = place(index)?;
        let image = match present {
            true => ground.with_filled(&spot, self.params.grey as u8),
            false => ground,
        };
        let key = SampleKey {
            dataset: Self::NAME.to_owned(),
            index,
        };
        let question = "Is there evidence of a bright spot in the image?";
        let mut sample = Sample::new(key, image, "bright spot", question);
        sample.present = Some(present);
        sample.patient = Some(format!("patient-{index}"));
        if present {
            let inside = |(y, x)| spot.contains(x as u32, y as u32);
            let mask = Mask::from_array(Array2::from_shape_fn(SIZE, inside))?;
            sample.masks.insert("bright spot".to_owned(), mask);
            sample.boxes.push(spot);
        }
        Ok(sample)
    }
}

/// Where the spot of a sample lies: row by row over the grid, seven steps at a time.
fn place(index: u64) -> Result<BBox<Native>> {
    let columns = SIZE.1 as u64 / u64::from(SPOT);
    let rows = SIZE.0 as u64 / u64::from(SPOT);
    let cell = (index / 2 % (rows * columns)) * 7 % (rows * columns);
    let corner = |cell: u64| cell as u32 * SPOT;
    let (x, y) = (corner(cell % columns), corner(cell / columns));
    BBox::new(x, y, x + SPOT, y + SPOT)
}

medfocus_plugin_api::export_plugin! {
    dataset Spots;
}
