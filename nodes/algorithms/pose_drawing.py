"""Skeletons: core's POSE_KEYPOINT from COCO keypoints, and pictures from any POSE_KEYPOINT.

POSE_KEYPOINT is a list of frames ``{canvas_width, canvas_height, people}``. A person has flat lists of x, y (pixels)
and score: ``pose_keypoints_2d`` (OpenPose's 18 joints), ``face_keypoints_2d`` (70), ``hand_left_keypoints_2d`` and
``hand_right_keypoints_2d`` (21 each), ``foot_keypoints_2d`` (6). 0, 0, 0 is a point that was not found.
"""

import colorsys
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw

BODY = "pose_keypoints_2d"
FACE = "face_keypoints_2d"
HANDS = ("hand_right_keypoints_2d", "hand_left_keypoints_2d")
FEET = "foot_keypoints_2d"
LENGTHS = {BODY: 18, FACE: 70, HANDS[0]: 21, HANDS[1]: 21, FEET: 6}

# OpenPose's joints by their COCO index: nose, neck (midway between the shoulders), right shoulder, elbow and wrist,
# the left arm, the right leg, the left leg, right eye, left eye, right ear, left ear.
_FROM_COCO = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_SHOULDERS = [5, 6]
_EYES = (14, 15)

# Limbs in OpenPose's order, each in the colour of its place; joints likewise.
LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10)),
    *((1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
COLOURS = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0)),
    *((0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255)),
    *((0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
_FINGERS = tuple((0 if first % 4 == 1 else first - 1, first) for first in range(1, 21))

# What the ControlNets saw in training: pictures whose shorter edge is 512 pixels, with limbs 8 pixels wide at 60 % of
# their colour, joints 8 across, finger lines 2 wide and face points 6 across.
_EDGE = 512
_LIMB, _JOINT, _FINGER, _FACE_POINT = 4.0, 4.0, 2.0, 3.0
_LIMB_SHADE = 0.6
_FAR = 4  # canvases: a point further away than this is not a joint


@dataclass(frozen=True)
class Style:
    """``threshold``: points with a lower score are not drawn. ``width`` multiplies all line widths."""

    threshold: float = 0.3
    width: float = 1.0
    hands: bool = True
    face: bool = True


def openpose_person(points: np.ndarray, scores: np.ndarray) -> dict:
    """A person of POSE_KEYPOINT from COCO's 17 ``points`` ``[17,2]`` (pixels) and ``scores`` ``[17]``.

    The neck is midway between the shoulders, with the lower of their scores. What COCO does not have (hands, feet,
    the face but for the eyes) is 0, 0, 0.
    """
    rows = []
    for index in _FROM_COCO:
        chosen = _SHOULDERS if index is None else [index]
        score = float(scores[chosen].min())
        place = points[chosen].mean(0)
        rows.append([float(place[0]), float(place[1]), score] if score > 0 else [0.0, 0.0, 0.0])
    person = {name: [0.0] * (3 * length) for name, length in LENGTHS.items()}
    person[BODY] = [value for row in rows for value in row]
    person[FACE][-6:] = [value for eye in _EYES for value in rows[eye]]
    return person


def frame(people: list[dict], width: int, height: int) -> dict:
    """A frame of POSE_KEYPOINT for an image of ``width`` by ``height`` pixels."""
    return {"canvas_width": int(width), "canvas_height": int(height), "people": people}


def is_visible(person: dict, threshold: float) -> bool:
    """Whether any joint of ``person``'s body has a score of at least ``threshold``."""
    return any(score >= threshold and score > 0 for score in person[BODY][2::3])


def check_frames(keypoints: object) -> list[dict]:
    """``keypoints`` as a list of frames; a single frame becomes a list of one.

    Raises ``ValueError`` for anything that is not POSE_KEYPOINT, frames of different sizes included.
    """
    frames = [keypoints] if isinstance(keypoints, dict) else keypoints
    if not isinstance(frames, (list, tuple)) or not all(isinstance(one, dict) for one in frames):
        raise ValueError(f"Keypoints must be a list of frames (POSE_KEYPOINT); got {type(keypoints).__name__}.")
    for one in frames:
        sides = [one.get("canvas_width"), one.get("canvas_height")]
        if not all(isinstance(side, int) and side > 0 for side in sides):
            raise ValueError(f"A frame of keypoints needs canvas_width and canvas_height in pixels; got {sides}.")
    sizes = sorted({(one["canvas_width"], one["canvas_height"]) for one in frames})
    if len(sizes) > 1:
        raise ValueError(
            f"All frames must have one size to become a batch of images; got {sizes[0]} and {sizes[1]}. "
            "Draw them in separate nodes."
        )
    return list(frames)


def draw(keypoints: list[dict] | dict, style: Style | None = None) -> torch.Tensor:
    """A picture per frame, skeletons on black: ``[B,H,W,3]`` float32 in 0..1, on the CPU; one of 64x64 for no frame.

    Coordinates of 0..1 (some other packs' keypoints) are taken as shares of the canvas. Raises ``ValueError`` for
    what is not POSE_KEYPOINT.
    """
    frames = check_frames(keypoints)
    if not frames:
        return torch.zeros(1, 64, 64, 3)
    width, height = frames[0]["canvas_width"], frames[0]["canvas_height"]
    pictures = torch.empty(len(frames), height, width, 3)
    for index, one in enumerate(frames):
        picture = Image.new("RGB", (width, height))
        for person in _people(one):
            _draw_person(ImageDraw.Draw(picture), person, style or Style(), min(width, height) / _EDGE)
        pictures[index] = torch.from_numpy(np.array(picture)).float().div(255)
    return pictures


def _people(one: dict) -> Iterator[dict[str, np.ndarray]]:
    """The people of a frame: for each part of the body that is there its points ``[N,3]``, in pixels."""
    size = np.array([one["canvas_width"], one["canvas_height"]], dtype=np.float64)
    people = [{name: _points(person, name) for name in LENGTHS} for person in one.get("people") or []]
    largest = max((np.abs(part[:, :2]).max() for parts in people for part in parts.values() if len(part)), default=0)
    scale = size if largest <= 2 < size.min() else np.ones(2)
    for parts in people:
        yield {name: part * [*scale, 1.0] for name, part in parts.items()}


def _points(person: dict, name: str) -> np.ndarray:
    flat = np.array(person.get(name) or [], dtype=np.float64)
    if name == FACE and flat.size == 3 * 68:  # without the eyes
        flat = np.append(flat, np.zeros(6))
    if flat.size not in (0, 3 * LENGTHS[name]) or (name == BODY and not flat.size):
        raise ValueError(
            f"A person's {name} must hold x, y and score of {LENGTHS[name]} points; got {flat.size} numbers. "
            "Map Pose and core's SDPose nodes give such keypoints."
        )
    return flat.reshape(-1, 3)


def _draw_person(pen: ImageDraw.ImageDraw, parts: dict[str, np.ndarray], style: Style, unit: float) -> None:
    unit *= style.width
    reach = _FAR * max(pen.im.size)

    def seen(part: np.ndarray) -> list[bool]:
        place, score = part[:, :2], part[:, 2]
        found = np.isfinite(part).all(1) & (score >= style.threshold) & (score > 0)
        return (found & (np.abs(np.nan_to_num(place)) <= reach).all(1)).tolist()

    body = parts[BODY]
    visible = seen(body)
    for (start, end), colour in zip(LIMBS, COLOURS, strict=False):
        if visible[start] and visible[end]:
            shade = tuple(int(level * _LIMB_SHADE) for level in colour)
            _limb(pen, body[start], body[end], max(0.5, _LIMB * unit), shade)
    for joint, colour, found in zip(body, COLOURS, visible, strict=True):
        if found:
            _dot(pen, joint, _JOINT * unit, colour)
    for name in HANDS if style.hands else ():
        _draw_hand(pen, parts[name], seen(parts[name]), unit)
    if style.face:
        for point, found in zip(parts[FACE][:68], seen(parts[FACE])[:68], strict=True):
            if found:
                _dot(pen, point, _FACE_POINT * unit, (255, 255, 255))


def _draw_hand(pen: ImageDraw.ImageDraw, hand: np.ndarray, visible: list[bool], unit: float) -> None:
    if not len(hand):
        return
    for index, (start, end) in enumerate(_FINGERS):
        if visible[start] and visible[end]:
            hue = colorsys.hsv_to_rgb(index / len(_FINGERS), 1.0, 1.0)
            colour = tuple(int(level * 255) for level in hue)
            pen.line([*hand[start][:2], *hand[end][:2]], fill=colour, width=max(1, round(_FINGER * unit)))
    for point, found in zip(hand, visible, strict=True):
        if found:
            _dot(pen, point, _JOINT * unit, (0, 0, 255))


def _limb(pen: ImageDraw.ImageDraw, start: np.ndarray, end: np.ndarray, half_width: float, colour: tuple) -> None:
    """An ellipse from joint to joint."""
    (x, y), (right, down) = (start[:2] + end[:2]) / 2, (end[:2] - start[:2]) / 2
    length = math.hypot(right, down)
    if length < 0.5:
        return
    turns = np.linspace(0, 2 * math.pi, 72, endpoint=False)
    along, across = np.cos(turns), np.sin(turns) * half_width / length
    outline = np.stack([x + along * right - across * down, y + along * down + across * right], -1)
    pen.polygon([tuple(point) for point in outline.tolist()], fill=colour)


def _dot(pen: ImageDraw.ImageDraw, place: np.ndarray, radius: float, colour: tuple) -> None:
    x, y = float(place[0]), float(place[1])
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
