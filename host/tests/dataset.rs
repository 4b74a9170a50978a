//! A walk over a dataset counts what is there and names what cannot be used.

use medfocus::{
    dataset::{Failure, Tally, check},
    plugin::Session,
};
use medfocus_plugin_api::{
    BBox, DatasetInfo, DatasetReader, Error, ErrorKind, GrayImage, Oddity, Result, Sample,
    SampleKey,
};
use ndarray::Array2;

/// Samples of every sort, by their numbers.
struct Mixed;

impl DatasetReader for Mixed {
    fn info(&self) -> Result<DatasetInfo> {
        let mut info = DatasetInfo::new("mixed", 9, "digest");
        info.oddities = vec![Oddity::new("rows given twice", 2, "line 3")];
        Ok(info)
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        let mut key = SampleKey {
            dataset: "mixed".into(),
            index,
        };
        match index {
            3 => key.index = 1,
            4 => key.dataset = "other".into(),
            5 => return Err(Error::missing("image a.png is missing").with_hint("put it there")),
            _ => {}
        }
        let image = GrayImage::from_array(Array2::zeros((10, 20)))?;
        let finding = if index == 2 { "oedema" } else { "mass" };
        let mut sample = Sample::new(key, image, finding, "?");
        match index {
            0 => sample.boxes = vec![BBox::new(0, 0, 20, 10)?, BBox::new(1, 1, 2, 2)?],
            1 => sample.warnings = vec!["1 box was clipped".into(), "turned".into()],
            6 => sample.boxes = vec![BBox::new(0, 0, 20, 11)?],
            7 => sample.warnings = vec!["1 box was clipped".into()],
            _ => {}
        }
        sample.present = [Some(true), Some(false), None][index as usize % 3];
        Ok(sample)
    }
}

#[test]
fn everything_is_counted_and_the_broken_are_named() {
    let review = check(&Mixed, None, &Session::default()).unwrap();
    assert_eq!(
        (review.dataset.as_str(), review.len, review.read),
        ("mixed", 9, 9)
    );
    let mass = Tally {
        samples: 4,
        present: 1,
        absent: 2,
        annotated: 1,
        boxes: 2,
    };
    let oedema = Tally {
        samples: 1,
        ..Tally::default()
    };
    let expected = [("mass".to_owned(), mass), ("oedema".to_owned(), oedema)];
    assert_eq!(review.findings, expected.into());
    assert_eq!(
        review.warnings,
        [
            Oddity::new("1 box was clipped", 2, "sample 1"),
            Oddity::new("turned", 1, "sample 1"),
        ]
    );
    assert_eq!(review.oddities, Mixed.info().unwrap().oddities);
    let failures = [
        (3, "sample 1 has the same key"),
        (4, "its key names the dataset `other`"),
        (5, "image a.png is missing; put it there"),
        (
            6,
            "its box native[0, 0, 20, 11) leaves its image of 20 x 10 pixels",
        ),
    ];
    let failures = failures.map(|(index, error)| Failure {
        index,
        error: error.into(),
    });
    assert_eq!(review.failures, failures);
}

#[test]
fn only_the_first_are_read_if_asked() {
    let review = check(&Mixed, Some(2), &Session::default()).unwrap();
    assert_eq!((review.len, review.read), (9, 2));
    assert!(review.failures.is_empty());
    assert_eq!(
        check(&Mixed, Some(99), &Session::default()).unwrap().read,
        9
    );
}

#[test]
fn the_user_can_stop_it() {
    let session = Session::default();
    session.cancel();
    let error = check(&Mixed, None, &session).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
}
