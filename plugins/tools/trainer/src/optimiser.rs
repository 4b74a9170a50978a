//! Adam over gradients that several threads have computed on their shares of a batch.
//!
//! Each thread differentiates its own loss; the gradients are added in the order of the threads, so a
//! run is the same every time.

use std::collections::BTreeMap;
use std::thread;

use anyhow::{Result, anyhow};
use medfocus_torch::tch::{Tensor, no_grad};

/// Decay of the mean gradient and of the mean squared gradient.
const DECAY: [f64; 2] = [0.9, 0.98];
/// Keeps the division finite.
const EPSILON: f64 = 1e-8;
/// Longer gradients are shortened to this norm.
const LONGEST: f64 = 1.0;

/// One trained tensor.
struct Trained {
    value: Tensor,
    mean: Tensor,
    square: Tensor,
    /// Learning rate relative to the others.
    pace: f64,
}

/// Adam (Kingma and Ba, 2015) with clipping of the global norm.
pub struct Adam {
    trained: Vec<Trained>,
    step: i32,
}

impl Adam {
    /// Trains the parameters to which `pace` gives a relative learning rate.
    pub fn new(parameters: &BTreeMap<String, Tensor>, pace: impl Fn(&str) -> Option<f64>) -> Adam {
        let trained = parameters.iter().filter_map(|(name, value)| {
            Some(Trained {
                pace: pace(name)?,
                mean: value.zeros_like().detach(),
                square: value.zeros_like().detach(),
                value: value.shallow_clone(),
            })
        });
        Adam {
            trained: trained.collect(),
            step: 0,
        }
    }

    /// One step. Every worker computes the loss of its share, on a thread of its own; returned is what
    /// the workers report beside it.
    pub fn step<W: Send, R: Send>(
        &mut self,
        rate: f64,
        workers: &mut [W],
        loss: impl Fn(&mut W) -> Result<(Tensor, R)> + Sync,
    ) -> Result<Vec<R>> {
        let shares = 1.0 / workers.len() as f64;
        // A tensor may be sent to a thread, but not shared with it.
        let jobs: Vec<(&mut W, Vec<Tensor>)> = workers
            .iter_mut()
            .map(|worker| {
                (
                    worker,
                    self.trained
                        .iter()
                        .map(|trained| trained.value.shallow_clone())
                        .collect(),
                )
            })
            .collect();
        let loss = &loss;
        let results: Vec<Result<(Vec<Tensor>, R)>> = thread::scope(|scope| {
            let threads: Vec<_> = jobs
                .into_iter()
                .map(|(worker, values)| {
                    scope.spawn(move || {
                        let (loss, report) = loss(worker)?;
                        Ok((
                            Tensor::f_run_backward(&[loss], &values, false, false)?,
                            report,
                        ))
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|_| Err(anyhow!("a training thread has panicked")))
                })
                .collect()
        });
        let mut gradients: Vec<Tensor> = Vec::new();
        let mut reports = Vec::new();
        for result in results {
            let (own, report) = result?;
            reports.push(report);
            if gradients.is_empty() {
                gradients = own;
            } else {
                gradients = gradients
                    .iter()
                    .zip(&own)
                    .map(|(sum, own)| sum + own)
                    .collect();
            }
        }
        no_grad(|| self.update(rate, &gradients, shares));
        Ok(reports)
    }

    fn update(&mut self, rate: f64, gradients: &[Tensor], shares: f64) {
        self.step += 1;
        let norms: Vec<Tensor> = gradients.iter().map(|gradient| gradient.norm()).collect();
        let norm = Tensor::stack(&norms, 0).norm().double_value(&[]) * shares;
        let scale = shares * (LONGEST / (norm + 1e-6)).min(1.0);
        let [mean_bias, square_bias] = DECAY.map(|decay| 1.0 - decay.powi(self.step));
        for (trained, gradient) in self.trained.iter_mut().zip(gradients) {
            let gradient = gradient * scale;
            trained.mean = &trained.mean * DECAY[0] + &gradient * (1.0 - DECAY[0]);
            trained.square = &trained.square * DECAY[1] + gradient.square() * (1.0 - DECAY[1]);
            let spread = (&trained.square / square_bias).sqrt() + EPSILON;
            let change = &trained.mean / spread * (rate * trained.pace / mean_bias);
            let _ = trained.value.g_sub_(&change);
        }
    }
}

/// Learning rate at this share of the way: a short rise, then a cosine down to a twentieth.
pub fn schedule(peak: f64, share: f64) -> f64 {
    let rise = (share / 0.04).min(1.0);
    peak * rise * (0.05 + 0.475 * (1.0 + (std::f64::consts::PI * share).cos()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use medfocus_torch::tch::Kind;

    fn after(workers: usize, steps: usize, pace: f64) -> Vec<f64> {
        let value = Tensor::from_slice(&[1f32, -2.0]).set_requires_grad(true);
        let parameters = BTreeMap::from([("x".to_owned(), value.shallow_clone())]);
        let mut workers: Vec<Tensor> = (0..workers).map(|_| value.shallow_clone()).collect();
        let mut adam = Adam::new(&parameters, |_| Some(pace));
        for _ in 0..steps {
            adam.step(0.1, &mut workers, |x| {
                Ok(((&*x * 0.3).square().sum(Kind::Float), ()))
            })
            .unwrap();
        }
        Vec::<f64>::try_from(value.detach()).unwrap()
    }

    #[test]
    fn the_first_step_has_the_length_of_the_rate() {
        for (value, wanted) in after(1, 1, 0.5).into_iter().zip([0.95, -1.95]) {
            assert!((value - wanted).abs() < 1e-5, "{value} instead of {wanted}");
        }
    }

    #[test]
    fn equal_shares_change_nothing() {
        for (one, three) in after(1, 20, 1.0).into_iter().zip(after(3, 20, 1.0)) {
            assert!((one - three).abs() < 1e-5, "{one} and {three}");
        }
    }

    #[test]
    fn the_schedule_rises_and_falls() {
        assert_eq!(schedule(1.0, 0.0), 0.0);
        assert!(schedule(1.0, 0.04) > 0.99);
        assert!((schedule(1.0, 1.0) - 0.05).abs() < 1e-9);
    }
}
