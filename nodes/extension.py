"""The explicit list of Imageine's nodes."""

from comfy_api.latest import ComfyExtension, io

from . import folders
from .detection import DetectObjects, LoadGroundingDino
from .inpainting import CropForInpaint, StitchInpaint
from .masking import LoadSegmentAnything, MaskByText, RefineMask, SegmentBoxes

NODES: list[type[io.ComfyNode]] = [
    LoadGroundingDino,
    DetectObjects,
    LoadSegmentAnything,
    SegmentBoxes,
    MaskByText,
    RefineMask,
    CropForInpaint,
    StitchInpaint,
]


class ImageineExtension(ComfyExtension):
    async def on_load(self) -> None:
        folders.register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES
