//! The suite for counterfactual editors.

use super::{
    answers, common,
    report::Report,
    scene,
    subject::{Ask, Subject},
};
use crate::{
    component::Component,
    error::{ErrorKind, Result as Fallible},
    image::Mask,
    protocol::editor::{CounterfactualEditor, EDIT, EditRequest, Side, serve},
};

/// What an editor does to the pixels that it was not asked to edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// They stay as they are, to the last bit.
    Kept,
    /// They may change, as when the whole image passes through a network.
    MayChange,
}

/// Width and height of the image: not square, and of odd parts.
const SIZE: (u32, u32) = (150, 110);

/// Checks a counterfactual editor on an image of 150 x 110 pixels with a bright spot.
///
/// `answers`: the edit has the image's size, inside the boxes, outside of them and by a mask, and something changes.
/// `outside`: every pixel that is not edited is as it was, if that is declared. `mask`: a mask of another size than the
/// image is refused as invalid.
pub fn editor<T: Component + CounterfactualEditor>(params: T::Params, outside: Outside) -> Report {
    let subject = Subject::<T>::new(&params, |editor, op, message| serve(editor, op, message));
    let mut report = common::check(&subject, &[Ask::new(EDIT, || request(Side::Foreground))]);
    report.check("answers", edits(&subject, Outside::MayChange));
    report.check("outside", edits(&subject, outside));
    report.check("mask", foreign_mask(&subject));
    report
}

fn request(side: Side) -> Fallible<EditRequest> {
    let (width, height) = SIZE;
    let spot = scene::spot(width, height)?;
    let image = scene::image(width, height)?;
    let mut request = EditRequest::new(image, vec![spot], "No bright spot");
    request.side = side;
    request.seed = 7;
    Ok(request)
}

/// A request whose region is a triangle about the spot.
fn masked() -> Fallible<EditRequest> {
    let mut request = request(Side::Foreground)?;
    let size = request.image.view().dim();
    let triangle = |(y, x): (usize, usize)| x + y > 110 && x < 110 && y < 60;
    request.mask = Some(Mask::from_array(ndarray::Array2::from_shape_fn(
        size, triangle,
    ))?);
    Ok(request)
}

fn edits<T: Component>(subject: &Subject<T>, outside: Outside) -> Result<(), String> {
    let editor = subject.made()?.client();
    let requests = [
        ("inside the boxes", request(Side::Foreground)),
        ("outside of the boxes", request(Side::Background)),
        ("by a mask", masked()),
    ];
    for (what, request) in requests {
        let fails = answers::fails(EDIT);
        let request = request.map_err(&fails)?;
        let made = editor.edit(&request);
        let made = made.map_err(|error| format!("an edit {what} fails: {error}"))?;
        let (size, expected) = (made.view().dim(), request.image.view().dim());
        if size != expected {
            return Err(format!(
                "an edit {what} of {expected:?} pixels has {size:?} (height, width)"
            ));
        }
        if made == request.image {
            return Err(format!("an edit {what} changes nothing"));
        }
        let edited = request.edited().map_err(&fails)?;
        let (before, after) = (request.image.view(), made.view());
        let mut pixels = edited.indexed_iter();
        let strays = pixels.find(|(place, edited)| !**edited && before[*place] != after[*place]);
        if let (Outside::Kept, Some(((y, x), _))) = (outside, strays) {
            return Err(format!(
                "an edit {what} changes pixel ({x}, {y}), which is not to be edited"
            ));
        }
    }
    Ok(())
}

fn foreign_mask<T: Component>(subject: &Subject<T>) -> Result<(), String> {
    let mut request = masked().map_err(answers::fails(EDIT))?;
    request.mask = Mask::from_array(ndarray::Array2::from_elem((30, 20), true)).ok();
    match subject.made()?.client().edit(&request) {
        Err(error) if error.kind == ErrorKind::Invalid => Ok(()),
        Err(error) => Err(format!(
            "a mask of another size is no invalid request to it: {error}"
        )),
        Ok(_) => Err("a mask of another size than the image is not refused".into()),
    }
}
