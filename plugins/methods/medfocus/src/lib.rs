//! MedFocus: which anatomical concept a model's answer rests on; and the control that always answers "both lungs".
mod abnormal;
mod align;
mod both_lungs;
mod concept_shapley;
mod fine;
mod healthy;
mod intervention;
mod localise;
mod medfocus;
mod pool;
mod reference;
mod refine;
mod region;
mod reliability;
mod replacement;
mod shapley;
mod shared;
pub mod transport;
mod warp;

pub use align::{Alignment, Contrast, align};
pub use both_lungs::{BothLungs, BothLungsParams};
pub use concept_shapley::{ConceptShapley, ConceptShapleyParams};
pub use fine::{MedFocusFine, MedFocusFineParams};
pub use intervention::{Candidate, Delta, Drop, Effects, Intervention};
pub use localise::{Anatomy, Localisation, Match, Transfer, Transported, localise, rank};
pub use medfocus::{CompositeBoxes, MedFocus, MedFocusParams};
pub use pool::Pool;
pub use reference::{Features, Looks, Reference};
pub use refine::Refinement;
pub use region::Region;
pub use reliability::{doubt, likeness};
pub use replacement::Replacement;
pub use warp::{Displacement, Line, Scaling, Warp};

medfocus_plugin_api::export_plugin! {
    method MedFocus;
    method MedFocusFine;
    method ConceptShapley;
    method BothLungs;
}
