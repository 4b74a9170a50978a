//! Edited images: made once, kept by their content, and verified.

use medfocus_plugin_api::{
    BBox, CounterfactualEditor, EditRequest, Error, GrayImage, Native, Result, SampleKey,
    protocol::editor::Side,
};
use ndarray::{Array2, s};

use super::{gate::Role, record::EditRecord};
use crate::{experiment::config::Filter, output::OutDir, workbench::Ready};

/// Edited images in a folder. A file is named by all that decides its content, so that it serves every model, mode and run
/// that asks for the same edit.
pub struct Edits<'a> {
    /// How edits are asked for and verified.
    pub filter: &'a Filter,
    /// Where they are kept.
    pub folder: &'a OutDir,
}

/// What keeps a sample from being judged.
#[derive(Debug)]
pub enum Wrong {
    /// The sample, or whoever works on it: the next one may go well.
    Sample(Error),
    /// The disk: the next one would meet it, too.
    Disk(Error),
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::Sample(error)
    }
}

/// What is edited.
pub struct Original<'a> {
    /// The image.
    pub image: &'a GrayImage,
    /// The annotated region in it.
    pub boxes: &'a [BBox<Native>],
    /// What the question asks about.
    pub finding: &'a str,
    /// Which sample it is.
    pub sample: &'a SampleKey,
}

impl Edits<'_> {
    /// The image edited for a role, from the folder if it is there.
    ///
    /// # Errors
    ///
    /// The editor fails, or gives an image of another size, or the disk fails.
    pub fn get(
        &self,
        editor: &Ready,
        original: &Original<'_>,
        role: Role,
        seed: u64,
    ) -> Result<(GrayImage, EditRecord), Wrong> {
        let mut request = EditRequest::new(
            original.image.clone(),
            original.boxes.to_vec(),
            self.filter.prompts.of(role, original.finding),
        );
        request.side = role.side();
        request.seed = seed;
        request.sample = Some(original.sample.clone());
        let file = format!("{}.png", key(editor, &request));
        let edited = match self.kept(&file, original.image) {
            Some(edited) => edited,
            None => {
                let edited = ask(editor, &request)?;
                self.folder.png_grey(&file, &edited).map_err(Wrong::Disk)?;
                edited
            }
        };
        let (inside, outside) = changes(&request, &edited, self.filter.margin)?;
        let record = EditRecord {
            file,
            prompt: request.prompt,
            inside,
            outside,
            verified: outside == 0 && (inside > 0.0 || role == Role::Sham),
        };
        Ok((edited, record))
    }

    /// The image of an earlier call; nothing if its file is not there or damaged.
    fn kept(&self, file: &str, original: &GrayImage) -> Option<GrayImage> {
        let bytes = std::fs::read(self.folder.path().join(file)).ok()?;
        let pixels = medfocus_imaging::decode::decode(&bytes).ok()?.pixels;
        let image = GrayImage::from_array(pixels).ok()?;
        (image.view().dim() == original.view().dim()).then_some(image)
    }
}

/// The edited image, whose size is that of the original.
///
/// # Errors
///
/// The editor fails, or gives an image of another size.
pub fn ask(editor: &Ready, request: &EditRequest) -> Result<GrayImage> {
    let name = &editor.manifest.name;
    let edited = editor
        .client()
        .edit(request)
        .map_err(|error| error.context(format!("editor `{name}`")))?;
    if edited.view().dim() == request.image.view().dim() {
        return Ok(edited);
    }
    Err(Error::internal(format!(
        "editor `{name}` made {} x {} pixels of an image of {} x {}",
        edited.width(),
        edited.height(),
        request.image.width(),
        request.image.height()
    )))
}

/// All that decides an edit.
fn key(editor: &Ready, request: &EditRequest) -> String {
    let about = serde_json::json!({
        "editor": editor.provenance,
        "size": [request.image.width(), request.image.height()],
        "boxes": request.boxes,
        "side": request.side,
        "prompt": request.prompt,
        "seed": request.seed,
        "sample": request.sample,
    });
    let mut hasher = blake3::Hasher::new();
    hasher.update(about.to_string().as_bytes());
    hasher.update(request.image.bytes());
    hasher.finalize().to_hex()[..32].to_owned()
}

/// Mean change on the edited side, and the greatest on the other, `margin` pixels and more from the edited one.
fn changes(request: &EditRequest, edited: &GrayImage, margin: u32) -> Result<(f64, u8)> {
    let near = match request.side {
        Side::Foreground => region(request, margin, true),
        Side::Background => region(request, margin, false).mapv(|inside| !inside),
    };
    let exact = request.edited()?;
    let (mut sum, mut pixels, mut outside) = (0, 0_u64, 0);
    let pairs = request.image.view();
    for ((at, &before), &after) in pairs.indexed_iter().zip(edited.view()) {
        let change = before.abs_diff(after);
        if exact[at] {
            sum += u64::from(change);
            pixels += 1;
        }
        if !near[at] {
            outside = outside.max(change);
        }
    }
    Ok((sum as f64 / pixels.max(1) as f64, outside))
}

/// The boxes, each larger (or smaller) by a margin on all sides.
fn region(request: &EditRequest, margin: u32, larger: bool) -> Array2<bool> {
    let mut region = Array2::from_elem(request.image.view().dim(), false);
    let (width, height) = (request.image.width(), request.image.height());
    for bbox in &request.boxes {
        let [x1, y1, x2, y2] = bbox.corners();
        let corners = if larger {
            [
                x1.saturating_sub(margin),
                y1.saturating_sub(margin),
                x2.saturating_add(margin).min(width),
                y2.saturating_add(margin).min(height),
            ]
        } else {
            // What touches the image's edge has no other side there.
            let inner = |low: u32| {
                if low == 0 {
                    0
                } else {
                    low.saturating_add(margin)
                }
            };
            let outer = |high: u32, end: u32| {
                if high >= end {
                    end
                } else {
                    high.saturating_sub(margin)
                }
            };
            [inner(x1), inner(y1), outer(x2, width), outer(y2, height)]
        };
        let [x1, y1, x2, y2] = corners.map(|corner| corner as usize);
        if x1 < x2 && y1 < y2 {
            region.slice_mut(s![y1..y2, x1..x2]).fill(true);
        }
    }
    region
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(side: Side) -> EditRequest {
        let image = GrayImage::from_array(Array2::from_elem((20, 30), 100)).unwrap();
        let mut request = EditRequest::new(image, vec![BBox::new(10, 5, 20, 15).unwrap()], "");
        request.side = side;
        request
    }

    fn with(change: impl Fn(usize, usize) -> u8) -> GrayImage {
        GrayImage::from_array(Array2::from_shape_fn((20, 30), |(y, x)| 100 + change(y, x))).unwrap()
    }

    #[test]
    fn changes_are_told_apart_by_side_and_margin() {
        let inside = |y: usize, x: usize| (5..15).contains(&y) && (10..20).contains(&x);
        let edited = with(|y, x| if inside(y, x) { 8 } else { 0 });
        assert_eq!(
            changes(&request(Side::Foreground), &edited, 0).unwrap(),
            (8.0, 0)
        );
        assert_eq!(
            changes(&request(Side::Background), &edited, 0).unwrap(),
            (0.0, 8)
        );
        let edited = with(|y, x| if inside(y, x) { 0 } else { 6 });
        assert_eq!(
            changes(&request(Side::Background), &edited, 0).unwrap(),
            (6.0, 0)
        );
        assert_eq!(
            changes(&request(Side::Foreground), &edited, 2).unwrap(),
            (0.0, 6)
        );
    }

    #[test]
    fn a_feather_is_no_leak_but_what_lies_beyond_is() {
        let at = |column: usize| with(move |y, x| u8::from(y == 10 && x == column) * 9);
        // The box ends before column 20.
        for (column, outside) in [(19, 0), (22, 0), (23, 9)] {
            let found = changes(&request(Side::Foreground), &at(column), 3)
                .unwrap()
                .1;
            assert_eq!(found, outside, "column {column}");
        }
        for (column, outside) in [(20, 0), (17, 0), (16, 9)] {
            let found = changes(&request(Side::Background), &at(column), 3)
                .unwrap()
                .1;
            assert_eq!(found, outside, "column {column}");
        }
    }
}
