//! What is told about a film.

/// One answer about one film, and what it rests on.
#[derive(Clone, Debug)]
pub struct Explanation<'a> {
    /// Version of the program.
    pub version: &'a str,
    /// The full question.
    pub question: &'a str,
    /// The answer that is explained.
    pub answer: &'a str,
    /// Whether the user gave the answer; otherwise it is the model's own.
    pub given: bool,
    /// The finding the question is about, where the user said so.
    pub finding: Option<&'a str>,
    /// The regions that the answer rests on, the strongest first.
    pub regions: Vec<Region<'a>>,
    /// What each concept weighs, for methods that weigh concepts, the highest first.
    pub weights: Vec<Weight<'a>>,
    /// What to know before trusting this result.
    pub warnings: &'a [String],
    /// The attribution method.
    pub method: Algorithm<'a>,
    /// The model whose answer is explained.
    pub model: Algorithm<'a>,
    /// The picture of all this.
    pub picture: Picture<'a>,
}

/// A rectangle on the film.
#[derive(Clone, Debug)]
pub struct Region<'a> {
    /// Left, top, right and bottom edge in the film's pixels, half-open: x1, y1, x2, y2.
    pub edges: [u32; 4],
    /// How strong: Delta where concepts are weighed, otherwise on the method's own scale.
    pub score: f64,
    /// What it is, where the method says.
    pub label: Option<&'a str>,
}

/// A concept that was taken out of the film.
#[derive(Clone, Copy, Debug)]
pub struct Weight<'a> {
    /// Its name.
    pub concept: &'a str,
    /// How much log-probability the answer loses without it.
    pub delta: f64,
}

/// What computed a part of the result.
#[derive(Clone, Copy, Debug)]
pub struct Algorithm<'a> {
    /// What the user calls it.
    pub name: &'a str,
    /// The plugin it came from.
    pub plugin: &'a str,
    /// Version of the plugin.
    pub version: &'a str,
    /// Digest of the plugin.
    pub digest: &'a str,
    /// Digest of weights and settings, if it has weights.
    pub weights: Option<&'a str>,
    /// Its parameters, as JSON; empty if they are not told.
    pub parameters: &'a str,
}

/// A colour picture.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Red, green and blue of each pixel, row by row.
    pub rgb: &'a [u8],
    /// Columns and rows of the picture for one of the film.
    pub scale: (f64, f64),
}
