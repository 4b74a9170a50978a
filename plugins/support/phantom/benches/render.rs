//! Phantoms per second on one core.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use medfocus_phantom::{CaseOptions, Renderer, sample_case};
use ndarray::Array2;

fn bench(c: &mut Criterion) {
    let options = CaseOptions::default();
    let mut group = c.benchmark_group("render");
    group.throughput(Throughput::Elements(1));
    for side in [112, 224, 512] {
        let mut renderer = Renderer::default();
        let mut image = Array2::zeros((side, side));
        let mut seed = 0;
        group.bench_function(format!("case_{side}"), |b| {
            b.iter(|| {
                seed += 1;
                let case = sample_case(seed, &options);
                renderer.render_image(&case.patient, &case.findings, image.view_mut());
                black_box(image[[side / 2, side / 2]])
            })
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
