"""Text to boxes with Grounding DINO, from a folder on disk.

transformers supplies the network alone. Tokens, pre- and post-processing are here, so that boxes do not depend on
what an installed transformers calls its options, and labels come from the phrases of the prompt.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from .boxes import clipped
from .checkpoint_folder import check_folder
from .deformable_attention import use_torch_attention
from .phrase_blocks import use_phrase_blocks
from .phrases import Pass, Span, plan_passes, split_prompt
from .pixels import to_rgb
from .preprocessing import Preprocessing

MODEL_TYPE = "grounding-dino"
REQUIRED_FILES = [["preprocessor_config.json", "processor_config.json"], ["tokenizer.json", "vocab.txt"]]

_MARGIN = 32  # pixels, the coarsest stride of the backbone
_SAME_BOX = 0.9  # intersection over union from which boxes of two passes are one


@dataclass(frozen=True)
class GroundingDino:
    """A loaded detector: transformers' ``model`` on the CPU, a ``tokenizers.Tokenizer``, and the pre-processing.

    ``max_tokens`` is the longest text of one pass, with [CLS] and [SEP].
    """

    model: torch.nn.Module
    tokenizer: object
    preprocessing: Preprocessing
    max_tokens: int


def load(folder: Path) -> GroundingDino:
    """The detector in ``folder``, which has transformers' layout. Reads that folder only, never the network.

    Raises ``ValueError`` when the folder lacks a file, is half downloaded, or holds another kind of model.
    """
    folder = Path(folder)
    check_folder(folder, MODEL_TYPE, REQUIRED_FILES)
    preprocessing = Preprocessing.read(folder)
    tokenizer = _load_tokenizer(folder)

    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

    config = GroundingDinoConfig.from_pretrained(folder, local_files_only=True)
    # A backbone of its own weights would be fetched, and a custom kernel compiled or fetched.
    for name, value in (("use_pretrained_backbone", False), ("disable_custom_kernels", True)):
        if hasattr(config, name):
            setattr(config, name, value)
    model, report = GroundingDinoForObjectDetection.from_pretrained(
        folder, config=config, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    # What a file lacks gets random values and a log line. A few tables are made afresh in some releases.
    missing = sorted(report["missing_keys"])
    if len(missing) > len(model.state_dict()) // 10:
        raise ValueError(
            f"The weights in {folder} are not those of its config.json: {len(missing)} tensors are missing, such as "
            f"{missing[0]}. Download the model again."
        )
    use_torch_attention(model)
    use_phrase_blocks(model)
    positions = getattr(config.text_config, "max_position_embeddings", config.max_text_len)
    # transformers 5 keeps a file's half precision and 4 does not: the same boxes need the same type.
    return GroundingDino(model.float().eval(), tokenizer, preprocessing, min(config.max_text_len, positions))


def _load_tokenizer(folder: Path):
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    try:
        if (folder / "tokenizer.json").is_file():
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        else:
            tokenizer = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
    except Exception as error:  # tokenizers raises bare Exception
        raise ValueError(f"The tokenizer in {folder} cannot be read ({error}). Download the model again.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def detect(
    detector: GroundingDino,
    images: torch.Tensor,
    prompt: str,
    box_threshold: float = 0.3,
    text_threshold: float = 0.25,
    *,
    device: torch.device | None = None,
    on_image: Callable[[], None] | None = None,
) -> list[list[dict]]:
    """One frame per image of ``images`` ``[B,H,W,C]``: the boxes of the prompt's phrases, best score first.

    A box is ``{x, y, width, height, label, score}`` in pixels of the image; it may reach a little outside. A query
    gives a box when its ``score``, that of its best token, is above ``box_threshold``, as in transformers. The
    label is the phrase with the best-scoring token; of a phrase of several words, those above ``text_threshold``
    are shown, or all when none is. ``text_threshold`` never drops a box.

    A prompt longer than the model's text runs in several passes, split between phrases. An object found in two
    passes (boxes with an intersection over union of at least 0.9) keeps its better one. Images run one by one;
    ``on_image`` is called after each. The weights must be on ``device`` (default: where they are). Raises
    ``ValueError`` for a prompt without a word or with one phrase too long.
    """
    passes = plan_passes(detector.tokenizer, split_prompt(prompt), detector.max_tokens)
    device = device or next(detector.model.parameters()).device
    frames = []
    for index in range(len(images)):
        image = to_rgb(images[index : index + 1])[0]
        pixels, size = _canvas(detector, image)
        pixels = pixels.to(device)
        found = []
        for one in passes:
            scores, centred = _run(detector.model, pixels, one, device)
            found.append(_boxes(scores, centred, one, (box_threshold, text_threshold), size))
        height, width = image.shape[:2]
        frames.append(_merge([[box for box in boxes if _touches(box, width, height)] for boxes in found]))
        if on_image:
            on_image()
    return frames


def _canvas(detector: GroundingDino, image: torch.Tensor) -> tuple[torch.Tensor, tuple[float, float]]:
    """The model's input for ``image`` ``[H,W,3]``, and the width and height it spans in pixels of ``image``.

    A picture so narrow that it has fewer places than the model picks queries (8 by 6000 pixels) makes transformers
    fail. It gets a margin, right or below, in the colour that normalises to zero; others are passed as they are.
    """
    pixels = detector.preprocessing.apply(image)
    height, width = pixels.shape[2:]
    padded_height, padded_width = height, width
    while _places(detector.model.config, padded_height, padded_width) < detector.model.config.num_queries:
        if padded_height < padded_width:
            padded_height += _MARGIN
        else:
            padded_width += _MARGIN
    pixels = torch.nn.functional.pad(pixels, (0, padded_width - width, 0, padded_height - height))
    return pixels, (image.shape[1] * padded_width / width, image.shape[0] * padded_height / height)


def _places(config, height: int, width: int) -> int:
    """How many cells the feature maps of a ``height`` by ``width`` input have."""
    backbone = config.backbone_config
    patch = backbone.patch_size if isinstance(backbone.patch_size, int) else backbone.patch_size[0]
    first = min(backbone.out_indices) - 1
    strides = [patch * 2 ** (first + level) for level in range(config.num_feature_levels)]
    return sum(math.ceil(height / stride) * math.ceil(width / stride) for stride in strides)


def _touches(box: dict, width: int, height: int) -> bool:
    left, top, right, bottom = clipped(box, width, height)
    return left < right and top < bottom


@torch.inference_mode()
def _run(model, pixels: torch.Tensor, text: Pass, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token probabilities ``[queries, tokens]`` and boxes ``[queries, 4]`` (centre and size, 0..1), on the CPU."""
    token_ids = torch.tensor([text.token_ids], device=device)
    output = model(
        pixel_values=pixels,
        pixel_mask=torch.ones(pixels.shape[0], *pixels.shape[2:], dtype=torch.long, device=device),
        input_ids=token_ids,
        token_type_ids=torch.zeros_like(token_ids),
        attention_mask=torch.ones_like(token_ids),
    )
    return output.logits[0].float().sigmoid().cpu(), output.pred_boxes[0].float().cpu()


def _boxes(
    scores: torch.Tensor, centred: torch.Tensor, text: Pass, thresholds: tuple[float, float], size: tuple[float, float]
) -> list[dict]:
    """The boxes above the first of ``thresholds`` (box, text), scaled to ``size`` (width, height)."""
    best = scores.max(dim=1)[0]
    phrases = torch.stack([scores[:, span.first : span.stop].max(dim=1)[0] for span in text.spans], dim=1)
    found = []
    for query in (best > thresholds[0]).nonzero()[:, 0].tolist():
        span = text.spans[int(phrases[query].argmax())]
        centre_x, centre_y, width, height = centred[query].tolist()
        found.append(
            {
                "x": (centre_x - width / 2) * size[0],
                "y": (centre_y - height / 2) * size[1],
                "width": width * size[0],
                "height": height * size[1],
                "label": _label(span, scores[query], thresholds[1]),
                "score": float(best[query]),
            }
        )
    return found


def _label(span: Span, scores: torch.Tensor, text_threshold: float) -> str:
    shown = [word for word, first, stop in span.words if float(scores[first:stop].max()) > text_threshold]
    return " ".join(shown) if shown else span.phrase


def _merge(passes: list[list[dict]]) -> list[dict]:
    """All boxes, best first, without those that another pass found with a better score."""
    kept: list[tuple[int, dict]] = []
    ranked = sorted(
        ((index, box) for index, found in enumerate(passes) for box in found), key=lambda item: -item[1]["score"]
    )
    for index, box in ranked:
        if all(index == other or _overlap(box, better) < _SAME_BOX for other, better in kept):
            kept.append((index, box))
    return [box for _, box in kept]


def _overlap(one: dict, other: dict) -> float:
    """Intersection over union of two boxes, 0..1."""
    width = min(one["x"] + one["width"], other["x"] + other["width"]) - max(one["x"], other["x"])
    height = min(one["y"] + one["height"], other["y"] + other["height"]) - max(one["y"], other["y"])
    shared = max(0.0, width) * max(0.0, height)
    union = one["width"] * one["height"] + other["width"] * other["height"] - shared
    return shared / union if union > 0 else 0.0
