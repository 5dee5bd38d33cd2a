"""Depth from one picture with Depth Anything (V2 and V1), from a folder on disk.

transformers supplies the network alone. Pictures are prepared here as its DPTImageProcessor prepares them, so that
depth does not depend on what an installed transformers brings for that.
"""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import torch

from .checkpoint_folder import check_folder
from .pixels import to_rgb
from .preprocessing import Preprocessing, image_processor_settings
from .pretrained import load_pretrained

MODEL_TYPE = "depth_anything"
REQUIRED_FILES = [["preprocessor_config.json", "processor_config.json"]]

_BICUBIC = 3  # PIL's number: DPTImageProcessor's default
# The model's input is at most this many times as large as the square it was made for: it bounds the memory for
# pictures more than four times as long as high, which transformers would enlarge without limit.
_LARGEST_INPUT = 4
_NEAREST = 1e-3  # of a metric model's largest depth: what counts as zero metres


@dataclasses.dataclass(frozen=True)
class DepthAnything:
    """A loaded model. ``size`` is the height and width it was made for, ``multiple`` what both are rounded to.

    ``metric``: it says metres (far is large); the others say disparity up to scale and shift (near is large).
    """

    model: torch.nn.Module
    preprocessing: Preprocessing
    size: tuple[int, int]
    multiple: int
    keep_aspect_ratio: bool
    metric: bool


def load(folder: Path) -> DepthAnything:
    """The model in ``folder``, which has transformers' layout. Reads that folder only, never the network.

    Raises ``ValueError`` when the folder lacks a file, is half downloaded, or holds another kind of model.
    """
    folder = Path(folder)
    check_folder(folder, MODEL_TYPE, REQUIRED_FILES)
    settings = image_processor_settings(folder)
    size = _size(folder, settings)
    preprocessing = dataclasses.replace(Preprocessing.read(folder), resample=int(settings.get("resample", _BICUBIC)))
    model = load_pretrained(folder, "DepthAnythingForDepthEstimation", "guess depth at random")
    return DepthAnything(
        model,
        preprocessing,
        size,
        math.lcm(int(settings.get("ensure_multiple_of") or 1), model.config.patch_size),
        bool(settings.get("keep_aspect_ratio", False)),
        getattr(model.config, "depth_estimation_type", "relative") == "metric",
    )


def _size(folder: Path, settings: dict) -> tuple[int, int]:
    size = settings.get("size", {"height": 384, "width": 384})
    if isinstance(size, int):
        size = {"height": size, "width": size}
    try:
        height, width = int(size["height"]), int(size["width"])
    except (TypeError, KeyError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise ValueError(
            f"The image processor's settings in {folder} give the size {size!r}; Depth Anything needs a height and a "
            "width in pixels. Download the model again."
        )
    return height, width


def input_size(depth: DepthAnything, height: int, width: int) -> tuple[int, int]:
    """Height and width of a ``height`` by ``width`` picture inside the model.

    As transformers' DPTImageProcessor: the edge that changes the least decides the scale, then each edge is rounded
    to the multiple. Beyond it, an edge is never rounded to nothing, and a very long picture is scaled down until it
    has four times the area that the model was made for.
    """
    scales = [depth.size[0] / height, depth.size[1] / width]
    if depth.keep_aspect_ratio:
        least = scales[1] if abs(1 - scales[1]) < abs(1 - scales[0]) else scales[0]
        scales = [least, least]
    edges = [scales[0] * height, scales[1] * width]
    excess = edges[0] * edges[1] / (_LARGEST_INPUT * depth.size[0] * depth.size[1])
    if excess > 1:
        edges = [edge / math.sqrt(excess) for edge in edges]
    step = depth.multiple
    rows, columns = (max(step, round(edge / step) * step) for edge in edges)
    return rows, columns


def depth_maps(
    depth: DepthAnything,
    images: torch.Tensor,
    invert: bool = False,
    device: torch.device | None = None,
    on_image: Callable[[], None] | None = None,
) -> torch.Tensor:
    """One depth map per image of ``images`` ``[B,H,W,C]``: ``[B,H,W,3]`` float32 in 0..1, grey, on the CPU.

    White is the nearest point of each image, black its farthest, as the depth ControlNets expect (they were trained
    on MiDaS disparity normalised in this way). Metres are turned into disparity first. An image whose depth is the
    same everywhere gives black. ``invert`` swaps black and white at the end. Images run one by one, at the model's
    resolution; ``on_image`` is called after each. The weights must be on ``device`` (default: where they are).
    """
    device = torch.device(device) if device is not None else next(depth.model.parameters()).device
    maps = torch.empty(*images.shape[:3], 3)
    for index in range(len(images)):
        grey = normalised(disparity(depth, images[index], device))
        maps[index] = (1 - grey if invert else grey).cpu()[..., None]
        if on_image is not None:
            on_image()
    return maps


@torch.inference_mode()
def disparity(depth: DepthAnything, image: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Large where ``image`` ``[H,W,C]`` is near: ``[H,W]`` float32 on ``device``, up to scale and shift."""
    height, width = image.shape[:2]
    rows, columns = input_size(depth, height, width)
    prepared = dataclasses.replace(depth.preprocessing, size={"height": rows, "width": columns})
    pixels = prepared.apply(to_rgb(image[None])[0])
    found = depth.model(pixel_values=pixels.to(device)).predicted_depth[:, None].float()
    if depth.metric:
        found = 1 / found.clamp_min(_NEAREST * (depth.model.config.max_depth or 1))
    # Bicubic, as transformers' post_process_depth_estimation.
    return torch.nn.functional.interpolate(found, (height, width), mode="bicubic", align_corners=False)[0, 0]


def normalised(values: torch.Tensor) -> torch.Tensor:
    """``values`` with the smallest as 0 and the largest as 1; all 0 where there is no difference."""
    low, high = values.amin(), values.amax()
    return (values - low) / (high - low) if high > low else torch.zeros_like(values)
