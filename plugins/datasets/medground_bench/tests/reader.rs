//! The benchmark over a small dataset: whose samples are which, and what is refused.

use std::fs;

use medfocus_dataset_medground_bench::BenchReader;
use medfocus_medground::{Record, Split};
use medfocus_plugin_api::{
    ChoiceRequest, Component as _, Context, DatasetInfo, DatasetReader, Error, ErrorKind,
    GrayImage, Message, Mode, Oddity, Params as _, Result, Sample, SampleKey, Services,
    testkit::LocalHost,
};
use ndarray::Array2;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A host whose dataset fills the slot `source`.
struct Source(LocalHost);

impl Services for Source {
    fn progress(&self, done: u64, total: u64, note: &str) {
        self.0.progress(done, total, note);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    fn filled(&self, slot: &str) -> bool {
        slot == "source"
    }

    fn call(&self, slot: &str, op: &str, message: Message) -> Result<Message> {
        assert_eq!(slot, "source");
        self.0.call("dataset", op, message)
    }
}

/// Ten images, each of another grey level; as with phantoms the numbers in their keys are not those of the samples.
struct Ten(&'static str);

impl DatasetReader for Ten {
    fn info(&self) -> Result<DatasetInfo> {
        Ok(DatasetInfo::new("phantom", 10, self.0))
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        let key = SampleKey {
            dataset: "phantom".into(),
            index: 500 + index,
        };
        let level = u8::try_from(index).ok().filter(|index| *index < 10);
        let level = level.ok_or_else(|| Error::invalid("there are ten"))?;
        let image = GrayImage::from_array(Array2::from_elem((4, 4), level))?;
        Ok(Sample::new(key, image, "mass", "Is it a mass?"))
    }
}

fn over(source: impl DatasetReader + 'static, params: &Value) -> Result<BenchReader> {
    let host = LocalHost::new().with_dataset(source);
    let params = params.as_object().unwrap().clone();
    BenchReader::new(
        medfocus_dataset_medground_bench::BenchParams::from_json(params)?,
        Context::new(Source(host)),
    )
}

fn record(model: &str, dataset: &str, index: u64, split: Split, answer: &str) -> Record {
    Record {
        model: model.into(),
        dataset: dataset.into(),
        index,
        answer: "Yes".into(),
        split,
        predictions: [answer, "No", "Yes", "Yes"].map(str::to_owned),
    }
}

/// Records of two models, two datasets and both splits, in no order.
fn records() -> Vec<Record> {
    use Split::{Direct, Reasoning};
    vec![
        record("gemma3_4b", "phantom", 9, Direct, "Yes\n"),
        record("gemma3_4b", "phantom", 0, Direct, "Yes."),
        record("gemma3_4b", "imagenome", 1404, Direct, "Yes"),
        record("medgemma1_5", "phantom", 3, Direct, "Yes.\n"),
        record("gemma3_4b", "phantom", 4, Reasoning, "It is, so Yes"),
        record("gemma3_4b", "phantom", 0, Direct, "Yes again"),
        record("gemma3_4b", "phantom", 9, Direct, "Yes again"),
    ]
}

/// A folder with these records in the files of their splits.
fn published(records: &[Record]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for split in Split::ALL {
        let of = records.iter().filter(|record| record.split == split);
        let of: Vec<_> = of.cloned().collect();
        if !of.is_empty() {
            let mut file = fs::File::create(folder.path().join(split.file())).unwrap();
            medfocus_medground::write(&mut file, of.into_iter().map(Ok)).unwrap();
        }
    }
    folder
}

fn open(folder: &TempDir, more: Value) -> Result<BenchReader> {
    let mut params = json!({"path": folder.path().to_str().unwrap()});
    let more = more.as_object().unwrap().clone();
    params.as_object_mut().unwrap().extend(more);
    over(Ten("digest"), &params)
}

fn refused(records: &[Record], more: Value) -> String {
    let error = open(&published(records), more)
        .err()
        .expect("it is refused");
    error.to_string()
}

/// The samples meant for a model, with its answers.
fn chosen(reader: &BenchReader, model: &str, mode: Mode) -> Vec<(u64, String)> {
    let chosen = reader.chosen(&ChoiceRequest::new(model, mode)).unwrap();
    let chosen = chosen.expect("a benchmark always chooses").into_iter();
    chosen
        .map(|chosen| (chosen.index, chosen.answer.unwrap()))
        .collect()
}

#[test]
fn each_model_has_its_samples_in_ascending_order_with_its_raw_answers() {
    let reader = open(&published(&records()), json!({})).unwrap();
    let direct = [(0, "Yes.".to_owned()), (9, "Yes\n".to_owned())];
    assert_eq!(chosen(&reader, "gemma3_4b", Mode::Direct), direct);
    assert_eq!(
        chosen(&reader, "gemma3_4b", Mode::Reasoning),
        [(4, "It is, so Yes".to_owned())]
    );
    assert!(chosen(&reader, "gemma3_4b", Mode::Open).is_empty());
    assert!(chosen(&reader, "gemma3_12b", Mode::Direct).is_empty());
    assert!(chosen(&reader, "medgemma1_5", Mode::Reasoning).is_empty());
}

#[test]
fn a_model_may_have_two_names() {
    let theirs = [(3, "Yes.\n".to_owned())];
    let folder = published(&records());
    let reader = open(&folder, json!({})).unwrap();
    for name in ["medgemma1_5", "medgemma1_5_4b"] {
        assert_eq!(chosen(&reader, name, Mode::Direct), theirs, "{name}");
    }
    let others = vec![record("medgemma1_5_4b", "phantom", 1, Split::Direct, "Yes")];
    let other = open(&published(&others), json!({})).unwrap();
    assert_eq!(chosen(&other, "medgemma1_5", Mode::Direct).len(), 1);

    let models = json!({"models": "gemma3=a/b=gemma3_4b, medgemma1_5_4b = gemma3_4b"});
    let reader = open(&folder, models).unwrap();
    for name in ["gemma3=a/b", "medgemma1_5_4b", "gemma3_4b"] {
        assert_eq!(chosen(&reader, name, Mode::Direct)[1].0, 9, "{name}");
    }
    assert_eq!(chosen(&reader, "medgemma1_5", Mode::Direct), theirs);
    for (models, words) in [
        ("gemma", "`gemma` has no `=`"),
        ("=a", "`=a` lacks a name"),
        ("a=", "`a=` lacks a name"),
        ("a=b,a=c", "`a=c` names a model for the second time"),
    ] {
        let sentence = refused(&records(), json!({"models": models}));
        assert!(sentence.contains(words), "{sentence}");
    }
}

#[test]
fn samples_are_those_of_the_source() {
    let reader = open(&published(&records()), json!({})).unwrap();
    let info = reader.info().unwrap();
    assert_eq!((info.name.as_str(), info.len), ("phantom", 10));
    assert_eq!(
        info.oddities,
        [Oddity::new(
            "records of one sample, model and mode",
            2,
            "direct.json, record 5"
        )]
    );
    // The record's index is the number of the sample, not the one in its key.
    let sample = reader.sample(9).unwrap();
    assert_eq!((sample.key.index, sample.image.bytes()[0]), (509, 9));
    assert!(reader.sample(10).is_err());
}

#[test]
fn the_digest_is_that_of_source_and_records() {
    let digest = |records: &[Record], more| {
        let reader = open(&published(records), more).unwrap();
        reader.info().unwrap().digest
    };
    let first = digest(&records(), json!({}));
    assert_eq!(digest(&records(), json!({})), first);
    assert_eq!(first.len(), 64);
    for other in [
        "digest".to_owned(),
        digest(&records()[1..], json!({})),
        digest(&records(), json!({"models": "a=b"})),
    ] {
        assert_ne!(other, first);
    }
    let folder = published(&records());
    let params = json!({"path": folder.path().to_str().unwrap()});
    let changed = over(Ten("other"), &params).unwrap();
    assert_ne!(changed.info().unwrap().digest, first);
}

#[test]
fn another_name_of_the_dataset_can_be_given() {
    let mut renamed = records();
    renamed.retain(|record| record.dataset == "phantom");
    for record in &mut renamed {
        record.dataset = "theirs".into();
    }
    let folder = published(&renamed);
    let reader = open(&folder, json!({"dataset": "theirs"})).unwrap();
    assert_eq!(chosen(&reader, "gemma3_4b", Mode::Direct).len(), 2);
    assert_eq!(
        reader.sample(1).unwrap().key,
        SampleKey {
            dataset: "phantom".into(),
            index: 501
        }
    );
    let sentence = refused(&renamed, json!({}));
    assert_eq!(
        sentence,
        "no record is about the dataset `phantom`; they are about `theirs`: name one as `dataset`"
    );
    let one = folder.path().join("reasoning.json");
    let params = json!({"path": one.to_str().unwrap(), "dataset": "theirs"});
    let reader = over(Ten("digest"), &params).unwrap();
    assert!(chosen(&reader, "gemma3_4b", Mode::Direct).is_empty());
    assert_eq!(chosen(&reader, "gemma3_4b", Mode::Reasoning).len(), 1);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut beyond = records();
    beyond.push(record("gemma3_4b", "phantom", 10, Split::Direct, "Yes"));
    let sentence = refused(&beyond, json!({}));
    let words = "direct.json, record 7: its index 10 is beyond the 10 samples of `phantom`";
    assert!(sentence.contains(words), "{sentence}");

    let folder = published(&records());
    fs::write(folder.path().join("reasoning.json"), r#"[{"model": "m"}]"#).unwrap();
    let error = open(&folder, json!({})).err().unwrap();
    let words = "reasoning.json: record 1 has neither `prediction_direct` nor `prediction_cot`";
    assert!(error.message.ends_with(words), "{error}");
    fs::write(
        folder.path().join("reasoning.json"),
        "version https://git-lfs.github.com/spec/v1\n",
    )
    .unwrap();
    let error = open(&folder, json!({})).err().unwrap();
    assert!(error.message.contains("git lfs pull"), "{error}");

    let nothing = tempfile::tempdir().unwrap();
    let error = open(&nothing, json!({})).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Missing);
    assert!(
        error
            .message
            .contains("holds neither direct.json nor reasoning.json")
    );
    let error = over(Ten("digest"), &json!({"path": "nowhere"}))
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::Missing);
    let error = over(Ten("digest"), &json!({})).err().unwrap();
    assert_eq!(error.key.as_deref(), Some("path"));
}
