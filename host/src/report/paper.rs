//! The published figures (Xiong et al., arXiv 2605.20158v1, Tables 1, 3 and 5), for experiments that repeat them.

use medfocus_plugin_api::Mode;
use serde::{Deserialize, de::DeserializeOwned};

use super::{measure::Measure, row::Row, sheet::Sheet, text::number};
use crate::{causal::gate::Group, metrics::Category};

const METHODS: &str = include_str!("paper/methods.csv");
const RETENTION: &str = include_str!("paper/retention.csv");

const READING: &str = "The figures of the paper's Tables 1 and 5 beside ours. Its models were scored on samples of their own \
                       each, pooled over records; it gives no intervals.";

/// What the paper says of a method, in percent.
#[derive(Deserialize)]
struct Scores {
    dataset: String,
    mode: Mode,
    /// `all` for all of them pooled.
    model: String,
    method: String,
    iou: f64,
    f1: f64,
    precision: f64,
    recall: f64,
}

/// What the paper's filter left of a model's samples, in percent.
#[derive(Deserialize)]
struct Kept {
    dataset: String,
    mode: Mode,
    model: String,
    incorrect: f64,
    ungrounded: f64,
    grounded: f64,
}

/// The methods of a dataset, mode and model (all of them if nothing) beside the paper's; nothing if it has none of them.
pub fn methods(
    dataset: &str,
    mode: Mode,
    model: Option<&str>,
    rows: &[Row],
    measures: &[Measure],
) -> Option<Sheet> {
    let model = model.unwrap_or("all");
    let scores: Vec<Scores> = table(METHODS);
    let scores: Vec<&Scores> = scores
        .iter()
        .filter(|s| (s.dataset.as_str(), s.mode, s.model.as_str()) == (dataset, mode, model))
        .collect();
    let agreement = |measure: &&Measure| measure.metric.category == Category::Agreement;
    let shown: Vec<(usize, &Measure)> = measures
        .iter()
        .enumerate()
        .filter(|(_, measure)| agreement(measure))
        .collect();
    let columns: Vec<String> = shown
        .iter()
        .flat_map(|(_, measure)| {
            let title = measure.metric.title;
            [title.to_owned(), format!("{title}, paper")]
        })
        .collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut sheet = Sheet::new("Beside the paper", READING, &["Method"], &columns);
    for row in rows {
        let Some(paper) = scores.iter().find(|scores| scores.method == row.method) else {
            continue;
        };
        let mut cells = vec![row.method.clone()];
        for (at, measure) in &shown {
            let ours = row.values[*at].map(|summary| number(summary.mean));
            cells.push(ours.unwrap_or_default());
            cells.push(
                paper
                    .of(measure.metric.name)
                    .map(number)
                    .unwrap_or_default(),
            );
        }
        sheet.rows.push(cells);
    }
    sheet.some()
}

/// The share of samples that the paper has in a group, in percent.
pub fn retention(dataset: &str, mode: Mode, model: &str, group: Group) -> Option<f64> {
    let kept: Vec<Kept> = table(RETENTION);
    let same = |kept: &&Kept| (&*kept.dataset, kept.mode, &*kept.model) == (dataset, mode, model);
    kept.iter().find(same).map(|kept| match group {
        Group::Incorrect => kept.incorrect,
        Group::Ungrounded => kept.ungrounded,
        Group::Grounded => kept.grounded,
    })
}

impl Scores {
    fn of(&self, metric: &str) -> Option<f64> {
        match metric {
            "iou" => Some(self.iou),
            "f1" => Some(self.f1),
            "precision" => Some(self.precision),
            "recall" => Some(self.recall),
            _ => None,
        }
    }
}

/// The lines of an embedded table, which a test reads whole.
fn table<T: DeserializeOwned>(text: &str) -> Vec<T> {
    let mut lines = csv::Reader::from_reader(text.as_bytes());
    lines.deserialize().filter_map(Result::ok).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_tables_are_whole() {
        let scores: Vec<Scores> = table(METHODS);
        // Twelve methods pooled, and MedFocus of six models in two modes, on three datasets.
        assert_eq!(scores.len(), 3 * (12 + 6 * 2));
        let kept: Vec<Kept> = table(RETENTION);
        assert_eq!(kept.len(), 3 * 6 * 2);
        for kept in &kept {
            let sum = kept.incorrect + kept.ungrounded + kept.grounded;
            assert!(
                (sum - 100.0).abs() < 0.025,
                "{} {}",
                kept.dataset,
                kept.model
            );
        }
        let grounded = retention("imagenome", Mode::Direct, "medgemma_4b", Group::Grounded);
        // 279 of 1405.
        assert_eq!(grounded, Some(19.86));
    }

    /// Pooling the models' figures of Table 5 by their samples gives nearly those of Table 1.
    #[test]
    fn the_tables_agree_with_each_other() {
        let scores: Vec<Scores> = table(METHODS);
        let counts = [
            ("qwen2_5_vl_3b", 105.0),
            ("qwen2_5_vl_7b", 55.0),
            ("gemma3_4b", 42.0),
            ("gemma3_12b", 97.0),
            ("medgemma_4b", 279.0),
            ("medgemma1_5_4b", 226.0),
        ];
        let iou = |model: &str| {
            let same = |s: &&Scores| {
                (&*s.dataset, s.mode, &*s.model) == ("imagenome", Mode::Direct, model)
                    && s.method == "medfocus"
            };
            scores.iter().find(same).unwrap().iou
        };
        let sum: f64 = counts.iter().map(|(model, n)| n * iou(model)).sum();
        assert!((sum / 804.0 - iou("all")).abs() < 0.25);
    }
}
