//! How many answers need no image: their probability on a black one beside that on their own.

use std::collections::BTreeMap;

use super::{scores::Fate, sheet::Sheet, text::number};
use crate::experiment::record::Record;

const READING: &str = "The mean probability of an answer's tokens on its image and on a black one, averaged over the explained \
    answers, and the share of answers, in percent, whose probability without the image is at least half, and at least nine \
    tenths, of that with it. A direct answer of that kind follows from the question alone, and no region of the image can be evidence for it. Most tokens of a \
    reasoned answer follow from those before them, which are given here: there the mean is high whatever the image shows.";

/// The language priors of explained answers, added up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    answers: u64,
    with_image: f64,
    without_image: f64,
    half: u64,
    most: u64,
}

impl Tally {
    /// Adds the answer of a record, if the tables count its explanations and the model could say.
    pub fn add(&mut self, record: &Record) {
        let prior = record.subject.as_ref().and_then(|s| s.language_prior);
        if let Some(prior) = prior.filter(|_| Fate::of(record) == Fate::Explained) {
            self.answers += 1;
            self.with_image += prior.with_image;
            self.without_image += prior.without_image;
            self.half += u64::from(prior.reaches(0.5));
            self.most += u64::from(prior.reaches(0.9));
        }
    }

    fn join(&mut self, other: &Self) {
        self.answers += other.answers;
        self.with_image += other.with_image;
        self.without_image += other.without_image;
        self.half += other.half;
        self.most += other.most;
    }
}

/// A line for each model that can score; nothing if none was asked.
pub fn sheet<'a>(tallies: impl Iterator<Item = (&'a str, &'a Tally)>) -> Option<Sheet> {
    let mut models: BTreeMap<&str, Tally> = BTreeMap::new();
    for (model, tally) in tallies {
        models.entry(model).or_default().join(tally);
    }
    let columns = [
        "answers",
        "with the image",
        "without",
        "half",
        "nine tenths",
    ];
    let mut sheet = Sheet::new("Answers without the image", READING, &["model"], &columns);
    for (model, tally) in models.into_iter().filter(|(_, tally)| tally.answers > 0) {
        let mean = |sum: f64| format!("{:.3}", sum / tally.answers as f64);
        let share = |count: u64| number(100.0 * count as f64 / tally.answers as f64);
        sheet.rows.push(vec![
            model.to_owned(),
            tally.answers.to_string(),
            mean(tally.with_image),
            mean(tally.without_image),
            share(tally.half),
            share(tally.most),
        ]);
    }
    sheet.some()
}
