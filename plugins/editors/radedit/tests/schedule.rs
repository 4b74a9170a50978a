//! Timesteps and alphas against diffusers.

mod editor;

use editor::{Tensors, fixture, read_json};
use medfocus_editor_radedit::schedule::{Config, steps};
use serde_json::json;

#[test]
fn timesteps_and_alphas_are_the_references() {
    let tensors = Tensors::of("schedule.safetensors");
    let facts = read_json(&fixture("schedule.json"));
    let (mut compared, mut refused) = (0, 0);
    for (number, fact) in facts.as_array().unwrap().iter().enumerate() {
        let config = Config::parse(&fact["config"].to_string()).unwrap();
        let expected = Vec::<f32>::try_from(tensors.get(&format!("alphas.{number}"))).unwrap();
        let alphas = config.alphas().unwrap();
        assert_eq!(alphas.len(), expected.len());
        for (alpha, expected) in alphas.iter().zip(expected) {
            assert!((alpha / f64::from(expected) - 1.0).abs() < 2e-6, "{number}");
        }
        for (count, expected) in fact["timesteps"].as_object().unwrap() {
            let count: usize = count.parse().unwrap();
            let expected: Option<Vec<i64>> = serde_json::from_value(expected.clone()).unwrap();
            match expected {
                Some(expected) => {
                    assert_eq!(config.timesteps(count).unwrap(), expected, "{number}");
                    let last = *steps(&config, count).unwrap().last().unwrap();
                    if last.timestep < config.train_steps / count as i64 {
                        let end = fact["final"].as_f64().unwrap();
                        assert!((last.alpha_after - end).abs() < 1e-6);
                    }
                    compared += 1;
                }
                None => {
                    assert!(config.timesteps(count).is_err(), "{number} {count}");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((compared, refused), (163, 9));
}

/// 200 steps of RadEdit, as published.
#[test]
fn its_own_schedule_needs_no_file() {
    let own = Config::default();
    let timesteps = own.timesteps(200).unwrap();
    let expected: Vec<i64> = (0..200).map(|k| 999 - 5 * k).collect();
    assert_eq!(timesteps, expected);
    let steps = steps(&own, 200).unwrap();
    assert_eq!(steps[199].alpha_after, 1.0);
    assert_eq!(steps[199].deviation(), 0.0);
    assert_eq!(steps[0].alpha_after, steps[1].alpha);
    assert!(steps[..199].iter().all(|step| step.deviation() > 0.0));
}

#[test]
fn schedules_that_cannot_be_run_are_refused() {
    for (changes, named) in [
        (json!({"_class_name": "PNDMScheduler"}), "PNDMScheduler"),
        (
            json!({"prediction_type": "v_prediction"}),
            "prediction_type",
        ),
        (json!({"trained_betas": [0.1]}), "trained_betas"),
        (json!({"rescale_betas_zero_snr": true}), "rescale_betas"),
        (
            json!({"beta_schedule": "squaredcos_cap_v2"}),
            "beta_schedule",
        ),
        (json!({"timestep_spacing": "karras"}), "timestep_spacing"),
        (json!({"beta_start": 0}), "beta_start"),
        (json!({"beta_end": 1.5}), "beta_end"),
        (json!({"num_train_timesteps": 0}), "num_train_timesteps"),
        (json!({"new_key": 1}), "new_key"),
    ] {
        let said = Config::parse(&changes.to_string()).unwrap_err().to_string();
        assert!(said.contains(named), "{named}: {said}");
    }
    let missing = Config::from_folder("nowhere".as_ref()).unwrap_err();
    assert!(missing.to_string().contains("scheduler_config.json"));
    for count in [0, 1001, usize::MAX / 2] {
        assert!(Config::default().timesteps(count).is_err());
    }
}
