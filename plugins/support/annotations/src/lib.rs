//! What the readers of annotated chest X-ray archives share: from an annotation file to samples.
//!
//! - [`Source`]: an annotation file, plain or compressed, with its digest;
//! - [`Table`]: its rows, cells and gaps as pandas' `read_csv` sees them;
//! - [`Corners`]: boxes as annotated, and as boxes of an image;
//! - [`Oddities`]: what is passed over is counted;
//! - [`picture`]: the image files of an archive;
//! - [`Collection`]: the annotations in their order, as the samples of a dataset.

mod boxes;
mod collection;
mod oddities;
mod patient;
pub mod picture;
mod source;
mod table;

pub use boxes::{Corners, Placed, Unit, note, of_cells, of_literal, place};
pub use collection::{Annotation, Collection};
pub use oddities::Oddities;
pub use patient::pseudonym;
pub use source::{Source, folder};
pub use table::{Row, Table};
