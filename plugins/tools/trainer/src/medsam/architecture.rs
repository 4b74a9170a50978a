//! The network: SAM in small, on the working image as it is.

use serde_json::{Value, json};

use crate::film::WORKING_SIDE;

/// Side of a patch, pixels.
pub const PATCH_SIDE: usize = 16;
/// Patches along one side of the image.
pub const PATCHES_PER_SIDE: usize = WORKING_SIDE / PATCH_SIDE;
/// Cells along one side of the masks that the decoder makes.
pub const MASK_SIDE: usize = 4 * PATCHES_PER_SIDE;
/// Pixels of the working image along one side of a cell.
pub const CELL: usize = WORKING_SIDE / MASK_SIDE;
/// Width of the image encoder.
pub const WIDTH: usize = 96;
/// Heads of the image encoder.
pub const HEADS: usize = 4;
/// Width of the decoder and of the embedding.
pub const DECODER_WIDTH: usize = 96;

/// `config.json`.
pub fn config() -> Value {
    json!({
        "architectures": ["SamModel"],
        "model_type": "sam",
        "torch_dtype": "float16",
        "initializer_range": 0.02,
        "vision_config": {
            "model_type": "sam_vision_model",
            "hidden_size": WIDTH,
            "output_channels": DECODER_WIDTH,
            "num_hidden_layers": 4,
            "num_attention_heads": HEADS,
            "num_channels": 3,
            "image_size": WORKING_SIDE,
            "patch_size": PATCH_SIDE,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-6,
            "qkv_bias": true,
            "use_abs_pos": true,
            "use_rel_pos": true,
            "window_size": 7,
            "global_attn_indexes": [1, 3],
            "num_pos_feats": DECODER_WIDTH / 2,
            "mlp_dim": 2 * WIDTH,
        },
        "prompt_encoder_config": {
            "hidden_size": DECODER_WIDTH,
            "image_size": WORKING_SIDE,
            "patch_size": PATCH_SIDE,
            "mask_input_channels": 4,
            "num_point_embeddings": 4,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-6,
        },
        "mask_decoder_config": {
            "hidden_size": DECODER_WIDTH,
            "hidden_act": "relu",
            "mlp_dim": 2 * DECODER_WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "attention_downsample_rate": 2,
            "num_multimask_outputs": 3,
            "iou_head_depth": 3,
            "iou_head_hidden_dim": DECODER_WIDTH,
            "layer_norm_eps": 1e-6,
        },
    })
}

/// `preprocessor_config.json`.
pub fn preprocessor() -> Value {
    json!({
        "image_processor_type": "SamImageProcessor",
        "processor_class": "SamProcessor",
        "do_convert_rgb": true,
        "do_resize": true,
        "size": {"longest_edge": WORKING_SIDE},
        "resample": 3,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "do_pad": true,
        "pad_size": {"height": WORKING_SIDE, "width": WORKING_SIDE},
    })
}
