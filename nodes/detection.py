"""Find objects by text: Load Grounding DINO, Detect Objects."""

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io, ui

from . import folders
from .algorithms import boxes, grounding_dino
from .algorithms.phrases import split_prompt
from .managed_model import ManagedModel

DetectorType = io.Custom("IMAGEINE_GROUNDING_DINO")

_ACTIVATIONS = 2 * 1024**3  # bytes: grounding-dino-tiny on 800 by 1333 pixels, with reserve


class Detector:
    """A Grounding DINO whose weights ComfyUI manages: what travels on the IMAGEINE_GROUNDING_DINO socket."""

    def __init__(self, model: grounding_dino.GroundingDino):
        self.model = model
        self.managed = ManagedModel(model.model)

    def detect(
        self, images: torch.Tensor, prompt: str, box_threshold: float, text_threshold: float
    ) -> list[list[dict]]:
        """One frame of boxes per image of ``images`` ``[B,H,W,C]``; see ``grounding_dino.detect``.

        Ticks ComfyUI's progress bar and looks for an interrupt after every image.
        """
        split_prompt(prompt)  # an empty prompt fails before gigabytes move
        device = self.managed.load(_ACTIVATIONS)
        progress = comfy.utils.ProgressBar(len(images))

        def on_image() -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            progress.update(1)

        return grounding_dino.detect(
            self.model, images, prompt, box_threshold, text_threshold, device=device, on_image=on_image
        )


def selection_inputs() -> list[io.Input]:
    """The inputs that become a ``boxes.Selection``; shared by the nodes that choose among boxes."""
    return [
        io.Int.Input(
            "max_boxes", display_name="Max Boxes", default=0, min=0, max=1000, advanced=True,
            tooltip="Keep this many boxes per image, those with the best scores. 0 keeps all.",
        ),
        io.Combo.Input(
            "sort", display_name="Sort", options=list(boxes.SORTS), default="score", advanced=True,
            tooltip="Order of the boxes: by score, by where they are, or by size.",
        ),
        io.Int.Input(
            "index", display_name="Index", default=-1, min=-1, max=1000, advanced=True,
            tooltip="Keep only this box of the sorted list, counted from 0. -1 keeps all.",
        ),
        io.Float.Input(
            "min_area", display_name="Min Area", default=0.0, min=0.0, max=1.0, step=0.001, advanced=True,
            tooltip="Drop boxes that cover less than this share of the image (0 to 1).",
        ),
        io.Float.Input(
            "max_area", display_name="Max Area", default=1.0, min=0.0, max=1.0, step=0.001, advanced=True,
            tooltip="Drop boxes that cover more than this share of the image (0 to 1).",
        ),
        io.String.Input(
            "labels", display_name="Labels", default="", advanced=True,
            tooltip='Keep only boxes whose label contains one of these words, separated by commas: "door" keeps '
            '"red door". Empty keeps all.',
        ),
    ]  # fmt: skip


def box_threshold_input() -> io.Input:
    return io.Float.Input(
        "box_threshold", display_name="Box Threshold", default=0.3, min=0.0, max=1.0, step=0.01,
        display_mode=io.NumberDisplay.slider,
        tooltip="Keep boxes with a score above this. Lower finds more, higher finds only what is certain.",
    )  # fmt: skip


def text_threshold_input() -> io.Input:
    return io.Float.Input(
        "text_threshold", display_name="Text Threshold", default=0.25, min=0.0, max=1.0, step=0.01, advanced=True,
        tooltip="Which words of a phrase show in the label: those that score above this, or all when none does. "
        "Drops no box.",
    )  # fmt: skip


def check_prompt(prompt: str | None) -> bool | str:
    """For ``validate_inputs``: True, or what is wrong with a prompt that is a constant (None: it is linked)."""
    if prompt is None:
        return True
    try:
        split_prompt(prompt)
    except ValueError as error:
        return str(error)
    return True


def nothing_message(prompt: str, box_threshold: float, found: list[list[dict]], chosen: list[list[dict]]) -> str:
    """Why images have no box, for the node: ``found`` before and ``chosen`` after the selection; "" if all have one."""
    empty = [before for before, after in zip(found, chosen, strict=True) if not after]
    if not empty:
        return ""
    where = "" if len(empty) == len(found) else f" in {len(empty)} of {len(found)} images"
    if any(empty):
        count = sum(len(before) for before in empty)
        return f"Nothing left{where}: {count} found, but none within the labels, areas and index asked for"
    return f"Nothing found{where}: {', '.join(split_prompt(prompt))} (box threshold {box_threshold:.2f})"


class BoxPreview(ui.PreviewImage):
    """Images with their boxes drawn, and the message as text, which API clients read as well."""

    def __init__(self, images: torch.Tensor, frames: list[list[dict]], message: str, cls: type[io.ComfyNode]):
        super().__init__(boxes.preview(images, frames, message), cls=cls)
        self.message = message

    def as_dict(self) -> dict:
        return super().as_dict() | ({"text": (self.message,)} if self.message else {})


class LoadGroundingDino(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineLoadGroundingDINO",
            display_name="Load Grounding DINO",
            category="imageine/detection",
            description="Loads a Grounding DINO model, which finds objects by text, from models/grounding-dino.",
            search_aliases=["groundingdino", "gdino", "text to box", "object detection model", "open vocabulary"],
            inputs=[folders.model_input(folders.GROUNDING_DINO, "simple")],
            outputs=[
                DetectorType.Output("detector", display_name="detector", tooltip="For Detect Objects and Mask by Text.")
            ],
        )

    @classmethod
    def execute(cls, model: str) -> io.NodeOutput:
        return io.NodeOutput(Detector(grounding_dino.load(folders.find_model(folders.GROUNDING_DINO, model))))


class DetectObjects(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineDetectObjects",
            has_intermediate_output=True,  # or a cached run shows no preview
            display_name="Detect Objects",
            category="imageine/detection",
            description="Finds objects by text and gives their boxes. Finding nothing is an answer, not an error.",
            search_aliases=["grounding dino", "text to box", "bbox", "bounding box", "object detection", "find object"],
            inputs=[
                DetectorType.Input("detector", display_name="Detector", tooltip="From Load Grounding DINO."),
                io.Image.Input("image", display_name="Image", tooltip="One image or a batch; each gets its own boxes."),
                io.String.Input(
                    "prompt",
                    display_name="Prompt",
                    default="",
                    multiline=True,
                    placeholder="car . red door",
                    tooltip="What to find. Separate several things with full stops, commas or new lines.",
                ),
                box_threshold_input(),
                text_threshold_input(),
                *selection_inputs(),
            ],
            outputs=[
                io.BoundingBox.Output("bboxes", display_name="bboxes", tooltip="One list of boxes per image."),
                io.String.Output("labels", display_name="labels", tooltip="The labels found: one line per image."),
                io.Int.Output("count", display_name="count", tooltip="Number of boxes in all images together."),
            ],
        )

    @classmethod
    def validate_inputs(cls, prompt: str | None = None) -> bool | str:
        return check_prompt(prompt)

    @classmethod
    def execute(
        cls, detector: Detector, image: torch.Tensor, prompt: str, box_threshold: float, text_threshold: float, **choice
    ) -> io.NodeOutput:
        selection = boxes.Selection(**choice)
        height, width = image.shape[1:3]
        found = detector.detect(image, prompt, box_threshold, text_threshold)
        frames = [selection.apply(frame, width, height) for frame in found]
        count = sum(len(frame) for frame in frames)
        message = nothing_message(prompt, box_threshold, found, frames)
        preview = BoxPreview(image, frames, message, cls)
        return io.NodeOutput(frames, boxes.label_lines(frames), count, ui=preview)
