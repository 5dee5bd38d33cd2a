"""Workflows in the editor's own format, run without an editor."""

import io

from imageine.runner import Workflow, run
from PIL import Image
from support.ui_builder import Graph

CANVAS = "44444444-4444-4444-8444-444444444444"


def canvas() -> dict:
    """A picture made in a subgraph whose size its node shows; turned negative, past a bypassed node; saved."""
    inner = Graph()
    inner.entry("size", "INT", "Width")
    inner.node(10, "EmptyImage", [8, 12, 1, 0xFF0000], {"width": (-10, 0)})
    inner.exit("image", "IMAGE", (10, 0))
    top = Graph()
    top.node(1, CANVAS, [24], sockets={"size": "INT"}, widgets=("size",), outputs=["IMAGE"])
    top.node(2, "ImageScale", ["bilinear", 4, 4, "disabled"], {"image": (1, 0)}, mode=4)
    top.node(3, "ImageInvert", [], {"image": (2, 0)})
    top.node(4, "SaveImage", ["canvas"], {"images": (3, 0)})
    return top.ui(inner.definition(CANVAS, "Canvas"))


def picture(result) -> Image.Image:
    return Image.open(io.BytesIO(result.outputs[0].data))


def test_it_runs_with_its_own_values_and_others(comfyui):
    with comfyui.client() as client:
        first = picture(run(canvas(), client=client))
        second = picture(run(canvas(), client=client, settings={"width": 40}))
    assert (first.size, first.getpixel((0, 0))) == ((24, 12), (0, 255, 255))
    assert second.size == (40, 12)


def test_its_inputs(comfyui):
    with comfyui.client() as client:
        workflow = Workflow.load(canvas(), client.object_info())
    width = workflow.inputs["width"]
    assert (width.type, width.value, width.low, width.address) == ("INT", 24, 1, "1.size")
