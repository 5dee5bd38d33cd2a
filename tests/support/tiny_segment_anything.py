"""Segment Anything models of a few hundred kilobytes with seeded random weights, in the real file layout."""

import functools
import tempfile
from pathlib import Path

import torch


def sam2_config(image_size: int = 128):
    import transformers

    vision = transformers.Sam2VisionConfig(
        backbone_config=transformers.Sam2HieraDetConfig(
            hidden_size=8,
            image_size=[image_size, image_size],
            embed_dim_per_stage=[8, 16, 32, 64],
            blocks_per_stage=[1, 1, 2, 1],
            num_attention_heads_per_stage=[1, 2, 4, 8],
            window_size_per_stage=[4, 2, 4, 2],
            window_positional_embedding_background_size=[4, 4],
            global_attention_blocks=[3],
        ),
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[image_size // step] * 2 for step in (4, 8, 16)],
        fpn_hidden_size=32,
    )
    prompt = transformers.Sam2PromptEncoderConfig(hidden_size=32, image_size=image_size, mask_input_channels=4)
    decoder = transformers.Sam2MaskDecoderConfig(
        hidden_size=32, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32
    )
    return transformers.Sam2Config(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)


def sam1_config(image_size: int = 128):
    import transformers

    vision = transformers.SamVisionConfig(
        hidden_size=32,
        output_channels=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=image_size,
        window_size=4,
        global_attn_indexes=[1],
        mlp_dim=64,
        num_pos_feats=16,
    )
    prompt = transformers.SamPromptEncoderConfig(
        hidden_size=32, image_size=image_size, image_embedding_size=image_size // 16, mask_input_channels=4
    )
    decoder = transformers.SamMaskDecoderConfig(
        hidden_size=32, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32
    )
    return transformers.SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)


def save(folder: Path, generation: int = 2, seed: int = 0) -> Path:
    """Write a tiny model of the given generation, with its image processor's settings, into ``folder``."""
    import transformers

    torch.manual_seed(seed)
    if generation == 2:
        model = transformers.Sam2Model(sam2_config())
        processor = transformers.Sam2ImageProcessorFast if hasattr(transformers, "Sam2ImageProcessorFast") else None
        processor = processor or transformers.Sam2ImageProcessor
        settings = processor(size={"height": 128, "width": 128}, mask_size={"height": 32, "width": 32})
    else:
        model = transformers.SamModel(sam1_config())
        settings = transformers.SamImageProcessor(
            size={"longest_edge": 128}, pad_size={"height": 128, "width": 128}, mask_size={"longest_edge": 32}
        )
    _enliven(model)
    model.save_pretrained(folder, safe_serialization=True)
    settings.save_pretrained(folder)
    return Path(folder)


def _enliven(model: torch.nn.Module) -> None:
    """Initial weights are so small that every mask is flat: larger ones make masks depend on picture and box."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "norm" not in name:
                fan_in = parameter[0].numel()
                parameter.normal_(0, fan_in**-0.5)
    # One table under two names in every real model; transformers 5 builds it twice.
    table = model.shared_image_embedding.positional_embedding
    model.prompt_encoder.shared_embedding.positional_embedding.data.copy_(table)


@functools.cache
def template(generation: int = 2) -> Path:
    """The folder of a tiny model; shared, so not to be changed."""
    return save(Path(tempfile.mkdtemp(prefix="imageine-sam-")), generation)


@functools.cache
def shared(generation: int = 2):
    """The loaded model; shared, so not to be changed."""
    from imageine.nodes.algorithms import segment_anything

    return segment_anything.load(template(generation))
