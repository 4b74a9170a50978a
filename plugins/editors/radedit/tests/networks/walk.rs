//! Schedule and sampling loop against the reference, step by step, and what holds of them whatever the network.

use std::cell::RefCell;

use crate::reference::{Loop, folder, largest_difference};
use medfocus_editor_radedit::inversion::{Composition, Denoiser, Descent, Walk, descend, invert};
use medfocus_editor_radedit::masks::Cells;
use medfocus_editor_radedit::pipeline::{Chance, Folders, Options, Pipeline};
use medfocus_editor_radedit::schedule::{Config, Schedule};
use medfocus_editor_radedit::unet::UNet;
use medfocus_editor_radedit::{Error, Result};
use medfocus_torch::tch::{Device, Kind, Tensor};
use ndarray::{Array2, Array4};

/// The largest difference that ten steps of small networks may add up to.
const TOLERANCE: f64 = 1e-3;

fn nothing(_: usize) -> Result<()> {
    Ok(())
}

#[test]
fn schedules_are_those_of_the_reference() {
    for case in Loop::read().facts["schedules"].as_array().unwrap() {
        let config: Config = serde_json::from_value(case["config"].clone()).unwrap();
        let steps = case["steps"].as_i64().unwrap();
        let schedule = Schedule::new(&config, steps).unwrap();
        assert_eq!(schedule.steps() as i64, steps);
        for level in 1..=schedule.steps() {
            let step = schedule.down_from(level);
            let at = schedule.steps() - level;
            assert_eq!(step.timestep, case["timesteps"][at].as_i64().unwrap());
            for (found, name) in [
                (step.alpha, "alphas"),
                (step.alpha_after, "after"),
                (step.variance(), "variances"),
            ] {
                let expected = case[name][at].as_f64().unwrap();
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{name} {at}: {found} {expected}"
                );
            }
        }
    }
    assert!(Schedule::new(&Config::default(), 0).is_err());
    assert!(Schedule::new(&Config::default(), 1001).is_err());
}

fn image(expected: &Loop, name: &str) -> Array2<u8> {
    let tensor = expected.tensor(name).to_kind(Kind::Uint8);
    let (height, width) = tensor.size2().unwrap();
    let pixels = Vec::<u8>::try_from(tensor.flatten(0, -1)).unwrap();
    Array2::from_shape_vec((height as usize, width as usize), pixels).unwrap()
}

fn schedule(expected: &Loop) -> Schedule {
    let steps = expected.facts["steps"].as_i64().unwrap();
    Schedule::new(&Config::default(), steps).unwrap()
}

/// The reference's walk up.
fn walk(expected: &Loop) -> Walk {
    Walk {
        latents: expected.tensor("walk").split(1, 0),
        noise: expected.tensor("noise").split(1, 0),
    }
}

#[test]
fn the_way_up_is_the_references() {
    let expected = Loop::read();
    let unet = UNet::load(&folder("unet_three"), Device::Cpu, Kind::Float).unwrap();
    let reference = walk(&expected);
    let schedule = schedule(&expected);
    let noise = expected.tensor("levels").split(1, 0);
    let latents = expected_latents(&reference);
    let found = invert(
        &unet,
        &schedule,
        &latents,
        &noise,
        expected.tensor("open.0"),
        &nothing,
    );
    let found = found.unwrap();
    for (level, (found, reference)) in found.latents.iter().zip(&reference.latents).enumerate() {
        let difference = largest_difference(found, reference);
        assert!(difference < TOLERANCE, "latents {level}: {difference:e}");
    }
    for (level, (found, reference)) in found.noise.iter().zip(&reference.noise).enumerate() {
        let difference = largest_difference(found, reference);
        // Divided by the deviation of its step, a hundredth where there is little noise left.
        assert!(
            difference < 5.0 * TOLERANCE,
            "noise {level}: {difference:e}"
        );
    }
    assert_eq!(found.noise[0].abs().max().double_value(&[]), 0.0);
}

/// The image's own latents: level 0 stays as it is.
fn expected_latents(walk: &Walk) -> Tensor {
    walk.latents[0].shallow_clone()
}

#[test]
fn whole_edits_are_the_references() {
    let expected = Loop::read();
    let (image, inside) = (image(&expected, "image"), image(&expected, "inside"));
    for (number, case) in expected.facts["cases"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let options = Options {
            steps: expected.facts["steps"].as_i64().unwrap(),
            guidance: case["guidance"].as_f64().unwrap(),
            skip: case["skip"].as_f64().unwrap(),
            composition: match case["composition"].as_str().unwrap() {
                "paper" => Composition::Paper,
                _ => Composition::Released,
            },
            cells: Cells::Nearest,
            hide_padding: false,
            invert_prompt: String::new(),
        };
        let text = expected.folder("text_encoder");
        let folders = Folders {
            unet: &folder("unet_three"),
            vae: &folder("vae_four"),
            text: &text,
            scheduler: None,
        };
        let mut pipeline = Pipeline::load(folders, Device::Cpu, Kind::Float, options).unwrap();
        let chance = Chance {
            posterior: expected.tensor("posterior").shallow_clone(),
            levels: expected.tensor("levels").split(1, 0),
        };
        let background = case["side"] == "background";
        let region = inside.mapv(|pixel| (pixel != 0) != background);
        let steps = RefCell::new(Vec::new());
        let step = |number: usize| {
            steps.borrow_mut().push(number);
            Ok(())
        };
        let prompt = "No pleural effusion";
        let found = pipeline.edit_with(image.view(), region.view(), prompt, &chance, &step);
        let difference = largest_difference(
            &found.unwrap(),
            expected.tensor(&format!("decoded.{number}")),
        );
        assert!(difference < TOLERANCE, "{case}: {difference:e}");
        assert!(steps.into_inner().into_iter().eq(0..pipeline.steps()));
        // The seed's draws are those of the reference, too.
        let shape = chance.posterior.size4().unwrap();
        let shape = [shape.0, shape.1, shape.2, shape.3];
        let drawn = Chance::new(23, shape, chance.levels.len()).unwrap();
        assert_eq!(drawn.posterior, chance.posterior);
        assert_eq!(drawn.levels, chance.levels);
        let stopped = |number: usize| {
            if number == 4 {
                Err(Error::Cancelled)
            } else {
                Ok(())
            }
        };
        let stopped = pipeline.edit_with(image.view(), region.view(), prompt, &chance, &stopped);
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }
}

/// Predicts a share of the latents, and a little of the text.
struct Share(f64);

impl Denoiser for Share {
    fn noise(&self, latents: &Tensor, timestep: i64, text: &Tensor) -> Result<Tensor> {
        let text = text
            .mean_dim(&[1_i64, 2][..], false, Kind::Float)
            .reshape([-1, 1, 1, 1]);
        Ok(latents * self.0 + text * (timestep as f64 / 1000.0))
    }
}

fn made(seed: u64) -> (Tensor, Vec<Tensor>, Tensor, Tensor) {
    let chance = Chance::new(seed, [1, 2, 6, 5], 20).unwrap();
    let texts = Chance::new(seed + 1, [1, 1, 3, 4], 1).unwrap();
    let (free, wanted) = (
        texts.posterior.squeeze_dim(0),
        texts.levels[0].squeeze_dim(0),
    );
    (chance.posterior, chance.levels, free, wanted)
}

fn region() -> Tensor {
    let cells = Array4::from_shape_fn((1, 1, 6, 5), |(_, _, y, x)| {
        f32::from(u8::from((2..4).contains(&y) && x > 1))
    });
    Tensor::from_slice(&cells.iter().copied().collect::<Vec<f32>>()).reshape([1, 1, 6, 5])
}

#[test]
fn the_same_predictions_lead_back_to_the_image() {
    let network = Share(0.3);
    let schedule = Schedule::new(&Config::default(), 20).unwrap();
    for seed in 0..5 {
        let (latents, noise, free, wanted) = made(seed);
        let walk = invert(&network, &schedule, &latents, &noise, &free, &nothing).unwrap();
        for (guidance, text) in [(0.0, &wanted), (7.5, &free), (1.0, &free)] {
            for start in [20, 14, 1] {
                let descent = Descent {
                    region: &Tensor::ones([1, 1, 6, 5], (Kind::Float, Device::Cpu)),
                    texts: [&free, text],
                    guidance,
                    start,
                    composition: Composition::Paper,
                };
                let back = descend(&network, &schedule, &walk, &descent, &nothing).unwrap();
                let last = schedule.down_from(1);
                // The last step adds no noise, so it leads to the network's own idea of the image there.
                let x = &walk.latents[1];
                let predicted = network.noise(x, last.timestep, &free).unwrap();
                let idea = (x - predicted * (1.0 - last.alpha).sqrt()) / last.alpha.sqrt();
                let difference = largest_difference(&back, &idea);
                assert!(
                    difference < 1e-4,
                    "{seed} {guidance} {start}: {difference:e}"
                );
            }
        }
    }
}

#[test]
fn only_the_region_changes_and_it_does() {
    let network = Share(0.2);
    let schedule = Schedule::new(&Config::default(), 20).unwrap();
    let (latents, noise, free, wanted) = made(3);
    let walk = invert(&network, &schedule, &latents, &noise, &free, &nothing).unwrap();
    let region = region();
    for composition in [Composition::Paper, Composition::Released] {
        let descent = Descent {
            region: &region,
            texts: [&free, &wanted],
            guidance: 5.0,
            start: 14,
            composition,
        };
        let edited = descend(&network, &schedule, &walk, &descent, &nothing).unwrap();
        let kept = match composition {
            Composition::Paper => &latents,
            Composition::Released => &walk.latents[1],
        };
        let change = (&edited - kept).abs();
        let rest = region.ones_like() - &region;
        let outside = (&change * rest).max().double_value(&[]);
        let inside = (&change * &region).max().double_value(&[]);
        assert_eq!(outside, 0.0);
        assert!(inside > 0.1, "{inside}");
        assert_eq!(edited.isfinite().all().int64_value(&[]), 1);
    }
}
