"""Full-depth UNets, SD 1.5 and SDXL, narrow, and the IP-Adapters under which one forward pass is compared."""

SHARED = {"sample_size": 16, "block_out_channels": (32, 64, 128, 128), "layers_per_block": 2}
UNETS = {
    "SD 1.5": SHARED | {"cross_attention_dim": 768, "attention_head_dim": 8},
    "SDXL": SHARED
    | {
        "block_out_channels": (64, 128, 256),  # ComfyUI has 64 channels per attention head in every SDXL
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (1, 2, 4),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
COUNTS = {"SD 1.5": 16, "SDXL": 70}
# What the blocks of each weight type are called by diffusers' set_ip_adapter_scale.
SCALES = {
    "SD 1.5": {
        "style": {"up": {"block_1": [1.0, 1.0, 1.0]}},
        "composition": {"down": {"block_2": [1.0, 1.0]}, "mid": 1.0},
    },
    "SDXL": {"style": {"up": {"block_0": [0.0, 1.0, 0.0]}}, "composition": {"down": {"block_2": [0.0, 1.0]}}},
}
CASES = {
    "linear 1": {"weight": 1.0},
    "linear 0.5": {"weight": 0.5},
    "linear 0.5, masked": {"weight": 0.5, "masked": True},
    "style": {"weight": 1.0, "weight_type": "style"},
    "composition": {"weight": 1.0, "weight_type": "composition"},
}
