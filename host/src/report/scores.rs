//! What a report computes with: a few bytes of each sample in memory, the numbers of each result in columns on the disk.

use std::{
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
};

use medfocus_plugin_api::Result;

use super::{cluster::Cluster, columns::Columns, concepts::OTHERS, measure::Measure, reach};
use crate::{
    causal::gate::Group as Proven,
    evidence,
    experiment::{
        plan::Cell,
        record::{Exclusion, MethodOutcome, MethodResult, Outcome, Record, Subject},
        results::Results,
    },
    output::failed,
    statistics::{Comparison, holm},
    verdict::Verdict,
};

/// All that tables say of a sample as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// With what it is drawn.
    pub cluster: Cluster,
    /// What was asked about, by its number.
    pub finding: Option<u32>,
    /// What became of it.
    pub fate: Fate,
    /// What the causal filter proved of it, if there is one.
    pub group: Option<Proven>,
    /// Whether its answer was cut at the limit of tokens.
    pub cut: bool,
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The tables count its explanations: where a filter judged the sample, only if it is grounded.
    Explained,
    /// Its answer is wrong.
    Incorrect,
    /// Its answer says neither yes nor no.
    Undecided,
    /// Its answer is right, but not proven to be caused by the annotated region.
    Ungrounded,
    /// No region is annotated.
    Unannotated,
    /// It could not be read or answered.
    Failed,
}

impl Fate {
    /// What became of a record's sample.
    pub fn of(record: &Record) -> Self {
        let subject = record.subject.as_ref();
        match &record.outcome {
            Outcome::Attributed { .. } => match subject.and_then(|subject| subject.group) {
                None | Some(Proven::Grounded) => Self::Explained,
                Some(Proven::Ungrounded) => Self::Ungrounded,
                Some(Proven::Incorrect) => match subject.map(|subject| subject.verdict) {
                    Some(Verdict::Undecided) => Self::Undecided,
                    _ => Self::Incorrect,
                },
            },
            Outcome::Failed { .. } => Self::Failed,
            Outcome::Excluded { reason } => match reason {
                Exclusion::Incorrect => Self::Incorrect,
                Exclusion::Undecided => Self::Undecided,
                Exclusion::Ungrounded => Self::Ungrounded,
                Exclusion::Unannotated => Self::Unannotated,
            },
        }
    }
}

/// Columns of a method that no measure is: whether it answered, by 1 and 0; what it names as its evidence, by 1 and
/// its number, or 0 for nothing; the IoU of what it chose and of the best of its concepts.
const ANSWERED: usize = 0;
const NAMED: usize = 1;
const CHOSEN: usize = 2;
const BEST: usize = 3;
const MEASURES: usize = 4;

/// The samples with a record and their results, cell after cell. What is not there is no number (NaN).
pub struct Scores<'a> {
    /// The samples.
    samples: Vec<Sample>,
    /// Whose they are.
    cells: Vec<(&'a Cell, Range<usize>)>,
    methods: Vec<&'a str>,
    measures: &'a [Measure],
    columns: Columns,
    folder: PathBuf,
    /// What was asked about.
    findings: Names,
    /// What methods name as their evidence.
    concepts: Names,
    /// Whose images are.
    patients: HashMap<Cluster, Cluster>,
}

/// At most so many names are told apart: models and methods may name whatever they like.
const NAMES: usize = 100_000;

/// Names, each once.
#[derive(Default)]
struct Names {
    list: Vec<String>,
    places: HashMap<String, u32>,
}

impl Names {
    fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        if self.list.len() >= NAMES && name != OTHERS {
            return self.place(OTHERS);
        }
        let place = self.list.len() as u32;
        self.list.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        place
    }

    fn at(&self, place: u32) -> &str {
        &self.list[place as usize]
    }
}

impl<'a> Scores<'a> {
    /// Without samples; the columns are in a file in this folder.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn new(results: &'a Results, measures: &'a [Measure], folder: &Path) -> Result<Self> {
        let methods = results.plan.methods.iter();
        let methods: Vec<&str> = methods.map(|method| method.name.as_str()).collect();
        let width = methods.len() * (MEASURES + measures.len());
        let columns = Columns::new(folder, width);
        Ok(Self {
            samples: Vec::new(),
            cells: Vec::new(),
            methods,
            measures,
            columns: columns.map_err(|error| failed("write into", folder, &error))?,
            folder: folder.to_owned(),
            findings: Names::default(),
            concepts: Names::default(),
            patients: HashMap::new(),
        })
    }

    /// Begins a cell.
    pub fn begin(&mut self, cell: &'a Cell) {
        let at = self.samples.len();
        self.cells.push((cell, at..at));
    }

    /// Adds the next sample of the cell.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn add(&mut self, record: &Record) -> Result<()> {
        let sample = self.sample(record);
        self.samples.push(sample);
        if let Some((_, samples)) = self.cells.last_mut() {
            samples.end += 1;
        }
        let results = match &record.outcome {
            Outcome::Attributed { results } => results.as_slice(),
            Outcome::Excluded { .. } | Outcome::Failed { .. } => &[],
        };
        let mut line = Vec::new();
        for method in &self.methods {
            let result = results.iter().find(|result| result.method == *method);
            let numbers = numbers(&mut self.concepts, record.subject.as_ref(), result);
            line.extend(numbers);
            let value = |measure: &Measure| measure.of(result?);
            let values = self.measures.iter().map(value);
            line.extend(values.map(|value| value.unwrap_or(f64::NAN)));
        }
        let added = self.columns.add(line);
        added.map_err(|error| failed("write into", &self.folder, &error))
    }

    fn sample(&mut self, record: &Record) -> Sample {
        let dataset = &record.case.dataset;
        let subject = record.subject.as_ref();
        let cluster = match subject {
            None => Cluster::image(&format!("{dataset}/{}", record.case.index)),
            Some(subject) => {
                let image = Cluster::image(&format!("{dataset}/{}", subject.image));
                let patient = subject.patient.as_deref();
                let patient = patient.map(|name| Cluster::patient(&format!("{dataset}/{name}")));
                if let Some(patient) = patient {
                    self.patients.insert(image, patient);
                }
                patient.unwrap_or(image)
            }
        };
        Sample {
            cluster,
            finding: subject.map(|subject| self.findings.place(&subject.finding)),
            fate: Fate::of(record),
            group: subject.and_then(|subject| subject.group),
            cut: subject.is_some_and(|subject| subject.cut),
        }
    }

    /// Ends with the last sample: a patient known from one record of an image is the patient of every record of it. A
    /// journal may have been begun before its dataset, or this program, knew patients.
    pub fn end(&mut self) {
        for sample in &mut self.samples {
            let patient = self.patients.get(&sample.cluster);
            sample.cluster = patient.copied().unwrap_or(sample.cluster);
        }
        self.patients = HashMap::new();
    }

    /// The samples of some cells.
    pub fn of(&self, cells: &[&Cell]) -> Part<'_> {
        let own = |cell: &Cell| cells.iter().any(|other| std::ptr::eq(cell, *other));
        let ranges = self.cells.iter().filter(|(cell, _)| own(cell));
        Part {
            scores: self,
            ranges: ranges.map(|(_, range)| range.clone()).collect(),
        }
    }
}

/// What is known of a method's result, but for the measures, in the order of the columns.
fn numbers(
    concepts: &mut Names,
    subject: Option<&Subject>,
    result: Option<&MethodResult>,
) -> [f64; MEASURES] {
    let mut numbers = [f64::NAN; MEASURES];
    let Some(result) = result else {
        return numbers;
    };
    numbers[ANSWERED] = 0.0;
    if let MethodOutcome::Scored {
        evidence, fallback, ..
    } = &result.outcome
    {
        numbers[ANSWERED] = 1.0;
        let named = evidence::chosen(evidence, *fallback);
        numbers[NAMED] = named.map_or(0.0, |name| 1.0 + f64::from(concepts.place(name)));
        if let Some((chosen, best)) = subject.and_then(|subject| reach::ious(subject, result)) {
            (numbers[CHOSEN], numbers[BEST]) = (chosen, best);
        }
    }
    numbers
}

/// The samples of some cells.
pub struct Part<'a> {
    scores: &'a Scores<'a>,
    ranges: Vec<Range<usize>>,
}

impl<'a> Part<'a> {
    /// The samples, in the order of the plan.
    pub fn samples(&self) -> impl Iterator<Item = &'a Sample> {
        let ranges = self.ranges.iter();
        ranges.flat_map(|range| &self.scores.samples[range.clone()])
    }

    /// What was asked about, by its number.
    pub fn finding(&self, number: u32) -> &'a str {
        self.scores.findings.at(number)
    }

    /// The results of a method on those samples that are wanted.
    pub fn results(&'a self, method: &str, wanted: Wanted) -> MethodResults<'a> {
        MethodResults {
            part: self,
            method: self.scores.methods.iter().position(|own| *own == method),
            wanted,
        }
    }
}

/// Which samples' results are wanted.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// Those that the tables count.
    Explained,
    /// Those of which the causal filter proved this.
    Proven(Proven),
}

impl Wanted {
    fn is(self, sample: &Sample) -> bool {
        match self {
            Self::Explained => sample.fate == Fate::Explained,
            Self::Proven(group) => sample.group == Some(group),
        }
    }
}

/// A method's results on the samples of some cells.
#[derive(Clone, Copy)]
pub struct MethodResults<'a> {
    part: &'a Part<'a>,
    /// Its place; nothing if it is not of the plan.
    method: Option<usize>,
    wanted: Wanted,
}

impl<'a> MethodResults<'a> {
    /// Samples it was asked about, and those of them on which it failed.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn counts(&self) -> Result<(usize, usize)> {
        let (mut asked, mut failed) = (0, 0);
        for (_, answered) in self.column(ANSWERED)? {
            asked += 1;
            failed += usize::from(answered == 0.0);
        }
        Ok((asked, failed))
    }

    /// The values of a measure, by its place, where it applies.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn values(&self, measure: usize) -> Result<impl Iterator<Item = (&'a Sample, f64)>> {
        self.column(MEASURES + measure)
    }

    /// Both methods' values where both have one, each with its cluster.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn pairs(
        &self,
        other: &Self,
        measure: usize,
    ) -> Result<impl Iterator<Item = (Cluster, f64, f64)>> {
        let (ours, theirs) = (
            self.read(MEASURES + measure)?,
            other.read(MEASURES + measure)?,
        );
        let pairs = self.part.samples().zip(ours.into_iter().zip(theirs));
        let wanted = self.wanted;
        let pairs = pairs.filter(move |(sample, _)| wanted.is(sample));
        let both = pairs.filter(|(_, (ours, theirs))| !ours.is_nan() && !theirs.is_nan());
        Ok(both.map(|(sample, (ours, theirs))| (sample.cluster, ours, theirs)))
    }

    /// How often it names what as its evidence, nothing among it.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn named(&self) -> Result<HashMap<Option<&'a str>, usize>> {
        let mut named: HashMap<u32, usize> = HashMap::new();
        for (_, place) in self.column(NAMED)? {
            *named.entry(place as u32).or_default() += 1;
        }
        let concepts = &self.part.scores.concepts;
        let name = |place: u32| Some(concepts.at(place.checked_sub(1)?));
        let named = named.into_iter();
        Ok(named.map(|(place, count)| (name(place), count)).collect())
    }

    /// IoU of what it chose and of the best of its concepts, where it says where they are.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn reached(&self) -> Result<Vec<(f64, f64)>> {
        let (chosen, best) = (self.column(CHOSEN)?, self.column(BEST)?);
        Ok(chosen.zip(best).map(|((_, a), (_, b))| (a, b)).collect())
    }

    /// What a column has of the wanted samples.
    fn column(&self, column: usize) -> Result<impl Iterator<Item = (&'a Sample, f64)>> {
        let numbers = self.part.samples().zip(self.read(column)?);
        let wanted = self.wanted;
        Ok(numbers.filter(move |(sample, number)| wanted.is(sample) && !number.is_nan()))
    }

    /// A column, of all samples.
    fn read(&self, column: usize) -> Result<Vec<f64>> {
        let Some(method) = self.method else {
            return Ok(Vec::new());
        };
        let scores = self.part.scores;
        let column = method * (MEASURES + scores.measures.len()) + column;
        let mut numbers = Vec::new();
        for range in &self.part.ranges {
            let read = scores.columns.read(column, range.clone());
            numbers.extend(read.map_err(|error| failed("read", &scores.folder, &error))?);
        }
        Ok(numbers)
    }
}

/// The comparisons with their p values corrected for their number.
pub fn corrected(mut comparisons: Vec<Option<Comparison>>) -> Vec<Option<Comparison>> {
    let mut tested: Vec<&mut f64> = comparisons
        .iter_mut()
        .flatten()
        .filter_map(|comparison| comparison.p.as_mut())
        .collect();
    let p_values: Vec<f64> = tested.iter().map(|p| **p).collect();
    for (p, corrected) in tested.iter_mut().zip(holm(&p_values)) {
        **p = corrected;
    }
    comparisons
}
