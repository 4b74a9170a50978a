//! How the default of MedFocus's `agreement` was chosen:
//! `cargo xtask build && cargo test --release -p medfocus-tests --test agreement -- --ignored --nocapture`.
//!
//! `REAL_CHESTS=FOLDER` adds real chests: `FOLDER/images/NAME.png` and `FOLDER/masks/NAME__left_lung.png` and its kin.

#[path = "../plugins/methods/medfocus/tests/common/mod.rs"]
mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::{TEST, displaced, phantom};
use medfocus::{config::Layers, study::Study, workbench::Workbench};
use medfocus_attribution::{letterbox, mask_to_working};
use medfocus_imaging::picture;
use medfocus_method_medfocus::{
    Features, MedFocusParams, Pool, Reference, Refinement, Region, localise,
};
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{
    BBox, GrayImage, Kind, Mask, Result, Sample, Segment, SegmentRequest, Segmenter, Working,
};
use medfocus_tests::{built, workspace};
use ndarray::Array2;
use serde_json::json;

/// Films and what the segmenter is shown in their place.
struct Group {
    name: &'static str,
    films: Vec<Sample>,
    shown: fn(&[Sample], usize) -> Array2<u8>,
}

/// Mean box IoU and Dice of the regions over the concepts that a film has masks of, and how many masks were rejected.
struct Score {
    iou: f64,
    dice: f64,
    rejected: f64,
}

fn film(sample: &Sample) -> Array2<u8> {
    sample.image.view().to_owned()
}

fn curve(sample: &Sample, tone: fn(f64) -> f64) -> Array2<u8> {
    let level = |pixel: u8| (255.0 * tone(f64::from(pixel) / 255.0)).round() as u8;
    sample.image.view().mapv(level)
}

fn groups() -> Vec<Group> {
    let films: Vec<_> = (0..60).map(|i| phantom(TEST + i, false)).collect();
    let moved: Vec<_> = (0..).zip(&films).map(|(i, f)| displaced(f, i)).collect();
    let group = |name, films: &[Sample], shown| Group {
        name,
        films: films.to_vec(),
        shown,
    };
    let mut groups = vec![
        group("in place", &films, |films, i| film(&films[i])),
        group("displaced", &moved, |films, i| film(&films[i])),
        group("faint", &moved, |films, i| {
            curve(&films[i], |l| 0.3 + 0.4 * l)
        }),
        group("dark", &moved, |films, i| curve(&films[i], |l| l.powi(3))),
        group("inverted", &moved, |films, i| curve(&films[i], |l| 1.0 - l)),
        group("another patient's", &moved, |films, i| {
            film(&films[(i + 1) % films.len()])
        }),
    ];
    if let Some(folder) = std::env::var_os("REAL_CHESTS") {
        groups.push(group("real", &real(Path::new(&folder)), |films, i| {
            film(&films[i])
        }));
    }
    groups
}

/// The films of a folder, as working images.
fn real(folder: &Path) -> Vec<Sample> {
    let entries = folder.join("images").read_dir().unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let films = (0..).zip(paths).map(|(index, path)| {
        let study = Study::read(&fs::read(&path).unwrap(), picture::here).unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let mask = |concept: &&str| {
            let name = format!("masks/{stem}__{}.png", concept.replace(' ', "_"));
            let pixels = Study::read(&fs::read(folder.join(name)).unwrap(), picture::here)
                .ok()?
                .native;
            let mask = Mask::from_array(pixels.view().mapv(|pixel| pixel != 0).view()).unwrap();
            let working = mask_to_working(&mask, &study.letterbox).unwrap();
            Some((
                (*concept).to_owned(),
                Mask::from_array(working.view()).unwrap(),
            ))
        };
        let masks: BTreeMap<_, _> = CONCEPTS.iter().filter_map(mask).collect();
        let mut sample = phantom(index, true);
        sample.key.dataset = "real".into();
        (sample.image, sample.masks) = (study.working, masks);
        sample
    });
    films.filter(|film| !film.masks.is_empty()).collect()
}

fn overlap(a: &Array2<bool>, b: &Array2<bool>) -> f64 {
    let count = |mask: &Array2<bool>| mask.iter().filter(|&&inside| inside).count();
    let both = a.iter().zip(b).filter(|&(&a, &b)| a && b).count();
    2.0 * both as f64 / (count(a) + count(b)) as f64
}

fn box_iou(a: &BBox<Working>, b: &BBox<Working>) -> f64 {
    let both = a.intersection(b).map_or(0, |both| both.area());
    both as f64 / (a.area() + b.area() - both) as f64
}

/// A segmenter that answers as it did before.
struct Once(Vec<Segment>);

impl Once {
    fn of(segmenter: &impl Segmenter, regions: &[Option<Region>], shown: &GrayImage) -> Self {
        let boxes = regions.iter().flatten().map(|region| region.bbox);
        let request = SegmentRequest::new(shown.clone(), boxes.collect());
        Self(segmenter.segment(&request).unwrap())
    }
}

impl Segmenter for Once {
    fn segment(&self, _: &SegmentRequest) -> Result<Vec<Segment>> {
        Ok(self.0.clone())
    }
}

/// The scores at each agreement; above 1 no mask is taken.
fn measure(
    group: &Group,
    pool: &Pool,
    segmenter: &impl Segmenter,
    agreements: &[f64],
) -> Vec<Score> {
    let params = MedFocusParams::default();
    let mut sums = vec![[0.0; 4]; agreements.len()];
    for (i, film) in group.films.iter().enumerate() {
        let content = letterbox(film).unwrap().content();
        let features = Features::of(&film.image, &content, &params.looks()).unwrap();
        let anatomy = localise(
            &features,
            &content,
            pool,
            Some(&film.key),
            &params.localisation(),
        )
        .unwrap();
        let shown = GrayImage::from_array((group.shown)(&group.films, i)).unwrap();
        let segments = Once::of(segmenter, &anatomy.regions, &shown);
        for (sums, &agreement) in sums.iter_mut().zip(agreements) {
            let mut regions = anatomy.regions.clone();
            let refined =
                Refinement::of(&mut regions, &shown, &content, &segments, agreement).unwrap();
            for (concept, region) in CONCEPTS.iter().zip(&regions) {
                let (Some(truth), Some(region)) = (film.masks.get(*concept), region) else {
                    continue;
                };
                let inside = truth.view().mapv(|pixel| pixel != 0);
                sums[0] += box_iou(&region.bbox, &truth.tight_box().unwrap());
                sums[1] += overlap(&region.inside, &inside);
                sums[2] += f64::from(u8::from(refined.rejected.contains(concept)));
                sums[3] += 1.0;
            }
        }
    }
    sums.iter()
        .map(|[iou, dice, rejected, n]| Score {
            iou: iou / n,
            dice: dice / n,
            rejected: rejected / n,
        })
        .collect()
}

#[test]
#[ignore = "takes minutes"]
fn sweep() {
    let mut layers = Layers::load(None, &[]).unwrap();
    layers.config.plugins.paths = vec![built().join("plugins")];
    let bench = Workbench::new(layers);
    let path = workspace().join("configs/checkpoints/phantom-medsam");
    let filling = json!({"component": "medsam", "params": {"path": path}});
    let filling = serde_json::from_value(filling).unwrap();
    let recipe = bench.plan_component(Kind::Segmenter, &filling).unwrap();
    let segmenter = bench.make(&recipe, None).unwrap().client();

    let looks = MedFocusParams::default().looks();
    let references = (0..16).map(|seed| Reference::of(&phantom(seed, true), &looks).unwrap());
    let pool = Pool {
        references: references.collect(),
    };
    let agreements = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.1];
    println!("box IoU / Dice / rejected, at an agreement of {agreements:?}");
    for group in groups() {
        let scores = measure(&group, &pool, &segmenter, &agreements);
        let scores = scores.iter().map(|score| {
            let Score {
                iou,
                dice,
                rejected,
            } = score;
            format!("{iou:.3} / {dice:.3} / {rejected:.2}")
        });
        println!("{}: {}", group.name, scores.collect::<Vec<_>>().join(" | "));
    }
}
