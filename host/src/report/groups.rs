//! The methods on the samples that the filter kept beside those it dropped (the paper's Figure 6).

use super::{measure::Measure, scores::MethodResults, sheet::Sheet, text::number};
use crate::{
    causal::gate::Group,
    experiment::{plan::Plan, record::Record},
    metrics::IOU,
    statistics::Bootstrap,
};

const READING: &str = "Mean IoU and share of results that fall back to the whole image, in percent, by what the causal filter \
    proved of the sample. A method that finds what causes the answer should agree most with the annotation where the \
    annotated region is proven to.";

/// The table of one dataset and mode; nothing if only grounded samples are explained.
pub fn sheet<'a>(
    plan: &Plan,
    methods: impl Iterator<Item = &'a str>,
    records: &[&Record],
    measures: &[Measure],
) -> Option<Sheet> {
    plan.experiment.filter.as_ref()?;
    let of_group = |group: Group| -> Vec<&Record> {
        let records = records.iter().copied();
        records
            .filter(|r| r.subject.as_ref().and_then(|s| s.group) == Some(group))
            .collect()
    };
    let groups = Group::ALL.map(|group| (group, of_group(group)));
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
        for (group, records) in &groups {
            let results = MethodResults::of(method, records);
            let (attempted, failed) = results.counts();
            if *group != Group::Grounded {
                others += attempted;
            }
            row.push((attempted - failed).to_string());
            for name in [IOU.name, "fallback"] {
                let measure = measures.iter().find(|m| m.metric.name == name);
                let plain = Bootstrap {
                    resamples: 0,
                    seed: 0,
                };
                let mean = measure.and_then(|m| plain.summary(results.values(m)));
                row.push(mean.map(|mean| number(mean.mean)).unwrap_or_default());
            }
        }
        sheet.rows.push(row);
    }
    (others > 0).then_some(sheet)
}
