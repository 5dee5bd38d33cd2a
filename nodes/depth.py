"""Depth as a control: Load Depth Anything, Map Depth."""

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io

from . import folders
from .algorithms import depth_anything
from .detection import BoxPreview
from .managed_model import ManagedModel

DepthModelType = io.Custom("IMAGEINE_DEPTH_ANYTHING")

_ACTIVATIONS = 3 * 1024**3  # bytes: Depth Anything V2 large on its largest input, with reserve


class DepthEstimator:
    """A Depth Anything whose weights ComfyUI manages: what travels on the IMAGEINE_DEPTH_ANYTHING socket."""

    def __init__(self, model: depth_anything.DepthAnything):
        self.model = model
        self.managed = ManagedModel(model.model)

    def depth_maps(self, images: torch.Tensor, invert: bool) -> torch.Tensor:
        """See ``depth_anything.depth_maps``. Ticks the progress bar, stops on an interrupt after each image."""
        device = self.managed.load(_ACTIVATIONS)
        progress = comfy.utils.ProgressBar(len(images))

        def on_image() -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            progress.update(1)

        return depth_anything.depth_maps(self.model, images, invert, device=device, on_image=on_image)


class LoadDepthAnything(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineLoadDepthAnything",
            display_name="Load Depth Anything",
            category="imageine/depth",
            description="Loads a Depth Anything model (V2 or V1), which tells near from far in a photo, from "
            "models/depth-anything.",
            search_aliases=["depth anything v2", "depth estimation model", "depth model", "midas", "zoe"],
            inputs=[folders.model_input(folders.DEPTH_ANYTHING, "complex")],
            outputs=[DepthModelType.Output("depth_model", display_name="depth_model", tooltip="For Map Depth.")],
        )

    @classmethod
    def execute(cls, model: str) -> io.NodeOutput:
        return io.NodeOutput(DepthEstimator(depth_anything.load(folders.find_model(folders.DEPTH_ANYTHING, model))))


class MapDepth(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineMapDepth",
            has_intermediate_output=True,  # or a cached run shows no preview
            display_name="Map Depth",
            category="imageine/depth",
            description="Draws how near everything in an image is, white for the nearest, as the depth ControlNets "
            "expect it. Core's Depth Anything 3 fits in its place.",
            search_aliases=["depth map", "depth anything", "depth estimation", "preprocessor", "controlnet depth"],
            inputs=[
                DepthModelType.Input("depth_model", display_name="Depth Model", tooltip="From Load Depth Anything."),
                io.Image.Input("image", display_name="Image", tooltip="One image or a batch; each gets its own map."),
                io.Boolean.Input(
                    "invert", display_name="Invert", default=False, advanced=True,
                    tooltip="Black for the nearest instead of white. The depth ControlNets expect white.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "depth_map",
                    display_name="depth_map",
                    tooltip="One grey map per image, at the image's size: white is its nearest point, black its "
                    "farthest.",
                )
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, depth_model: DepthEstimator, image: torch.Tensor, invert: bool = False) -> io.NodeOutput:
        maps = depth_model.depth_maps(image, invert).to(comfy.model_management.intermediate_device())
        return io.NodeOutput(maps, ui=BoxPreview(maps, [[] for _ in maps], "", cls))
