//! The oracle: true counterfactuals of phantoms.

use medfocus_imaging::working::letterbox;
use medfocus_phantom::{Case, CaseOptions, Finding, FindingInstance, Patient, sample_case};
use medfocus_plugin_api::{
    Component, Context, CounterfactualEditor, EditRequest, Error, GrayImage, Result,
    protocol::editor::Side,
};
use ndarray::{Array2, Zip};

use crate::phantoms::{PhantomParams, Phantoms};

/// An editor that knows the patient: it renders the same one anew and takes the edited side from there, to the pixel.
///
/// What the prompt says decides what is rendered: `No NAME` leaves that finding out, `No abnormality` all of them, and any
/// other prompt leaves everything as it is but for grain and lung texture, which are drawn anew: a sham.
///
/// Behind the region (the background) more changes than the prompt asks for: grain and texture, the side marker, and the
/// other findings, which other ones replace unless there is to be no abnormality. Anatomy stays, lest the region's border
/// show. Within the region (the foreground) nothing else changes. The request's seed decides every draw.
///
/// The parameters are those of the dataset whose samples are edited: it refuses an image that is not the patient's.
pub struct PhantomEditor(Phantoms);

impl Component for PhantomEditor {
    const NAME: &'static str = "phantom_oracle";
    const SUMMARY: &'static str = "The oracle of PhantomCXR: renders the same patient without the finding, or with all else \
                                   changed; needs the parameters of the dataset.";
    type Params = PhantomParams;

    fn new(params: PhantomParams, _: Context) -> Result<Self> {
        Phantoms::new(params).map(Self)
    }
}

/// What a prompt asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    Without(Finding),
    Normal,
    Same,
}

impl Wanted {
    fn of(prompt: &str) -> Result<Self> {
        let prompt = prompt.trim();
        let absent = prompt.get(..3).filter(|no| no.eq_ignore_ascii_case("no "));
        let Some(name) = absent.and_then(|_| prompt.get(3..)) else {
            return Ok(Self::Same);
        };
        if name.eq_ignore_ascii_case("abnormality") {
            return Ok(Self::Normal);
        }
        let finding = Finding::from_name(&name.to_lowercase()).ok_or_else(|| {
            let known: Vec<_> = Finding::ALL.iter().map(|f| f.name()).collect();
            Error::invalid(format!(
                "the phantom has no `{name}` that an edit could remove"
            ))
            .with_hint(format!("its findings are: {}", known.join(", ")))
        })?;
        Ok(Self::Without(finding))
    }

    fn keeps(self, instance: &FindingInstance) -> bool {
        match self {
            Self::Without(finding) => instance.finding != finding,
            Self::Normal => false,
            Self::Same => true,
        }
    }
}

impl CounterfactualEditor for PhantomEditor {
    fn edit(&self, request: &EditRequest) -> Result<GrayImage> {
        let case = self.case(request)?;
        let edited = request.edited()?;
        let wanted = Wanted::of(&request.prompt)?;
        let kept = case
            .findings
            .iter()
            .filter(|instance| wanted.keeps(instance));
        let mut findings: Vec<FindingInstance> = kept.cloned().collect();
        let mut patient = case.patient.clone();
        if request.side == Side::Background && wanted != Wanted::Same {
            findings = match wanted {
                Wanted::Without(finding) => self.others(request, &case, finding, &edited),
                _ => Vec::new(),
            };
            patient.film.marker = !patient.film.marker;
            if self.touches(request, &case, (&patient, &[]), &edited) {
                patient.film.marker = case.patient.film.marker;
            }
        }
        if request.side == Side::Background || wanted == Wanted::Same {
            patient.film.noise_seed = drawn(request, &case, "grain");
        }
        let mut image = request.image.view().to_owned();
        let film = self.film(request, case.seed, &patient, &findings);
        Zip::from(&mut image)
            .and(&film)
            .and(&edited)
            .for_each(|pixel, &new, &edited| {
                if edited {
                    *pixel = new;
                }
            });
        GrayImage::from_array(image)
    }
}

impl PhantomEditor {
    /// The patient of a request, whose image it must be.
    fn case(&self, request: &EditRequest) -> Result<Case> {
        let key = request.sample.as_ref().ok_or_else(|| {
            Error::missing("the phantom's editor was not told which sample it edits")
        })?;
        let index = self.0.index(key).ok_or_else(|| {
            Error::invalid(format!(
                "sample {} of `{}` is no phantom of this editor",
                key.index, key.dataset
            ))
            .with_hint("give the editor the parameters of the dataset")
        })?;
        let case = self.0.question(index).case;
        let film = self.film(request, case.seed, &case.patient, &case.findings);
        if film != request.image.view() {
            return Err(Error::invalid(format!(
                "the image is not that of phantom {index} with this editor's parameters"
            ))
            .with_hint("give the editor the parameters of the dataset"));
        }
        Ok(case)
    }

    /// A film in the request's frame.
    fn film(
        &self,
        request: &EditRequest,
        seed: u64,
        patient: &Patient,
        findings: &[FindingInstance],
    ) -> Array2<u8> {
        let (_, film) = self.0.film(seed, patient, findings);
        let size = request.image.view().dim();
        if film.dim() == size || size.0 != size.1 {
            return film;
        }
        letterbox(film.view(), request.image.width())
    }

    /// Findings for the background, drawn anew: none of the one asked about, and none whose shadow crosses the border.
    fn others(
        &self,
        request: &EditRequest,
        case: &Case,
        finding: Finding,
        edited: &Array2<bool>,
    ) -> Vec<FindingInstance> {
        let mut options = CaseOptions::default();
        options.findings.retain(|&other| other != finding);
        let drawn = sample_case(drawn(request, case, "findings"), &options).findings;
        let alone = |instance: &FindingInstance| {
            let instance = std::slice::from_ref(instance);
            !self.touches(request, case, (&case.patient, instance), edited)
        };
        drawn.into_iter().filter(alone).collect()
    }

    /// Whether a change of the healthy patient shows on the side that is not edited.
    fn touches(
        &self,
        request: &EditRequest,
        case: &Case,
        (patient, findings): (&Patient, &[FindingInstance]),
        edited: &Array2<bool>,
    ) -> bool {
        let before = self.film(request, case.seed, &case.patient, &[]);
        let after = self.film(request, case.seed, patient, findings);
        let pixels = Zip::from(&before).and(&after).and(edited);
        pixels.fold(false, |touches, before, after, edited| {
            touches || (!edited && before != after)
        })
    }
}

/// A number of this request, patient and purpose alone.
fn drawn(request: &EditRequest, case: &Case, purpose: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&request.seed.to_le_bytes());
    hasher.update(&case.seed.to_le_bytes());
    hasher.update(purpose.as_bytes());
    let mut number = [0; 8];
    hasher.finalize_xof().fill(&mut number);
    u64::from_le_bytes(number)
}
