//! PhantomCXR: a parametric frontal chest radiograph.
//!
//! A [`Patient`] is a set of anatomical and exposure parameters drawn from one seed. A
//! [`FindingInstance`] is an abnormality placed relative to whatever anatomy it lands on. Because the two
//! are independent, the same patient renders with or without a finding, and the same finding renders in
//! another patient: true counterfactuals, with exact masks of every finding and of the eleven
//! anatomical concepts.
//!
//! ```
//! use medfocus_phantom::{CaseOptions, Concept, render, sample_case};
//!
//! let case = sample_case(7, &CaseOptions::default());
//! let with = render(&case.patient, &case.findings, 224, 224);
//! let without = render(&case.patient, &[], 224, 224);
//! assert_eq!(with.image.dim(), without.image.dim());
//! assert!(with.concept_box(Concept::LeftLung).is_some());
//! ```
//!
//! # Geometry
//!
//! Film coordinates `(x, y)` put the shorter side of the image on `[-1, 1]`, centred, x to the image's
//! right and y down; pixels are square, and a longer side only shows more film. The patient's left lies on
//! the image's right. A pixel belongs to a mask when its centre lies inside the shape. Boxes are half-open
//! integer pixel boxes.
//!
//! # Physics
//!
//! Tissues contribute attenuation path lengths that add along the ray; a digital radiograph shows the
//! logarithm of the exposure (Beer and Lambert), so the picture is a tone curve over that sum. Overlaps
//! therefore look as they do on film: ribs stay visible through lung and heart.
//!
//! # Determinism
//!
//! Only additions, multiplications, divisions and square roots of IEEE `f32` are used, in a fixed order:
//! the same arguments give the same bytes on every machine. The mapping from seed to [`Case`] is frozen
//! (see [`sample_case`]).
mod anatomy;
mod case;
mod concept;
mod develop;
mod dice;
mod findings;
mod lung_field;
mod paint;
mod patient;
mod pixel_box;
mod raster;
mod rays;
mod render;
mod scene;

pub use case::{Case, CaseOptions, sample_case};
pub use concept::{Concept, Side};
pub use findings::{Finding, FindingInstance};
pub use patient::{Abdomen, Film, Habitus, Heart, Hila, Mediastinum, Patient, Skeleton, Thorax};
pub use pixel_box::{Mask, PixelBox, dilate, tight_box};
pub use render::{Rendered, Renderer, render};
