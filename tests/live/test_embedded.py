"""The embedded engine beside a real ComfyUI: the same wishes on the same seeded models give the same pictures.

No workflow is named: the router chooses each of them by the wish.
"""

import json

import numpy as np
import pytest
from imageine.runner import edit
from imageine.runner.client.events import NodeStarted
from imageine.runner.engines.embedded import _INFO, EmbeddedClient
from imageine.runner.workflow import node_specs
from PIL import Image, ImageDraw
from support import comfyui as comfyui_support

QUICK = {"width": 128, "height": 128}
EDITS = {
    "Simple Edit": {"wish": "make the coffee cup blue", "photo": "coffee"},
    "Simple Edit with Reference": {"wish": "make the cup checkered", "photo": "coffee", "reference": "chelsea"},
    "Complex Edit": {"wish": "put her in a navy suit", "photo": "astronaut"},
    "Virtual Try-On": {"wish": "put this jacket on her", "photo": "astronaut", "reference": "coffee"},
    "Replace Object": {"wish": "replace the cup with this", "photo": "coffee", "reference": "chelsea"},
    "Restyle Room": {"wish": "turn the room into a ship's cabin", "photo": "coffee"},
}
# In levels of 255. ComfyUI keeps the encoders in half precision, and scales a reference by torch where transformers
# does it by Pillow.
NEARLY = 4


@pytest.fixture(scope="module")
def models(seeded_models, tmp_path_factory):
    pytest.importorskip("diffusers")
    from support import reference_models

    return reference_models.models_folder(tmp_path_factory.mktemp("embedded"), seeded_models)


@pytest.fixture(scope="module")
def embedded(models):
    with EmbeddedClient(models, device="cpu") as client:
        yield client


@pytest.fixture(scope="module")
def client(comfyui_dir, models):
    with comfyui_support.server(comfyui_dir, models) as server, server.client() as client:
        yield client


def run(client, photos, title, **options):
    """(the result, the classes of the nodes that ran)."""
    case = EDITS[title]
    reference = photos[case["reference"]] if "reference" in case else None
    settings = {"megapixels": 0.02} if title == "Restyle Room" else QUICK
    started = []
    result = edit(
        photos[case["photo"]], case["wish"], client=client, reference=reference, seed=1, steps=4,
        settings=settings | options.pop("settings", {}), **options,
        on_event=lambda event: started.append(event.node_id) if isinstance(event, NodeStarted) else None,
    )  # fmt: skip
    assert result.metadata["imageine"]["pipeline"] == title
    return result, sorted(result.metadata["prompt"][node]["class_type"] for node in started)


def pixels(image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=np.int16)


@pytest.mark.parametrize("title", EDITS)
def test_the_same_picture_as_comfyui(client, embedded, photos, title, figures):
    comfyui_support.forget(client)
    theirs, ran_there = run(client, photos, title)
    ours, ran_here = run(embedded, photos, title)
    before, there, here = (pixels(image) for image in (theirs.photo.rgb, theirs.image, ours.image))
    difference = np.abs(there - here).max(-1)
    figures(
        f"{title} without ComfyUI, against it: 8-bit difference at most {difference.max()}, "
        f"mean {difference.mean():.4f}"
    )
    assert ran_here == ran_there
    assert np.abs(there - before).max() > 10  # something was painted at all
    assert difference.max() <= NEARLY
    assert np.array_equal((there != before).any(-1) & (difference > 0), difference > 0)  # and none outside the edit
    assert ours.metadata["imageine"] == theirs.metadata["imageine"]


def test_denoise_and_euler(client, embedded, photos):
    settings = {"denoise": 0.5, "sampler": "euler", "scheduler": "normal"}
    results = [pixels(run(one, photos, "Simple Edit", settings=settings)[0].image) for one in (client, embedded)]
    assert np.abs(results[0] - results[1]).max() <= NEARLY


def test_a_painted_mask_needs_no_detector(embedded, photos):
    mask = Image.new("L", (600, 400))
    ImageDraw.Draw(mask).rectangle((200, 100, 400, 300), fill=255)
    _, ran = run(embedded, photos, "Simple Edit", mask=mask)
    assert not {"ImageineLoadGroundingDINO", "ImageineLoadSegmentAnything"} & set(ran)


def test_node_info_is_comfyuis(client):
    """What the engine says of a node is what the server says, apart from choices, which it has fewer of."""
    server = client.object_info()
    for kind, info in json.loads(_INFO.read_text(encoding="utf-8")).items():
        ours, theirs = node_specs.inputs(info), node_specs.inputs(server[kind])
        assert list(ours) == list(theirs), kind
        for name, spec in ours.items():
            other = theirs[name]
            assert (spec.type, spec.required, spec.low, spec.high) == (
                other.type,
                other.required,
                other.low,
                other.high,
            )
        assert info["output"] == server[kind]["output"]
