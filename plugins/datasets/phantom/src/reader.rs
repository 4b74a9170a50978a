//! Renders the planned patients as samples.

use medfocus_phantom::Concept;
use medfocus_plugin_api::{
    Component, Context, DatasetInfo, DatasetReader, Error, GrayImage, Mask, Result, Sample,
};
use ndarray::Array2;

use crate::{
    phantoms::{PhantomParams, Phantoms},
    plan::Question,
};

/// PhantomCXR: each sample asks one patient about one finding, and knows the exact regions of the finding and of all
/// eleven anatomical concepts.
pub struct PhantomReader(Phantoms);

impl Component for PhantomReader {
    const NAME: &'static str = "phantom";
    const SUMMARY: &'static str =
        "PhantomCXR: synthetic chest X-rays with exact evidence and anatomy; needs no data.";
    type Params = PhantomParams;

    fn new(params: PhantomParams, _: Context) -> Result<Self> {
        Phantoms::new(params).map(Self)
    }
}

impl DatasetReader for PhantomReader {
    fn info(&self) -> Result<DatasetInfo> {
        let content = self.0.describe();
        Ok(DatasetInfo::new(
            self.0.name(),
            self.0.count(),
            blake3::hash(content.as_bytes()).to_hex().to_string(),
        ))
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        if index >= self.0.count() {
            return Err(Error::invalid(format!(
                "sample {index} is beyond the {} of this dataset",
                self.0.count()
            )));
        }
        let Question { case, finding } = self.0.question(index);
        let displacement = self.0.displacement(case.seed);
        let (rendered, image) = self.0.film(case.seed, &case.patient, &case.findings);
        let placed = |mask: Array2<bool>| match &displacement {
            Some(displacement) => Mask::from_array(displacement.mask(mask.view()).view()),
            None => Mask::from_array(mask.view()),
        };
        let mut sample = Sample::normal(self.0.key(index), GrayImage::from_array(image)?);
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
