//! The waist from an author's side: typed values through messages, components without any ABI.

#![allow(unsafe_code, reason = "the contracts of the waist are tested")]

use medfocus_plugin_api::{
    testkit::{LocalHost, ToyModel, toy_task},
    *,
};
use ndarray::{Array2, Array3, Axis, Ix2};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// The message as the other side takes it.
fn crossed(message: abi::AbiMessage) -> Message {
    // SAFETY: every message here comes from `into_abi`.
    unsafe { Message::from_abi(message) }.unwrap()
}

#[test]
fn the_export_symbol_is_the_one_hosts_look_for() {
    assert_eq!(abi::ROOT_SYMBOL, "_1as_0lib_1header_0root_bmodule_bloader");
}

#[derive(Serialize, Deserialize)]
struct Pair {
    first: Tensor,
    rest: Vec<Tensor>,
}

#[test]
fn tensors_cross_without_a_copy() {
    let transposed =
        Array3::<f32>::from_shape_fn((2, 3, 4), |(a, b, c)| (a * 100 + b * 10 + c) as f32)
            .permuted_axes([2, 0, 1]);
    let expected = transposed.clone();
    let tensor = Tensor::from_array(transposed);
    let address = tensor.as_ptr();
    let pair = Pair {
        first: tensor.clone(),
        rest: vec![tensor],
    };
    let crossed = crossed(Message::pack(&pair).unwrap().into_abi());
    drop(pair);
    let back: Pair = crossed.unpack().unwrap();
    assert_eq!(back.first.as_ptr(), address);
    assert_eq!(back.rest[0].as_ptr(), address);
    assert_eq!(back.first.view::<f32>().unwrap(), expected.into_dyn());
    assert!(back.first.view::<u8>().is_err());
    assert!(back.first.view_nd::<f32, Ix2>().is_err());
}

#[test]
fn memory_is_given_back_once() {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };
    struct Counted(Arc<AtomicU32>, Box<[f32]>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let drops = Arc::new(AtomicU32::new(0));
    let owner = Counted(drops.clone(), vec![1.0, 2.0].into());
    let data = owner.1.as_ptr();
    // SAFETY: the owner keeps the two numbers.
    let tensor = unsafe { Tensor::from_raw(data, &[2], &[1], owner) };
    let message = Message::pack(&tensor).unwrap().into_abi();
    let here: Tensor = crossed(message).unpack().unwrap();
    drop(tensor);
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    assert_eq!(here.view::<f32>().unwrap()[[1]], 2.0);
    drop(here);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn a_tensor_outside_a_message_is_an_error() {
    let tensor = Tensor::from_array(Array2::<u8>::zeros((1, 1)));
    assert!(serde_json::to_string(&tensor).is_err());
    assert!(serde_json::from_str::<Tensor>("0").is_err());
}

#[test]
fn unknown_fields_of_a_later_version_are_ignored() {
    let message = Message::pack(&serde_json::json!({
        "text": "Yes", "tokens": [], "log_probs": [], "complete": true, "mood": "cheerful"
    }))
    .unwrap();
    assert_eq!(message.unpack::<Generation>().unwrap().text, "Yes");
    let error: Error =
        serde_json::from_str(r#"{"kind": "of_the_future", "message": "m"}"#).unwrap();
    assert_eq!(error.kind, ErrorKind::Internal);
}

#[test]
fn a_model_that_says_nothing_of_its_memory_is_read() {
    let model = ToyModel::looking_at((4, 6), (1, 2), 3.0, -0.5);
    let json = serde_json::to_value(model.info().unwrap()).unwrap();
    assert!(json.get("memory").is_none());
    let mut info: ModelInfo = serde_json::from_value(json).unwrap();
    assert_eq!(info.memory, None);

    info.memory = Some(Memory {
        score: 1 << 40,
        pixel_gradient: 2,
    });
    let json = serde_json::to_value(&info).unwrap();
    assert_eq!(json["memory"]["score"], 1_u64 << 40);
    assert_eq!(serde_json::from_value::<ModelInfo>(json).unwrap(), info);
}

#[test]
fn a_model_behaves_the_same_through_the_waist() {
    let model = ToyModel::looking_at((4, 6), (1, 2), 3.0, -0.5);
    let host = LocalHost::new().with_model(model.clone());
    let client = host.context().model();
    let image = GrayImage::from_array(Array2::from_shape_fn((224, 224), |(y, x)| {
        ((x + y) % 256) as u8
    }))
    .unwrap();
    assert_eq!(client.info().unwrap(), model.info().unwrap());
    let scores = client
        .score(&ScoreRequest::new(
            vec![image.clone(), image.clone()],
            "?",
            "Yes",
        ))
        .unwrap();
    let log_probs = scores.log_probs.view_nd::<f32, Ix2>().unwrap();
    assert_eq!(log_probs[(1, 0)], model.probability(&image).ln());
    assert_eq!(host.calls("model.score"), 1);
    assert!(!host.context().filled("segmenter"));
    let empty = host
        .context()
        .segmenter()
        .segment(&SegmentRequest::new(image, vec![]));
    assert_eq!(empty.unwrap_err().kind, ErrorKind::Missing);
}

#[test]
fn the_toy_models_gradients_are_its_differences() {
    let model = ToyModel {
        weights: Array2::from_shape_fn((4, 4), |(r, c)| (r as f32 - c as f32) * 0.7),
        bias: 0.2,
    };
    let task = toy_task(Array2::from_shape_fn((224, 224), |(y, x)| {
        ((3 * x + 2 * y) % 200) as u8
    }))
    .unwrap();
    let trace = model
        .trace(&TraceRequest::new(
            task.image.clone(),
            task.question,
            task.answer,
            vec![Want::Gradient(Wrt::Pixels)],
        ))
        .unwrap();
    let gradient = trace
        .capture(Want::Gradient(Wrt::Pixels))
        .unwrap()
        .view::<f32>()
        .unwrap()
        .to_owned();
    // Brighten one cell by one grey level and compare.
    let cell = BBox::<Working>::new(56, 0, 112, 56).unwrap();
    let mut brighter = task.image.view().to_owned();
    brighter
        .slice_mut(ndarray::s![0..56, 56..112])
        .mapv_inplace(|p| p + 10);
    let after = model
        .probability(&GrayImage::from_array(brighter).unwrap())
        .ln();
    let predicted: f32 = gradient
        .sum_axis(Axis(0))
        .indexed_iter()
        .filter(|(at, _)| cell.contains(at[1] as u32, at[0] as u32))
        .map(|(_, g)| g * 10.0 / 255.0)
        .sum();
    let actual = after - model.probability(&task.image).ln();
    assert!(
        (predicted - actual).abs() < 0.02 * actual.abs(),
        "{predicted} {actual}"
    );
}

#[test]
fn wants_read_as_they_are_written() {
    for text in [
        "attention:3",
        "attention:-1:heads",
        "hidden:0",
        "features",
        "gradient:attention:2",
        "gradient:hidden:-2",
        "gradient:features",
        "gradient:pixels",
        "logits",
        "relevance:features",
        "relevance:hidden:-1",
        "relevance:features:cp_lrp",
        "relevance:hidden:0:cp_lrp",
    ] {
        assert_eq!(text.parse::<Want>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "attention",
        "attention:x",
        "gradient:",
        "hidden:1:heads",
        "pixels",
        "relevance:",
        "relevance:pixels",
        "relevance:hidden",
        "relevance:hidden:x",
        "relevance:features:lrp",
    ] {
        assert!(text.parse::<Want>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_array_crosses_unharmed(rows in 0usize..6, columns in 0usize..6, flip in any::<bool>(), transpose in any::<bool>()) {
        let mut array = Array2::<i64>::from_shape_fn((rows, columns), |(r, c)| (r * 7 + c) as i64);
        if flip { array.invert_axis(Axis(0)); }
        if transpose { array = array.reversed_axes(); }
        let expected = array.clone();
        let message = Message::pack(&Tensor::from_array(array)).unwrap().into_abi();
        let back: Tensor = crossed(message).unpack().unwrap();
        prop_assert_eq!(back.view_nd::<i64, Ix2>().unwrap(), expected);
    }
}
