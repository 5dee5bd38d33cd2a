"""Tensor names and shapes of Stable Diffusion 1.5's single-file checkpoint, as plain Python.

Every function returns ``{name: shape}`` in the original (ldm) layout, without the prefix that the checkpoint puts
before it. Standard library only; a live test holds them against ComfyUI's own modules.
"""

from collections.abc import Iterator
from dataclasses import dataclass

Shapes = dict[str, tuple[int, ...]]

CHANNELS = 320
CONTEXT = 768
TIME = 4 * CHANNELS

CLIP_TOKENS = 49408
CLIP_LENGTH = 77
CLIP_LAYERS = 12

TAESD_CHANNELS = 64
LATENT_CHANNELS = 4


@dataclass(frozen=True)
class UNetVariant:
    """What ComfyUI's detection leaves free in an SD 1.5 UNet: one entry per resolution, top first."""

    multipliers: tuple[int, ...]
    attention: tuple[bool, ...]
    blocks: int


UNETS = {
    # Attention only below the top resolution: fast at 512 px.
    "lite": UNetVariant(multipliers=(1, 1), attention=(False, True), blocks=1),
    # One resolution: the smallest that still has every kind of layer but the samplers.
    "one": UNetVariant(multipliers=(1,), attention=(True,), blocks=1),
    # Stable Diffusion 1.5 itself.
    "full": UNetVariant(multipliers=(1, 2, 4, 4), attention=(True, True, True, False), blocks=2),
}


def unet(variant: str | UNetVariant, in_channels: int = 9) -> Shapes:
    """The UNet of ``variant`` (or of a key of ``UNETS``); 9 input channels make it an inpainting model."""
    return dict(_unet(UNETS[variant] if isinstance(variant, str) else variant, in_channels))


HINT_WIDTHS = (16, 16, 32, 32, 96, 96, 256)  # of the hint's convolutions; a last one makes CHANNELS of them


def control_net(variant: str | UNetVariant) -> Shapes:
    """A ControlNet for ``unet(variant)``: its half that goes down, the hint's stack, and a 1x1 layer per output."""
    half = unet(variant, in_channels=LATENT_CHANNELS)
    found = {
        name: shape for name, shape in half.items() if name.startswith(("time_embed.", "input_blocks.", "middle_"))
    }
    width = 3
    for place, out in enumerate((*HINT_WIDTHS, CHANNELS)):
        found.update(_layer(f"input_hint_block.{2 * place}", out, width, 3, 3))
        width = out
    blocks = 1 + max(int(name.split(".")[1]) for name in found if name.startswith("input_blocks."))
    for block in range(blocks):
        # Of its convolution, residual block or sampler.
        endings = ("0.bias", "0.out_layers.3.bias", "0.op.bias")
        names = (f"input_blocks.{block}.{ending}" for ending in endings)
        width = next(found[name][0] for name in names if name in found)
        found.update(_layer(f"zero_convs.{block}.0", width, width, 1, 1))
    found.update(_layer("middle_block_out.0", width, width, 1, 1))
    return found


def _unet(variant: UNetVariant, in_channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _layer("time_embed.0", TIME, CHANNELS)
    yield from _layer("time_embed.2", TIME, TIME)
    yield from _layer("input_blocks.0.0", CHANNELS, in_channels, 3, 3)
    skips, width, block = [CHANNELS], CHANNELS, 1
    levels = list(zip(variant.multipliers, variant.attention, strict=True))
    for level, (multiplier, attention) in enumerate(levels):
        for _ in range(variant.blocks):
            yield from _res_block(f"input_blocks.{block}.0", width, CHANNELS * multiplier)
            width = CHANNELS * multiplier
            if attention:
                yield from _transformer(f"input_blocks.{block}.1", width)
            skips.append(width)
            block += 1
        if level < len(levels) - 1:
            yield from _layer(f"input_blocks.{block}.0.op", width, width, 3, 3)
            skips.append(width)
            block += 1
    yield from _res_block("middle_block.0", width, width)
    yield from _transformer("middle_block.1", width)
    yield from _res_block("middle_block.2", width, width)
    yield from _unet_up(variant, levels, skips, width)
    yield from _norm("out.0", CHANNELS)
    yield from _layer("out.2", LATENT_CHANNELS, CHANNELS, 3, 3)


def _unet_up(variant: UNetVariant, levels: list, skips: list[int], width: int) -> Iterator:
    block = 0
    for level, (multiplier, attention) in reversed(list(enumerate(levels))):
        for index in range(variant.blocks + 1):
            name = f"output_blocks.{block}"
            yield from _res_block(f"{name}.0", width + skips.pop(), CHANNELS * multiplier)
            width = CHANNELS * multiplier
            if attention:
                yield from _transformer(f"{name}.1", width)
            if level and index == variant.blocks:
                yield from _layer(f"{name}.{1 + attention}.conv", width, width, 3, 3)
            block += 1


def _res_block(name: str, width: int, out: int) -> Iterator:
    yield from _norm(f"{name}.in_layers.0", width)
    yield from _layer(f"{name}.in_layers.2", out, width, 3, 3)
    yield from _layer(f"{name}.emb_layers.1", out, TIME)
    yield from _norm(f"{name}.out_layers.0", out)
    yield from _layer(f"{name}.out_layers.3", out, out, 3, 3)
    if width != out:
        yield from _layer(f"{name}.skip_connection", out, width, 1, 1)


def _transformer(name: str, width: int) -> Iterator:
    block = f"{name}.transformer_blocks.0"
    yield from _norm(f"{name}.norm", width)
    yield from _layer(f"{name}.proj_in", width, width, 1, 1)
    for attention, source in (("attn1", width), ("attn2", CONTEXT)):
        yield f"{block}.{attention}.to_q.weight", (width, width)
        yield f"{block}.{attention}.to_k.weight", (width, source)
        yield f"{block}.{attention}.to_v.weight", (width, source)
        yield from _layer(f"{block}.{attention}.to_out.0", width, width)
    yield from _layer(f"{block}.ff.net.0.proj", 8 * width, width)
    yield from _layer(f"{block}.ff.net.2", width, 4 * width)
    for norm in ("norm1", "norm2", "norm3"):
        yield from _norm(f"{block}.{norm}", width)
    yield from _layer(f"{name}.proj_out", width, width, 1, 1)


def clip_text() -> Shapes:
    """CLIP ViT-L's text encoder. It has to be whole: with fewer layers ComfyUI's output is NaN."""
    shapes = {
        "text_model.embeddings.position_ids": (1, CLIP_LENGTH),
        "text_model.embeddings.token_embedding.weight": (CLIP_TOKENS, CONTEXT),
        "text_model.embeddings.position_embedding.weight": (CLIP_LENGTH, CONTEXT),
    }
    for index in range(CLIP_LAYERS):
        layer = f"text_model.encoder.layers.{index}"
        for projection in "qkv":
            shapes.update(_layer(f"{layer}.self_attn.{projection}_proj", CONTEXT, CONTEXT))
        shapes.update(_layer(f"{layer}.self_attn.out_proj", CONTEXT, CONTEXT))
        shapes.update(_layer(f"{layer}.mlp.fc1", 4 * CONTEXT, CONTEXT))
        shapes.update(_layer(f"{layer}.mlp.fc2", CONTEXT, 4 * CONTEXT))
        for norm in ("layer_norm1", "layer_norm2"):
            shapes.update(_norm(f"{layer}.{norm}", CONTEXT))
    shapes.update(_norm("text_model.final_layer_norm", CONTEXT))
    return shapes


# What stands at each place of TAESD's two stacks; places not named hold layers without weights.
# A block is three convolutions with a skip; "half" and "double" change the resolution and have no bias.
TAESD_ENCODER = dict.fromkeys(range(15), "block") | {0: "first", 2: "half", 6: "half", 10: "half", 14: "last"}
TAESD_DECODER = dict.fromkeys((3, 4, 5, 8, 9, 10, 13, 14, 15, 18), "block") | {
    **dict.fromkeys((7, 12, 17), "double"),
    1: "first",
    19: "last",
}


def taesd() -> Shapes:
    """The tiny autoencoder, as ComfyUI stores it inside a checkpoint."""
    shapes: Shapes = {"vae_scale": (), "vae_shift": ()}
    shapes.update(_taesd_stack("taesd_encoder", TAESD_ENCODER, 3, LATENT_CHANNELS))
    shapes.update(_taesd_stack("taesd_decoder", TAESD_DECODER, LATENT_CHANNELS, 3))
    return shapes


def _taesd_stack(name: str, stack: dict[int, str], inputs: int, outputs: int) -> Iterator:
    width = TAESD_CHANNELS
    for place, kind in sorted(stack.items()):
        if kind == "first":
            yield from _layer(f"{name}.{place}", width, inputs, 3, 3)
        elif kind == "last":
            yield from _layer(f"{name}.{place}", outputs, width, 3, 3)
        elif kind == "block":
            for conv in (0, 2, 4):
                yield from _layer(f"{name}.{place}.conv.{conv}", width, width, 3, 3)
        else:
            yield f"{name}.{place}.weight", (width, width, 3, 3)


KL_WIDTHS = (128, 256, 512, 512)


def kl() -> Shapes:
    """Stable Diffusion 1.5's own autoencoder."""
    shapes: Shapes = {}
    shapes.update(_layer("encoder.conv_in", KL_WIDTHS[0], 3, 3, 3))
    width = KL_WIDTHS[0]
    for level, out in enumerate(KL_WIDTHS):
        for block in range(2):
            shapes.update(_kl_block(f"encoder.down.{level}.block.{block}", width, out))
            width = out
        if level < len(KL_WIDTHS) - 1:
            shapes.update(_layer(f"encoder.down.{level}.downsample.conv", width, width, 3, 3))
    shapes.update(_kl_middle("encoder", width))
    shapes.update(_norm("encoder.norm_out", width))
    shapes.update(_layer("encoder.conv_out", 2 * LATENT_CHANNELS, width, 3, 3))
    shapes.update(_layer("decoder.conv_in", width, LATENT_CHANNELS, 3, 3))
    shapes.update(_kl_middle("decoder", width))
    for level, out in reversed(list(enumerate(KL_WIDTHS))):
        for block in range(3):
            shapes.update(_kl_block(f"decoder.up.{level}.block.{block}", width, out))
            width = out
        if level:
            shapes.update(_layer(f"decoder.up.{level}.upsample.conv", width, width, 3, 3))
    shapes.update(_norm("decoder.norm_out", width))
    shapes.update(_layer("decoder.conv_out", 3, width, 3, 3))
    shapes.update(_layer("quant_conv", 2 * LATENT_CHANNELS, 2 * LATENT_CHANNELS, 1, 1))
    shapes.update(_layer("post_quant_conv", LATENT_CHANNELS, LATENT_CHANNELS, 1, 1))
    return shapes


def _kl_middle(half: str, width: int) -> Iterator:
    for block in (1, 2):
        yield from _kl_block(f"{half}.mid.block_{block}", width, width)
    yield from _norm(f"{half}.mid.attn_1.norm", width)
    for projection in ("q", "k", "v", "proj_out"):
        yield from _layer(f"{half}.mid.attn_1.{projection}", width, width, 1, 1)


def _kl_block(name: str, width: int, out: int) -> Iterator:
    yield from _norm(f"{name}.norm1", width)
    yield from _layer(f"{name}.conv1", out, width, 3, 3)
    yield from _norm(f"{name}.norm2", out)
    yield from _layer(f"{name}.conv2", out, out, 3, 3)
    if width != out:
        yield from _layer(f"{name}.nin_shortcut", out, width, 1, 1)


def _layer(name: str, out: int, *rest: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Weight and bias of a linear layer or a convolution."""
    yield f"{name}.weight", (out, *rest)
    yield f"{name}.bias", (out,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)
