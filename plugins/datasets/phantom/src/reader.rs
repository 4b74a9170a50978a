//! Renders the planned patients as samples.

use medfocus_phantom::{Concept, render};
use medfocus_plugin_api::{
    Component, Context, DatasetInfo, DatasetReader, Error, GrayImage, Mask, Result, Sample,
    SampleKey, params,
};
use ndarray::Array2;

use crate::{
    displace::Displacement,
    plan::{Plan, Presence, Question, Split},
};

params! {
    /// Parameters of [`PhantomReader`].
    pub struct PhantomParams {
        /// Which population the patients are from.
        pub split: Split = "test";
        /// Patients of the split to skip.
        pub offset: u64 = 0;
        /// Samples, one patient each.
        pub len: u64 = 1000, in 1..=1000000000;
        /// Width of the images in pixels; the demo checkpoints were trained on images whose longer side is 224.
        pub width: usize = 224, in 64..=4096;
        /// Height of the images in pixels.
        pub height: usize = 224, in 64..=4096;
        /// Findings to ask about in turn, names divided by commas; all if empty. Patients may have others besides.
        pub findings: String = "";
        /// Whether the finding asked about is there.
        pub presence: Presence = "always";
        /// Each patient is moved by up to this share of the image's shorter side, down or up and to either side.
        pub max_shift: f64 = 0.0, in 0..=0.5;
        /// Each patient is larger or smaller by up to this share.
        pub max_zoom: f64 = 0.0, in 0..=0.5;
    }
}

/// PhantomCXR: each sample asks one patient about one finding, and knows the exact regions of the finding and of all
/// eleven anatomical concepts.
pub struct PhantomReader {
    params: PhantomParams,
    plan: Plan,
}

impl Component for PhantomReader {
    const NAME: &'static str = "phantom";
    const SUMMARY: &'static str =
        "PhantomCXR: synthetic chest X-rays with exact evidence and anatomy; needs no data.";
    type Params = PhantomParams;

    fn new(params: PhantomParams, _: Context) -> Result<Self> {
        let plan = Plan::new(
            params.split,
            params.offset,
            params.len,
            &params.findings,
            params.presence,
        )?;
        Ok(Self { params, plan })
    }
}

impl DatasetReader for PhantomReader {
    fn info(&self) -> Result<DatasetInfo> {
        let PhantomParams {
            len, width, height, ..
        } = self.params;
        let version = env!("CARGO_PKG_VERSION");
        let plan = self.plan.describe();
        let mut content = format!("phantom {version} {len} {width}x{height} {plan}");
        if self.displaced() {
            let PhantomParams {
                max_shift,
                max_zoom,
                ..
            } = self.params;
            content += &format!(" displaced {max_shift} {max_zoom}");
        }
        Ok(DatasetInfo::new(
            self.name(),
            len,
            blake3::hash(content.as_bytes()).to_hex().to_string(),
        ))
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        if index >= self.params.len {
            return Err(Error::invalid(format!(
                "sample {index} is beyond the {} of this dataset",
                self.params.len
            )));
        }
        let Question { case, finding } = self.plan.question(index);
        let rendered = render(
            &case.patient,
            &case.findings,
            self.params.height,
            self.params.width,
        );

        let displacement = self.displaced().then(|| self.displacement(case.seed));
        let placed = |mask: Array2<bool>| match &displacement {
            Some(displacement) => Mask::from_array(displacement.mask(mask.view()).view()),
            None => Mask::from_array(mask.view()),
        };
        let image = match &displacement {
            Some(displacement) => displacement.image(rendered.image.view()),
            None => rendered.image.clone(),
        };
        // The patient's number in the split, so that readers with other offsets give no other patient this key.
        let key = SampleKey {
            dataset: self.name(),
            index: self.params.offset + index,
        };
        let mut sample = Sample::normal(key, GrayImage::from_array(image)?);
        sample.patient = Some(format!("phantom-{}", case.seed));
        for concept in Concept::ALL {
            let mask = placed(rendered.concept_mask(concept))?;
            sample.masks.insert(concept.name().to_owned(), mask);
        }
        let Some(finding) = finding else {
            return Ok(sample);
        };

        let name = finding.name();
        let instance = case.findings.iter().position(|i| i.finding == finding);
        if let Some(extent) = instance.and_then(|i| rendered.finding_mask(i)) {
            let mask = placed(extent)?;
            sample.boxes.push(mask.tight_box().ok_or_else(|| {
                Error::invalid(format!("{name} covers no pixel of sample {index}"))
                .with_hint("ask for larger images with `width` and `height`, or for a smaller `max_shift` or `max_zoom`")
            })?);
            sample.masks.insert(name.to_owned(), mask);
        }
        sample.finding = name.to_owned();
        sample.question = format!("Is there evidence of {name} in the image?");
        sample.present = Some(instance.is_some());
        Ok(sample)
    }
}

impl PhantomReader {
    /// The splits, and patients moved or not, have other names: a sample of one never shares a key with one of another. Any
    /// other parameter shows in the digest only.
    fn name(&self) -> String {
        let split = match self.params.split {
            Split::Train => "phantom_train",
            Split::Test => "phantom",
        };
        let displaced = if self.displaced() { "_displaced" } else { "" };
        format!("{split}{displaced}")
    }

    fn displaced(&self) -> bool {
        self.params.max_shift > 0.0 || self.params.max_zoom > 0.0
    }

    fn displacement(&self, patient: u64) -> Displacement {
        let PhantomParams {
            width,
            height,
            max_shift,
            max_zoom,
            ..
        } = self.params;
        Displacement::of(patient, max_shift * width.min(height) as f64, max_zoom)
    }
}
