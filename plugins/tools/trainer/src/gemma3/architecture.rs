//! The network: Gemma 3 in small.

use serde_json::{Value, json};

use super::tokenizer::Special;

/// Side of the image the tower sees, pixels.
pub const IMAGE_SIDE: usize = 112;
/// Side of a patch, pixels.
pub const PATCH_SIDE: usize = 8;
/// Patches along one side of the image.
pub const PATCHES_PER_SIDE: usize = IMAGE_SIDE / PATCH_SIDE;
/// Image tokens: each pools 2 x 2 patches.
pub const IMAGE_TOKENS: usize = 49;
/// Width of the tower.
pub const TOWER_WIDTH: usize = 128;
/// Layers of the tower.
pub const TOWER_LAYERS: usize = 3;
/// Heads of the tower.
pub const TOWER_HEADS: usize = 8;

/// `config.json` for a vocabulary of this size.
pub fn config(vocabulary: usize) -> Value {
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
