//! Attribution by AttnLRP, in a plugin of its own because the method is patented: layer-wise relevance propagation may be
//! used free of charge for personal and scientific purposes only.
mod attn_lrp;

pub use attn_lrp::{Attention, AttnLrp, AttnLrpParams, Explained};

medfocus_plugin_api::export_plugin! {
    method AttnLrp;
}
