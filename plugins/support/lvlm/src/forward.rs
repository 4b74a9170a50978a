//! From pixels and token ids to final hidden states, over any network.

use medfocus_torch::interop;
use medfocus_torch::tch::{Device, Kind, Tensor};

use crate::attention::Attend;
use crate::cache::Cache;
use crate::network::{Network, Pass};
use crate::{Error, Result};

/// Normalised pixels `[images, 3, height, width]` to image features `[images, tokens, hidden]`.
pub fn features<N: Network + ?Sized>(network: &N, pixels: &Tensor) -> Result<Tensor> {
    let pixels = pixels
        .f_to_device(network.device())?
        .f_to_kind(network.kind()?)?;
    (0..network.stages()).try_fold(pixels, |x, stage| network.stage(stage, &x))
}

/// Decoder input `[batch, tokens, hidden]`: embeddings with the image features in the places of the image tokens. Features of
/// several images make a batch of sequences with these same ids.
pub fn embed<N: Network + ?Sized>(network: &N, ids: &[i64], features: &Tensor) -> Result<Tensor> {
    let row = interop::upload(ids, network.device())?.f_unsqueeze(0)?;
    let images = ids.iter().filter(|&&id| id == network.image_token());
    let images = images.count() as i64;
    let (blocks, tokens, _) = features.size3()?;
    let filled = blocks * tokens;
    if images == 0 || filled % images != 0 {
        return Err(Error::Request(format!(
            "{filled} image features do not fill the {images} image tokens of each sequence"
        )));
    }
    let ids = row.f_expand([filled / images, ids.len() as i64], false)?;
    embed_batch(network, &ids, features)
}

/// The same for sequences `[batch, tokens]` that differ.
pub fn embed_batch<N: Network + ?Sized>(
    network: &N,
    ids: &Tensor,
    features: &Tensor,
) -> Result<Tensor> {
    let embedded = network.embed(ids)?;
    let places = ids
        .f_eq(network.image_token())?
        .f_unsqueeze(-1)?
        .f_expand_as(&embedded)?;
    let features = features.f_to_kind(embedded.f_kind()?)?;
    Ok(embedded.f_masked_scatter(&places, &features)?)
}

/// Final hidden states `[batch, tokens, hidden]` of sequences `ids [batch, tokens]` with their `pixels [images, 3, height,
/// width]`, in order. Made for training.
///
/// All sequences must have their image tokens at the same places. Shorter ones are padded on the right: attention is causal,
/// so padding changes nothing before it.
pub fn hidden<N: Network + ?Sized>(network: &N, ids: &Tensor, pixels: &Tensor) -> Result<Tensor> {
    let (_, tokens) = ids.size2()?;
    let flat = Vec::<i64>::try_from(
        ids.f_flatten(0, -1)?
            .f_to_device(Device::Cpu)?
            .f_to_kind(Kind::Int64)?,
    )?;
    let mut rows = flat.chunks(tokens.max(1) as usize);
    let Some(first) = rows.next() else {
        return Err(Error::Request("a batch without sequences".to_owned()));
    };
    let image = |id: &i64| *id == network.image_token();
    let places = |row: &[i64]| row.iter().map(image).collect::<Vec<_>>();
    if rows.any(|row| places(row) != places(first)) {
        return Err(Error::Request(
            "the sequences of a batch have their image tokens at different places".to_owned(),
        ));
    }
    let (images, _, height, width) = pixels.size4()?;
    let grid = network.grid(height, width);
    let (features, wanted) = (
        images as usize * grid.tokens(),
        flat.iter().filter(|id| image(id)).count(),
    );
    if features != wanted {
        return Err(Error::Request(format!(
            "{images} images make {features} features for {wanted} image tokens"
        )));
    }
    let embedded = embed_batch(
        network,
        &ids.f_to_device(network.device())?,
        &self::features(network, pixels)?,
    )?;
    run(network, &embedded, &network.prefill(first, grid)?, None)
}

/// All layers with fused attention, then the final norm: `[batch, tokens, hidden]` to the same.
pub fn run<N: Network + ?Sized>(
    network: &N,
    embedded: &Tensor,
    pass: &Pass<N>,
    mut cache: Option<&mut Cache>,
) -> Result<Tensor> {
    let mut hidden = embedded.shallow_clone();
    for index in 0..network.depth() {
        hidden = network.layer(index, &hidden, pass, Attend::Fused, cache.as_deref_mut())?;
    }
    network.finish(&hidden)
}
