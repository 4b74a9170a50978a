//! Gemma 3 in small.

mod initial;
mod settings;

use anyhow::Result;
use medfocus_model_gemma3::Family;
use medfocus_torch::tch::Tensor;
use serde_json::{Value, json};

use super::architecture::{IMAGE_SIDE, IMAGE_TOKENS, PATCH_SIDE, TOWER_HEADS, TOWER_WIDTH};
use super::corpus::Boxes;
use super::student::Student;
use super::tokenizer::{Spelling, Tokens};
use crate::checkpoint::{Format, Staging};

/// Layers of the tower.
const TOWER_LAYERS: usize = 3;

/// Gemma 3 in small.
pub struct Gemma3;

impl Student for Gemma3 {
    type Family = Family;
    const BOXES: Boxes = Boxes::Thousandths;
    const FORMAT: Format = Format::F32;
    const TOKENS: Tokens = Tokens {
        special: &Special::TEXTS,
        pad: Special::Pad.id(),
        roles: "user model",
        begin: Some(Special::Bos.text()),
        spelling: Spelling::Metaspace,
    };

    fn config(vocabulary: usize) -> Value {
        config(vocabulary)
    }

    fn write(staging: &Staging) -> Result<()> {
        settings::write(staging)
    }

    fn sees(name: &str) -> bool {
        name.starts_with("vision_tower")
    }

    fn initial(name: &str, shape: &[i64], pixels: &Tensor) -> Tensor {
        initial::initial(name, shape, pixels)
    }
}

/// Tokens with a meaning of their own; their ids are their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    Pad,
    Eos,
    Bos,
    Unknown,
    StartTurn,
    EndTurn,
    BeginImage,
    EndImage,
    Image,
}

impl Special {
    /// How every special token is written, by id.
    const TEXTS: [&'static str; 9] = [
        Special::Pad.text(),
        Special::Eos.text(),
        Special::Bos.text(),
        Special::Unknown.text(),
        Special::StartTurn.text(),
        Special::EndTurn.text(),
        Special::BeginImage.text(),
        Special::EndImage.text(),
        Special::Image.text(),
    ];

    /// Its id.
    const fn id(self) -> i64 {
        self as i64
    }

    /// How it is written.
    const fn text(self) -> &'static str {
        match self {
            Special::Pad => "<pad>",
            Special::Eos => "<eos>",
            Special::Bos => "<bos>",
            Special::Unknown => "<unk>",
            Special::StartTurn => "<start_of_turn>",
            Special::EndTurn => "<end_of_turn>",
            Special::BeginImage => "<start_of_image>",
            Special::EndImage => "<end_of_image>",
            Special::Image => "<image_soft_token>",
        }
    }
}

/// `config.json` for a vocabulary of this size.
fn config(vocabulary: usize) -> Value {
    json!({
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "torch_dtype": "float32",
        "boi_token_index": Special::BeginImage.id(),
        "eoi_token_index": Special::EndImage.id(),
        "image_token_index": Special::Image.id(),
        "eos_token_id": [Special::Eos.id(), Special::EndTurn.id()],
        "pad_token_id": Special::Pad.id(),
        "bos_token_id": Special::Bos.id(),
        "mm_tokens_per_image": IMAGE_TOKENS,
        "initializer_range": 0.02,
        "tie_word_embeddings": true,
        "text_config": {
            "model_type": "gemma3_text",
            "vocab_size": vocabulary,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "query_pre_attn_scalar": 32,
            "sliding_window": 128,
            "sliding_window_pattern": 2,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
            "rope_theta": 1_000_000.0,
            "rope_local_base_freq": 10_000.0,
            "rms_norm_eps": 1e-6,
            "max_position_embeddings": 2048,
            "hidden_activation": "gelu_pytorch_tanh",
            "attention_bias": false,
            "bos_token_id": Special::Bos.id(),
            "eos_token_id": Special::Eos.id(),
            "pad_token_id": Special::Pad.id(),
        },
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": TOWER_WIDTH,
            "intermediate_size": 256,
            "num_hidden_layers": TOWER_LAYERS,
            "num_attention_heads": TOWER_HEADS,
            "num_channels": 3,
            "image_size": IMAGE_SIDE,
            "patch_size": PATCH_SIDE,
            "layer_norm_eps": 1e-6,
            "hidden_act": "gelu_pytorch_tanh",
            "vision_use_head": false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lvlm::student;

    #[test]
    fn the_prompt_is_gemmas() {
        let texts =
            student::tests::prompt::<Gemma3>(" Is there evidence of pneumothorax in the image? ");
        let end = texts
            .iter()
            .position(|text| text == "<end_of_image>")
            .unwrap();
        let image = end - 1 - IMAGE_TOKENS;
        assert_eq!(texts[image - 1..=image], ["\n\n\n", "<start_of_image>"]);
        assert!(
            texts[image + 1..end]
                .iter()
                .all(|text| text == "<image_soft_token>")
        );
        assert_eq!(texts[..image - 1].concat(), "<bos><start_of_turn>user");
        assert_eq!(texts[end + 1..end + 3], ["\n\n", "Is"]);
        let question = "Is there evidence of pneumothorax in the image?";
        let turns = format!("\n\n{question}<end_of_turn>\n<start_of_turn>model\n");
        assert_eq!(texts[end + 1..].concat(), turns);
    }
}
