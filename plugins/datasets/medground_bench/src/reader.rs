//! The records of one dataset, over its reader.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::Path,
};

use medfocus_medground::{Record, Split};
use medfocus_plugin_api::{
    ChoiceRequest, Chosen, Client, Component, Context, DatasetInfo, DatasetReader, Error, Kind,
    Oddity, Result, Sample, Slot, params,
};

use crate::{
    aliases::Aliases,
    files::{self, Published},
};

params! {
    /// Parameters of [`BenchReader`].
    pub struct BenchParams {
        /// Folder with `direct.json`, `reasoning.json` or both, or one such file.
        pub path: String = "";
        /// Which of the records' datasets the source is; as the source is called if empty.
        pub dataset: String = "";
        /// Models that the records call otherwise, as `mine=theirs`, divided by commas. `medgemma1_5` and `medgemma1_5_4b` are the same anyway.
        pub models: String = "";
    }
}

const SOURCE: &str = "source";

/// MedGround-Bench over the reader of one of its datasets, in the slot `source`.
///
/// Samples are the source's, with their keys; what is added is which of them are meant for a model and mode, with the
/// answer on record. A record's `index` is the number of the sample, of `0..len` of the source: for the archives also the
/// number in its key, but not for every reader. Of a record that is given twice the first counts.
pub struct BenchReader {
    source: Client,
    info: DatasetInfo,
    aliases: Aliases,
    answers: Answers,
}

/// Of each model and split: what the model answers to which sample.
type Answers = BTreeMap<(String, Split), BTreeMap<u64, String>>;

impl Component for BenchReader {
    const NAME: &'static str = "medground_bench";
    const SUMMARY: &'static str = "MedGround-Bench over the reader of one of its datasets: the samples that each model answers because of their evidence.";
    const SLOTS: &'static [Slot] = &[Slot::required(SOURCE, Kind::Dataset)];
    type Params = BenchParams;

    fn new(params: BenchParams, context: Context) -> Result<Self> {
        if params.path.is_empty() {
            return Err(Error::invalid("parameter `path` is missing")
                .with_key("path")
                .with_hint(
                    "it names the folder of the benchmark's direct.json and reasoning.json",
                ));
        }
        let aliases = Aliases::parse(&params.models)?;
        let source = context.slot(SOURCE);
        let mut info = source.info()?;
        let published = files::read(Path::new(&params.path))?;
        let dataset = match params.dataset.as_str() {
            "" => &info.name,
            name => name,
        };
        let mut hasher = blake3::Hasher::new();
        for text in [&info.digest, dataset, &params.models] {
            hasher.update(blake3::hash(text.as_bytes()).as_bytes());
        }
        hasher.update(published.digest.as_bytes());
        let (answers, twice) = answers(published, dataset, info.len)?;
        info.digest = hasher.finalize().to_hex().to_string();
        info.oddities.extend(twice);
        Ok(Self {
            source,
            info,
            aliases,
            answers,
        })
    }
}

/// The answers on record about the samples of a dataset, and what was odd.
fn answers(published: Published, dataset: &str, len: u64) -> Result<(Answers, Option<Oddity>)> {
    let mut answers = Answers::new();
    let mut twice: Option<Oddity> = None;
    let mut others = BTreeSet::new();
    for (place, record) in published.records {
        let Record {
            model,
            index,
            split,
            predictions: [answer, ..],
            ..
        } = record;
        if record.dataset != dataset {
            others.insert(record.dataset);
            continue;
        }
        if index >= len {
            return Err(Error::invalid(format!(
                "{place}: its index {index} is beyond the {len} samples of `{dataset}`"
            ))
            .with_hint("is the source the whole dataset that the records are about?"));
        }
        match answers.entry((model, split)).or_default().entry(index) {
            Entry::Vacant(vacant) => drop(vacant.insert(answer)),
            Entry::Occupied(_) => {
                let first = || Oddity::new("records of one sample, model and mode", 0, place);
                twice.get_or_insert_with(first).count += 1;
            }
        }
    }
    if answers.is_empty() {
        let names: Vec<_> = others.iter().map(|name| format!("`{name}`")).collect();
        return Err(
            Error::missing(format!("no record is about the dataset `{dataset}`")).with_hint(
                match names[..] {
                    [] => "there are no records".to_owned(),
                    _ => format!("they are about {}: name one as `dataset`", names.join(", ")),
                },
            ),
        );
    }
    Ok((answers, twice))
}

impl DatasetReader for BenchReader {
    fn info(&self) -> Result<DatasetInfo> {
        Ok(self.info.clone())
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        self.source.sample(index)
    }

    fn chosen(&self, request: &ChoiceRequest) -> Result<Option<Vec<Chosen>>> {
        let of = |split| {
            let names = self.aliases.of(&request.model).into_iter();
            names
                .filter_map(|name| self.answers.get(&(name.to_owned(), split)))
                .next()
        };
        let answers = Split::of(request.mode).and_then(of);
        let chosen = answers.into_iter().flatten().map(|(index, answer)| {
            let mut chosen = Chosen::new(*index);
            chosen.answer = Some(answer.clone());
            chosen
        });
        Ok(Some(chosen.collect()))
    }
}
