//! What a table is told to mean.

use std::path::{Path, PathBuf};

use medfocus_annotations::Unit;
use medfocus_plugin_api::{Error, Result, choices, params};

choices! {
    /// What the four numbers of a box are.
    pub enum BoxForm {
        /// x1, y1, x2, y2.
        Corners = "corners",
        /// x, y, width, height.
        Size = "size",
    }
}

choices! {
    /// What the numbers of a box are counted in.
    pub enum BoxUnit {
        /// Pixels of the image.
        Pixels = "pixels",
        /// Shares of the image's width and height.
        Fractions = "fractions",
    }
}

impl BoxUnit {
    /// The same for the boxes of an archive.
    pub fn unit(self) -> Unit {
        match self {
            Self::Pixels => Unit::Pixel,
            Self::Fractions => Unit::Image,
        }
    }
}

params! {
    /// Parameters of [`TableReader`](crate::TableReader).
    pub struct TableParams {
        /// The table, plain or with `.gz` behind its name: `.csv`, `.tsv`, `.json` (a list of objects) or `.jsonl` (an object a line).
        pub path: String = "";
        /// Folder of the images, seen from the table's own; that if empty.
        pub images: String = "";
        /// What the dataset is called in results; as the table's file if empty.
        pub name: String = "";
        /// Column of the image's file, below the folder of images.
        pub image: String = "image";
        /// Column of the finding; `no finding` is a normal image.
        pub finding: String = "finding";
        /// Columns of a box, four divided by commas, or one that holds a list of four numbers; no boxes if empty.
        pub boxes: String = "x1,y1,x2,y2";
        /// What the four numbers are: `x1, y1, x2, y2`, or `x, y, width, height`.
        pub form: BoxForm = "corners";
        /// What they are counted in: pixels of the image, or fractions of its width and height.
        pub unit: BoxUnit = "pixels";
        /// The question; `{finding}` stands for the finding.
        pub question: String = "Is there evidence of {finding} in the image?";
        /// Column of a question that goes before `question`; none if empty.
        pub question_column: String = "";
        /// Column that says yes or no: whether the finding is there; if empty, it is where there is a box, else nobody knows.
        pub present: String = "";
        /// Column of the patient, whose name is never shown; if empty, each image is a patient of its own.
        pub patient: String = "";
    }
}

impl TableParams {
    /// The names of the columns: image, finding, question, present, patient, and four of the box, of which the first may
    /// hold all four numbers; empty where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if a column is missing that must be there.
    pub fn columns(&self) -> Result<[&str; 9]> {
        let named = |key: &str, name: &'_ str| match name.is_empty() {
            true => Err(Error::invalid(format!("parameter `{key}` names no column")).with_key(key)),
            false => Ok(()),
        };
        named("image", &self.image)?;
        named("finding", &self.finding)?;
        let boxes: Vec<_> = self.boxes.split(',').map(str::trim).collect();
        let [x1, y1, x2, y2] = match boxes[..] {
            [one] => [one, "", "", ""],
            [x1, y1, x2, y2] if !boxes.contains(&"") => [x1, y1, x2, y2],
            _ => {
                return Err(Error::invalid(
                    "parameter `boxes` names neither four columns nor one nor none",
                )
                .with_key("boxes")
                .with_hint("write it as `x1,y1,x2,y2`"));
            }
        };
        let Self {
            image,
            finding,
            question_column,
            present,
            patient,
            ..
        } = self;
        Ok([
            image,
            finding,
            question_column,
            present,
            patient,
            x1,
            y1,
            x2,
            y2,
        ])
    }

    /// The folder of the images.
    pub fn folder(&self) -> PathBuf {
        let own = Path::new(&self.path).parent().unwrap_or(Path::new(""));
        own.join(&self.images)
    }

    /// What the dataset is called.
    pub fn dataset(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let stem = Path::new(plain(&self.path)).file_stem();
        stem.map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
    }

    /// A text that determines what the table means, wherever it lies.
    pub fn meaning(&self) -> String {
        let elsewhere = Self {
            path: String::new(),
            images: String::new(),
            ..self.clone()
        };
        format!("{elsewhere:?}")
    }
}

/// A path without the ending of a compressed file.
pub fn plain(path: &str) -> &str {
    path.strip_suffix(".gz").unwrap_or(path)
}
