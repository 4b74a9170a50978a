//! Attribution by token activation maps: where in the image the model would say a token, without what earlier tokens
//! say there, too.
mod activations;
mod rank_filter;
mod tam;

pub use activations::{Activations, Deconfounded};
pub use rank_filter::rank_gaussian;
pub use tam::{Tam, TamParams};

medfocus_plugin_api::export_plugin! {
    method Tam;
}
