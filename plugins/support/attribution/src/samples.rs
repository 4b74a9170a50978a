//! The first samples of a dataset, one after the other.

use medfocus_plugin_api::{Context, DatasetReader, Error, ErrorKind, Result, Sample};

/// What became of reading a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples {
    /// The dataset's name.
    pub dataset: String,
    /// Samples read, in order from the first.
    pub read: u64,
    /// Samples among them that could not be read.
    pub skipped: u64,
}

/// Gives the first `limit` samples of the dataset in `slot` to `take`, showing progress. A sample that cannot be read
/// is skipped with a warning.
///
/// # Errors
///
/// [`Error::missing`] if the slot or the dataset is empty, [`Error::cancelled`], what `take` fails with, or what the
/// last sample failed with if none could be read.
pub fn read_samples(
    context: &Context,
    slot: &str,
    limit: u64,
    mut take: impl FnMut(Sample) -> Result<()>,
) -> Result<Samples> {
    let reader = context.slot(slot);
    let info = reader.info()?;
    let total = info.len.min(limit);
    let (mut skipped, mut last) = (0, None);
    for index in 0..total {
        context.step(index, total, &format!("reading {}", info.name))?;
        match reader.sample(index) {
            Ok(sample) => take(sample)?,
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            Err(error) => {
                tracing::warn!(
                    "slot `{slot}`: sample {index} of {} is skipped: {error}",
                    info.name
                );
                skipped += 1;
                last = Some(error);
            }
        }
    }
    if skipped == total {
        let empty = || Error::missing(format!("dataset `{}` has no samples", info.name));
        return Err(last
            .unwrap_or_else(empty)
            .context(format_args!("slot `{slot}`")));
    }
    Ok(Samples {
        dataset: info.name,
        read: total,
        skipped,
    })
}
