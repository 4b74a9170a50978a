//! How many answers need no image: their probability on a black one beside that on their own.

use std::collections::BTreeMap;

use super::{sheet::Sheet, text::number};
use crate::{experiment::record::Record, score::LanguagePrior};

const READING: &str = "The mean probability of an answer's tokens on its image and on a black one, averaged over the explained \
    answers, and the share of answers, in percent, whose probability without the image is at least half, and at least nine \
    tenths, of that with it. Such an answer follows from the question alone, and no region of the image can be evidence for it.";

/// A line for each model that can score; nothing if none was asked.
pub fn sheet(records: &[&Record]) -> Option<Sheet> {
    let mut models: BTreeMap<&str, Vec<LanguagePrior>> = BTreeMap::new();
    for record in records {
        let prior = record.subject.as_ref().and_then(|s| s.language_prior);
        models.entry(&record.case.model).or_default().extend(prior);
    }
    let columns = [
        "answers",
        "with the image",
        "without",
        "half",
        "nine tenths",
    ];
    let mut sheet = Sheet::new("Answers without the image", READING, &["model"], &columns);
    for (model, priors) in models.into_iter().filter(|(_, priors)| !priors.is_empty()) {
        let mean = |value: fn(&LanguagePrior) -> f64| {
            let sum: f64 = priors.iter().map(value).sum();
            sum / priors.len() as f64
        };
        let share = |part: f64| {
            let reached = priors.iter().filter(|prior| prior.reaches(part)).count();
            number(100.0 * reached as f64 / priors.len() as f64)
        };
        sheet.rows.push(vec![
            model.to_owned(),
            priors.len().to_string(),
            format!("{:.3}", mean(|prior| prior.with_image)),
            format!("{:.3}", mean(|prior| prior.without_image)),
            share(0.5),
            share(0.9),
        ]);
    }
    sheet.some()
}
