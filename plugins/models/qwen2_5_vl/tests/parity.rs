//! What every family must show, of Qwen2.5-VL.

mod common;

use common::FIXTURES;

medfocus_lvlm_parity::parity!(FIXTURES);
