"""Reference pictures: IP-Adapter files for diffusers, and the image encoder that they were trained with."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ModelError

if TYPE_CHECKING:
    import torch

# Layers of the encoders differ in number, which is read from the file; these follow from the width alone.
_HEADS = 16
_ACTIVATIONS = {1024: "quick_gelu"}  # ViT-L, OpenAI's own; ViT-H and bigG are OpenCLIP's, with gelu


@dataclass(frozen=True)
class Adapter:
    """An IP-Adapter as diffusers takes it, ``{"image_proj": ..., "ip_adapter": ...}``, and its layout."""

    state: dict[str, dict[str, Any]]
    layout: Any


@dataclass(frozen=True)
class Reference:
    """A batch of pictures, ``[N,3,224,224]``, normalised as CLIP wants them; each has tokens of its own.

    ``avoided`` holds for each the picture to steer away from, ``[3,224,224]``, or None for nothing in particular.
    """

    pixels: "torch.Tensor"
    encoder: Any
    avoided: "tuple[torch.Tensor | None, ...]"

    def __add__(self, other: "Reference") -> "Reference":
        """Raises ``ValueError`` for two that were seen by different encoders."""
        import torch

        if other.encoder is not self.encoder:
            raise ValueError("Two references were encoded by different image encoders. Load one for both.")
        return Reference(torch.cat([self.pixels, other.pixels]), self.encoder, self.avoided + other.avoided)


@dataclass(frozen=True)
class Influence:
    """An adapter at work: what it sees, how strongly, and when, in shares of the steps."""

    adapter: Adapter
    reference: Reference
    weight: float
    start: float
    end: float


def load_adapter(path: Path) -> Adapter:
    """Raises ``ModelError`` ``model_corrupt`` for a file that holds no IP-Adapter."""
    from safetensors.torch import load_file

    from ....nodes.algorithms import ip_adapter

    try:
        flat = load_file(path)
        layout = ip_adapter.from_state(flat, path.name).layout
    except (OSError, ValueError) as error:
        raise ModelError(
            "model_corrupt", f"{path} is no IP-Adapter: {error}", "Run `imageine models pull reference`."
        ) from error
    state: dict[str, dict[str, Any]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in flat.items():
        part, _, rest = name.partition(".")
        state[part][rest] = tensor
    return Adapter(state, layout)


def load_encoder(path: Path, dtype: "torch.dtype") -> Any:
    """The CLIP vision model in ``path``, of the size its tensors say."""
    from safetensors.torch import load_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    weights = load_file(path)
    try:
        patch = weights["vision_model.embeddings.patch_embedding.weight"]
        places = weights["vision_model.embeddings.position_embedding.weight"].shape[0]
        width = patch.shape[0]
        layers = {name.split(".")[3] for name in weights if name.startswith("vision_model.encoder.layers.")}
        configuration = CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=weights["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
            num_attention_heads=min(_HEADS, width // 16),
            num_hidden_layers=len(layers),
            projection_dim=weights["visual_projection.weight"].shape[0],
            image_size=patch.shape[-1] * int((places - 1) ** 0.5),
            patch_size=patch.shape[-1],
            hidden_act=_ACTIVATIONS.get(width, "gelu"),
        )
    except KeyError as error:
        message = f"{path} is no CLIP vision model: it has no tensor {error}."
        raise ModelError("model_corrupt", message, "Run `imageine models pull reference`.") from error
    model = CLIPVisionModelWithProjection(configuration).to(dtype)
    model.load_state_dict(weights, strict=False)
    return model.eval()


def see(
    layout: Any, images: "torch.Tensor", encoder: Any, negative: "torch.Tensor | None" = None, *, crop: bool
) -> Reference:
    """``images`` ``[N,H,W,C]`` in 0..1 for an adapter of ``layout``; ``crop`` cuts the middle square out, else they
    are squeezed. ``negative`` are images to steer away from, repeated to N. Raises ``ValueError`` when ``encoder`` is
    not the one that the adapter was trained with."""
    from ....nodes.algorithms.ip_references import check_encoder

    configuration = encoder.config
    check_encoder(layout, configuration.projection_dim if layout.pooled else configuration.hidden_size)
    pixels = _normalised(images, configuration.image_size, crop)
    if negative is None:
        return Reference(pixels, encoder, (None,) * len(pixels))
    avoided = _normalised(negative, configuration.image_size, crop)
    return Reference(pixels, encoder, tuple(avoided[index % len(avoided)] for index in range(len(pixels))))


def outputs(pipeline: Any, layout: Any, reference: Reference, guided: bool) -> "torch.Tensor":
    """What the encoder in ``pipeline`` makes of ``reference``: ``[2,N,...]``, what to avoid first, or, where nothing is
    ``guided``, ``[1,N,...]``."""
    import torch

    def encode(pixels):
        return pipeline.encode_image(pixels, pipeline._execution_device, 1, not layout.pooled)

    seen, nothing = encode(reference.pixels)
    if not guided:
        return seen[None]
    given = [pixels for pixels in reference.avoided if pixels is not None]
    shown = iter(encode(torch.stack(given))[0] if given else ())
    pairs = zip(reference.avoided, nothing, strict=True)
    avoided = [default if pixels is None else next(shown) for pixels, default in pairs]
    return torch.stack([torch.stack(avoided), seen])


def _normalised(images: "torch.Tensor", edge: int, crop: bool) -> "torch.Tensor":
    """``[N,H,W,C]`` in 0..1 -> ``[N,3,edge,edge]`` as CLIP wants them."""
    from transformers import CLIPImageProcessor

    from ....nodes.algorithms.pixels import to_rgb

    height, width = images.shape[1:3]
    scale = edge / min(height, width)
    # ComfyUI rounds the longer side where "shortest_edge" would cut it off: half a pixel to the left or right.
    size = (round(scale * height), round(scale * width)) if crop else (edge, edge)
    processor = CLIPImageProcessor(size=dict(zip(("height", "width"), size, strict=True)), crop_size=edge)
    levels = (to_rgb(images) * 255).round().byte().numpy()
    return processor(list(levels), return_tensors="pt", input_data_format="channels_last").pixel_values
