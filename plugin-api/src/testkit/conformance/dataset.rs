//! The suite for dataset readers.

use std::collections::BTreeSet;

use super::{
    answers, common,
    report::Report,
    subject::{Ask, Subject},
};
use crate::{
    component::Component,
    error::ErrorKind,
    protocol::{
        Client,
        dataset::{ChoiceRequest, DatasetInfo, DatasetReader, INFO, SAMPLE, Sample, serve},
        mode::Mode,
    },
};

/// At most so many samples are looked at: the first ones, and the last.
const SAMPLES: u64 = 16;

/// Checks a dataset reader, which must find at least one sample with these parameters.
///
/// `answers`, of the first sixteen samples and the last: they bear the dataset's name and their number; boxes lie in the
/// image; masks have its size; finding and question are not empty, and the question has no suffix yet. `length`: sample
/// 0 and the last one are there, those after it are an error; all of this in any order. `choice`: samples chosen for a
/// model are there, in ascending order.
pub fn dataset<T: Component + DatasetReader>(params: T::Params) -> Report {
    let subject = Subject::<T>::new(&params, |reader, op, message| serve(reader, op, message));
    let asks = [Ask::new(INFO, || Ok(())), Ask::new(SAMPLE, || Ok(0u64))];
    let mut report = common::check(&subject, &asks);
    report.check("answers", samples(&subject));
    report.check("length", length(&subject));
    report.check("choice", choice(&subject));
    report
}

fn open<T: Component>(subject: &Subject<T>) -> Result<(Client, DatasetInfo), String> {
    let reader = subject.made()?.client();
    let info = DatasetReader::info(&reader).map_err(answers::fails(INFO))?;
    match info.len {
        0 => Err("it has no samples: give the suite parameters with which it has".into()),
        _ => Ok((reader, info)),
    }
}

fn samples<T: Component>(subject: &Subject<T>) -> Result<(), String> {
    let (reader, info) = open(subject)?;
    if info.name.trim().is_empty() || info.digest.trim().is_empty() {
        return Err("its name or its digest is empty".into());
    }
    let numbers = (0..info.len.min(SAMPLES)).chain([info.len - 1]);
    for index in BTreeSet::from_iter(numbers) {
        let sample = reader.sample(index);
        let sample = sample.map_err(|error| format!("sample {index} of {}: {error}", info.len))?;
        check(&info, index, &sample).map_err(|why| format!("sample {index}: {why}"))?;
    }
    Ok(())
}

fn check(info: &DatasetInfo, index: u64, sample: &Sample) -> Result<(), String> {
    let key = &sample.key;
    if (&key.dataset, key.index) != (&info.name, index) {
        return Err(format!(
            "it calls itself sample {} of `{}`",
            key.index, key.dataset
        ));
    }
    let (width, height) = (sample.image.width(), sample.image.height());
    let mut boxes = sample.boxes.iter();
    boxes.try_for_each(|bbox| answers::inside(bbox, width, height))?;
    let mut masks = sample.masks.values();
    masks.try_for_each(|mask| answers::sized(mask, width, height))?;
    if sample.finding.trim().is_empty() || sample.question.trim().is_empty() {
        return Err("its finding or its question is empty".into());
    }
    let mut suffixes = Mode::ALL.iter().map(|mode| mode.suffix().trim());
    match suffixes.find(|suffix| sample.question.ends_with(suffix)) {
        Some(suffix) => Err(format!(
            "its question has the suffix `{suffix}`, which the host appends"
        )),
        None => Ok(()),
    }
}

fn length<T: Component>(subject: &Subject<T>) -> Result<(), String> {
    let (reader, info) = open(subject)?;
    // The last one first: no sample depends on those before.
    for index in [info.len - 1, 0] {
        let sample = reader.sample(index);
        sample.map_err(|error| format!("sample {index} of {}: {error}", info.len))?;
    }
    for index in [info.len, info.len.saturating_add(1000), u64::MAX] {
        match reader.sample(index) {
            Ok(_) => return Err(format!("of {} samples it gives number {index}", info.len)),
            Err(error) if error.kind == ErrorKind::Panicked => {
                return Err(format!("sample {index}, which is not there: {error}"));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

fn choice<T: Component>(subject: &Subject<T>) -> Result<(), String> {
    let (reader, info) = open(subject)?;
    for mode in Mode::ALL {
        let chosen = reader.chosen(&ChoiceRequest::new("toy", mode));
        let chosen = chosen
            .map_err(answers::fails("chosen"))?
            .unwrap_or_default();
        let numbers: Vec<u64> = chosen.iter().map(|chosen| chosen.index).collect();
        if !numbers.is_sorted_by(|a, b| a < b)
            || numbers.last().is_some_and(|&last| last >= info.len)
        {
            return Err(format!(
                "the samples chosen are not in ascending order below {}: {numbers:?}",
                info.len
            ));
        }
    }
    Ok(())
}
