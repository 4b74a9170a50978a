//! The suite for detectors.

use super::{
    answers, common,
    report::Report,
    scene,
    subject::{Ask, Subject},
};
use crate::{
    component::Component,
    error::Result as Fallible,
    protocol::{
        detector::{DETECT, DetectRequest, Detector, serve},
        method::ScoredBox,
    },
};

/// Checks a detector on the working image with phrases of anatomy and one that names nothing.
///
/// `answers`: a list for each phrase, in order; boxes lie in the working image, are labelled with their phrase and come
/// strongest first, with finite scores. `threshold`: no box scores less than asked for. `limit`: no phrase has more
/// boxes than asked for. `alone`: a phrase gives the same boxes alone and among others.
pub fn detector<T: Component + Detector>(params: T::Params) -> Report {
    let subject = Subject::<T>::new(&params, |detector, op, message| {
        serve(detector, op, message)
    });
    let all = || request(&PHRASES, f64::MIN, 100);
    let mut report = common::check(&subject, &[Ask::new(DETECT, all)]);
    report.check("answers", boxes(&subject));
    report.check("threshold", threshold(&subject));
    report.check("limit", limit(&subject));
    report.check("alone", alone(&subject));
    report
}

const PHRASES: [&str; 4] = [
    "right lung",
    "cardiac silhouette",
    "left lung",
    "no such thing",
];

fn request(phrases: &[&str], threshold: f64, limit: u32) -> Fallible<DetectRequest> {
    let phrases = phrases.iter().map(|phrase| (*phrase).to_owned()).collect();
    Ok(DetectRequest::new(
        scene::working()?,
        phrases,
        threshold,
        limit,
    ))
}

type Found = Vec<Vec<ScoredBox>>;

fn detect<T: Component>(
    subject: &Subject<T>,
    phrases: &[&str],
    threshold: f64,
    limit: u32,
) -> Result<Found, String> {
    let fails = answers::fails(DETECT);
    let request = request(phrases, threshold, limit).map_err(&fails)?;
    let found = subject.made()?.client().detect(&request).map_err(&fails)?;
    match found.len() == phrases.len() {
        true => Ok(found),
        false => Err(format!(
            "{} phrases give {} lists",
            phrases.len(),
            found.len()
        )),
    }
}

/// Everything that it finds.
fn everything<T: Component>(subject: &Subject<T>) -> Result<Found, String> {
    detect(subject, &PHRASES, f64::MIN, 100)
}

fn boxes<T: Component>(subject: &Subject<T>) -> Result<(), String> {
    for (phrase, found) in PHRASES.iter().zip(everything(subject)?) {
        found.iter().try_for_each(answers::scored)?;
        if let Some(other) = found
            .iter()
            .find(|found| found.label.as_deref() != Some(*phrase))
        {
            return Err(format!(
                "a box for `{phrase}` is labelled {:?}",
                other.label
            ));
        }
        if !found.is_sorted_by(|a, b| a.score >= b.score) {
            return Err(format!(
                "the boxes for `{phrase}` do not come strongest first"
            ));
        }
    }
    Ok(())
}

fn threshold<T: Component>(subject: &Subject<T>) -> Result<(), String> {
    let all = everything(subject)?;
    let best = all
        .iter()
        .flatten()
        .map(|found| found.score)
        .max_by(f64::total_cmp);
    // Just above the best, and at the best, which is then kept.
    let Some(best) = best else { return Ok(()) };
    let above = detect(subject, &PHRASES, best.next_up(), 100)?;
    let at = detect(subject, &PHRASES, best, 100)?;
    let below = |found: &Found| found.iter().flatten().any(|found| found.score < best);
    match (
        above.iter().all(Vec::is_empty),
        below(&at),
        at.iter().all(Vec::is_empty),
    ) {
        (true, false, false) => Ok(()),
        (_, _, true) => Err(format!(
            "a box that scores {best} is lost with threshold {best}"
        )),
        _ => Err(format!(
            "boxes that score less than the threshold are not left out at {best}"
        )),
    }
}

fn limit<T: Component>(subject: &Subject<T>) -> Result<(), String> {
    for limit in [0, 1] {
        let found = detect(subject, &PHRASES, f64::MIN, limit)?;
        if let Some(many) = found.iter().find(|found| found.len() > limit as usize) {
            return Err(format!(
                "with limit {limit} a phrase has {} boxes",
                many.len()
            ));
        }
    }
    Ok(())
}

fn alone<T: Component>(subject: &Subject<T>) -> Result<(), String> {
    for (phrase, among) in PHRASES.iter().zip(everything(subject)?) {
        if detect(subject, &[phrase], f64::MIN, 100)? != [among] {
            return Err(format!(
                "what is found for `{phrase}` depends on the other phrases"
            ));
        }
    }
    Ok(())
}
