"""Masks: Load Segment Anything, Segment Boxes, Mask by Text, Refine Mask."""

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io

from . import folders
from .algorithms import boxes, mask_by_text, masks, segment_anything
from .algorithms.phrases import split_prompt
from .detection import (
    BoxPreview,
    DetectorType,
    box_threshold_input,
    check_prompt,
    selection_inputs,
    text_threshold_input,
)
from .managed_model import ManagedModel

SegmenterType = io.Custom("IMAGEINE_SEGMENT_ANYTHING")

_ACTIVATIONS = 3 * 1024**3  # bytes: sam2.1-hiera-large on a 4K picture, with reserve
_PREVIEW_EDGE = 1024  # pixels


class Segmenter:
    """A Segment Anything whose weights ComfyUI manages: what travels on the IMAGEINE_SEGMENT_ANYTHING socket."""

    def __init__(self, model: segment_anything.SegmentAnything):
        self.model = model
        self.managed = ManagedModel(model.model)

    def object_masks(self, images: torch.Tensor, frames: list[list[dict]]) -> list[torch.Tensor]:
        """See ``segment_anything.object_masks``. Ticks the progress bar, stops on an interrupt after each image."""
        return self._run(segment_anything.object_masks, images, frames)

    def union_masks(self, images: torch.Tensor, frames: list[list[dict]]) -> torch.Tensor:
        """See ``segment_anything.union_masks``. Ticks the progress bar, stops on an interrupt after each image."""
        return self._run(segment_anything.union_masks, images, frames)

    def _run(self, segment, images: torch.Tensor, frames: list[list[dict]]):
        device = self.managed.load(_ACTIVATIONS)
        progress = comfy.utils.ProgressBar(len(images))

        def on_image() -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            progress.update(1)

        return segment(self.model, images, frames, device=device, on_image=on_image)


class MaskPreview(BoxPreview):
    """Images with their mask and boxes drawn, and the message as text."""

    def __init__(
        self, images: torch.Tensor, mask: torch.Tensor, frames: list[list[dict]], message: str, cls: type[io.ComfyNode]
    ):
        height, width = images.shape[1:3]
        scale = min(1.0, _PREVIEW_EDGE / max(height, width))
        shown = masks.overlay(images, mask, max(1, round(height * scale)), max(1, round(width * scale)))
        placed = [
            [{**box, **{side: box[side] * scale for side in ("x", "y", "width", "height")}} for box in frame]
            for frame in frames
        ]
        super().__init__(shown, placed, "Nothing found", cls)
        self.message = message


class LoadSegmentAnything(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineLoadSegmentAnything",
            display_name="Load Segment Anything",
            category="imageine/masking",
            description="Loads a Segment Anything model (SAM 2.1, SAM 2 or the first SAM), which turns a box into the "
            "exact shape of the object in it, from models/sams.",
            search_aliases=["sam", "sam2", "sam 2.1", "segment anything model", "segmentation model", "cut out"],
            inputs=[folders.model_input(folders.SEGMENT_ANYTHING, "simple")],
            outputs=[SegmenterType.Output("sam", display_name="sam", tooltip="For Segment Boxes and Mask by Text.")],
        )

    @classmethod
    def execute(cls, model: str) -> io.NodeOutput:
        return io.NodeOutput(Segmenter(segment_anything.load(folders.find_model(folders.SEGMENT_ANYTHING, model))))


class SegmentBoxes(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineSegmentBoxes",
            has_intermediate_output=True,  # or a cached run shows no preview
            display_name="Segment Boxes",
            category="imageine/masking",
            description="Cuts out the object in each box: one mask per image, and one per object. Takes boxes from "
            "Detect Objects and from any other node (RT-DETR, SAM 3).",
            search_aliases=["sam", "sam2", "segment anything", "box to mask", "bbox to mask", "object mask"],
            inputs=[
                SegmenterType.Input("sam", display_name="SAM", tooltip="From Load Segment Anything."),
                io.Image.Input("image", display_name="Image", tooltip="One image or a batch."),
                io.BoundingBox.Input(
                    "bboxes",
                    display_name="Boxes",
                    force_input=True,
                    tooltip="Boxes in pixels: a list per image. A single list is used for every image of a batch.",
                ),
            ],
            outputs=[
                io.Mask.Output("mask", display_name="mask", tooltip="All objects of an image together: one per image."),
                io.Mask.Output(
                    "object_masks",
                    display_name="object_masks",
                    tooltip="One mask per box, in the order of images and boxes. One empty mask if there is no box.",
                ),
            ],
        )

    @classmethod
    def execute(cls, sam: Segmenter, image: torch.Tensor, bboxes) -> io.NodeOutput:
        frames = boxes.as_frames(bboxes, len(image))
        device = comfy.model_management.intermediate_device()
        found = sam.object_masks(image, frames)
        union = torch.stack([one.any(0) for one in found]).to(device, torch.float32)
        objects = torch.cat(found).to(device, torch.float32)
        count = len(objects)
        if not count:
            objects = torch.zeros_like(union[:1])  # core's nodes fail on a batch of none
        message = f"{count} object{'' if count == 1 else 's'} segmented" if count else "No box to segment"
        return io.NodeOutput(union, objects, ui=MaskPreview(image, union, frames, message, cls))


class MaskByText(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineMaskByText",
            has_intermediate_output=True,  # or a cached run shows no preview
            display_name="Mask by Text",
            category="imageine/masking",
            description="Finds what the prompt names and masks it, one mask per image. With SAM the mask follows the "
            "object's shape, without it fills the boxes. A painted mask is used instead where there is one.",
            search_aliases=["text to mask", "grounded sam", "grounding dino sam", "segment by text", "clipseg"],
            inputs=[*_mask_by_text_sockets(), box_threshold_input(), *_mask_by_text_options()],
            outputs=[
                io.Mask.Output("mask", display_name="mask", tooltip="One mask per image, grown and feathered, 0 to 1."),
                io.BoundingBox.Output("bboxes", display_name="bboxes", tooltip="One list of boxes per image."),
                io.Int.Output("count", display_name="count", tooltip="Number of objects in all images together."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, prompt: str | None = "", target: str | None = "", mask=False) -> bool | str:
        """Constants only: a linked input is None, ``mask`` False when nothing is linked to it."""
        if mask is None or prompt is None or target is None:
            return True
        return check_prompt(_wanted(prompt, target))

    @classmethod
    def check_lazy_status(cls, image, prompt, mask=None, target="", **inputs) -> list[str]:
        """The models are loaded only when there is an image without a painted mask."""
        if all(mask_by_text.painted_frames(mask, len(image))):
            return []
        split_prompt(_wanted(prompt, target))  # an empty prompt fails before a model is loaded
        return [name for name in ("detector", "sam") if name in inputs and inputs[name] is None]

    @classmethod
    def execute(
        cls, image, prompt, box_threshold, detector=None, sam=None, mask=None, target="", text_threshold=0.25,
        grow=0, feather=21, on_empty=mask_by_text.EMPTY_MASK, **choice,
    ) -> io.NodeOutput:  # fmt: skip
        what = _wanted(prompt, target)
        wish = mask_by_text.Wish(what.strip(), box_threshold, boxes.Selection(**choice), on_empty)
        image = image.to(comfy.model_management.intermediate_device())
        found = mask_by_text.find(
            image,
            mask,
            lambda images, threshold: detector.detect(images, what, threshold, text_threshold),
            sam.union_masks if sam is not None else None,
            wish,
        )
        refined = masks.refine(found.mask, fill_holes=False, grow=grow, feather=feather)
        preview = MaskPreview(image, refined, found.frames, found.message, cls)
        return io.NodeOutput(refined, found.frames, found.count, ui=preview)


class RefineMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineRefineMask",
            display_name="Refine Mask",
            category="imageine/masking",
            description="Cleans a mask and softens its edge: threshold, fill holes, drop small islands, grow or "
            "shrink, feather.",
            search_aliases=["grow mask", "feather mask", "blur mask", "shrink mask", "fill holes", "dilate"],
            inputs=[
                io.Mask.Input("mask", display_name="Mask", tooltip="One mask or a batch; each is refined on its own."),
                io.Float.Input(
                    "threshold", display_name="Threshold", default=0.5, min=0.0, max=1.0, step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="Greys above this become part of the mask, all others do not.",
                ),
                _grow_input(),
                _feather_input(advanced=False),
                io.Boolean.Input(
                    "fill_holes", display_name="Fill Holes", default=True, advanced=True,
                    tooltip="Fill every gap that the mask encloses.",
                ),
                io.Float.Input(
                    "min_island", display_name="Min Island", default=0.0001, min=0.0, max=1.0, step=0.0001,
                    advanced=True,
                    tooltip="Drop islands smaller than this share of the image (0.0001 is a 10 px square in a "
                    "megapixel). The largest one stays. 0 keeps all.",
                ),
            ],
            outputs=[io.Mask.Output("mask", display_name="mask", tooltip="The refined masks, 0 to 1.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, mask, threshold, grow, feather, fill_holes, min_island) -> io.NodeOutput:
        return io.NodeOutput(masks.refine(mask, threshold, fill_holes, min_island, grow, feather))


def _wanted(prompt: str | None, target: str | None) -> str:
    """``target`` where it says anything, else ``prompt``."""
    return target if (target or "").strip() else (prompt or "")


def _mask_by_text_sockets() -> list[io.Input]:
    return [
        DetectorType.Input(
            "detector", display_name="Detector", lazy=True,
            tooltip="From Load Grounding DINO. Not loaded while every image has a painted mask.",
        ),
        io.Image.Input("image", display_name="Image", tooltip="One image or a batch; each gets its own mask."),
        SegmenterType.Input(
            "sam", display_name="SAM", optional=True, lazy=True,
            tooltip="From Load Segment Anything. Without it the boxes are filled.",
        ),
        io.Mask.Input(
            "mask", display_name="Painted Mask", optional=True,
            tooltip="Used instead of detecting where anything is painted; an all-black mask means nothing painted.",
        ),
        io.String.Input(
            "prompt", display_name="Prompt", default="", placeholder="blue car",
            tooltip="What to mask. Separate several things with full stops, commas or new lines.",
        ),
    ]  # fmt: skip


def _mask_by_text_options() -> list[io.Input]:
    # App Mode shows no control for an advanced input, so what an edit's app needs is not one.
    return [
        io.String.Input(
            "target", display_name="Target", default="",
            tooltip="What to mask when it is not what the prompt says: for the prompt \"blue car\" perhaps \"car\". "
            "Empty uses the prompt.",
        ),
        _grow_input(),
        text_threshold_input(),
        *selection_inputs(),
        _feather_input(advanced=True),
        io.Combo.Input(
            "on_empty", display_name="On Empty", options=list(mask_by_text.ON_EMPTY), default=mask_by_text.EMPTY_MASK,
            advanced=True,
            tooltip="Where nothing is found: an empty mask (the image stays as it is), the whole image, or an error.",
        ),
    ]  # fmt: skip


def _grow_input() -> io.Input:
    return io.Int.Input(
        "grow", display_name="Grow", default=0, min=-1024, max=1024,
        tooltip="Widen the mask by so many pixels, or shrink it if negative. Half the feather keeps the whole "
        "object at full strength.",
    )  # fmt: skip


def _feather_input(advanced: bool) -> io.Input:
    return io.Int.Input(
        "feather", display_name="Feather", default=21, min=0, max=1024, advanced=advanced,
        tooltip="Width of the soft edge in pixels, half of it inside the mask and half outside. 0 is hard.",
    )  # fmt: skip
