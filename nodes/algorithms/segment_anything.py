"""Segment Anything (SAM 2.1, SAM 2, and the first SAM) through transformers: a box in, the object's mask out."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from . import boxes as box_tools
from .checkpoint_folder import check_folder
from .pixels import to_rgb
from .preprocessing import Preprocessing

# The published SAM 2.1 folders call themselves "sam2_video": the image model and the memory for video in one.
_SAM2 = ("sam2", "sam2_video")
_SAM1 = ("sam",)
_SAM2_SINCE = "4.56"
_BOXES_AT_ONCE = 16  # bounds the decoder's memory: about 0.1 GB each at SAM 2's size
# One table under two names. Files written by transformers 4, those on the hub among them, hold it once, and
# transformers 5 fills the other with random numbers.
_TIED = "prompt_encoder.shared_embedding.positional_embedding"
_CORNER_LABELS = (2, 3)  # how the prompt encoder marks a box's top left and bottom right corner

OnImage = Callable[[], None]


@dataclasses.dataclass(frozen=True)
class SegmentAnything:
    """A loaded model. ``generation`` is 1 or 2, ``size`` the edge of its square input in pixels."""

    model: torch.nn.Module
    preprocessing: Preprocessing
    generation: int
    size: int


def load(folder: Path) -> SegmentAnything:
    """Load a model folder in transformers' layout, from disk alone, in float32 on the CPU.

    Raises ``ValueError`` when the folder is incomplete, holds another kind of model or only a pickle, or when the
    installed transformers is too old for it.
    """
    folder = Path(folder)
    check_folder(folder, {*_SAM2, *_SAM1}, [])
    import transformers

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    generation = 1 if config["model_type"] in _SAM1 else 2
    if generation == 2 and not _has_sam2(transformers):
        raise ValueError(
            f"{folder.name} is a SAM 2 model, which needs transformers {_SAM2_SINCE} or newer; this Python has "
            f"{transformers.__version__}. Run `pip install -U transformers` in ComfyUI's Python, or choose a "
            "first-generation SAM folder such as sam-vit-base."
        )
    if generation == 1:
        model = _load_weights(folder, transformers.SamModel, transformers.SamConfig.from_dict(config))
    else:
        parts = {name: config.get(name) for name in ("vision_config", "prompt_encoder_config", "mask_decoder_config")}
        model = _load_weights(folder, transformers.Sam2Model, transformers.Sam2Config(**parts))
    size = model.config.vision_config.image_size if generation == 1 else model.config.prompt_encoder_config.image_size
    return SegmentAnything(model.float().eval(), _preprocessing(folder), generation, size)


def _has_sam2(transformers) -> bool:
    return hasattr(transformers, "Sam2Model")


def object_masks(
    sam: SegmentAnything, images: torch.Tensor, bboxes: dict | list | None, device=None, on_image: OnImage | None = None
) -> list[torch.Tensor]:
    """One mask per box: for each image a bool ``[boxes,H,W]`` on the CPU, in the order of its boxes.

    ``images`` is ``[B,H,W,C]`` in 0..1; ``bboxes`` is any BOUNDING_BOX value. A box is clipped to its image; one
    that has no area there gets a mask of zeros. The model has to be on ``device`` (default: where it is).
    ``on_image`` is called after each image.
    """
    height, width = images.shape[1:3]
    found = []
    for boxes, chunks in _frames(sam, images, bboxes, device, on_image):
        result = torch.zeros(len(boxes), height, width, dtype=torch.bool)
        for index, mask in chunks:
            result[index] = mask.cpu()
        found.append(result)
    return found


def union_masks(
    sam: SegmentAnything, images: torch.Tensor, bboxes: dict | list | None, device=None, on_image: OnImage | None = None
) -> torch.Tensor:
    """All objects of an image in one mask: bool ``[B,H,W]`` on the CPU. Arguments as ``object_masks``."""
    result = torch.zeros(images.shape[:3], dtype=torch.bool)
    for frame, (_, chunks) in enumerate(_frames(sam, images, bboxes, device, on_image)):
        union = None
        for _, mask in chunks:
            union = mask if union is None else union | mask
        if union is not None:
            result[frame] = union.cpu()
    return result


def _frames(sam, images, bboxes, device, on_image) -> Iterator[tuple[list[dict], Iterator[tuple[int, torch.Tensor]]]]:
    device = torch.device(device) if device is not None else next(sam.model.parameters()).device
    for frame, boxes in enumerate(box_tools.as_frames(bboxes, len(images))):
        yield boxes, _segment(sam, images[frame : frame + 1], boxes, device)
        if on_image is not None:
            on_image()


@torch.inference_mode()
def _segment(sam, image: torch.Tensor, boxes: list[dict], device: torch.device) -> Iterator[tuple[int, torch.Tensor]]:
    """(index of the box, bool ``[H,W]`` on ``device``) for each box with an area inside ``image`` ``[1,H,W,C]``."""
    height, width = image.shape[1:3]
    corners = {index: box_tools.clipped(box, width, height) for index, box in enumerate(boxes) if _is_finite(box)}
    corners = {index: (x1, y1, x2, y2) for index, (x1, y1, x2, y2) in corners.items() if x2 > x1 and y2 > y1}
    if not corners:
        return
    inner = _inner_size(sam, height, width)
    # One pass of the large encoder per image, whatever the number of boxes.
    embedding = sam.model.get_image_embeddings(_pixels(sam, image.to(device), inner))
    scale = torch.tensor([inner[1] / width, inner[0] / height] * 2, device=device)
    indices = list(corners)
    for start in range(0, len(indices), _BOXES_AT_ONCE):
        part = indices[start : start + _BOXES_AT_ONCE]
        prompts = torch.tensor([corners[index] for index in part], dtype=torch.float32, device=device) * scale
        for index, logits in zip(part, _decode(sam, embedding, prompts), strict=True):
            yield index, _upscale(sam, logits, inner, (height, width)) > 0


def _inner_size(sam: SegmentAnything, height: int, width: int) -> tuple[int, int]:
    """Height and width of the picture inside the model's square: SAM 2 stretches it, the first SAM pads it."""
    if sam.generation == 2:
        return sam.size, sam.size
    scale = sam.size / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def _pixels(sam: SegmentAnything, image: torch.Tensor, inner: tuple[int, int]) -> torch.Tensor:
    resized = dataclasses.replace(sam.preprocessing, size={"height": inner[0], "width": inner[1]})
    pixels = resized.apply(to_rgb(image)[0])
    return torch.nn.functional.pad(pixels, (0, sam.size - inner[1], 0, sam.size - inner[0]))


def _decode(sam: SegmentAnything, embedding, prompts: torch.Tensor) -> torch.Tensor:
    """Mask logits ``[n,h,w]`` for the boxes ``[n,4]`` (corners, in pixels of the model's input)."""
    if sam.generation == 2:
        # SAM 2 reads a box as two labelled points and a padding point. transformers 4.56 forgets the padding when
        # it is given boxes; as points the masks are the same with every version.
        points = prompts.reshape(1, -1, 2, 2)
        labels = torch.tensor(_CORNER_LABELS, device=prompts.device).expand(points.shape[:3])
        prompt = {"input_points": points, "input_labels": labels}
    else:
        prompt = {"input_boxes": prompts[None]}
    # Several masks are for ambiguous prompts (a point); for a box the authors advise the one mask.
    output = sam.model(image_embeddings=embedding, multimask_output=False, **prompt)
    best = output.iou_scores[0].argmax(-1)
    return output.pred_masks[0][torch.arange(len(best), device=best.device), best].float()


def _upscale(sam: SegmentAnything, logits: torch.Tensor, inner: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    def resize(picture: torch.Tensor, to: tuple[int, int]) -> torch.Tensor:
        return torch.nn.functional.interpolate(picture, to, mode="bilinear", align_corners=False)

    picture = logits[None, None]
    if sam.generation == 1:
        picture = resize(picture, (sam.size, sam.size))[..., : inner[0], : inner[1]]
    return resize(picture, size)[0, 0]


def _is_finite(box: dict) -> bool:
    return all(math.isfinite(box[side]) for side in ("x", "y", "width", "height"))


def _load_weights(folder: Path, kind: type, config) -> torch.nn.Module:
    from transformers.utils import logging

    again = f"Download the model again into {folder.parent} (`imageine models pull simple`)."
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # its report of missing weights alarms where there is no need; see below
    try:
        model, info = kind.from_pretrained(
            str(folder), config=config, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, RuntimeError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{folder} could not be loaded as {kind.__name__}: {error} {again}") from error
    finally:
        logging.set_verbosity(verbosity)
    missing = set(info["missing_keys"])
    if _TIED in missing:
        model.prompt_encoder.shared_embedding.positional_embedding.data.copy_(
            model.shared_image_embedding.positional_embedding
        )
        missing.discard(_TIED)
    if missing:
        raise ValueError(
            f"{folder} lacks {len(missing)} of the weights of {kind.__name__}, first {min(missing)}: it would segment "
            f"at random. {again}"
        )
    return model


def _preprocessing(folder: Path) -> Preprocessing:
    try:
        return Preprocessing.read(folder)
    except ValueError:
        if (folder / "preprocessor_config.json").is_file():
            raise
        return Preprocessing(size={})  # every published SAM uses these same means and deviations
