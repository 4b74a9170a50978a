//! An experiment made up: two models, one dataset, two modes, five methods of which two are controls, twelve samples.
//!
//! Of each cell, samples 0 to 7 are explained, 8 is not annotated, 9 cannot be read, 10 is answered wrongly, 11
//! undecided. On sample 7, `focus` fails with model alpha. `attention` does not fit model beta, `rise` fits none.

use std::{collections::BTreeMap, path::Path};

use image::{Rgb, RgbImage};
use medfocus_plugin_api::{BBox, Error, Mode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    attribute::BoxRecord,
    causal::record::FilterRecord,
    experiment::{
        plan::{Cell, Misfit, Plan, Tuned, slug},
        record::{
            CaseKey, Change, Count, Exclusion, MethodOutcome, MethodResult, Outcome, Record,
            SanityOutcome, SanityRecord, Subject,
        },
        results::{self, Results},
    },
    output::OutDir,
    report::table::Table,
    score::LanguagePrior,
    verdict::Verdict,
};

pub const MODELS: [&str; 2] = ["alpha", "beta"];
pub const MODES: [Mode; 2] = [Mode::Direct, Mode::Reasoning];
/// Samples with results in each cell.
pub const EXPLAINED: u64 = 8;
/// What a method's IoU, in percent, differs by from its mean; the sum over 0..=6 and 0..=7 is zero.
const METHOD_NOISE: [f64; 8] = [6.0, -10.0, 12.0, -8.0, 3.0, -9.0, 6.0, 0.0];
const CONTROL_NOISE: [f64; 8] = [-4.0, 5.0, -3.0, 2.0, 4.0, -6.0, 2.0, 0.0];

/// Mean IoU, in percent.
fn level(method: &str, model: &str, mode: Mode) -> f64 {
    let level = match (method, model) {
        ("focus", "alpha") => 43.0,
        ("focus", _) => 53.0,
        ("drift", _) => 24.0,
        ("attention", _) => 17.0,
        ("both_lungs", _) => 22.0,
        _ => 11.0,
    };
    level - if mode == Mode::Reasoning { 1.0 } else { 0.0 }
}

/// Results before they are written.
#[derive(Clone)]
pub struct Made {
    pub plan: Plan,
    pub filter: Vec<FilterRecord>,
    pub records: Vec<Record>,
    pub tuned: Vec<Tuned>,
    pub sanity: Vec<SanityRecord>,
}

impl Made {
    /// Writes them into a folder, as a run does, and reads them again.
    pub fn read(&self, folder: &Path) -> Results {
        let out = OutDir::create(folder).unwrap();
        out.json(results::PLAN, &self.plan).unwrap();
        out.json(results::TUNED, &self.tuned).unwrap();
        journal(&out, results::FILTER, &self.filter);
        journal(&out, results::JOURNAL, &self.records);
        // A line holds all methods of a sample and a change.
        let mut lines: Vec<Vec<&SanityRecord>> = Vec::new();
        for record in &self.sanity {
            let same = |line: &&mut Vec<&SanityRecord>| {
                (&line[0].case, line[0].change) == (&record.case, record.change)
            };
            match lines.iter_mut().find(same) {
                Some(line) => line.push(record),
                None => lines.push(vec![record]),
            }
        }
        journal(&out, results::SANITY, &lines);
        Results::read(folder).unwrap()
    }

    /// Their tables.
    pub fn table(&self, resamples: usize) -> Table {
        let folder = tempfile::tempdir().unwrap();
        Table::new(&self.read(folder.path()), folder.path(), resamples).unwrap()
    }
}

fn journal(out: &OutDir, name: &str, lines: &[impl Serialize]) {
    let lines = lines
        .iter()
        .map(|line| serde_json::to_string(line).unwrap() + "\n");
    let text: String = lines.collect();
    out.write(name, |file| file.write_all(text.as_bytes()))
        .unwrap();
}

pub fn results() -> Made {
    let mut records = Vec::new();
    for model in MODELS {
        for mode in MODES {
            records.extend((0..12).map(|index| record(model, mode, index)));
        }
    }
    Made {
        plan: plan(),
        filter: Vec::new(),
        records,
        tuned: vec![tuned()],
        sanity: sanity(),
    }
}

fn plan() -> Plan {
    let made = |component: &str, params: Value| {
        json!({
            "component": component,
            "plugin": { "name": format!("medfocus-{component}"), "version": "0.1.0", "digest": digest(component) },
            "params": params,
        })
    };
    let method = |name: &str, control: bool| {
        json!({
            "name": name,
            "control": control,
            "method": made(name, json!({ "seed": 7 })),
            "candidates": [],
        })
    };
    let mut cells = Vec::new();
    for model in MODELS {
        for mode in MODES {
            let fits = |name: &&str| model == "alpha" || *name != "attention";
            let misfit = |method: &str, reason: &str| Misfit {
                method: method.to_owned(),
                reason: reason.to_owned(),
            };
            let needs_attention = "`attention` needs a model that can trace, which `beta` cannot";
            cells.push(Cell {
                dataset: "phantom".to_owned(),
                model: model.to_owned(),
                mode,
                samples: 12,
                chosen: None,
                methods: METHODS.into_iter().filter(fits).map(String::from).collect(),
                misfits: [
                    (model == "beta").then(|| misfit("attention", needs_attention)),
                    Some(misfit(
                        "rise",
                        "`rise` needs a model that can score, which this one cannot",
                    )),
                ]
                .into_iter()
                .flatten()
                .collect(),
            });
        }
    }
    serde_json::from_value(json!({
        "medfocus": "0.1.0",
        "digest": digest("plan"),
        "seed": 20,
        "boxes": {},
        "max_new_tokens": 256,
        "experiment": {
            "name": "Synthetic phantoms",
            "datasets": [{ "component": "phantom", "samples": 12 }],
            "models": MODELS,
            "modes": MODES,
            "methods": METHODS.map(|name| json!({ "component": name })),
            "misfits": "skip",
            "tuning": { "dataset": { "component": "phantom", "samples": 6 } },
            "statistics": { "resamples": 400 },
        },
        "datasets": [{ "name": "phantom", "samples": 12, "digest": digest("phantom"),
                       "reader": made("phantom", json!({ "seed": 3, "split": "test" })) }],
        "tuning": { "name": "phantom-tuning", "samples": 6, "digest": digest("tuning"),
                    "reader": made("phantom", json!({ "seed": 3, "split": "tuning" })) },
        "models": MODELS.map(|name| json!({ "name": name, "backend": made(name, json!({ "device": "cpu" })) })),
        "methods": METHODS.map(|name| method(name, CONTROLS.contains(&name))),
        "cells": cells,
    }))
    .unwrap()
}

const METHODS: [&str; 5] = ["both_lungs", "focus", "drift", "attention", "centre_box"];
const CONTROLS: [&str; 2] = ["both_lungs", "centre_box"];

fn digest(of: &str) -> String {
    format!("blake3:{}", blake3::hash(of.as_bytes()).to_hex())
}

fn record(model: &str, mode: Mode, index: u64) -> Record {
    let excluded = |reason| Outcome::Excluded { reason };
    let outcome = match index {
        8 => excluded(Exclusion::Unannotated),
        9 => Outcome::Failed {
            error: Error::invalid("sample 9 of phantom cannot be read: the file is cut short"),
        },
        10 => excluded(Exclusion::Incorrect),
        11 => excluded(Exclusion::Undecided),
        _ => Outcome::Attributed {
            results: METHODS
                .iter()
                .filter(|method| model == "alpha" || **method != "attention")
                .map(|method| result(method, model, mode, index))
                .collect(),
        },
    };
    Record {
        case: CaseKey {
            dataset: "phantom".to_owned(),
            model: model.to_owned(),
            mode,
            index,
        },
        model_digest: digest(model),
        computed: None,
        seed: 20,
        subject: (index != 9).then(|| subject(mode, index)),
        outcome,
        seconds: 3.0,
    }
}

fn subject(mode: Mode, index: u64) -> Subject {
    let finding = ["pleural effusion", "cardiomegaly", "lung nodule"][index as usize % 3];
    Subject {
        image: digest(&format!("image {index}")),
        size: (224, 224),
        patient: None,
        finding: finding.to_owned(),
        present: Some(true),
        truth: vec![BBox::new(120, 110, 180, 170).unwrap()],
        question: format!(
            "Is there evidence of {finding} in the image?{}",
            mode.suffix()
        ),
        answer: match (mode, index) {
            (_, 10) => "No.".to_owned(),
            (_, 11) => "The image is hard to read.".to_owned(),
            (Mode::Direct, _) => "Yes.".to_owned(),
            _ => format!(
                "The lower zone on the right is denser than on the left, so {finding} is likely: yes."
            ),
        },
        cut: false,
        verdict: match index {
            10 => Verdict::No,
            11 => Verdict::Undecided,
            _ => Verdict::Yes,
        },
        language_prior: Some(LanguagePrior {
            with_image: 0.7,
            without_image: 0.1 * index as f64,
        }),
        group: None,
    }
}

fn result(method: &str, model: &str, mode: Mode, index: u64) -> MethodResult {
    let control = CONTROLS.contains(&method);
    let noise = if control { CONTROL_NOISE } else { METHOD_NOISE };
    let iou = (level(method, model, mode) + noise[index as usize]) / 100.0;
    let mut metrics = BTreeMap::from([
        ("iou".to_owned(), iou),
        ("f1".to_owned(), 2.0 * iou / (1.0 + iou)),
        ("precision".to_owned(), iou.sqrt()),
        ("recall".to_owned(), iou.sqrt()),
    ]);
    if !control {
        metrics.insert(
            "pointing_game".to_owned(),
            f64::from(index.is_multiple_of(2)),
        );
        metrics.insert("auprc".to_owned(), 0.9 * iou);
        if index < 4 {
            metrics.insert("deletion_auc".to_owned(), 0.6 - iou);
            metrics.insert("insertion_auc".to_owned(), 0.4 + iou / 2.0);
        }
    }
    let empty = method == "drift" && index == 1;
    let outcome = if method == "focus" && model == "alpha" && index == 7 {
        MethodOutcome::Failed {
            error: Error::internal("the method ran out of memory").with_hint("lower its `batch`"),
        }
    } else {
        MethodOutcome::Scored {
            boxes: if empty {
                Vec::new()
            } else {
                vec![found(method, index)]
            },
            metrics,
            fallback: method == "drift" && index == 2,
            evidence: Default::default(),
            warnings: Vec::new(),
        }
    };
    let asked = if control { 0 } else { 3 + index };
    MethodResult {
        method: method.to_owned(),
        outcome,
        calls: BTreeMap::from([
            ("model.score".to_owned(), count(asked, 16 * asked)),
            ("pool.read".to_owned(), count(1, 1)),
        ]),
        seconds: if control { 0.01 } else { 1.25 },
    }
}

fn count(calls: u64, tensors: u64) -> Count {
    Count { calls, tensors }
}

fn found(method: &str, index: u64) -> BoxRecord {
    let at = index as u32 * 3;
    let [x1, y1, x2, y2] = match method {
        "focus" => [112 + at, 104, 172 + at, 166],
        "drift" => [70 + at, 60 + at, 130 + at, 140],
        "attention" => [20, 20 + at, 90, 150],
        "both_lungs" => [30, 40, 195, 180],
        _ => [62, 62, 162, 162],
    };
    BoxRecord {
        native: BBox::new(x1, y1, x2, y2).ok(),
        working: BBox::new(x1, y1, x2, y2).unwrap(),
        score: 0.5,
        label: None,
    }
}

fn tuned() -> Tuned {
    let params = |tau: f64| json!({ "tau": tau }).as_object().unwrap().clone();
    Tuned {
        model: "alpha".to_owned(),
        mode: Mode::Direct,
        method: "focus".to_owned(),
        params: params(0.2),
        candidates: vec![
            (params(0.1), Some(0.25)),
            (params(0.2), Some(0.5)),
            (params(0.4), None),
        ],
    }
}

fn sanity() -> Vec<SanityRecord> {
    let changes = [Change::Question, Change::Patient, Change::Weights(2)];
    let mut records = Vec::new();
    for (place, method) in ["focus", "drift", "both_lungs"].into_iter().enumerate() {
        for change in changes {
            for index in 0..4 {
                let alike = 0.2 + 0.35 * place as f64 + 0.02 * index as f64;
                let outcome = if method == "drift" && change == Change::Patient && index == 3 {
                    SanityOutcome::Failed {
                        error: Error::cancelled(),
                    }
                } else {
                    SanityOutcome::Compared {
                        rank_correlation: (method != "both_lungs").then_some(alike),
                        region_iou: if method == "both_lungs" { 1.0 } else { alike },
                    }
                };
                records.push(SanityRecord {
                    case: CaseKey {
                        dataset: "phantom".to_owned(),
                        model: "alpha".to_owned(),
                        mode: Mode::Direct,
                        index,
                    },
                    method: Some(method.to_owned()),
                    change,
                    outcome,
                });
            }
        }
    }
    // Without an image every answer is yes, and half of them were right only with theirs.
    for (change, index) in [Change::Patient, Change::NoImage]
        .into_iter()
        .flat_map(|c| (0..4).map(move |i| (c, i)))
    {
        records.push(SanityRecord {
            case: CaseKey {
                dataset: "phantom".to_owned(),
                model: "alpha".to_owned(),
                mode: Mode::Direct,
                index,
            },
            method: None,
            change,
            outcome: SanityOutcome::Answered {
                answer: "Yes.".to_owned(),
                same: change == Change::NoImage || index == 0,
                right: (index < 2).then_some([true, index == 0]),
            },
        });
    }
    records
}

/// Writes pictures, small ones, where a run leaves them: those of the first `samples` of each cell.
pub fn draw(results: &Made, folder: &Path, samples: u64) {
    let picture = RgbImage::from_fn(16, 16, |x, y| Rgb([16 * x as u8, 16 * y as u8, 90]));
    for cell in &results.plan.cells {
        for index in 0..samples {
            let place = folder
                .join("gallery")
                .join(cell.slug())
                .join(index.to_string());
            let out = OutDir::create(place).unwrap();
            for name in cell.methods.iter().map(String::as_str).chain(["image"]) {
                out.png_rgb(&format!("{}.png", slug(name)), &picture)
                    .unwrap();
            }
        }
    }
}
