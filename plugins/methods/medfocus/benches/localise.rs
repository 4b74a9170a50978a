//! Transport, selection and localisation on one core.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use common::{TEST, displaced, phantom};
use criterion::{Criterion, criterion_group, criterion_main};
use medfocus_method_medfocus::{
    Features, MedFocusParams, Pool, Reference, localise, rank,
    transport::{Intensity, Measure, Sampling, Sinkhorn, Support, cost_percentile},
};
use medfocus_plugin_api::{BBox, Params};
use serde_json::json;

fn bench(c: &mut Criterion) {
    let target = displaced(&phantom(TEST, false), 3);
    let content = BBox::new(0, 0, 224, 224).unwrap();

    let mut group = c.benchmark_group("transport");
    group.sample_size(10);
    for side in [14, 28, 56, 224] {
        let support = Support {
            threshold: 0.02,
            limit: usize::MAX,
        };
        let of = |image| {
            let levels = Intensity::Equalised.of(image, 0.02).unwrap();
            Measure::of_image(levels.view(), (side, side), Sampling::Area, &support).unwrap()
        };
        let (source, target) = (of(&phantom(0, true).image), of(&target.image));
        let inside = |measure: &Measure| measure.view().mapv(|mass| mass > 0.0);
        let (from, to) = (inside(&source), inside(&target));
        group.bench_function(format!("percentile_{side}"), |b| {
            b.iter(|| black_box(cost_percentile(from.view(), to.view(), 0.9)))
        });
        let sinkhorn = MedFocusParams::default().localisation().transport;
        group.bench_function(format!("solve_{side}"), |b| {
            b.iter(|| black_box(sinkhorn.solve(&source, &target).unwrap().cost()))
        });
        let paper = Sinkhorn {
            lambda: 0.1,
            ..sinkhorn
        };
        group.bench_function(format!("solve_paper_{side}"), |b| {
            b.iter(|| black_box(paper.solve(&source, &target).unwrap().cost()))
        });
    }
    group.finish();

    let mut group = c.benchmark_group("localise");
    group.sample_size(20);
    for (name, settings) in [
        ("default", json!({})),
        ("one_reference", json!({"references": 1})),
        ("affine", json!({"transfer": "affine"})),
        ("paper_grid", json!({"grid": 56})),
    ] {
        let params = MedFocusParams::from_json(settings.as_object().unwrap().clone()).unwrap();
        let (looks, how) = (params.looks(), params.localisation());
        let references = (0..16).map(|seed| Reference::of(&phantom(seed, true), &looks).unwrap());
        let pool = Pool {
            references: references.collect(),
        };
        group.bench_function(name, |b| {
            b.iter(|| {
                let features = Features::of(&target.image, &content, &looks).unwrap();
                black_box(localise(&features, &content, &pool, None, &how).unwrap())
            })
        });
        if name == "default" {
            let features = Features::of(&target.image, &content, &looks).unwrap();
            group.bench_function("features", |b| {
                b.iter(|| black_box(Features::of(&target.image, &content, &looks).unwrap()))
            });
            group.bench_function("rank_16", |b| {
                b.iter(|| black_box(rank(&features, &pool.references, None, &how).unwrap()))
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
