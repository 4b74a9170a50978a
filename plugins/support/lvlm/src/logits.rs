//! The logits of a sequence's own tokens, without those of the whole vocabulary.

use medfocus_torch::interop;
use medfocus_torch::tch::Tensor;

use crate::Result;
use crate::network::Network;

/// Of the tokens `ids` at each position, given the final states `[1, S, hidden]`: `[S, S]`, row k and column p the logit of
/// token k where position p predicts.
pub(crate) fn of_sequence<N: Network>(
    network: &N,
    ids: &[i64],
    finished: &Tensor,
) -> Result<Tensor> {
    let states = finished.f_detach()?.f_squeeze_dim(0)?;
    let ids = interop::upload(ids, states.device())?;
    let rows = network.decoder().head.f_index_select(0, &ids)?;
    Ok(rows.f_detach()?.f_matmul(&states.f_transpose(0, 1)?)?)
}
