"""An SDXL inpainting checkpoint and a union ControlNet with seeded random weights, under the names of the real files.

Both are short (see ``support.short_sdxl``, without which core does not take them): 390 and 150 MB.
"""

from pathlib import Path

from imageine.runner.demo import filling, layouts, stable_diffusion

CHECKPOINT = "sd_xl_base_1.0_inpainting_0.1.safetensors"
UNION = "diffusion_pytorch_model_promax.safetensors"

CONTEXT = 2048  # channels of both text encoders together
VECTOR = 2816  # the pooled text and six sizes
TEXT_LAYERS = 3
_CLIP_G = 1280

CLIP_GAINS = {"out_proj.": 0.5, "fc2.": 0.5, "c_proj.": 0.5}
UNION_GAINS = {
    "conv2.": 0.5,
    "proj_out.": 0.5,
    "to_out.0.": 0.7,
    "ff.net.2.": 0.7,
    "controlnet_cond_embedding": 1.4,
    "controlnet_down_blocks": 0.3,
    "controlnet_mid_block": 0.3,
    "task_embedding": 8.0,
}


def unet(in_channels: int = 9, context: int = CONTEXT, vector: int = VECTOR, variant="lite") -> layouts.Shapes:
    """``layouts.unet``'s as SDXL and SD 2 have it: linear projections, other conditioning, and a vector beside time."""
    found = {name: _widened(name, shape, context) for name, shape in layouts.unet(variant, in_channels).items()}
    for place, width in ((0, vector), (2, layouts.TIME)):
        found[f"label_emb.0.{place}.weight"] = (layouts.TIME, width)
        found[f"label_emb.0.{place}.bias"] = (layouts.TIME,)
    return found


def _widened(name: str, shape: tuple[int, ...], context: int) -> tuple[int, ...]:
    if name.endswith(("proj_in.weight", "proj_out.weight")):
        return shape[:2]
    if ".attn2.to_k." in name or ".attn2.to_v." in name:
        return shape[0], context
    return shape


def clip_l() -> layouts.Shapes:
    """``layouts.clip_text``'s first layers."""
    last = tuple(f".layers.{index}." for index in range(TEXT_LAYERS, layouts.CLIP_LAYERS))
    return {name: shape for name, shape in layouts.clip_text().items() if not any(part in name for part in last)}


def clip_g() -> layouts.Shapes:
    """OpenCLIP ViT-bigG's text encoder, as the single-file checkpoint has it."""
    width = _CLIP_G
    shapes = {
        "token_embedding.weight": (layouts.CLIP_TOKENS, width),
        "positional_embedding": (layouts.CLIP_LENGTH, width),
        "text_projection": (width, width),
        "logit_scale": (),
        "ln_final.weight": (width,),
        "ln_final.bias": (width,),
    }
    for index in range(TEXT_LAYERS):
        block = f"transformer.resblocks.{index}"
        shapes |= {f"{block}.attn.in_proj_weight": (3 * width, width), f"{block}.attn.in_proj_bias": (3 * width,)}
        for name, out, source in (
            ("attn.out_proj", width, width), ("mlp.c_fc", 4 * width, width), ("mlp.c_proj", width, 4 * width)
        ):  # fmt: skip
            shapes |= {f"{block}.{name}.weight": (out, source), f"{block}.{name}.bias": (out,)}
        for name in ("ln_1", "ln_2"):
            shapes |= {f"{block}.{name}.weight": (width,), f"{block}.{name}.bias": (width,)}
    return shapes


def fill(shapes: layouts.Shapes, seed: str, gains: dict[str, float]) -> "filling.Tensors":
    """``filling.fill``, which does not know OpenCLIP's names for norms: their weights lie around 1 here, too."""
    tensors = filling.fill(shapes, seed, gains)
    for name, tensor in tensors.items():
        if "ln_" in name and name.endswith("weight"):
            tensor.add_(1)
    return tensors


def checkpoint() -> "filling.Tensors":
    """The checkpoint in float32; its autoencoder is the block means that can be looked at."""
    network = filling.calm_unet(filling.fill(unet(), "sdxl", filling.UNET_GAINS), stable_diffusion.CALM)
    parts = {
        "model.diffusion_model": network,
        "first_stage_model": filling.block_mean(layouts.taesd()),
        "conditioner.embedders.0.transformer": fill(clip_l(), "sdxl-l", CLIP_GAINS),
        "conditioner.embedders.1.model": fill(clip_g(), "sdxl-g", CLIP_GAINS),
    }
    return {f"{part}.{name}": tensor for part, group in parts.items() for name, tensor in group.items()}


def union() -> "filling.Tensors":
    """A ControlNet for eight kinds of maps in float32, under diffusers' names, which are those of the real file."""
    import torch
    from diffusers import ControlNetUnionModel

    with torch.device("meta"):
        model = ControlNetUnionModel(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            block_out_channels=(layouts.CHANNELS, layouts.CHANNELS),
            layers_per_block=1,
            transformer_layers_per_block=(1, 1),
            cross_attention_dim=CONTEXT,
            attention_head_dim=(5, 5),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=VECTOR,
            num_control_type=8,
            conditioning_embedding_out_channels=(16, 32, 96, 256),
        )
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    return fill(shapes, "sdxl-union", UNION_GAINS)


def save(path: Path, tensors: "filling.Tensors") -> Path:
    """Write ``tensors`` to ``path`` in float16; returns ``path``."""
    import torch
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.to(torch.float16).contiguous() for name, tensor in tensors.items()}, path)
    filling.forget_noise()
    return path


def models_folder(folder: Path) -> Path:
    """Put both files into ``folder``, a ComfyUI models folder; returns it."""
    save(folder / "checkpoints" / CHECKPOINT, checkpoint())
    save(folder / "controlnet" / UNION, union())
    return folder
