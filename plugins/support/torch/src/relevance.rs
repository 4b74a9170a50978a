//! A backward pass that hands down relevance in place of a gradient (AttnLRP, Achtibat et al., ICML 2024).
//!
//! The layers compute the same values; what changes is what the graph behind them says of their slopes. Activation times
//! such a gradient is the relevance of the activation:
//!
//! - the factor of a norm is a constant;
//! - an activation function f has the slope f(x) / x, and 0 at 0;
//! - a product of two tensors that both depend on the input shares its relevance between them: the gradient of a gated
//!   product is halved, at the values of an attention, too, and quartered at its queries and keys;
//! - under [`RelevanceRule::CpLrp`] gates, queries and keys are constants instead, and nothing is shared.
//!
//! Linear maps, sums and the softmax keep their own slopes. Every layer that knows the rules asks this module, which
//! knows whether its thread is on such a pass.

use std::cell::Cell;

use medfocus_plugin_api::RelevanceRule;
use tch::{Kind, Tensor};

use crate::Result;

thread_local! {
    static RULE: Cell<Option<RelevanceRule>> = const { Cell::new(None) };
}

/// Hands down relevance by a rule, or gradients, on this thread until dropped; then what was before.
#[must_use = "the rule ends as soon as the guard is dropped"]
#[derive(Debug)]
pub struct HandDown {
    before: Option<RelevanceRule>,
}

impl HandDown {
    /// Relevance by this rule; gradients without one.
    pub fn by(rule: Option<RelevanceRule>) -> Self {
        Self {
            before: RULE.replace(rule),
        }
    }
}

impl Drop for HandDown {
    fn drop(&mut self) {
        RULE.set(self.before);
    }
}

/// The factor of a norm.
pub(crate) fn factor(factor: Tensor) -> Result<Tensor> {
    Ok(match RULE.get() {
        None => factor,
        Some(_) => factor.f_detach()?,
    })
}

/// An activation function of `x`, element by element.
pub(crate) fn activation(
    x: &Tensor,
    function: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    if RULE.get().is_none() {
        return function(x);
    }
    let fixed = x.f_detach()?;
    let value = function(&fixed)?;
    let slope = value.f_div(&fixed)?.f_masked_fill(&fixed.f_eq(0.0)?, 0.0)?;
    Ok(value.f_add(&nothing(x)?.f_mul(&slope)?)?)
}

/// A gate times what it lets through.
pub(crate) fn gated(gate: &Tensor, x: &Tensor) -> Result<Tensor> {
    match RULE.get() {
        None => Ok(gate.f_mul(x)?),
        Some(RelevanceRule::AttnLrp) => sloped(&gate.f_mul(x)?, 0.5),
        Some(RelevanceRule::CpLrp) => Ok(gate.f_detach()?.f_mul(x)?),
    }
}

/// Queries, keys and values as attention takes them.
pub fn attended([q, k, v]: [&Tensor; 3]) -> Result<[Tensor; 3]> {
    Ok(match RULE.get() {
        None => [q, k, v].map(Tensor::shallow_clone),
        Some(RelevanceRule::AttnLrp) => [sloped(q, 0.25)?, sloped(k, 0.25)?, sloped(v, 0.5)?],
        Some(RelevanceRule::CpLrp) => [q.f_detach()?, k.f_detach()?, v.shallow_clone()],
    })
}

/// The relevance of activations `[.., channels]` whose modified gradient this is: `[..]`, summed in f32.
pub fn of(activations: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let wide = |x: &Tensor| x.f_detach()?.f_to_kind(Kind::Float);
    let product = wide(activations)?.f_mul(&wide(gradient)?)?;
    Ok(product.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)?)
}

/// The same values with so many times their gradient.
fn sloped(x: &Tensor, share: f64) -> Result<Tensor> {
    Ok(x.f_detach()?.f_add(&nothing(x)?.f_mul_scalar(share)?)?)
}

/// Zeros with the gradient of `x`.
fn nothing(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_sub(&x.f_detach()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn leaf() -> Tensor {
        let noise = Tensor::randn([4, 6], (Kind::Float, Device::Cpu));
        noise.set_requires_grad(true)
    }

    fn gradients<const N: usize>(value: &Tensor, leaves: [&Tensor; N]) -> Vec<Tensor> {
        Tensor::run_backward(&[value.sum(Kind::Float)], &leaves, true, false)
    }

    const RULES: [Option<RelevanceRule>; 3] = [
        None,
        Some(RelevanceRule::AttnLrp),
        Some(RelevanceRule::CpLrp),
    ];

    #[test]
    fn values_are_the_same_to_the_last_bit() {
        let (a, b, c) = (leaf(), leaf(), leaf());
        let values = RULES.map(|rule| {
            let _rule = HandDown::by(rule);
            let [q, k, v] = attended([&a, &b, &c]).unwrap();
            let silu = activation(&a, |x| Ok(x.f_silu()?)).unwrap();
            Tensor::stack(&[q, k, v, gated(&a, &b).unwrap(), silu], 0)
        });
        assert_eq!(values[0], values[1]);
        assert_eq!(values[0], values[2]);
    }

    #[test]
    fn an_activation_hands_on_what_it_got() {
        let x = leaf();
        let _rule = HandDown::by(Some(RelevanceRule::AttnLrp));
        let y = activation(&x, |x| Ok(x.f_gelu("none")?)).unwrap();
        let relevance = &gradients(&y, [&x])[0] * &x;
        assert!((relevance - &y).abs().max().double_value(&[]) < 1e-6);
        let zero = Tensor::zeros([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let y = activation(&zero, |x| Ok(x.f_silu()?)).unwrap();
        assert_eq!(gradients(&y, [&zero])[0].abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn products_share_or_give_all_to_one_side() {
        let (gate, x) = (leaf(), leaf());
        let shares = |rule| {
            let _rule = HandDown::by(Some(rule));
            let y = gated(&gate, &x).unwrap();
            let gradients = Tensor::f_run_backward(&[y.sum(Kind::Float)], &[&x], true, false);
            (gradients.unwrap()[0].shallow_clone(), y)
        };
        let (half, y) = shares(RelevanceRule::AttnLrp);
        assert!((half * 2.0 - &gate).abs().max().double_value(&[]) < 1e-6);
        assert!(
            (&gradients(&y, [&gate])[0] * 2.0 - &x)
                .abs()
                .max()
                .double_value(&[])
                < 1e-6
        );
        let (whole, _) = shares(RelevanceRule::CpLrp);
        assert!((whole - &gate).abs().max().double_value(&[]) < 1e-6);

        let _rule = HandDown::by(Some(RelevanceRule::AttnLrp));
        let [q, k, v] = attended([&gate, &x, &gate]).unwrap();
        let slope = |y: &Tensor, x: &Tensor| gradients(y, [x])[0].mean(Kind::Float);
        assert_eq!(slope(&q, &gate).double_value(&[]), 0.25);
        assert_eq!(slope(&k, &x).double_value(&[]), 0.25);
        assert_eq!(slope(&v, &gate).double_value(&[]), 0.5);
    }

    #[test]
    fn rules_nest_and_end() {
        let a = leaf();
        let cut = || factor(a.shallow_clone()).unwrap().requires_grad();
        assert!(!cut() || RULE.get().is_none());
        {
            let _rule = HandDown::by(Some(RelevanceRule::CpLrp));
            assert!(!factor(&a * 2.0).unwrap().requires_grad());
            let _none = HandDown::by(None);
            assert!(factor(&a * 2.0).unwrap().requires_grad());
        }
        assert_eq!(RULE.get(), None);
    }
}
