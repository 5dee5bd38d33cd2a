"""The demo's trained painter as an SD 1.5 inpainting checkpoint in the single-file format.

Three parts. The UNet was trained 64 channels wide (demo/painter.py) and is widened here to SD 1.5's 320 without a
change of what it computes. The autoencoder is set by hand (``filling.smooth_block_mean``), and so is the text encoder:
its transformer does nothing, the tokens of ``WORDS`` have vectors, all others are 0. So word order doesn't matter,
and what it doesn't know is as if it had not been said.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from . import filling, layouts
from .layouts import CHANNELS, CLIP_LENGTH, CONTEXT
from .widening import filled, first_of_copies

if TYPE_CHECKING:
    import torch

    from .filling import Tensors

WEIGHTS = Path(__file__).with_name("weights") / "painter.safetensors"
WIDTH = 64
HEADS = 8
# By how much its latents are larger than the block means of ``filling``: photos have a deviation near 0.7 for the UNet,
# as with Stable Diffusion's own autoencoder. In smaller ones the least noise of a schedule would be visible grain.
LATENT_GAIN = 4.0

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
SHAPES = ("circle", "square", "triangle", "star")
CONCEPTS = (*COLOURS, *SHAPES, "plain", "striped", "checked", "background")

# The tokens of CLIP's vocabulary that mean each of CONCEPTS; of a word in several pieces, the telling one.
WORDS = {
    "red": {"red": 736, "scarlet": 20389, "crimson": 19437},
    "orange": {"orange": 4287},
    "yellow": {"yellow": 4481},
    "green": {"green": 1901},
    "blue": {"blue": 1746},
    "purple": {"purple": 5496, "violet": 16118},
    "pink": {"pink": 3360},
    "brown": {"brown": 2866},
    "black": {"black": 1449},
    "white": {"white": 1579},
    "circle": {"circle": 7117, "circles": 19411, "disc": 10712, "disk": 17970, "dot": 7004, "round": 2522},
    "square": {"square": 3999, "squares": 26972, "box": 2063},
    "triangle": {"triangle": 14615, "triangles": 18627, "triangular": 24981},
    "star": {"star": 1565, "stars": 2895},
    "plain": {"plain": 10709, "solid": 6148},
    "striped": {"striped": 22192, "stripes": 14239, "stripe": 19368},
    "checked": {"checked": 10387, "checkered": 26690, "chequered": 23210, "checks": 13737, "checker": 45883},
    "background": {"background": 5994, "backdrop": 20802, "empty": 7893, "nothing": 2586},
}

# A word's vector: 8 and -8 in turn in twelve places of its own. Its mean is 0 and its variance 1, so that the final
# normalisation leaves it as it is; and dividing by 8 is exact in every floating-point format.
_PLACES, _LEVEL = 12, 8.0


def tensors() -> "Tensors":
    """The checkpoint as float32 tensors under the names of the real file.

    Raises ``OSError`` when the trained weights are not beside this module.
    """
    autoencoder = filling.smooth_block_mean(layouts.taesd())
    autoencoder["vae_scale"].fill_(1 / LATENT_GAIN)
    parts = {
        "model.diffusion_model.": unet(narrow()),
        "first_stage_model.": autoencoder,
        "cond_stage_model.transformer.": text_encoder(),
    }
    return {prefix + name: tensor for prefix, part in parts.items() for name, tensor in part.items()}


def save(path: Path) -> Path:
    """Write ``tensors()`` to ``path`` as safetensors in float16, which holds the trained weights exactly."""
    content = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors().items()}
    return write(path, content)


def write(path: Path, content: "Tensors") -> Path:
    """Write ``content`` to ``path`` as safetensors, as it is; returns ``path``."""
    from safetensors.torch import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    contiguous = {name: tensor.contiguous() for name, tensor in content.items()}
    save_file(contiguous, path, metadata={"imageine": "toy weights, trained on coloured shapes"})
    return path


def narrow(path: Path = WEIGHTS) -> "Tensors":
    """The trained UNet as it was trained, float32 (stored as float16)."""
    from safetensors.torch import load_file

    return {name: tensor.float() for name, tensor in load_file(path).items()}


def unet(trained: "Tensors") -> "Tensors":
    """``trained`` (``narrow()``) in the shapes of ``layouts.unet("lite")``, computing the same.

    Every channel stands there five times, and only the first of the five is read. Where channels are not
    normalised (time, heads, the feed-forward layer) they are filled up with zeros instead. Attention was trained
    with the scale of the wide heads.
    """
    return {name: widened(name, trained[name], shape) for name, shape in layouts.unet("lite").items()}


def text_encoder() -> "Tensors":
    """CLIP's text encoder in ``layouts.clip_text()``: gives each token's own vector, whatever stands around it."""
    import torch

    made = {}
    for name, shape in layouts.clip_text().items():
        is_norm = "layer_norm" in name and name.endswith("weight")
        made[name] = torch.ones(shape) if is_norm else torch.zeros(shape)
    made["text_model.embeddings.position_ids"] = torch.arange(CLIP_LENGTH)[None]
    embedding = made["text_model.embeddings.token_embedding.weight"]
    for index, concept in enumerate(CONCEPTS):
        for token in WORDS[concept].values():
            embedding[token, index * _PLACES : (index + 1) * _PLACES : 2] = _LEVEL
            embedding[token, index * _PLACES + 1 : (index + 1) * _PLACES : 2] = -_LEVEL
    return made


def widened(name: str, tensor: "torch.Tensor", shape: tuple[int, ...]) -> "torch.Tensor":
    """``tensor``, called ``name`` in the checkpoint of a UNet or its ControlNet, in the wide one's ``shape``."""
    rows, columns = _ways(name)
    wide = rows(tensor, 0, shape[0])
    return wide if tensor.ndim == 1 else columns(wide, 1, shape[1]).contiguous()


def _ways(name: str) -> tuple:
    """How the outputs (rows) and the inputs (columns) of tensor ``name`` are widened."""
    rows, columns = _copied, _first_of_copies
    if name.startswith("time_embed."):
        # Its sinusoids are every fifth of the wide ones.
        return filled, _first_of_copies if name.startswith("time_embed.0.") else filled
    if name.startswith("out.2."):
        return _as_is, columns
    if name.startswith(("input_blocks.0.0.", "input_hint_block.")):
        return rows, _as_is
    if ".emb_layers." in name or ".ff.net.2." in name:
        return rows, filled
    if ".ff.net.0." in name:
        return _halves_filled, columns
    if ".to_out." in name:
        return rows, _heads_filled
    if ".attn2.to_k." in name or ".attn2.to_v." in name:
        return _heads_filled, _words_read
    if ".to_q." in name or ".to_k." in name or ".to_v." in name:
        return _heads_filled, columns
    return rows, columns


def _as_is(tensor: "torch.Tensor", axis: int, length: int) -> "torch.Tensor":
    return tensor


def _copied(tensor: "torch.Tensor", axis: int, length: int) -> "torch.Tensor":
    return tensor.repeat_interleave(CHANNELS // WIDTH, axis)


def _first_of_copies(tensor: "torch.Tensor", axis: int, length: int) -> "torch.Tensor":
    return first_of_copies(tensor, axis, CHANNELS // WIDTH)


def _heads_filled(tensor: "torch.Tensor", axis: int, length: int) -> "torch.Tensor":
    return filled(tensor.unflatten(axis, (HEADS, -1)), axis + 1, length // HEADS).flatten(axis, axis + 1)


def _halves_filled(tensor: "torch.Tensor", axis: int, length: int) -> "torch.Tensor":
    return filled(tensor.unflatten(axis, (2, -1)), axis + 1, length // 2).flatten(axis, axis + 1)


def _words_read(tensor: "torch.Tensor", axis: int, length: int) -> "torch.Tensor":
    """A column for each of ``CONCEPTS`` -> the first of its places in the text encoder's output."""
    spread = filled(tensor.unsqueeze(axis + 1) / _LEVEL, axis + 1, _PLACES).flatten(axis, axis + 1)
    return filled(spread, axis, CONTEXT)
