use medfocus_plugin_api::{
    AttributionMethod,
    ndarray::Array2,
    testkit::{LocalHost, ToyModel, conformance, toy_task},
};
use template_name::{CellOcclusion, OcclusionParams};

#[test]
fn it_conforms() {
    conformance::method::<CellOcclusion>(OcclusionParams::default()).assert();
}

/// The toy model looks at the cell in row 2 and column 5 alone, so only hiding that one can matter.
#[test]
fn it_finds_the_cell_that_the_model_looks_at() {
    let model = ToyModel::looking_at((8, 8), (2, 5), 6.0, -2.0);
    let host = LocalHost::new().with_model(model);
    let method: CellOcclusion = host.make(OcclusionParams::default()).unwrap();
    let task = toy_task(Array2::from_elem((224, 224), 200)).unwrap();
    let heat = method.attribute(&task).unwrap().heat.unwrap();
    let centre = |row: usize, column: usize| heat.view()[(row * 28 + 14, column * 28 + 14)];
    assert!(centre(2, 5) > 0.9);
    assert!(centre(2, 3) == 0.0 && centre(4, 5) == 0.0 && centre(7, 7) == 0.0);
    // The image itself, and its cells row by row.
    assert_eq!(host.calls("model.score"), 1 + 8);
}
