"""The explicit list of Imageine's nodes."""

from comfy_api.latest import ComfyExtension, io

from . import folders
from .controls import ApplyControls
from .depth import LoadDepthAnything, MapDepth
from .detection import DetectObjects, LoadGroundingDino
from .inpainting import CropForInpaint, StitchInpaint
from .ip_adapter import ApplyIPAdapter, EncodeReference, LoadIPAdapter
from .masking import LoadSegmentAnything, MaskByText, RefineMask, SegmentBoxes
from .pose import DrawPose, LoadVitPose, MapPose
from .routing import RouteEdit

NODES: list[type[io.ComfyNode]] = [
    LoadGroundingDino,
    DetectObjects,
    LoadSegmentAnything,
    SegmentBoxes,
    MaskByText,
    RefineMask,
    CropForInpaint,
    StitchInpaint,
    LoadIPAdapter,
    EncodeReference,
    ApplyIPAdapter,
    LoadDepthAnything,
    MapDepth,
    LoadVitPose,
    MapPose,
    DrawPose,
    ApplyControls,
    RouteEdit,
]


class ImageineExtension(ComfyExtension):
    async def on_load(self) -> None:
        folders.register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES
