//! The methods on the samples that the filter kept beside those it dropped (the paper's Figure 6).

use medfocus_plugin_api::Result;

use super::{
    measure::Measure,
    scores::{Part, Wanted},
    sheet::Sheet,
    text::number,
};
use crate::{causal::gate::Group, experiment::plan::Plan, metrics::IOU, statistics::Bootstrap};

const READING: &str = "Mean IoU and share of results that fall back to the whole image, in percent, by what the causal filter \
    proved of the sample. A method that finds what causes the answer should agree most with the annotation where the \
    annotated region is proven to.";

/// The table of one dataset and mode; nothing if only grounded samples are explained.
pub fn sheet<'a>(
    plan: &Plan,
    methods: impl Iterator<Item = &'a str>,
    samples: &Part<'_>,
    measures: &[Measure],
) -> Result<Option<Sheet>> {
    if plan.experiment.filter.is_none() {
        return Ok(None);
    }
    let columns: Vec<String> = Group::ALL
        .iter()
        .flat_map(|group| {
            ["scored", "IoU", "fallback"].map(|what| format!("{}: {what}", group.words()))
        })
        .collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut sheet = Sheet::new("Groups of the filter", READING, &["Method"], &columns);
    let mut others = 0;
    for method in methods {
        let mut row = vec![method.to_owned()];
        for group in Group::ALL {
            let results = samples.results(method, Wanted::Proven(group));
            let (attempted, failed) = results.counts()?;
            if group != Group::Grounded {
                others += attempted;
            }
            row.push((attempted - failed).to_string());
            for name in [IOU.name, "fallback"] {
                let plain = Bootstrap {
                    resamples: 0,
                    seed: 0,
                };
                let measure = measures.iter().position(|m| m.metric.name == name);
                let values = measure.map(|measure| results.values(measure)).transpose()?;
                let values = values.into_iter().flatten();
                let mean = plain.summary(values.map(|(sample, value)| (sample.cluster, value)));
                row.push(mean.map(|mean| number(mean.mean)).unwrap_or_default());
            }
        }
        sheet.rows.push(row);
    }
    Ok((others > 0).then_some(sheet))
}
