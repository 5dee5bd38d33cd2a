"""This extension's nodes without ComfyUI: the same algorithms, models in the studio's hands."""

from typing import TYPE_CHECKING, Any

from ...errors import WorkflowError
from .graph import NodeKind

if TYPE_CHECKING:
    from .studio import Studio

_KINDS = ("pose", "depth")
_MODELS = frozenset({"detector", "sam"})


def load_detector(studio: "Studio", model: str) -> tuple:
    from ....nodes.algorithms import grounding_dino

    return (studio.network("grounding-dino", model, grounding_dino.load),)


def load_segmenter(studio: "Studio", model: str) -> tuple:
    from ....nodes.algorithms import segment_anything

    return (studio.network("sams", model, segment_anything.load),)


def load_depth_model(studio: "Studio", model: str) -> tuple:
    from ....nodes.algorithms import depth_anything

    return (studio.network("depth-anything", model, depth_anything.load),)


def load_pose_model(studio: "Studio", model: str) -> tuple:
    from ....nodes.algorithms import vitpose

    return (studio.network("pose", model, vitpose.load),)


def detect(
    studio: "Studio", detector, image, prompt: str, box_threshold: float, text_threshold: float, **choice
) -> tuple:
    from ....nodes.algorithms import boxes, grounding_dino

    with studio.on_device(detector) as device:
        found = grounding_dino.detect(detector, image, prompt, box_threshold, text_threshold, device=device)
    selection = boxes.Selection(**choice)
    frames = [selection.apply(frame, *image.shape[2:0:-1]) for frame in found]
    return frames, boxes.label_lines(frames), sum(map(len, frames))


def mask_by_text(
    studio: "Studio", image, prompt, box_threshold, detector=None, sam=None, mask=None, target="",
    text_threshold=0.25, grow=0, feather=21, on_empty="empty mask", **choice,
) -> tuple:  # fmt: skip
    from ....nodes.algorithms import boxes, grounding_dino, masks, segment_anything
    from ....nodes.algorithms import mask_by_text as finding

    what = target if target.strip() else prompt

    def look(images, threshold):
        with studio.on_device(detector) as device:
            return grounding_dino.detect(detector, images, what, threshold, text_threshold, device=device)

    def cut(images, frames):
        with studio.on_device(sam) as device:
            return segment_anything.union_masks(sam, images, frames, device=device)

    wish = finding.Wish(what.strip(), box_threshold, boxes.Selection(**choice), on_empty)
    found = finding.find(image, mask, look, cut if sam is not None else None, wish)
    refined = masks.refine(found.mask, fill_holes=False, grow=grow, feather=feather)
    return refined, found.frames, found.count


def _wanted_models(known: dict[str, Any]) -> list[str]:
    """The models are loaded only when there is an image without a painted mask."""
    from ....nodes.algorithms import mask_by_text as finding

    painted = finding.painted_frames(known.get("mask"), len(known["image"]))
    return [] if all(painted) else sorted(_MODELS)


def crop(studio: "Studio", image, mask, **options) -> tuple:
    from ....nodes.algorithms import crops

    return crops.crop(image, mask, **options)


def stitch(studio: "Studio", crop_info, image) -> tuple:
    from ....nodes.algorithms import crops

    return crops.stitch(crop_info, image)


def map_depth(studio: "Studio", depth_model, image, invert: bool = False) -> tuple:
    from ....nodes.algorithms import depth_anything

    with studio.on_device(depth_model) as device:
        return (depth_anything.depth_maps(depth_model, image, invert, device=device),)


def map_pose(
    studio: "Studio", pose_model, image, score_threshold: float = 0.3, bboxes=None, line_width: float = 1.0,
    max_people: int = 0, labels: str = "",
) -> tuple:  # fmt: skip
    from ....nodes.algorithms import boxes, pose_drawing, vitpose

    height, width = image.shape[1:3]
    if bboxes is not None:
        selection = boxes.Selection(max_boxes=max_people, labels=labels)
        bboxes = [selection.apply(frame, width, height) for frame in boxes.as_frames(bboxes, len(image))]
    keypoints = []
    with studio.on_device(pose_model) as device:
        for people in vitpose.find_people(pose_model, image, bboxes, device=device):
            drawn = [pose_drawing.openpose_person(one.points, one.scores) for one in people]
            seen = [person for person in drawn if pose_drawing.is_visible(person, score_threshold)]
            keypoints.append(pose_drawing.frame(seen, width, height))
    maps = pose_drawing.draw(keypoints, pose_drawing.Style(score_threshold, line_width))
    return maps, keypoints, sum(len(frame["people"]) for frame in keypoints)


def apply_controls(studio: "Studio", positive, negative, vae=None, region=None, **inputs) -> tuple:
    from .sampling import Control

    if region is not None:
        raise not_here("a region for the controls")
    for kind in _controls_on(inputs):
        control_net, hint = inputs[f"{kind}_control_net"], inputs[f"{kind}_map"]
        settings = (float(inputs[f"{kind}_{name}"]) for name in ("strength", "start", "end"))
        positive = positive.controlled(Control(control_net, hint, *settings))
    return positive, negative


def _controls_on(inputs: dict[str, Any]) -> list[str]:
    return [kind for kind in _KINDS if inputs.get(f"use_{kind}") and inputs.get(f"{kind}_strength")]


def _wanted_controls(known: dict[str, Any]) -> list[str]:
    return [f"{kind}_{part}" for kind in _controls_on(known) for part in ("control_net", "map")]


def load_adapter(studio: "Studio", model: str) -> tuple:
    return (studio.adapter(model),)


def encode_reference(
    studio: "Studio", ip_adapter, clip_vision, image, weight=1.0, embeds=None, negative_image=None, crop="center"
) -> tuple:
    from . import references

    seen = references.see(ip_adapter.layout, image, clip_vision, negative_image, crop=crop == "center")
    return (seen if embeds is None else embeds + seen,)


def apply_adapter(
    studio: "Studio", model, weight, ip_adapter=None, image=None, clip_vision=None, embeds=None, mask=None,
    weight_type="linear", combine="concat", start_percent=0.0, end_percent=1.0, negative_image=None, crop="center",
) -> tuple:  # fmt: skip
    from . import references

    if not weight:
        return (model,)
    if mask is not None:
        raise not_here("a mask for a reference")
    if weight_type != "linear" or combine != "concat":
        raise not_here(f"weight type '{weight_type}' with '{combine}'")
    if image is not None:
        seen = references.see(ip_adapter.layout, image, clip_vision, negative_image, crop=crop == "center")
        embeds = seen if embeds is None else embeds + seen
    checkpoint, influences = model
    influence = references.Influence(ip_adapter, embeds, weight, start_percent, end_percent)
    return ((checkpoint, (*influences, influence)),)


def _wanted_reference(known: dict[str, Any]) -> list[str]:
    return ["ip_adapter", "image", "clip_vision", "embeds", "mask", "negative_image"] if known["weight"] else []


def not_here(what: str) -> WorkflowError:
    """The error to raise for ``what``."""
    return WorkflowError(
        "workflow_unfit",
        f"Without ComfyUI there is no support for {what}.",
        "Use a ComfyUI (--server, --comfyui), or leave it out.",
    )


OWN_NODES = {
    "ImageineApplyControls": NodeKind(
        apply_controls,
        lazy=frozenset(f"{kind}_{part}" for kind in _KINDS for part in ("control_net", "map")),
        wanted=_wanted_controls,
    ),
    "ImageineApplyIPAdapter": NodeKind(
        apply_adapter,
        lazy=frozenset({"ip_adapter", "image", "clip_vision", "embeds", "mask", "negative_image"}),
        wanted=_wanted_reference,
    ),
    "ImageineCropForInpaint": NodeKind(crop),
    "ImageineDetectObjects": NodeKind(detect),
    "ImageineEncodeReference": NodeKind(encode_reference),
    "ImageineLoadDepthAnything": NodeKind(load_depth_model),
    "ImageineLoadGroundingDINO": NodeKind(load_detector),
    "ImageineLoadIPAdapter": NodeKind(load_adapter),
    "ImageineLoadSegmentAnything": NodeKind(load_segmenter),
    "ImageineLoadViTPose": NodeKind(load_pose_model),
    "ImageineMapDepth": NodeKind(map_depth),
    "ImageineMapPose": NodeKind(map_pose),
    "ImageineMaskByText": NodeKind(mask_by_text, lazy=_MODELS, wanted=_wanted_models),
    "ImageineStitchInpaint": NodeKind(stitch),
}
