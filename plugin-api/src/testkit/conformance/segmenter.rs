//! The suite for segmenters.

use super::{
    answers, common,
    report::Report,
    scene,
    subject::{Ask, Subject},
};
use crate::{
    component::Component,
    error::Result as Fallible,
    frame::{BBox, WORKING_SIDE, Working},
    protocol::segmenter::{SEGMENT, Segment, SegmentRequest, Segmenter, serve},
};

/// Checks a segmenter on three boxes of the working image, one of them the whole image.
///
/// `answers`: a region for each box, in order, 224 x 224 pixels, with a finite confidence; none where there is no box.
/// `alone`: a box gives the same region alone and among others.
pub fn segmenter<T: Component + Segmenter>(params: T::Params) -> Report {
    let subject = Subject::<T>::new(&params, |segmenter, op, message| {
        serve(segmenter, op, message)
    });
    let mut report = common::check(&subject, &[Ask::new(SEGMENT, || request(boxes()?))]);
    report.check("answers", regions(&subject));
    report.check("alone", alone(&subject));
    report
}

fn boxes() -> Fallible<Vec<BBox<Working>>> {
    let side = WORKING_SIDE;
    Ok(vec![
        scene::spot(side, side)?,
        BBox::new(10, 100, 90, 200)?,
        BBox::new(0, 0, side, side)?,
    ])
}

fn request(boxes: Vec<BBox<Working>>) -> Fallible<SegmentRequest> {
    Ok(SegmentRequest::new(scene::working()?, boxes))
}

fn segment<T: Component>(
    subject: &Subject<T>,
    boxes: Vec<BBox<Working>>,
) -> Result<Vec<Segment>, String> {
    let request = request(boxes).map_err(answers::fails(SEGMENT))?;
    let segmenter = subject.made()?.client();
    segmenter.segment(&request).map_err(answers::fails(SEGMENT))
}

fn regions<T: Component>(subject: &Subject<T>) -> Result<(), String> {
    let boxes = boxes().map_err(answers::fails(SEGMENT))?;
    for boxes in [boxes, Vec::new()] {
        let (asked, found) = (boxes.len(), segment(subject, boxes)?);
        if found.len() != asked {
            return Err(format!("{asked} boxes give {} regions", found.len()));
        }
        for segment in &found {
            answers::sized(&segment.mask, WORKING_SIDE, WORKING_SIDE)?;
        }
    }
    Ok(())
}

fn alone<T: Component>(subject: &Subject<T>) -> Result<(), String> {
    let boxes = boxes().map_err(answers::fails(SEGMENT))?;
    let together = segment(subject, boxes.clone())?;
    for (bbox, among) in boxes.into_iter().zip(together) {
        let alone = segment(subject, vec![bbox])?;
        if alone.first().is_none_or(|alone| alone.mask != among.mask) {
            return Err(format!("the region of {bbox:?} depends on the other boxes"));
        }
    }
    Ok(())
}
