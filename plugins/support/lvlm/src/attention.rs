//! The attention of a decoder whose key heads may each serve several query heads.

use medfocus_torch::nn::{attention_map, fused_attention, merge_heads, repeat_heads};
use medfocus_torch::relevance;
use medfocus_torch::tch::Tensor;

use crate::Result;
use crate::mask::Mask;

/// How a layer computes its attention.
pub enum Attend<'a> {
    /// In one fused kernel, without ever holding the map.
    Fused,
    /// Through the map `[batch, heads, queries, keys]`, which the function may look at or replace
    /// before it weights the values.
    Map(&'a mut dyn FnMut(Tensor) -> Result<Tensor>),
}

/// What the queries `[batch, heads, queries, width]` take of keys and values `[batch, kv heads, keys, width]`, as
/// `[batch, queries, heads * width]`. Without a mask each query sees every key.
pub fn attend(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: Option<&Mask>,
    scale: f64,
    how: Attend<'_>,
) -> Result<Tensor> {
    let shared = q.size4()?.1 / k.size4()?.1;
    let [q, k, v] = &relevance::attended([q, k, v])?;
    let (k, v) = (repeat_heads(k, shared)?, repeat_heads(v, shared)?);
    let mixed = match how {
        Attend::Fused => fused_attention(q, &k, &v, mask.map(Mask::allowed), scale)?,
        Attend::Map(look) => {
            let blocked = mask.map(|mask| mask.blocked(q.f_kind()?)).transpose()?;
            look(attention_map(q, &k, blocked.as_ref(), scale)?)?.f_matmul(&v)?
        }
    };
    merge_heads(&mixed)
}
