"""The embedded engine beside a real ComfyUI: the same wishes on the same seeded models give the same pictures.

No workflow is named: the router chooses each of them by the wish.
"""

import io
import json

import numpy as np
import pytest
from imageine.runner import Workflow, edit
from imageine.runner import run as runner_run
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


@pytest.mark.parametrize("title", ["Simple Edit", "Virtual Try-On"])
def test_auto_edit_computes_the_chosen_branch(client, embedded, photos, title):
    """Both engines decide alike, run the same nodes and no others, and paint the same."""
    comfyui_support.forget(client)
    case, results = EDITS[title], []
    reference = photos[case["reference"]] if "reference" in case else None
    for one in (client, embedded):
        started = set()
        result = edit(
            photos[case["photo"]], case["wish"], client=one, workflow="Auto Edit", reference=reference, seed=1, steps=2,
            settings={"crop_size": 128, "megapixels": 0.02},
            on_event=lambda event, started=started: started.add(event) if isinstance(event, NodeStarted) else None,
        )  # fmt: skip
        results.append((pixels(result.image), {event.node_id for event in started}, pixels(result.photo.rgb)))
    (there, ran_there, before), (here, ran_here, _) = results
    assert ran_here == ran_there and len(ran_here) < len(result.metadata["prompt"])
    assert np.abs(there - before).max() > 10
    assert np.abs(there - here).max() <= NEARLY


def chained(photos) -> Workflow:
    """Virtual Try-On with a second reference: another Encode Reference after the first one."""
    graph = Workflow.load("Virtual Try-On").graph()
    (first,) = (node for node, entry in graph.items() if entry["class_type"] == "ImageineEncodeReference")
    (apply,) = (node for node, entry in graph.items() if entry["class_type"] == "ImageineApplyIPAdapter")
    again = {"class_type": "LoadImage", "inputs": {"image": "example.png"}, "_meta": {"title": "Second"}}
    joined = graph[first]["inputs"] | {"image": ["901", 0], "embeds": [first, 0]}
    graph |= {"901": again, "902": {"class_type": "ImageineEncodeReference", "inputs": joined}}
    graph[apply]["inputs"]["embeds"] = ["902", 0]
    return Workflow.load(graph)


def test_several_references(client, embedded, photos):
    """A chain of Encode Reference: in both engines both pictures count, alike."""
    images = {"image": photos["astronaut"], "reference": photos["coffee"], "second": photos["chelsea"]}
    pictures = []
    for one in (client, embedded):
        settings = QUICK | {"steps": 2, "prompt": "jacket"}
        done = runner_run(chained(photos), client=one, images=images, settings=settings, seed=1)
        pictures.append(pixels(Image.open(io.BytesIO(done.outputs[0].data))))
    assert np.abs(pictures[0] - pictures[1]).max() <= NEARLY


def avoiding(photos) -> Workflow:
    """Virtual Try-On with a negative image for its reference."""
    graph = Workflow.load("Virtual Try-On").graph()
    (encode,) = (entry for entry in graph.values() if entry["class_type"] == "ImageineEncodeReference")
    graph["901"] = {"class_type": "LoadImage", "inputs": {"image": "example.png"}, "_meta": {"title": "Second"}}
    encode["inputs"]["negative_image"] = ["901", 0]
    return Workflow.load(graph)


def test_a_negative_reference(client, embedded, photos):
    """Both engines steer away from it alike, and that shows."""
    images = {"image": photos["astronaut"], "reference": photos["coffee"]}
    settings = QUICK | {"steps": 2, "prompt": "jacket"}
    cases = [
        (client, avoiding(photos), {"second": photos["chelsea"]}),
        (embedded, avoiding(photos), {"second": photos["chelsea"]}),
        (embedded, Workflow.load("Virtual Try-On"), {}),
    ]
    pictures = []
    for one, workflow, more in cases:
        done = runner_run(workflow, client=one, images=images | more, settings=settings, seed=1)
        pictures.append(pixels(Image.open(io.BytesIO(done.outputs[0].data))))
    there, here, without = pictures
    assert np.abs(there - here).max() <= NEARLY
    assert np.abs(here - without).max() > NEARLY


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_offload_changes_no_picture(models, embedded, photos, offload):
    """With everything that can be in a pipeline: ControlNet, IP-Adapter and its image encoder."""
    with EmbeddedClient(models, device="cpu", offload=offload) as saving:
        pictures = [pixels(run(one, photos, "Virtual Try-On")[0].image) for one in (embedded, saving)]
    assert np.array_equal(*pictures)


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
