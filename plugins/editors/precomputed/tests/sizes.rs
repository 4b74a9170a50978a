//! Files of other sizes than the image's, against Pillow: see `fixtures/make_sizes.py`.

use std::path::PathBuf;

use medfocus_editor_precomputed::Precomputed;
use medfocus_imaging::decode;
use medfocus_plugin_api::{
    CounterfactualEditor, EditRequest, GrayImage, SampleKey, testkit::LocalHost,
};
use ndarray::Array2;
use serde_json::json;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn picture(name: &str) -> Array2<u8> {
    let bytes = std::fs::read(fixtures().join(format!("{name}.png"))).unwrap();
    decode::decode(&bytes).unwrap().pixels
}

#[test]
fn every_size_is_pillows() {
    for (file, image, expected) in [
        ("native", picture("native"), "native"),
        ("native", picture("native_in_square"), "native_in_square"),
        ("square", picture("native"), "square_at_native"),
        ("square", picture("native_in_square"), "square"),
        ("square", Array2::zeros((112, 112)), "square_at_112"),
        ("half", picture("native"), "half_at_native"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let from = fixtures().join(format!("{file}.png"));
        std::fs::copy(from, folder.path().join("3_edited.png")).unwrap();
        let editor: Precomputed = LocalHost::new()
            .create(json!({"path": folder.path()}))
            .unwrap();
        let image = GrayImage::from_array(image).unwrap();
        let mut request = EditRequest::new(image, Vec::new(), "No nodule");
        request.sample = Some(SampleKey {
            dataset: "padchest_gr".into(),
            index: 3,
        });
        let edited = editor.edit(&request).unwrap();
        assert_eq!(edited.view(), picture(expected), "{file} as {expected}");
    }
}
