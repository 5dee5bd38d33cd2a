"""A tiny SAM 2.1 with seeded weights, in the folder format of the hub's sam2.1-hiera-tiny.

The image encoder is random. The mask decoder is set by hand so that a box gives a mask that fills it, with an edge
that the random features fray: what a mask should look like, without a meaning. torch and transformers are imported
inside the functions.

How the decoder finds the box: a point's position encoding is the sines and cosines of k w x and k w y, k = 1..7. The
Fourier series of "1 between x1 and x2, else 0" has coefficients that are linear in the encodings of x1 and x2. So one
attention layer can give every mask token the box's series, and the next one compares that with every pixel's encoding.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from . import filling

if TYPE_CHECKING:
    import torch

WIDTH = 64
SIZE = 512

# Channels of tokens and pixels. A position encoding is WIDTH / 2 sines, then as many cosines: 7 frequencies of x, 7
# of y, and 18 zero frequencies, whose sines (0) and cosines (1) leave room for marks.
_HARMONICS = 7
_HALF = WIDTH // 2
_SINES = list(range(2 * _HARMONICS))
_COSINES = [_HALF + channel for channel in _SINES]
_FIRST_CORNER, _SECOND_CORNER, _IS_MASK, _IS_OTHER = 14, 15, 16, 17
_FEATURES = slice(20, _HALF)
_ONE = _HALF + 2 * _HARMONICS
_BALANCE, _INSIDE, _OUTSIDE = _ONE + 1, _ONE + 2, _ONE + 3
# The series' period, in the encoding's coordinates (the picture is 2 wide): longer than the picture, so that a box
# at one edge leaves no echo at the other.
_PERIOD = 2.5
# Large enough for a softmax to choose one token; weight of a mark beside the series; steepness of the box's edge.
_CHOOSE, _MARK, _STEEPNESS = 200.0, 4.0, 40.0
# How much the picture's own features fray the edge.
_FRAY = 1.2

_IMAGE_PROCESSOR = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "Sam2ImageProcessorFast",
    "image_std": [0.229, 0.224, 0.225],
    "mask_size": {},
    "processor_class": "Sam2Processor",
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {},
}


def save(folder: Path) -> Path:
    """Write config.json, model.safetensors, preprocessor_config.json and processor_config.json to ``folder``."""
    from transformers import Sam2Model

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = Sam2Model(configuration()).eval().requires_grad_(False)
    set_weights(model)
    model.save_pretrained(folder, safe_serialization=True)
    save_processor(folder, SIZE)
    return folder


def set_weights(model: "torch.nn.Module") -> None:
    """Set every weight of a Sam2Model of ``WIDTH`` channels, in place: random ones, and the decoder's by hand."""
    _fill(model)
    _set_positions(model)
    _set_decoder(model.mask_decoder)


def save_processor(folder: Path, size: int) -> None:
    """Write preprocessor_config.json and processor_config.json of a model of ``size`` x ``size`` pixels."""
    sides = {"mask_size": {"height": size // 4, "width": size // 4}, "size": {"height": size, "width": size}}
    processor = {"point_pad_value": -10, "processor_class": "Sam2Processor", "target_size": size}
    files = {"preprocessor_config.json": _IMAGE_PROCESSOR | sides, "processor_config.json": processor}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def configuration(size: int = SIZE, width: int = WIDTH):
    """A Sam2Config for pictures of ``size`` x ``size``, a multiple of 32, with ``width`` channels of features."""
    from transformers import Sam2Config, Sam2HieraDetConfig, Sam2VisionConfig

    backbone = Sam2HieraDetConfig(
        hidden_size=16,
        num_attention_heads=1,
        image_size=[size, size],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 1, 2, 4],
        window_size_per_stage=[8, 4, 14, 7],
        window_positional_embedding_background_size=[7, 7],
        global_attention_blocks=[3],
    )
    sides = [size // 4, size // 8, size // 16]
    return Sam2Config(
        vision_config=Sam2VisionConfig(
            backbone_config=backbone,
            backbone_channel_list=[128, 64, 32, 16],
            backbone_feature_sizes=[[side, side] for side in sides],
            fpn_hidden_size=width,
        ),
        prompt_encoder_config={"hidden_size": width, "image_size": size},
        mask_decoder_config={
            "hidden_size": width,
            "mlp_dim": 2 * width,
            "num_attention_heads": 2,
            "attention_downsample_rate": 1,
            "iou_head_hidden_dim": width,
        },
    )


def _fill(model: "torch.nn.Module") -> None:
    gains = {"o_proj.": 0.5, "proj_out.": 0.5, "attn.proj.": 0.5}
    for name, tensor in model.named_parameters():
        tensor.copy_(filling.value(name, tuple(tensor.shape), "segment-anything", gains))


def _set_positions(model: "torch.nn.Module") -> None:
    """Position encodings as Fourier series; a mark on every kind of token; no feature in a channel used here."""
    import torch

    frequencies = torch.zeros(2, _HALF)
    for axis in (0, 1):
        start = axis * _HARMONICS
        frequencies[axis, start : start + _HARMONICS] = torch.arange(1, _HARMONICS + 1) / _PERIOD
    for name, buffer in model.named_buffers():
        if name.endswith("positional_embedding"):
            buffer.copy_(frequencies)
    encoder, decoder = model.prompt_encoder, model.mask_decoder
    model.no_memory_embedding.zero_()
    encoder.no_mask_embed.weight.zero_()
    encoder.point_embed.weight.zero_()
    encoder.point_embed.weight[2, _FIRST_CORNER] = 1.0
    encoder.point_embed.weight[3, _SECOND_CORNER] = 1.0
    for embedding in (encoder.not_a_point_embed, decoder.iou_token, decoder.obj_score_token, decoder.mask_tokens):
        embedding.weight.zero_()
        embedding.weight[:, _IS_MASK if embedding is decoder.mask_tokens else _IS_OTHER] = 1.0
    keep = torch.zeros(WIDTH)
    keep[_FEATURES] = 1.0
    for conv in model.vision_encoder.neck.convs:
        conv.weight.mul_(keep[:, None, None, None])
        conv.bias.mul_(keep)


def _set_decoder(decoder: "torch.nn.Module") -> None:
    layers = decoder.transformer.layers
    for layer in layers:
        for attention in (layer.self_attn, layer.cross_attn_token_to_image, layer.cross_attn_image_to_token):
            _clear(attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
        _clear(layer.mlp.proj_out)
        for norm in (layer.layer_norm1, layer.layer_norm2, layer.layer_norm3, layer.layer_norm4):
            norm.weight.fill_(1.0)
            norm.bias.zero_()
    _clear(decoder.transformer.final_attn_token_to_image.o_proj)
    _gather_box(layers[0].self_attn)
    _compare_pixels(layers[0].cross_attn_image_to_token)
    _draw(decoder)


def _gather_box(attention: "torch.nn.Module") -> None:
    """Give every mask token the series of "inside the box": one head reads each corner. Other tokens become 0."""
    import math

    series = _SINES + _COSINES
    rows = attention.o_proj.weight
    for head, (corner, sign) in enumerate(((_FIRST_CORNER, -1.0), (_SECOND_CORNER, 1.0))):
        base = head * _HALF
        attention.q_proj.weight[base, _IS_MASK] = _CHOOSE
        attention.q_proj.weight[base + 1, [_IS_OTHER, _FIRST_CORNER, _SECOND_CORNER]] = _CHOOSE
        attention.k_proj.weight[base, corner] = 1.0
        attention.k_proj.weight[base + 1, _IS_OTHER] = 1.0
        for place, channel in enumerate(series):
            attention.v_proj.weight[base + place, channel] = 1.0
        attention.v_proj.weight[base + len(series), _FIRST_CORNER] = 1.0
        for channel in _SINES:
            k = channel % _HARMONICS + 1
            # Of 1 between x1 and x2: (sin k x2 - sin k x1) cos k x - (cos k x2 - cos k x1) sin k x, over pi k;
            # the sinc rounds off the corners that a short series would overshoot.
            weight = sign * _sinc(k / (_HARMONICS + 1)) / (math.pi * k)
            rows[_HALF + channel, base + channel] = weight
            rows[channel, base + len(_SINES) + channel] = -weight
            # And its mean, (x2 - x1) / period, from the series of x itself.
            rows[_ONE, base + channel] = sign * (-1) ** (k + 1) / (math.pi * k)
    mark = len(series)  # of the first head: 1 in mask tokens, 0 in the others
    rows[_ONE, mark] = -1.5  # halfway between "inside in x and in y" (2) and "in one of them" (1)
    rows[_INSIDE, mark] = _MARK
    # The normalisation that follows must only scale: a mean of zero.
    rows[_BALANCE] = -rows.sum(0)


def _sinc(x: float) -> float:
    import math

    return math.sin(math.pi * x) / (math.pi * x)


def _compare_pixels(attention: "torch.nn.Module") -> None:
    """Each pixel attends to the mask tokens as far as it lies in the box; that goes into its _INSIDE channel."""
    for place, channel in enumerate(_SINES + _COSINES + [_ONE]):
        attention.q_proj.weight[place, channel] = 1.0
        attention.k_proj.weight[place, channel] = _STEEPNESS
    constant = len(_SINES + _COSINES)
    attention.k_proj.weight[constant, [_FIRST_CORNER, _SECOND_CORNER]] = -100 * _STEEPNESS
    attention.v_proj.weight[0, _INSIDE] = 1.0
    for channel, sign in ((_INSIDE, 1.0), (_OUTSIDE, -1.0)):
        attention.o_proj.weight[channel, 0] = sign * 2.0
        attention.o_proj.bias[channel] = -sign * 5.0


def _draw(decoder: "torch.nn.Module") -> None:
    """Carry inside and outside through the upscaling in channels 0 and 1; the rest is random and frays the edge."""
    decoder.conv_s0.weight[:2], decoder.conv_s0.bias[:2] = 0.0, 0.0
    decoder.conv_s1.weight[:2], decoder.conv_s1.bias[:2] = 0.0, 0.0
    for conv, sources in ((decoder.upscale_conv1, (_INSIDE, _OUTSIDE)), (decoder.upscale_conv2, (0, 1))):
        conv.weight[list(sources)] = 0.0
        conv.weight[:, :2], conv.bias[:2] = 0.0, 0.0
        for channel, source in enumerate(sources):
            conv.weight[source, channel] = 2.0
    for network in decoder.output_hypernetworks_mlps:
        network.proj_out.weight.mul_(0.1)
        network.proj_out.bias.copy_(filling.noise((WIDTH // 8,), "fray") * _FRAY)
        network.proj_out.bias[0], network.proj_out.bias[1] = 1.0, -1.0
    decoder.pred_obj_score_head.proj_out.weight.zero_()
    decoder.pred_obj_score_head.proj_out.bias.fill_(5.0)


def _clear(*layers: "torch.nn.Module") -> None:
    for layer in layers:
        layer.weight.zero_()
        layer.bias.zero_()
