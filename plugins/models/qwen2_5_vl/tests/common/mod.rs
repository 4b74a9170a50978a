//! The fixtures in `tests/fixtures/qwen2_5_vl`, written by the reference implementation.

use medfocus_lvlm_parity::Fixtures;
use medfocus_model_qwen2_5_vl::Family;

pub const FIXTURES: Fixtures<Family> = Fixtures::new(
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../tests/fixtures/qwen2_5_vl"
    ),
    &["hub", "saved", "small"],
);
