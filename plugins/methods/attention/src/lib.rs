//! Attribution by attention maps: how much the rows of the answer's tokens attend to each image token, in one layer,
//! through all layers, or weighted by a gradient.
//!
//! An attention map A of a sequence of S tokens is S x S; row q holds the weights with which token q reads the tokens
//! of the columns. The answer's tokens give the rows ([`Rows`]), the image's the columns.
mod attention_head;
mod attention_rollout;
mod capture;
mod chefer_rollout;
mod grad_weighted_attention;
mod layer;
mod lrp;
mod places;
mod propagation;
mod weighted;

pub use attention_head::{AttentionHead, AttentionHeadParams};
pub use attention_rollout::{AttentionRollout, AttentionRolloutParams, Order};
pub use chefer_rollout::{CheferRollout, CheferRolloutParams};
pub use grad_weighted_attention::{GradWeightedAttention, GradWeightedAttentionParams};
pub use layer::Layer;
pub use lrp::{Lrp, LrpParams};
pub use places::{Places, Rows};
pub use propagation::Mixing;

medfocus_plugin_api::export_plugin! {
    method AttentionHead;
    method AttentionRollout;
    method Lrp;
    method GradWeightedAttention;
    method CheferRollout;
}
