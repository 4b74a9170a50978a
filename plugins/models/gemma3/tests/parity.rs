//! What every family must show, of Gemma 3.

mod common;

use common::FIXTURES;

medfocus_lvlm_parity::parity!(FIXTURES);
