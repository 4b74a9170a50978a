//! The way of an image through the networks, against a plain rendering of the published algorithm that was run with the same
//! networks by diffusers; and what holds whatever the network is.

mod editor;

use editor::{TOLERANCE, Tensors, check, fixture, largest_difference, read_json};
use medfocus_editor_radedit::Result;
use medfocus_editor_radedit::guidance::{Denoiser, Guidance};
use medfocus_editor_radedit::inversion::{Inverted, invert};
use medfocus_editor_radedit::noise::Noise;
use medfocus_editor_radedit::pixels;
use medfocus_editor_radedit::reverse::{Change, Composition, reverse};
use medfocus_editor_radedit::schedule::{Config, Step, steps};
use medfocus_editor_radedit::text::{TextMask, TextModel};
use medfocus_editor_radedit::unet::UNet;
use medfocus_editor_radedit::vae::Vae;
use medfocus_torch::tch::{Device, Kind, Tensor};
use ndarray::Array2;

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);
const COMPOSITIONS: [(&str, Composition); 2] = [
    ("paper", Composition::Paper),
    ("released", Composition::Released),
];

/// The fixture's networks, and what they are asked.
struct Setting {
    tensors: Tensors,
    unet: UNet,
    vae: Vae,
    steps: Vec<Step>,
    empty: Tensor,
    prompt: Tensor,
}

impl Setting {
    fn load() -> Self {
        let facts = read_json(&fixture("edits.json"));
        let folder = |name: &str| fixture("checkpoint").join(name);
        let text = TextModel::load(&folder("text_encoder"), Device::Cpu, Kind::Float).unwrap();
        let states = |prompt: &str| text.states(prompt, TextMask::None).unwrap();
        let schedule = Config::from_folder(&folder("scheduler")).unwrap();
        Self {
            tensors: Tensors::of("edits.safetensors"),
            unet: UNet::load(&folder("unet"), Device::Cpu, Kind::Float).unwrap(),
            vae: Vae::load(&folder("vae"), Device::Cpu, Kind::Float).unwrap(),
            steps: steps(&schedule, facts["steps"].as_u64().unwrap() as usize).unwrap(),
            empty: states(""),
            prompt: states(facts["prompt"].as_str().unwrap()),
        }
    }

    fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name)
    }

    /// The latents of the image, with the reference's draws.
    fn latents(&self) -> Tensor {
        let square = Vec::<u8>::try_from(self.tensor("square").flatten(0, -1)).unwrap();
        let square = Array2::from_shape_vec((32, 32), square).unwrap();
        let image = pixels::to_tensor(square.view()).unwrap();
        let posterior = self.vae.encode(&image).unwrap();
        (posterior.mean + posterior.std * self.tensor("posterior")) * self.vae.scaling()
    }

    fn inverted(&self, guidance: &Guidance<'_>) -> Inverted {
        let forward = self.tensor("forward").chunk(self.steps.len() as i64, 0);
        let model = &self.unet;
        invert(
            model,
            guidance,
            &self.steps,
            self.latents(),
            &forward,
            &mut |_| Ok(()),
        )
        .unwrap()
    }
}

/// All latents on the way back, with those at its end.
fn path(
    model: &dyn Denoiser,
    steps: &[Step],
    inverted: &Inverted,
    change: &Change<'_>,
) -> Vec<Tensor> {
    let mut seen = Vec::new();
    let last = reverse(model, steps, inverted, change, &mut |done, latents| {
        assert_eq!(done, seen.len());
        seen.push(latents.copy());
        Ok(())
    });
    seen.push(last.unwrap());
    seen
}

fn unguided(empty: &Tensor) -> Guidance<'_> {
    Guidance {
        unconditional: empty,
        prompt: None,
        scale: 1.0,
    }
}

#[test]
fn inversions_are_the_references() {
    let setting = Setting::load();
    check("x0", &setting.latents(), setting.tensor("x0"), 1e-5);
    let prompted = Guidance {
        prompt: Some(&setting.prompt),
        scale: 2.0,
        ..unguided(&setting.empty)
    };
    for (prefix, guidance) in [("", unguided(&setting.empty)), ("prompted.", prompted)] {
        let found = setting.inverted(&guidance);
        let latents = Tensor::cat(&found.latents[1..], 0);
        let noise = Tensor::cat(&found.noise, 0);
        let expected = |name: &str| setting.tensor(&format!("{prefix}{name}"));
        check("latents", &latents, expected("latents"), TOLERANCE);
        check("noise", &noise, expected("noises"), TOLERANCE);
        // The published code has no numbers here.
        assert_eq!(found.latents[0], setting.latents());
    }
}

#[test]
fn edits_are_the_references_at_every_step() {
    let setting = Setting::load();
    let inverted = setting.inverted(&unguided(&setting.empty));
    let mut compared = 0;
    for side in ["foreground", "background"] {
        let region = setting.tensor(&format!("mask.{side}"));
        for (composition_name, composition) in COMPOSITIONS {
            for scale in [1.0, 7.5] {
                for skip in [0.0, 0.3] {
                    let change = Change {
                        region,
                        guidance: Guidance {
                            unconditional: &setting.empty,
                            prompt: Some(&setting.prompt),
                            scale,
                        },
                        skip: (setting.steps.len() as f64 * skip) as usize,
                        composition,
                    };
                    let found = path(&setting.unet, &setting.steps, &inverted, &change);
                    let name = format!("{side}.{composition_name}.{scale:.1}.{skip:.1}");
                    check(
                        &name,
                        &Tensor::cat(&found, 0),
                        setting.tensor(&name),
                        TOLERANCE,
                    );
                    let latents = found.last().unwrap() / setting.vae.scaling();
                    let image = pixels::from_tensor(&setting.vae.decode(&latents).unwrap());
                    let expected = setting.tensor(&format!("{name}.image"));
                    let expected = Vec::<u8>::try_from(expected.flatten(0, -1)).unwrap();
                    for (found, expected) in image.unwrap().iter().zip(expected) {
                        assert!(found.abs_diff(expected) <= 1, "{name}");
                    }
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, 16);
}

/// A closed form: the noise of an image that is the same everywhere, plus what the text says.
struct Flat;

impl Denoiser for Flat {
    fn noise(&self, latents: &Tensor, timestep: i64, text: &Tensor) -> Result<Tensor> {
        let said = text.mean_dim([1, 2].as_slice(), true, Kind::Float);
        Ok(latents * (0.5 + timestep as f64 / 2000.0) + said.unsqueeze(-1) + 0.1)
    }
}

fn random(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, CPU)
}

/// Latents that are inverted by the closed form, and the steps.
fn closed_form(count: usize) -> (Vec<Step>, Inverted, Tensor) {
    let steps = steps(&Config::default(), count).unwrap();
    let empty = random(&[1, 3, 5]);
    let forward: Vec<Tensor> = (0..count).map(|_| random(&[1, 4, 6, 6])).collect();
    let image = random(&[1, 4, 6, 6]);
    let guidance = unguided(&empty);
    let inverted = invert(&Flat, &guidance, &steps, image, &forward, &mut |_| Ok(())).unwrap();
    (steps, inverted, empty)
}

/// Each pair of latents is as much noise as its step says, and the noises are independent: the wider spread of z.
#[test]
fn the_latents_of_an_inversion_are_noisy_as_their_timestep_says() {
    let (steps, inverted, _) = closed_form(20);
    let image = &inverted.latents[0];
    for (step, latents) in steps.iter().rev().zip(&inverted.latents[1..]) {
        let noise = (latents - image * step.alpha.sqrt()) / (1.0 - step.alpha).sqrt();
        let deviation = noise.std(true).double_value(&[]);
        assert!((deviation - 1.0).abs() < 0.35, "{deviation}");
    }
    assert_eq!(inverted.noise.len(), 20);
    assert_eq!(inverted.noise[0].abs().max().double_value(&[]), 0.0);
}

#[test]
fn with_the_same_prompt_the_way_back_is_the_way_there() {
    let region = Tensor::ones([1, 1, 6, 6], CPU);
    let (steps, inverted, empty) = closed_form(20);
    let setting = Setting::load();
    let of_unet = setting.inverted(&unguided(&setting.empty));
    let whole = Tensor::ones([1, 1, 8, 8], CPU);
    let form: &dyn Denoiser = &Flat;
    for (model, steps, inverted, empty, region) in [
        (form, &steps, &inverted, &empty, &region),
        (
            &setting.unet,
            &setting.steps,
            &of_unet,
            &setting.empty,
            &whole,
        ),
    ] {
        for (scale, skip) in [(1.0, 0), (7.5, 3)] {
            let change = Change {
                region,
                guidance: Guidance {
                    unconditional: empty,
                    prompt: Some(empty),
                    scale,
                },
                skip,
                composition: Composition::Paper,
            };
            let found = path(model, steps, inverted, &change);
            let left = steps.len() - skip;
            assert_eq!(found.len(), left + 1);
            for (done, latents) in found[..left].iter().enumerate() {
                check("latents", latents, &inverted.latents[left - done], 1e-4);
            }
            // The last step adds nothing: it ends at the denoiser's own image.
            let noise = model.noise(&found[left - 1], steps[steps.len() - 1].timestep, empty);
            let mean = steps[steps.len() - 1].mean(&found[left - 1], &noise.unwrap());
            check("image", &found[left], &mean.unwrap(), 1e-4);
        }
    }
}

#[test]
fn outside_the_region_the_latents_are_those_of_the_inversion() {
    let (steps, inverted, empty) = closed_form(10);
    let prompt = random(&[1, 3, 5]) + 2.0;
    let inside = Tensor::zeros([1, 1, 6, 6], CPU);
    let _ = inside.narrow(2, 1, 3).narrow(3, 2, 2).fill_(1.0);
    for (composition, later) in [(Composition::Paper, 0), (Composition::Released, 1)] {
        let change = Change {
            region: &inside,
            guidance: Guidance {
                unconditional: &empty,
                prompt: Some(&prompt),
                scale: 7.5,
            },
            skip: 3,
            composition,
        };
        let found = path(&Flat, &steps, &inverted, &change);
        for (done, latents) in found.iter().enumerate().skip(1) {
            let kept = &inverted.latents[7 - done + later];
            let difference = (latents - kept).abs();
            let outside = (&difference * (&inside - 1.0))
                .abs()
                .max()
                .double_value(&[]);
            let within = (&difference * &inside).max().double_value(&[]);
            assert_eq!(outside, 0.0, "{composition:?} {done}");
            assert!(within > 0.1, "{composition:?} {done}");
        }
    }
}

#[test]
fn guidance_moves_from_the_empty_prompt_through_the_prompt() {
    let (empty, prompt) = (random(&[1, 3, 5]), random(&[1, 3, 5]));
    let latents = random(&[1, 4, 6, 6]);
    let ask = |prompt, scale| {
        let guidance = Guidance {
            unconditional: &empty,
            prompt,
            scale,
        };
        guidance.noise(&Flat, &latents, 500).unwrap()
    };
    let (without, with) = (ask(None, 1.0), ask(Some(&prompt), 1.0));
    check("0", &ask(Some(&prompt), 0.0), &without, 1e-6);
    check(
        "1",
        &with,
        &Flat.noise(&latents, 500, &prompt).unwrap(),
        1e-6,
    );
    let moved = &without + 7.5 * (&with - &without);
    check("7.5", &ask(Some(&prompt), 7.5), &moved, 1e-5);
    assert!(largest_difference(&with, &without) > 1e-3);
}

#[test]
fn the_user_is_asked_before_every_step() {
    let (steps, inverted, empty) = closed_form(5);
    let stop = || Err(medfocus_editor_radedit::Error::Cancelled);
    let guidance = unguided(&empty);
    let forward: Vec<Tensor> = (0..5).map(|_| random(&[1, 4, 6, 6])).collect();
    let mut asked = 0;
    let stopped = invert(
        &Flat,
        &guidance,
        &steps,
        random(&[1, 4, 6, 6]),
        &forward,
        &mut |done| {
            asked += 1;
            if done == 2 { stop() } else { Ok(()) }
        },
    );
    assert!(stopped.is_err() && asked == 3);
    let change = Change {
        region: &Tensor::ones([1, 1, 6, 6], CPU),
        guidance,
        skip: 1,
        composition: Composition::Paper,
    };
    let mut asked = 0;
    let stopped = reverse(&Flat, &steps, &inverted, &change, &mut |done, _| {
        asked += 1;
        if done == 3 { stop() } else { Ok(()) }
    });
    assert!(stopped.is_err() && asked == 4);
}

#[test]
fn draws_are_those_of_torch() {
    let setting = Setting::load();
    let drawn = Noise::seeded(0, 10, [1, 4, 8, 8]).unwrap();
    check(
        "posterior",
        &drawn.posterior,
        setting.tensor("posterior"),
        2e-6,
    );
    let forward = Tensor::cat(&drawn.forward, 0);
    check("forward", &forward, setting.tensor("forward"), 2e-6);
    // No multiple of 16 of them; the upper half of a seed does not count.
    let odd = Noise::seeded((1 << 32) + 5, 0, [1, 1, 1, 53]).unwrap();
    check(
        "53",
        &odd.posterior.flatten(0, -1),
        setting.tensor("draws.53"),
        2e-6,
    );
}

#[test]
fn draws_leave_the_generator_of_the_process_alone() {
    let drawn = |between: bool| {
        medfocus_torch::tch::manual_seed(3);
        if between {
            Noise::seeded(1, 2, [1, 4, 8, 8]).unwrap();
        }
        Tensor::randn([16], CPU)
    };
    assert_eq!(drawn(false), drawn(true));
}

#[test]
fn what_is_not_a_number_is_no_image() {
    let image = Tensor::zeros([1, 3, 4, 4], CPU);
    assert_eq!(
        pixels::from_tensor(&image).unwrap(),
        Array2::from_elem((4, 4), 128)
    );
    let _ = image.narrow(3, 1, 1).fill_(f64::NAN);
    let said = pixels::from_tensor(&image).unwrap_err().to_string();
    assert!(said.contains("not numbers"), "{said}");
}
