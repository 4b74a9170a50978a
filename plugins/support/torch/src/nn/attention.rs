//! Attention: heads, the fused kernel, and the map itself.

use tch::{Kind, Tensor};

use crate::Result;

/// `[batch, tokens, heads * width]` to `[batch, heads, tokens, width]`.
pub fn split_heads(x: &Tensor, heads: i64) -> Result<Tensor> {
    let (batch, tokens, width) = x.size3()?;
    Ok(x.f_reshape([batch, tokens, heads, width / heads])?
        .f_transpose(1, 2)?)
}

/// `[batch, heads, tokens, width]` to `[batch, tokens, heads * width]`.
pub fn merge_heads(x: &Tensor) -> Result<Tensor> {
    let (batch, heads, tokens, width) = x.size4()?;
    Ok(x.f_transpose(1, 2)?
        .f_reshape([batch, tokens, heads * width])?)
}

/// Repeats each key or value head for the query heads that share it: `[b, kv, s, d]` to `[b, kv * times, s, d]`.
pub fn repeat_heads(x: &Tensor, times: i64) -> Result<Tensor> {
    if times == 1 {
        return Ok(x.shallow_clone());
    }
    let (batch, heads, tokens, width) = x.size4()?;
    Ok(x.f_unsqueeze(2)?
        .f_expand([batch, heads, times, tokens, width], false)?
        .f_reshape([batch, heads * times, tokens, width])?)
}

/// Scaled dot-product attention in one fused kernel, which never holds the whole map.
///
/// `allowed` is a boolean mask that broadcasts to `[batch, heads, queries, keys]`.
pub fn fused_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    allowed: Option<&Tensor>,
    scale: f64,
) -> Result<Tensor> {
    Ok(Tensor::f_scaled_dot_product_attention(
        q, k, v, allowed, 0.0, false, scale, false,
    )?)
}

/// The attention map itself, `softmax(q kᵀ · scale + blocked)`, `[batch, heads, queries, keys]`.
///
/// The softmax runs in f32 and is rounded to the format of `q` afterwards. `blocked` is added to
/// the scores: zero where a key may be seen, [`blocked_score`] where not.
pub fn attention_map(
    q: &Tensor,
    k: &Tensor,
    blocked: Option<&Tensor>,
    scale: f64,
) -> Result<Tensor> {
    let mut scores = q.f_matmul(&k.f_transpose(2, 3)?)?.f_mul_scalar(scale)?;
    if let Some(blocked) = blocked {
        scores = scores.f_add(blocked)?;
    }
    Ok(scores.f_softmax(-1, Kind::Float)?.f_to_kind(q.f_kind()?)?)
}

/// What is added to the score of a key that must not be seen: the lowest finite number of the
/// format. Unlike minus infinity it leaves a row without any visible key uniform, not NaN.
pub fn blocked_score(kind: Kind) -> f64 {
    match kind {
        Kind::Half => -65504.0,
        // (2 - 2⁻⁷) · 2¹²⁷: the exponent range of f32 with 8 bits of significand.
        Kind::BFloat16 => -3.389_531_389_251_535_5e38,
        _ => f64::from(f32::MIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tch::Device;

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn a_row_without_keys_is_uniform_not_nan() {
        for kind in [Kind::Float, Kind::BFloat16] {
            let q = Tensor::randn([1, 1, 2, 4], CPU).to_kind(kind);
            let blocked = Tensor::full([2, 4], blocked_score(kind), CPU).to_kind(kind);
            let k = Tensor::randn([1, 1, 4, 4], CPU).to_kind(kind);
            let map = attention_map(&q, &k, Some(&blocked), 0.5)
                .unwrap()
                .to_kind(Kind::Float);
            assert!(largest_difference(&map, &Tensor::full([1, 1, 2, 4], 0.25, CPU)) < 1e-6);
        }
    }

    #[test]
    fn heads_split_and_merge_back() {
        let x = Tensor::randn([2, 3, 8], CPU);
        let split = split_heads(&x, 4).unwrap();
        assert_eq!(split.size(), [2, 4, 3, 2]);
        assert_eq!(largest_difference(&merge_heads(&split).unwrap(), &x), 0.0);
    }

    #[test]
    fn repeated_heads_stand_side_by_side() {
        let x = Tensor::arange(2, CPU).reshape([1, 2, 1, 1]);
        let repeated = repeat_heads(&x, 3).unwrap().flatten(0, -1);
        assert_eq!(
            Vec::<f32>::try_from(repeated).unwrap(),
            [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn fused_equals_the_map_times_the_values(batch in 1i64..3, heads in 1i64..4, tokens in 1i64..40, width in 1i64..24) {
            let [q, k, v] = [0; 3].map(|_| Tensor::randn([batch, heads, tokens, width], CPU));
            let allowed = Tensor::ones([tokens, tokens], (Kind::Bool, Device::Cpu)).tril(0);
            let blocked = Tensor::zeros([tokens, tokens], CPU).masked_fill(&allowed.logical_not(), blocked_score(Kind::Float));
            let fused = fused_attention(&q, &k, &v, Some(&allowed), 0.3).unwrap();
            let eager = attention_map(&q, &k, Some(&blocked), 0.3).unwrap().matmul(&v);
            prop_assert!(largest_difference(&fused, &eager) < 1e-5);
        }
    }
}
