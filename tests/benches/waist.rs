//! What a call between plugins costs, through a real library and the mediating host, in one process and in two.
//!
//! `info` is the smallest call there is; `trace` hands over an attention map of 1027 x 1027 f32 (4.2
//! MB), beside which the same map is copied once to show what a copy would add.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use medfocus::{config::Layers, isolation::Isolated, workbench::Workbench};
use medfocus_plugin_api::{
    GrayImage, Tensor, TraceRequest, VisionLanguageModel, Want,
    testkit::{LocalHost, ToyModel},
};
use medfocus_tests::{built, outside_plugin};
use ndarray::Array2;

fn waist(c: &mut Criterion) {
    let loaded = |of: Isolated| {
        let grid = "model.grid=32".into();
        let mut layers = Layers::load(None, &[grid]).expect("the defaults are valid");
        layers.config.plugins.paths = vec![outside_plugin()];
        layers.config.plugins.isolation.of = of;
        layers.config.plugins.isolation.program = Some(built().join("medfocus"));
        let model = Workbench::new(layers).model("toy=nowhere", None);
        model.expect("the toy model loads").client()
    };
    let (model, apart) = (loaded(Isolated::Nobody), loaded(Isolated::Everybody));
    let plain = ToyModel::looking_at((32, 32), (2, 5), 6.0, -2.0);
    let local = LocalHost::new().with_model(plain.clone()).context().model();
    let request = TraceRequest::new(
        GrayImage::from_array(Array2::zeros((224, 224))).expect("it has pixels"),
        "?",
        "Yes",
        vec![Want::Attention {
            layer: 0,
            heads: false,
        }],
    );

    let mut group = c.benchmark_group("info");
    group.bench_function("plain struct", |b| b.iter(|| black_box(plain.info())));
    group.bench_function("messages, no library", |b| {
        b.iter(|| black_box(local.info()))
    });
    group.bench_function("library and host", |b| b.iter(|| black_box(model.info())));
    group.bench_function("a process of its own", |b| {
        b.iter(|| black_box(apart.info()))
    });
    group.finish();

    let mut group = c.benchmark_group("attention map");
    group.sample_size(20);
    group.bench_function("plain struct", |b| {
        b.iter(|| black_box(plain.trace(&request)))
    });
    group.bench_function("library and host", |b| {
        b.iter(|| black_box(model.trace(&request)))
    });
    group.bench_function("a process of its own", |b| {
        b.iter(|| black_box(apart.trace(&request)))
    });
    group.bench_function("plain struct, then one copy", |b| {
        b.iter(|| {
            let trace = plain.trace(&request).expect("the toy model traces");
            black_box(
                trace.captures[0]
                    .tensor
                    .view::<f32>()
                    .map(|view| Tensor::from_array(view.to_owned())),
            )
        })
    });
    group.finish();
}

criterion_group!(benches, waist);
criterion_main!(benches);
