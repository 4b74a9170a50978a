//! The anatomical vocabulary that datasets, references and methods share.

/// The names that the masks of a reference bear: anatomical concepts as Chest ImaGenome calls them (Wu et al., NeurIPS 2021). Sides
/// are the patient's: the left lung lies on the right of the image.
///
/// A sample's masks under other names are welcome; MedFocus uses these.
pub const CONCEPTS: [&str; 11] = [
    "cardiac silhouette",
    "left lung",
    "right lung",
    "mediastinum",
    "upper mediastinum",
    "left clavicle",
    "right clavicle",
    "left hilar structures",
    "right hilar structures",
    "left costophrenic angle",
    "right costophrenic angle",
];
