//! The suite for attribution methods.

use super::{
    answers, common,
    report::Report,
    scene,
    subject::{Ask, Subject},
};
use crate::{
    component::Component,
    frame::WORKING_SIDE,
    protocol::method::{ATTRIBUTE, Attribution, AttributionMethod, serve},
};

/// Checks an attribution method on the answer "Yes" of a [`ToyModel`](crate::testkit::ToyModel) that looks at one bright
/// spot of the image.
///
/// `answers`: it gives a map, boxes or a mask; boxes lie in the working image and have finite scores; the mask has 224 x
/// 224 pixels; maps of tokens are (T, 224, 224), f32 and finite; no warning is empty. (A [`HeatMap`](crate::HeatMap) cannot
/// be made wrong.)
pub fn method<T: Component + AttributionMethod>(params: T::Params) -> Report {
    let subject = Subject::<T>::new(&params, |method, op, message| serve(method, op, message));
    let mut report = common::check(&subject, &[Ask::new(ATTRIBUTE, scene::task)]);
    report.check("answers", answer(&subject));
    report
}

fn answer<T: Component + AttributionMethod>(subject: &Subject<T>) -> Result<(), String> {
    let fails = answers::fails(ATTRIBUTE);
    let task = scene::task().map_err(&fails)?;
    let found = subject.made()?.client().attribute(&task).map_err(&fails)?;
    well_formed(&found)
}

fn well_formed(found: &Attribution) -> Result<(), String> {
    if found.heat.is_none() && found.boxes.is_none() && found.mask.is_none() {
        return Err(
            "it gives neither a map nor boxes nor a mask; an empty list of boxes says that there is no evidence".into(),
        );
    }
    found.boxes.iter().flatten().try_for_each(answers::scored)?;
    if let Some(mask) = &found.mask {
        answers::sized(mask, WORKING_SIDE, WORKING_SIDE)?;
    }
    if let Some(heat) = &found.token_heat {
        let side = WORKING_SIDE as usize;
        let tokens = heat.shape().first().copied().unwrap_or_default();
        answers::shaped(heat, &[tokens, side, side], "the map of tokens")?;
    }
    match found
        .warnings
        .iter()
        .any(|warning| warning.trim().is_empty())
    {
        true => Err("a warning says nothing".into()),
        false => Ok(()),
    }
}
