//! The suites pass what is sound, and each of their checks fails for something that is broken.

use std::{
    hint::black_box,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use medfocus_plugin_api::{
    ndarray::{Array1, Array2},
    params::{Field, Type},
    protocol::editor::Side,
    testkit::{
        ToyDataset, ToyDetector, ToyEditor, ToyModel, ToySegmenter,
        conformance::{self, Outside},
    },
    *,
};
use serde_json::{Map, Value};

params! {
    /// What most of them take.
    pub struct Plain {
        /// Cells along each side.
        pub cells: u32 = 4, in 1..=32;
        /// A share.
        pub share: f32 = 0.1, in 0..=1;
        /// A word.
        pub word: String = "spot";
        /// A number or nothing.
        pub limit: Option<u32> = null, in 1..=9;
    }
}

/// Held by whoever leaks memory, and shared by those whose growth it would be taken for.
static QUIET: RwLock<()> = RwLock::new(());

/// Answers differ from number to number.
static NUMBER: AtomicU64 = AtomicU64::new(0);

fn number() -> u64 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// Asks its model about each of a few images; `FAULT` says what is wrong with it.
struct Method<const FAULT: u8> {
    context: Context,
    kept: Mutex<Vec<GrayImage>>,
    number: u64,
}

mod method {
    pub const SOUND: u8 = 0;
    pub const NAME: u8 = 1;
    pub const TWO_ANSWERS: u8 = 2;
    pub const INSTANCE: u8 = 3;
    pub const DEAF: u8 = 4;
    pub const OTHER_ERROR: u8 = 5;
    pub const SLOW: u8 = 6;
    pub const KEEPS: u8 = 7;
    pub const LEAKS: u8 = 8;
    pub const UNKIND: u8 = 9;
    pub const CARELESS: u8 = 10;
    pub const NOTHING: u8 = 11;
    pub const STRAY_BOX: u8 = 12;
    pub const NO_NUMBER: u8 = 13;
    pub const SMALL_MASK: u8 = 14;
    pub const EMPTY_WARNING: u8 = 15;
    pub const PANICS: u8 = 16;
    pub const TOKENS: u8 = 17;
    pub const NEEDS_OPTIONAL: u8 = 18;
    pub const CACHES: u8 = 19;
    pub const NEEDS_NOTHING: u8 = 20;
    pub const SUMMARY: u8 = 21;
    pub const LATE: u8 = 22;
}

impl<const FAULT: u8> Component for Method<FAULT> {
    const NAME: &'static str = if FAULT == method::NAME {
        "My Method"
    } else {
        "tested"
    };
    const SUMMARY: &'static str = if FAULT == method::SUMMARY {
        ""
    } else {
        "For tests."
    };
    const SLOTS: &'static [Slot] = &[
        Slot::model(&[Ability::Score]),
        Slot::optional("segmenter", Kind::Segmenter),
    ];
    type Params = Plain;

    fn new(_: Plain, context: Context) -> Result<Self> {
        let number = number();
        Ok(Self {
            context,
            kept: Mutex::default(),
            number,
        })
    }
}

impl<const FAULT: u8> Method<FAULT> {
    fn scores(&self, task: &Task) -> Result<f32> {
        let request = ScoreRequest::new(vec![task.image.clone()], &*task.question, &*task.answer);
        let scores = self.context.model().score(&request)?;
        Ok(scores.log_probs.view::<f32>()?[[0, 0]])
    }
}

impl<const FAULT: u8> AttributionMethod for Method<FAULT> {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let mut heard = Ok(());
        for step in 0..4 {
            let outcome = self
                .context
                .step(step, 4, "looking")
                .and_then(|()| self.scores(task));
            match (FAULT, outcome) {
                (method::DEAF, Err(error)) if error.kind == ErrorKind::Cancelled => {}
                (method::OTHER_ERROR, Err(error)) if error.kind == ErrorKind::Cancelled => {
                    return Err(Error::internal("something came in between"));
                }
                (method::SLOW, Err(error)) if error.kind == ErrorKind::Cancelled => {
                    sleep(Duration::from_millis(1100));
                    return Err(error);
                }
                // Only the first step listens.
                (method::LATE, Err(error)) if error.kind == ErrorKind::Cancelled && step > 0 => {}
                (method::UNKIND, Err(error)) if error.kind == ErrorKind::Missing => {
                    return Err(Error::internal(error.message));
                }
                (method::CARELESS, Err(error)) if error.kind == ErrorKind::Unsupported => {}
                (method::NEEDS_NOTHING, Err(error)) if error.kind == ErrorKind::Missing => {}
                (_, outcome) => heard = heard.and(outcome.map(drop)),
            }
        }
        heard?;
        let mut kept = self.kept.lock().unwrap();
        let bbox = BBox::new(
            10,
            20,
            30,
            if FAULT == method::STRAY_BOX { 300 } else { 40 },
        )?;
        let score = if FAULT == method::NO_NUMBER {
            f64::NAN
        } else {
            1.0
        };
        let mut found = Attribution {
            boxes: Some(vec![ScoredBox {
                bbox,
                score,
                label: None,
            }]),
            ..Attribution::default()
        };
        match FAULT {
            method::TWO_ANSWERS => drop(found.evidence.insert("number".into(), number().into())),
            method::INSTANCE => drop(found.evidence.insert("number".into(), self.number.into())),
            method::KEEPS => kept.push(task.image.clone()),
            method::CACHES => *kept = vec![task.image.clone()],
            method::LEAKS => std::mem::forget(black_box(vec![1u8; 1 << 20])),
            method::NOTHING => found.boxes = None,
            method::SMALL_MASK => {
                found.mask = Some(Mask::from_array(Array2::from_elem((9, 9), true))?)
            }
            method::EMPTY_WARNING => found.warnings.push(String::new()),
            method::PANICS => panic!("lost the thread"),
            method::TOKENS => found.token_heat = Some(Tensor::from_array(Array1::from(vec![1f32]))),
            method::NEEDS_OPTIONAL if !self.context.filled("segmenter") => {
                return Err(Error::missing("no segmenter"));
            }
            _ => {}
        }
        Ok(found)
    }
}

fn of_method<const FAULT: u8>() -> Vec<&'static str> {
    conformance::method::<Method<FAULT>>(Plain::default()).failed()
}

#[test]
fn methods() {
    let _quiet = QUIET.read();
    use method::*;
    conformance::method::<Method<SOUND>>(Plain::default()).assert();
    conformance::method::<Method<CACHES>>(Plain::default()).assert();
    assert_eq!(of_method::<NAME>(), ["declaration"]);
    assert_eq!(of_method::<SUMMARY>(), ["declaration"]);
    assert_eq!(of_method::<TWO_ANSWERS>(), ["determinism"]);
    assert_eq!(of_method::<INSTANCE>(), ["determinism"]);
    assert_eq!(of_method::<DEAF>(), ["cancellation"]);
    assert_eq!(of_method::<LATE>(), ["cancellation"]);
    assert_eq!(of_method::<OTHER_ERROR>(), ["cancellation"]);
    assert_eq!(of_method::<SLOW>(), ["cancellation"]);
    assert_eq!(of_method::<KEEPS>(), ["growth"]);
    assert_eq!(of_method::<UNKIND>(), ["empty slots"]);
    assert_eq!(of_method::<NEEDS_NOTHING>(), ["empty slots"]);
    assert_eq!(of_method::<NEEDS_OPTIONAL>(), ["empty slots"]);
    assert_eq!(of_method::<CARELESS>(), ["failing slots"]);
    for failed in [
        of_method::<NOTHING>(),
        of_method::<STRAY_BOX>(),
        of_method::<NO_NUMBER>(),
        of_method::<SMALL_MASK>(),
        of_method::<EMPTY_WARNING>(),
        of_method::<TOKENS>(),
    ] {
        assert_eq!(failed, ["answers"]);
    }
    // A panic is what went wrong, wherever it shows.
    let report = conformance::method::<Method<PANICS>>(Plain::default());
    assert!(report.failed().contains(&"answers"), "{report}");
    assert!(
        report.to_string().contains("panicked: lost the thread"),
        "{report}"
    );
}

#[test]
fn a_leak_is_seen() {
    let _quiet = QUIET.write();
    assert_eq!(of_method::<{ method::LEAKS }>(), ["growth"]);
}

#[test]
#[should_panic(expected = "1 of 9 checks failed\n  ok   declaration")]
fn a_failed_check_fails_the_test() {
    let _quiet = QUIET.read();
    conformance::method::<Method<{ method::NOTHING }>>(Plain::default()).assert();
}

/// Parameters read without the macro.
#[derive(Default, serde::Serialize)]
struct Loose<const FAULT: u8> {
    cells: i64,
}

const TAKES_ANYTHING: u8 = 0;
const NAMES_NOTHING: u8 = 1;
const OTHER_DEFAULT: u8 = 2;
const NO_DEFAULT: u8 = 3;
const NO_RANGE: u8 = 4;
const NOT_DESCRIBED: u8 = 5;

impl<const FAULT: u8> Params for Loose<FAULT> {
    const FIELDS: &'static [Field] = &[Field {
        name: "cells",
        doc: if FAULT == NOT_DESCRIBED { "" } else { "Cells." },
        ty: Type::Integer,
        default: if FAULT == OTHER_DEFAULT { "4" } else { "0" },
        range: Some(("0", "9")),
    }];

    fn from_json(values: Map<String, Value>) -> Result<Self> {
        let given = values.get("cells");
        if FAULT == NO_DEFAULT && given.is_none() {
            return Err(Error::invalid("parameter `cells` is missing"));
        }
        let unknown = values.keys().find(|key| *key != "cells");
        let wrong = given.filter(|value| match value.as_i64() {
            Some(cells) => FAULT != NO_RANGE && !(0..=9).contains(&cells),
            None => true,
        });
        let sentence = match (unknown, wrong) {
            (None, None) => None,
            (Some(key), _) => Some(format!("unknown parameter `{key}`")),
            (None, Some(value)) => Some(format!("parameter `cells` cannot be {value}")),
        };
        match (FAULT, sentence) {
            (NAMES_NOTHING, Some(_)) => Err(Error::invalid("something is wrong")),
            (TAKES_ANYTHING, _) | (_, None) => Ok(Self::default()),
            (_, Some(sentence)) => Err(Error::invalid(sentence)),
        }
    }
}

struct WithLoose<const FAULT: u8>;

impl<const FAULT: u8> Component for WithLoose<FAULT> {
    const NAME: &'static str = "loose";
    const SUMMARY: &'static str = "For tests.";
    type Params = Loose<FAULT>;

    fn new(_: Loose<FAULT>, _: Context) -> Result<Self> {
        Ok(Self)
    }
}

impl<const FAULT: u8> AttributionMethod for WithLoose<FAULT> {
    fn attribute(&self, _: &Task) -> Result<Attribution> {
        Ok(Attribution {
            boxes: Some(Vec::new()),
            ..Attribution::default()
        })
    }
}

/// A parameter without which nothing works, told by a panic or by an error of the wrong kind.
struct Defaultless<const PANICS: bool>;

impl<const PANICS: bool> Component for Defaultless<PANICS> {
    const NAME: &'static str = "defaultless";
    const SUMMARY: &'static str = "For tests.";
    type Params = Plain;

    fn new(params: Plain, _: Context) -> Result<Self> {
        match params.word.as_str() {
            "spot" if PANICS => panic!("no such word"),
            "spot" => Err(Error::missing("there is no file `spot`")),
            _ => Ok(Self),
        }
    }
}

impl<const PANICS: bool> AttributionMethod for Defaultless<PANICS> {
    fn attribute(&self, _: &Task) -> Result<Attribution> {
        Ok(Attribution {
            boxes: Some(Vec::new()),
            ..Attribution::default()
        })
    }
}

#[test]
fn parameters() {
    let _quiet = QUIET.read();
    fn of<const FAULT: u8>() -> Vec<&'static str> {
        conformance::method::<WithLoose<FAULT>>(Loose::default()).failed()
    }
    assert_eq!(of::<TAKES_ANYTHING>(), ["parameters"]);
    assert_eq!(of::<NAMES_NOTHING>(), ["parameters"]);
    assert_eq!(of::<NO_RANGE>(), ["parameters"]);
    assert_eq!(of::<OTHER_DEFAULT>(), ["defaults"]);
    assert_eq!(of::<NO_DEFAULT>(), ["defaults"]);
    assert_eq!(of::<NOT_DESCRIBED>(), ["declaration"]);
    let params = || Plain {
        word: "else".into(),
        ..Plain::default()
    };
    conformance::method::<Defaultless<false>>(params()).assert();
    assert_eq!(
        conformance::method::<Defaultless<true>>(params()).failed(),
        ["defaults"]
    );
}

macro_rules! component {
    ($type:ident) => {
        impl<const FAULT: u8> Component for $type<FAULT> {
            const NAME: &'static str = "tested";
            const SUMMARY: &'static str = "For tests.";
            type Params = NoParams;

            fn new(_: NoParams, _: Context) -> Result<Self> {
                Ok(Self)
            }
        }
    };
}

struct Reader<const FAULT: u8>;
component!(Reader);

mod dataset {
    pub const OTHER_NUMBER: u8 = 1;
    pub const STRAY_BOX: u8 = 2;
    pub const SUFFIX: u8 = 3;
    pub const BOASTS: u8 = 4;
    pub const ENDLESS: u8 = 5;
    pub const PANICS_BEYOND: u8 = 6;
    pub const DESCENDING: u8 = 7;
    pub const EMPTY: u8 = 8;
    pub const SMALL_MASK: u8 = 9;
    pub const NO_QUESTION: u8 = 10;
    pub const NO_DIGEST: u8 = 11;
    pub const BEYOND: u8 = 12;
    pub const RESTLESS: u8 = 13;
}

impl<const FAULT: u8> DatasetReader for Reader<FAULT> {
    fn info(&self) -> Result<DatasetInfo> {
        let mut info = ToyDataset::default().info()?;
        match FAULT {
            dataset::BOASTS => info.len += 1,
            dataset::EMPTY => info.len = 0,
            dataset::NO_DIGEST => info.digest.clear(),
            _ => {}
        }
        Ok(info)
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        let toy = ToyDataset::default();
        let index = match FAULT {
            dataset::ENDLESS => index % toy.len,
            dataset::PANICS_BEYOND if index >= toy.len => panic!("index out of bounds"),
            _ => index,
        };
        let mut sample = toy.sample(index)?;
        match FAULT {
            dataset::OTHER_NUMBER => sample.key.index += 1,
            dataset::STRAY_BOX => sample.boxes = vec![BBox::new(60, 40, 70, 48)?],
            dataset::SUFFIX => sample.question += Mode::Reasoning.suffix(),
            dataset::SMALL_MASK => {
                let mask = Mask::from_array(Array2::from_elem((9, 9), true))?;
                sample.masks.insert("left lung".into(), mask);
            }
            dataset::NO_QUESTION => sample.question.clear(),
            dataset::RESTLESS => sample.patient = Some(number().to_string()),
            _ => {}
        }
        Ok(sample)
    }

    fn chosen(&self, _: &ChoiceRequest) -> Result<Option<Vec<Chosen>>> {
        let numbers: &[u64] = match FAULT {
            dataset::DESCENDING => &[2, 0],
            dataset::BEYOND => &[0, 4],
            _ => &[0, 2],
        };
        Ok(Some(
            numbers.iter().map(|&index| Chosen::new(index)).collect(),
        ))
    }
}

#[test]
fn datasets() {
    let _quiet = QUIET.read();
    use dataset::*;
    fn of<const FAULT: u8>() -> Vec<&'static str> {
        conformance::dataset::<Reader<FAULT>>(NoParams::default()).failed()
    }
    conformance::dataset::<Reader<0>>(NoParams::default()).assert();
    for failed in [
        of::<OTHER_NUMBER>(),
        of::<STRAY_BOX>(),
        of::<SUFFIX>(),
        of::<SMALL_MASK>(),
        of::<NO_QUESTION>(),
        of::<NO_DIGEST>(),
    ] {
        assert_eq!(failed, ["answers"]);
    }
    assert_eq!(of::<BOASTS>(), ["answers", "length"]);
    assert_eq!(of::<EMPTY>(), ["answers", "length", "choice"]);
    assert_eq!(of::<ENDLESS>(), ["length"]);
    assert_eq!(of::<PANICS_BEYOND>(), ["length"]);
    assert_eq!(of::<DESCENDING>(), ["choice"]);
    assert_eq!(of::<BEYOND>(), ["choice"]);
    assert_eq!(of::<RESTLESS>(), ["determinism"]);
}

struct Editor<const FAULT: u8>;
component!(Editor);

mod editor {
    pub const IDLE: u8 = 1;
    pub const STRAY: u8 = 2;
    pub const CROPS: u8 = 3;
    pub const TAKES_ANY_MASK: u8 = 4;
    pub const RESTLESS: u8 = 5;
    pub const ONE_SIDED: u8 = 6;
    pub const OTHER_ERROR: u8 = 7;
}

impl<const FAULT: u8> CounterfactualEditor for Editor<FAULT> {
    fn edit(&self, request: &EditRequest) -> Result<GrayImage> {
        let image = &request.image;
        match (FAULT, request.edited()) {
            (editor::IDLE, _) => return Ok(image.clone()),
            (editor::TAKES_ANY_MASK, Err(_)) => return Ok(image.clone()),
            (editor::OTHER_ERROR, Err(error)) => return Err(Error::internal(error.message)),
            _ => {}
        }
        let edit = ToyEditor.edit(request)?;
        let corner = BBox::<Native>::new(0, 0, 1, 1)?;
        match FAULT {
            editor::STRAY => Ok(edit.with_filled(&corner, 99)),
            editor::RESTLESS => {
                let grey = (number() % 100) as u8;
                let spot = request.boxes[0];
                let inside = request.side == Side::Foreground && request.mask.is_none();
                Ok(if inside {
                    edit.with_filled(&spot, grey)
                } else {
                    edit
                })
            }
            editor::CROPS => GrayImage::from_array(Array2::from_elem((5, 5), 0)),
            editor::ONE_SIDED if request.side == Side::Background => Ok(image.clone()),
            _ => Ok(edit),
        }
    }
}

#[test]
fn editors() {
    let _quiet = QUIET.read();
    use editor::*;
    fn of<const FAULT: u8>(outside: Outside) -> Vec<&'static str> {
        conformance::editor::<Editor<FAULT>>(NoParams::default(), outside).failed()
    }
    conformance::editor::<Editor<0>>(NoParams::default(), Outside::Kept).assert();
    conformance::editor::<Editor<STRAY>>(NoParams::default(), Outside::MayChange).assert();
    assert_eq!(of::<STRAY>(Outside::Kept), ["outside"]);
    assert_eq!(of::<CROPS>(Outside::Kept), ["answers", "outside"]);
    assert_eq!(
        of::<IDLE>(Outside::MayChange),
        ["answers", "outside", "mask"]
    );
    assert_eq!(of::<ONE_SIDED>(Outside::MayChange), ["answers", "outside"]);
    assert_eq!(of::<TAKES_ANY_MASK>(Outside::Kept), ["mask"]);
    assert_eq!(of::<OTHER_ERROR>(Outside::Kept), ["mask"]);
    assert_eq!(of::<RESTLESS>(Outside::Kept), ["determinism"]);
}

struct Regions<const FAULT: u8>;
component!(Regions);

mod segmenter {
    pub const ONE_LESS: u8 = 1;
    pub const SMALL: u8 = 2;
    pub const NO_NUMBER: u8 = 3;
    pub const UNION: u8 = 4;
    pub const PANICS_WITHOUT: u8 = 5;
}

impl<const FAULT: u8> Segmenter for Regions<FAULT> {
    fn segment(&self, request: &SegmentRequest) -> Result<Vec<Segment>> {
        let mut segments = ToySegmenter.segment(request)?;
        match FAULT {
            segmenter::ONE_LESS => drop(segments.pop()),
            segmenter::SMALL => {
                for segment in &mut segments {
                    segment.mask = Mask::from_array(Array2::from_elem((9, 9), true))?;
                }
            }
            segmenter::NO_NUMBER => segments.iter_mut().for_each(|s| s.confidence = f64::NAN),
            segmenter::UNION => {
                let largest = segments
                    .iter()
                    .max_by_key(|segment| segment.mask.area())
                    .cloned();
                segments = vec![largest.unwrap(); segments.len()];
            }
            segmenter::PANICS_WITHOUT => assert!(!segments.is_empty(), "no boxes"),
            _ => {}
        }
        Ok(segments)
    }
}

#[test]
fn segmenters() {
    let _quiet = QUIET.read();
    use segmenter::*;
    fn of<const FAULT: u8>() -> Vec<&'static str> {
        conformance::segmenter::<Regions<FAULT>>(NoParams::default()).failed()
    }
    conformance::segmenter::<Regions<0>>(NoParams::default()).assert();
    assert_eq!(of::<ONE_LESS>(), ["answers", "alone"]);
    assert_eq!(of::<SMALL>(), ["answers"]);
    assert_eq!(of::<PANICS_WITHOUT>(), ["answers"]);
    assert_eq!(of::<NO_NUMBER>(), ["answers", "alone"]);
    assert!(of::<UNION>().contains(&"alone"));
}

struct Finder<const FAULT: u8>;
component!(Finder);

mod detector {
    pub const UNLABELLED: u8 = 1;
    pub const WEAKEST_FIRST: u8 = 2;
    pub const NO_THRESHOLD: u8 = 3;
    pub const STRICT: u8 = 4;
    pub const NO_LIMIT: u8 = 5;
    pub const COMPETES: u8 = 6;
    pub const ONE_LESS: u8 = 7;
    pub const STRAY_BOX: u8 = 8;
}

impl<const FAULT: u8> Detector for Finder<FAULT> {
    fn detect(&self, request: &DetectRequest) -> Result<Vec<Vec<ScoredBox>>> {
        let mut all = Vec::new();
        for phrase in &request.phrases {
            let spot = |x: u32, score: f64| -> Result<ScoredBox> {
                let bbox = BBox::new(
                    x,
                    20,
                    if FAULT == detector::STRAY_BOX {
                        225
                    } else {
                        x + 9
                    },
                    50,
                )?;
                let label = (FAULT != detector::UNLABELLED).then(|| phrase.clone());
                Ok(ScoredBox { bbox, score, label })
            };
            let mut found = vec![spot(40, 0.75)?, spot(90, 0.25)?];
            match FAULT {
                detector::NO_THRESHOLD => {}
                detector::STRICT => found.retain(|found| found.score > request.threshold),
                _ => found.retain(|found| found.score >= request.threshold),
            }
            if FAULT != detector::NO_LIMIT {
                found.truncate(request.limit as usize);
            }
            match FAULT {
                detector::WEAKEST_FIRST => found.reverse(),
                detector::COMPETES if all.len() == 1 => found.clear(),
                _ => {}
            }
            all.push(found);
        }
        if FAULT == detector::ONE_LESS {
            all.pop();
        }
        Ok(all)
    }
}

#[test]
fn detectors() {
    let _quiet = QUIET.read();
    use detector::*;
    fn of<const FAULT: u8>() -> Vec<&'static str> {
        conformance::detector::<Finder<FAULT>>(NoParams::default()).failed()
    }
    conformance::detector::<Finder<0>>(NoParams::default()).assert();
    assert_eq!(of::<UNLABELLED>(), ["answers"]);
    assert_eq!(of::<STRAY_BOX>(), ["answers"]);
    assert_eq!(of::<WEAKEST_FIRST>(), ["answers"]);
    assert_eq!(of::<NO_THRESHOLD>(), ["threshold"]);
    assert_eq!(of::<STRICT>(), ["threshold"]);
    assert_eq!(of::<NO_LIMIT>(), ["limit"]);
    assert_eq!(of::<COMPETES>(), ["alone"]);
    assert_eq!(of::<ONE_LESS>(), ["answers", "threshold", "limit", "alone"]);
}

/// The toys that fill the slots are sound: those of the other kinds stand behind the sound components here.
struct ToyFinder;

impl Component for ToyFinder {
    const NAME: &'static str = "toy";
    const SUMMARY: &'static str = "For tests.";
    type Params = NoParams;

    fn new(_: NoParams, _: Context) -> Result<Self> {
        Ok(Self)
    }
}

impl Detector for ToyFinder {
    fn detect(&self, request: &DetectRequest) -> Result<Vec<Vec<ScoredBox>>> {
        ToyDetector.detect(request)
    }
}

#[test]
fn the_toy_detector_is_sound() {
    let _quiet = QUIET.read();
    conformance::detector::<ToyFinder>(NoParams::default()).assert();
}

struct Model<const FAULT: u8>(ToyModel);

mod model {
    pub const NO_DIGEST: u8 = 2;
    pub const ONE_LOG_PROB_MORE: u8 = 3;
    pub const CERTAIN: u8 = 4;
    pub const ENDLESS: u8 = 5;
    pub const LEANS: u8 = 6;
    pub const TRANSPOSED: u8 = 7;
    pub const OTHER_SCORE: u8 = 8;
    pub const OTHER_TOKEN: u8 = 9;
    pub const UNORDERED: u8 = 10;
    pub const SHORT_FEATURES: u8 = 11;
    pub const UNEVEN: u8 = 12;
    pub const OTHER_TRACE: u8 = 13;
    pub const SECRET: u8 = 14;
    pub const MUTE: u8 = 15;
    pub const LIKELY: u8 = 16;
    pub const OTHER_ERROR: u8 = 17;
    pub const NO_GRID: u8 = 18;
}

impl<const FAULT: u8> Component for Model<FAULT> {
    const NAME: &'static str = "tested";
    const SUMMARY: &'static str = "For tests.";
    const ABILITIES: &'static [Ability] = match FAULT {
        model::SECRET | model::MUTE | model::OTHER_ERROR => &[Ability::Generate],
        _ => &[
            Ability::Generate,
            Ability::Score,
            Ability::Trace,
            Ability::Gradient,
        ],
    };
    type Params = NoParams;

    fn new(_: NoParams, _: Context) -> Result<Self> {
        Ok(Self(ToyModel::looking_at((8, 8), (2, 5), 6.0, -2.0)))
    }
}

impl<const FAULT: u8> VisionLanguageModel for Model<FAULT> {
    fn info(&self) -> Result<ModelInfo> {
        let mut info = self.0.info()?;
        info.abilities = Self::ABILITIES.to_vec();
        match FAULT {
            model::NO_DIGEST => info.digest.clear(),
            model::NO_GRID => info.grid = (0, 0),
            _ => {}
        }
        Ok(info)
    }

    fn generate(&self, request: &GenerateRequest) -> Result<Generation> {
        let mut made = self.0.generate(request)?;
        match FAULT {
            model::ONE_LOG_PROB_MORE => made.log_probs.push(-1.0),
            model::CERTAIN => made.log_probs[0] = 0.5,
            model::ENDLESS => {
                made.tokens = vec![made.tokens[0].clone(); 40];
                made.log_probs = vec![made.log_probs[0]; 40];
            }
            model::OTHER_TOKEN => made.tokens[0].id += 1,
            _ => {}
        }
        Ok(made)
    }

    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        match FAULT {
            model::MUTE => return Err(Error::unsupported("no scores")),
            model::OTHER_ERROR => return Err(Error::internal("no scores")),
            _ => {}
        }
        let mut scores = self.0.score(request)?;
        let mut values = scores.log_probs.view_nd::<f32, ndarray::Ix2>()?.to_owned();
        match FAULT {
            model::LEANS => values += 0.1 - 0.1 * request.images.len() as f32,
            model::OTHER_SCORE => values -= 0.1,
            model::LIKELY => values.fill(0.5),
            model::TRANSPOSED => values = values.reversed_axes(),
            _ => {}
        }
        scores.log_probs = Tensor::from_array(values);
        Ok(scores)
    }

    fn trace(&self, request: &TraceRequest) -> Result<Trace> {
        if matches!(FAULT, model::MUTE | model::OTHER_ERROR) {
            return Err(Error::unsupported("no trace"));
        }
        let mut trace = self.0.trace(request)?;
        match FAULT {
            model::UNORDERED => trace.captures.reverse(),
            model::SHORT_FEATURES => {
                trace.captures[0].tensor = Tensor::from_array(Array2::<f32>::zeros((3, 2)));
            }
            model::UNEVEN => {
                let map = trace.captures[1]
                    .tensor
                    .view_nd::<f32, ndarray::Ix3>()?
                    .mapv(|v| v / 2.0);
                trace.captures[1].tensor = Tensor::from_array(map);
            }
            model::OTHER_TRACE => {
                trace.log_probs = Tensor::from_array(Array1::from(vec![-9f32]));
            }
            _ => {}
        }
        Ok(trace)
    }
}

#[test]
fn models() {
    let _quiet = QUIET.read();
    use model::*;
    fn of<const FAULT: u8>() -> Vec<&'static str> {
        conformance::model::<Model<FAULT>>(NoParams::default(), "Yes").failed()
    }
    conformance::model::<Model<0>>(NoParams::default(), "Yes").assert();
    conformance::model::<Model<MUTE>>(NoParams::default(), "Yes").assert();
    assert_eq!(of::<NO_DIGEST>(), ["information"]);
    assert_eq!(of::<NO_GRID>(), ["information"]);
    assert_eq!(of::<ONE_LOG_PROB_MORE>(), ["generation"]);
    assert_eq!(of::<CERTAIN>(), ["generation", "generation and scores"]);
    assert!(of::<ENDLESS>().contains(&"generation"));
    assert_eq!(of::<LEANS>(), ["batch"]);
    assert!(of::<TRANSPOSED>().contains(&"scores"));
    assert!(of::<LIKELY>().contains(&"scores"));
    assert_eq!(of::<OTHER_SCORE>(), ["generation and scores", "trace"]);
    assert_eq!(of::<OTHER_TOKEN>(), ["generation and scores"]);
    assert_eq!(of::<UNORDERED>(), ["trace"]);
    assert_eq!(of::<SHORT_FEATURES>(), ["trace"]);
    assert_eq!(of::<UNEVEN>(), ["trace"]);
    assert_eq!(of::<OTHER_TRACE>(), ["trace"]);
    assert_eq!(of::<SECRET>(), ["undeclared"]);
    assert_eq!(of::<OTHER_ERROR>(), ["undeclared"]);
}

/// Offers more than it declares.
struct Boaster(Model<0>);

impl Component for Boaster {
    const NAME: &'static str = "boaster";
    const SUMMARY: &'static str = "For tests.";
    const ABILITIES: &'static [Ability] = &[Ability::Generate];
    type Params = NoParams;

    fn new(params: NoParams, context: Context) -> Result<Self> {
        Model::new(params, context).map(Self)
    }
}

impl VisionLanguageModel for Boaster {
    fn info(&self) -> Result<ModelInfo> {
        self.0.info()
    }

    fn generate(&self, request: &GenerateRequest) -> Result<Generation> {
        self.0.generate(request)
    }
}

#[test]
fn a_model_offers_no_more_than_it_declares() {
    let _quiet = QUIET.read();
    let report = conformance::model::<Boaster>(NoParams::default(), "Yes");
    assert_eq!(report.failed(), ["information"]);
}
