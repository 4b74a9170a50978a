//! The phantoms of a dataset: which patients they are, and how they lie on the film.

use medfocus_phantom::{FindingInstance, Patient, Rendered, render};
use medfocus_plugin_api::{Result, SampleKey, params};
use ndarray::Array2;

use crate::{
    displace::Displacement,
    plan::{Plan, Presence, Question, Split},
};

params! {
    /// Which phantoms.
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

/// The phantoms that these parameters name.
pub struct Phantoms {
    params: PhantomParams,
    plan: Plan,
}

impl Phantoms {
    /// Phantoms by their parameters.
    ///
    /// # Errors
    ///
    /// Those of [`Plan::new`].
    pub fn new(params: PhantomParams) -> Result<Self> {
        let plan = Plan::new(
            params.split,
            params.offset,
            params.len,
            &params.findings,
            params.presence,
        )?;
        Ok(Self { params, plan })
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.params.len
    }

    /// What a sample shows and asks.
    pub fn question(&self, index: u64) -> Question {
        self.plan.question(index)
    }

    /// A text that determines every sample.
    pub fn describe(&self) -> String {
        let PhantomParams {
            len,
            width,
            height,
            max_shift,
            max_zoom,
            ..
        } = self.params;
        let version = env!("CARGO_PKG_VERSION");
        let plan = self.plan.describe();
        let mut content = format!("phantom {version} {len} {width}x{height} {plan}");
        if self.displaced() {
            content += &format!(" displaced {max_shift} {max_zoom}");
        }
        content
    }

    /// The splits, and patients moved or not, have other names: a sample of one never shares a key with one of another. Any
    /// other parameter shows in the digest only.
    pub fn name(&self) -> String {
        let split = match self.params.split {
            Split::Train => "phantom_train",
            Split::Test => "phantom",
        };
        let displaced = if self.displaced() { "_displaced" } else { "" };
        format!("{split}{displaced}")
    }

    /// The key of a sample: by the patient's number in the split, so that readers with other offsets give no other patient
    /// this key.
    pub fn key(&self, index: u64) -> SampleKey {
        SampleKey {
            dataset: self.name(),
            index: self.params.offset + index,
        }
    }

    /// The sample of a key, if it is one of these.
    pub fn index(&self, key: &SampleKey) -> Option<u64> {
        let index = key.index.checked_sub(self.params.offset)?;
        (key.dataset == self.name() && index < self.params.len).then_some(index)
    }

    /// How a patient stands, if not in the middle.
    pub fn displacement(&self, patient: u64) -> Option<Displacement> {
        let PhantomParams {
            width,
            height,
            max_shift,
            max_zoom,
            ..
        } = self.params;
        let shift = max_shift * width.min(height) as f64;
        self.displaced()
            .then(|| Displacement::of(patient, shift, max_zoom))
    }

    /// A patient with findings, standing as the patient of this seed does: the geometry before, the film after.
    pub fn film(
        &self,
        seed: u64,
        patient: &Patient,
        findings: &[FindingInstance],
    ) -> (Rendered, Array2<u8>) {
        let rendered = render(patient, findings, self.params.height, self.params.width);
        let image = match self.displacement(seed) {
            Some(displacement) => displacement.image(rendered.image.view()),
            None => rendered.image.clone(),
        };
        (rendered, image)
    }

    fn displaced(&self) -> bool {
        self.params.max_shift > 0.0 || self.params.max_zoom > 0.0
    }
}
