"""The joints of people with ViTPose, from a folder on disk: a box per person in, 17 COCO keypoints out.

transformers supplies the network alone. Cropping and decoding are here: its VitPoseImageProcessor computes both with
scipy, and needs torchvision. The formulas are those of that processor, which has them from mmpose.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import boxes as box_tools
from .checkpoint_folder import check_folder
from .pixels import to_rgb
from .preprocessing import Preprocessing
from .pretrained import load_pretrained

MODEL_TYPE = "vitpose"
REQUIRED_FILES = [["preprocessor_config.json", "processor_config.json"]]
KEYPOINTS = 17

_PADDING = 1.25  # how much larger than the box the crop is
_PEOPLE_AT_ONCE = 16  # bounds the memory: a crop takes about 30 MB in ViTPose base
_COCO = 0  # the expert of ViTPose+ that was trained on COCO
# Heatmaps are blurred before the peak is refined (DARK, Zhang et al., CVPR 2020): pixels, and the kernel's half width.
_BLUR, _BLUR_RADIUS = 0.8, 5


@dataclass(frozen=True)
class VitPose:
    """A loaded model. ``size`` is the height and width of its input in pixels."""

    model: torch.nn.Module
    preprocessing: Preprocessing
    size: tuple[int, int]


@dataclass(frozen=True)
class Person:
    """The joints of one person: ``points`` ``[17,2]`` (x, y in pixels of the image, perhaps outside it) and their
    ``scores`` ``[17]``, 0 where the model saw nothing, near 1 where it is certain. ``box`` is the box given."""

    points: np.ndarray
    scores: np.ndarray
    box: dict


def load(folder: Path) -> VitPose:
    """The model in ``folder``, which has transformers' layout. Reads that folder only, never the network.

    Raises ``ValueError`` when the folder lacks a file, is half downloaded, holds another kind of model, or one that
    finds other points than the 17 of COCO.
    """
    folder = Path(folder)
    check_folder(folder, MODEL_TYPE, REQUIRED_FILES)
    preprocessing = Preprocessing.read(folder)
    model = load_pretrained(folder, "VitPoseForPoseEstimation", "place joints at random")
    if model.config.num_labels != KEYPOINTS:
        raise ValueError(
            f"{folder.name} finds {model.config.num_labels} keypoints; Map Pose draws the {KEYPOINTS} of COCO. "
            "Choose a ViTPose for COCO, such as usyd-community/vitpose-base-simple."
        )
    height, width = model.config.backbone_config.image_size
    return VitPose(model, preprocessing, (height, width))


def find_people(
    pose: VitPose,
    images: torch.Tensor,
    bboxes: dict | list | None,
    device: torch.device | None = None,
    on_image: Callable[[], None] | None = None,
) -> list[list[Person]]:
    """For each image of ``images`` ``[B,H,W,C]`` its people, in the order of their boxes.

    ``bboxes`` is any BOUNDING_BOX value, None for one person who fills the image. A box without any area inside its
    image gives nobody. Images run one by one; ``on_image`` is called after each. The weights must be on ``device``
    (default: where they are).
    """
    device = torch.device(device) if device is not None else next(pose.model.parameters()).device
    height, width = images.shape[1:3]
    whole = {"x": 0, "y": 0, "width": width, "height": height}
    frames = box_tools.as_frames([[whole]] if bboxes is None else bboxes, len(images))
    found = []
    for index, frame in enumerate(frames):
        inside = [box for box in frame if _is_inside(box, width, height)]
        found.append(_people(pose, images[index], inside, device) if inside else [])
        if on_image is not None:
            on_image()
    return found


def _is_inside(box: dict, width: int, height: int) -> bool:
    if not all(math.isfinite(box[side]) for side in ("x", "y", "width", "height")):
        return False
    left, top, right, bottom = box_tools.clipped(box, width, height)
    return right > left and bottom > top


def _people(pose: VitPose, image: torch.Tensor, frame: list[dict], device: torch.device) -> list[Person]:
    pixels = to_rgb(image[None])[0].clamp(0, 1).mul(255).round().to("cpu", torch.uint8).numpy()
    people: list[Person] = []
    for start in range(0, len(frame), _PEOPLE_AT_ONCE):
        part = frame[start : start + _PEOPLE_AT_ONCE]
        regions = [crop_region(box, pose.size) for box in part]
        crops = np.stack([crop(pixels, *region, pose.size) for region in regions])
        heatmaps = _heatmaps(pose, crops, device)
        peaks, scores = decode(heatmaps)
        rows, columns = heatmaps.shape[2:]
        for index, (centre, extent) in enumerate(regions):
            step = extent / np.array([columns - 1, rows - 1], dtype=np.float32)
            people.append(Person(peaks[index] * step + centre - extent * 0.5, scores[index], part[index]))
    return people


@torch.inference_mode()
def _heatmaps(pose: VitPose, crops: np.ndarray, device: torch.device) -> np.ndarray:
    """``crops`` ``[N,h,w,3]`` in 0..255 as heatmaps ``[N,17,h/4,w/4]`` float32, near 1 at a joint."""
    settings = pose.preprocessing
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (settings.mean, settings.std))
    inputs = (torch.from_numpy(crops).movedim(-1, 1).float() * settings.rescale - mean) / std
    options = {}
    if getattr(pose.model.config.backbone_config, "num_experts", 1) > 1:
        options["dataset_index"] = torch.full((len(crops),), _COCO, device=device)
    return pose.model(pixel_values=inputs.to(device), **options).heatmaps.float().cpu().numpy()


def crop_region(box: dict, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Centre and extent (both x, y, in pixels) of what the model sees for ``box``: it, widened to the aspect of
    ``size`` (height, width) and then by a quarter."""
    width, height = float(box["width"]), float(box["height"])
    centre = np.array([box["x"] + width * 0.5, box["y"] + height * 0.5], dtype=np.float32)
    aspect = size[1] / size[0]
    width, height = max(width, height * aspect), max(height, width / aspect)
    # In units of 200 pixels on the way, as mmpose: the same roundings.
    extent = np.array([width / 200, height / 200], dtype=np.float32) * np.float32(_PADDING) * np.float32(200)
    return centre, extent


def crop(pixels: np.ndarray, centre: np.ndarray, extent: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The part of ``pixels`` ``[H,W,3]`` (8-bit) at ``centre`` with ``extent``, as ``size``: ``[h,w,3]``, 8-bit levels.

    Bilinear between pixel centres, corners on corners (Huang et al., The Devil is in the Details, CVPR 2020); black
    outside. Levels are rounded as scipy rounds them.
    """
    corners = []
    for axis, length in ((1, size[0]), (0, size[1])):  # rows are y
        exact = (length - 1) / np.float64(extent[axis])
        # In single precision, as there: the same roundings.
        scale, shift = np.float32([exact, exact * (np.float32(0.5) * extent[axis] - centre[axis])]).astype(np.float64)
        places = np.arange(length) * (1 / scale) - shift / scale
        corners.append(_neighbours(places, pixels.shape[1 - axis]))
    (top, bottom, down, rows), (left, right, across, columns) = corners
    across, down = across[None, :, None], down[:, None, None]
    mixed = np.zeros((*size, 3))
    for row, share in ((top, 1 - down), (bottom, down)):
        line = pixels[row]
        mixed += line[:, left] * share * (1 - across)
        mixed += line[:, right] * share * across
    mixed[~rows] = 0
    mixed[:, ~columns] = 0
    return np.floor(mixed + 0.5)


def _neighbours(places: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The pixels before and after each of ``places``, how far it is between them, and whether it is in the picture."""
    inside = (places >= 0) & (places <= length - 1)
    places = np.where(inside, places, 0)
    before = np.minimum(np.floor(places).astype(int), max(length - 2, 0))
    return before, np.minimum(before + 1, length - 1), places - before, inside


def decode(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the peaks of ``heatmaps`` ``[N,K,h,w]`` are, to fractions of a pixel: ``[N,K,2]`` (x, y), and their
    heights ``[N,K]``. A heatmap without anything above 0 has its peak at (0, 0), of height 0.

    DARK: one Newton step from the largest pixel on the logarithm of the blurred heatmap.
    """
    people, joints, rows, columns = heatmaps.shape
    flat = heatmaps.reshape(people, joints, -1)
    scores = np.maximum(flat.max(2), 0)
    y, x = np.divmod(flat.argmax(2), columns)
    blurred = (_blur_matrix(rows) @ heatmaps.astype(np.float64)).astype(np.float32)
    blurred = (blurred.astype(np.float64) @ _blur_matrix(columns).T).astype(np.float32)
    logs = np.pad(np.log(np.clip(blurred, 0.001, 50)), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    person, joint = np.ogrid[:people, :joints]

    def at(right: int, down: int) -> np.ndarray:
        return logs[person, joint, y + 1 + down, x + 1 + right]

    here = at(0, 0)
    slope = np.stack([0.5 * (at(1, 0) - at(-1, 0)), 0.5 * (at(0, 1) - at(0, -1))], -1).astype(np.float64)
    mixed = 0.5 * (at(1, 1) - at(1, 0) - at(0, 1) + here + here - at(-1, 0) - at(0, -1) + at(-1, -1))
    curved = [[at(1, 0) - 2 * here + at(-1, 0), mixed], [mixed, at(0, 1) - 2 * here + at(0, -1)]]
    step = _solve(np.array(curved, dtype=np.float64) + _EPSILON * np.eye(2)[..., None, None], slope)
    peaks = np.stack([x, y], -1).astype(np.float32) - step.astype(np.float32)
    return np.where(scores[..., None] > 0, peaks, 0).astype(np.float32), scores


_EPSILON = np.finfo(np.float32).eps


def _solve(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """``matrix``⁻¹ ``vector`` for symmetric matrices ``[2,2,N,K]`` and vectors ``[N,K,2]``; 0 where it has none."""
    (a, b), (_, d) = matrix
    determinant = a * d - b * b
    inverse = np.divide(1.0, determinant, out=np.zeros_like(determinant), where=determinant != 0)
    first, second = vector[..., 0], vector[..., 1]
    return np.stack([(d * first - b * second) * inverse, (a * second - b * first) * inverse], -1)


def _blur_matrix(length: int) -> np.ndarray:
    """A Gaussian blur of ``length`` pixels as a matrix; beyond an edge the picture goes on mirrored, edge included."""
    offsets = range(-_BLUR_RADIUS, _BLUR_RADIUS + 1)
    weights = np.exp(-0.5 * (np.array(offsets) / _BLUR) ** 2)
    weights /= weights.sum()
    matrix = np.zeros((length, length))
    for row, (offset, weight) in itertools.product(range(length), zip(offsets, weights, strict=True)):
        place = (row + offset) % (2 * length)
        matrix[row, place if place < length else 2 * length - 1 - place] += weight
    return matrix
