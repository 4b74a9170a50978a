//! Qwen2.5-VL in small.

mod initial;
mod settings;

use anyhow::Result;
use medfocus_model_qwen2_5_vl::Family;
use medfocus_torch::tch::Tensor;
use serde_json::{Value, json};

use super::architecture::{PATCH_SIDE, TOWER_HEADS, TOWER_WIDTH};
use super::corpus::Boxes;
use super::student::Student;
use super::tokenizer::{Spelling, Tokens};
use crate::checkpoint::{Format, Staging};

/// Blocks of the tower, and those of them that see the whole image.
const TOWER_BLOCKS: usize = 4;
const WHOLE: [usize; 2] = [1, 3];

/// Ids of special tokens: their places among them.
const END_OF_TEXT: i64 = 0;
const END_OF_TURN: i64 = 2;
const VISION_START: i64 = 3;
const VISION_END: i64 = 4;
const IMAGE: i64 = 5;
const VIDEO: i64 = 6;

/// Qwen2.5-VL in small.
pub struct Qwen2_5Vl;

impl Student for Qwen2_5Vl {
    type Family = Family;
    const BOXES: Boxes = Boxes::Pixels;
    const FORMAT: Format = Format::F16;
    const TOKENS: Tokens = Tokens {
        special: &[
            "<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "<|vision_start|>",
            "<|vision_end|>",
            "<|image_pad|>",
            "<|video_pad|>",
        ],
        pad: END_OF_TEXT,
        roles: "system user assistant You are a helpful assistant",
        begin: None,
        spelling: Spelling::ByteLevel,
    };

    fn config(vocabulary: usize) -> Value {
        json!({
            "architectures": ["Qwen2_5_VLForConditionalGeneration"],
            "model_type": "qwen2_5_vl",
            "torch_dtype": "float16",
            "vision_start_token_id": VISION_START,
            "vision_end_token_id": VISION_END,
            "image_token_id": IMAGE,
            "video_token_id": VIDEO,
            "eos_token_id": END_OF_TURN,
            "pad_token_id": END_OF_TEXT,
            "tie_word_embeddings": true,
            "vocab_size": vocabulary,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-6,
            "rope_theta": 10_000.0,
            "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
            "use_sliding_window": false,
            "max_position_embeddings": 2048,
            "vision_config": {
                "model_type": "qwen2_5_vl",
                "depth": TOWER_BLOCKS,
                "hidden_size": TOWER_WIDTH,
                "intermediate_size": 192,
                "num_heads": TOWER_HEADS,
                "in_chans": 3,
                "out_hidden_size": 128,
                "patch_size": PATCH_SIDE,
                "temporal_patch_size": 2,
                "spatial_merge_size": 2,
                "window_size": 64,
                "fullatt_block_indexes": WHOLE,
                "hidden_act": "silu",
            },
        })
    }

    fn write(staging: &Staging) -> Result<()> {
        settings::write(staging)
    }

    fn sees(name: &str) -> bool {
        name.starts_with("visual.") && !name.starts_with("visual.merger.")
    }

    fn initial(name: &str, shape: &[i64], pixels: &Tensor) -> Tensor {
        initial::initial(name, shape, pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lvlm::architecture::IMAGE_TOKENS;
    use crate::lvlm::student;

    #[test]
    fn the_prompt_is_qwens() {
        let question = "Is there evidence of pneumothorax in the image?";
        let texts = student::tests::prompt::<Qwen2_5Vl>(question);
        let image = "<|image_pad|>".repeat(IMAGE_TOKENS);
        let expected = format!(
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>{image}<|vision_end|>{question}<|im_end|>\n<|im_start|>assistant\n"
        );
        assert_eq!(texts.concat(), expected);
        assert!(texts.contains(&" pneumothorax".to_owned()));
        for (id, text) in [
            (END_OF_TEXT, "<|endoftext|>"),
            (END_OF_TURN, "<|im_end|>"),
            (VISION_START, "<|vision_start|>"),
            (VISION_END, "<|vision_end|>"),
            (IMAGE, "<|image_pad|>"),
            (VIDEO, "<|video_pad|>"),
        ] {
            assert_eq!(Qwen2_5Vl::TOKENS.special[id as usize], text);
        }
    }
}
