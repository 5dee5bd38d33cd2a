"""Crop for Inpaint and Stitch Inpaint inside every ComfyUI at hand, and in a graph on a server."""

import io

import numpy as np
import pytest
from PIL import Image
from support import comfyui as comfyuis


@pytest.fixture(scope="module", params=list(comfyuis.comfyui_dirs()))
def report(request, tmp_path_factory):
    folder = comfyuis.comfyui_dirs()[request.param]
    return comfyuis.run_inside(folder, "inpainting", base=tmp_path_factory.mktemp("base"))


def test_the_schemas(report):
    crop, stitch = (report["schema"][name] for name in ("ImageineCropForInpaint", "ImageineStitchInpaint"))
    assert (crop["display_name"], stitch["display_name"]) == ("Crop for Inpaint", "Stitch Inpaint")
    for node in (crop, stitch):
        assert node["category"] == "imageine/inpainting" and node["described"] and not node["silent"]
    assert crop["shown"] == ["image", "mask", "context", "width", "height"]
    assert crop["inputs"][5:] == ["multiple", "regions", "max_regions", "sample_grow", "blend"]
    assert crop["outputs"] == ["IMAGEINE_CROP", "IMAGE", "MASK"]
    assert crop["output_names"] == ["crop_info", "image", "mask"]
    assert stitch["inputs"] == ["crop_info", "image"] and stitch["outputs"] == ["IMAGE", "MASK"]


def test_core_greys_out_exactly_what_it_samples(report):
    seen = report["conditioning"]
    assert seen["latent values"] == [0, 1] and seen["grey is sampled"] and 0 < seen["sampled"] < 0.5


def test_the_node_shows_its_crops_and_says_when_there_are_none(report):
    previews = report["previews"]
    assert previews["full"] == ["10 crops of 64 × 64"] and previews["images"] == 8 and previews["in temp"]
    assert previews["empty"][0].startswith("The mask is empty")


def edit_graph(name: str) -> dict:
    """Invert the colours of what is painted in a picture, at twice the crop's size."""
    settings = {"context": 1.5, "width": 256, "height": 256, "multiple": 8, "regions": "each"}
    settings |= {"max_regions": 8, "sample_grow": 0, "blend": 10}
    crop = {"image": ["1", 0], "mask": ["1", 1], **settings}
    upscale = {"image": ["2", 1], "upscale_method": "bilinear", "scale_by": 2.0}
    nodes = {
        "1": ("LoadImage", {"image": name}),
        "2": ("ImageineCropForInpaint", crop),
        "3": ("ImageScaleBy", upscale),
        "4": ("ImageInvert", {"image": ["3", 0]}),
        "5": ("ImageineStitchInpaint", {"crop_info": ["2", 0], "image": ["4", 0]}),
        "6": ("SaveImage", {"images": ["5", 0], "filename_prefix": "stitched"}),
        "7": ("MaskToImage", {"mask": ["5", 1]}),
        "8": ("SaveImage", {"images": ["7", 0], "filename_prefix": "blend"}),
    }
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}


@pytest.mark.parametrize("painted", [True, False])
def test_a_photo_through_a_server(comfyui, photos, painted):
    """Two painted places of a real photo change, every other pixel of the saved file is the photo's."""
    with Image.open(photos["coffee"]) as picture:
        photo = np.asarray(picture)
    paint = np.zeros(photo.shape[:2], bool)
    if painted:
        paint[40:90, 50:120] = paint[300:340, 480:560] = True
    alpha = np.where(paint, 0, 255).astype(np.uint8)  # what the editor's mask painter saves
    file = io.BytesIO()
    Image.fromarray(np.dstack([photo, alpha])).save(file, "PNG")

    with comfyui.client() as client:
        result = client.submit(edit_graph(client.upload_image(file.getvalue()))).wait(timeout=120)
        saved = {output.node_id: client.fetch(output) for output in result.outputs if output.node_id in ("6", "8")}
    stitched, blend = (np.asarray(Image.open(io.BytesIO(saved[node])).convert("RGB")) for node in ("6", "8"))
    outside = blend[..., 0] == 0
    assert np.array_equal(stitched[outside], photo[outside])
    assert (blend[..., 0] == 255).sum() == paint.sum()
    if painted:
        change = np.abs(stitched[paint].astype(int) - (255 - photo[paint].astype(int)))
        assert np.median(change) <= 2
        assert outside.mean() > 0.9
    else:
        assert np.array_equal(stitched, photo)
