"""Segment Anything models of a few hundred kilobytes with seeded random weights, in the real file layout."""

import functools
import tempfile
from pathlib import Path

import torch
from imageine.runner.demo import segment_anything


def sam2_config():
    return segment_anything.configuration(size=128, width=32)


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
