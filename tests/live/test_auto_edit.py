"""The shipped Auto Edit on a real ComfyUI, with seeded weights: for every kind of wish exactly what it needs is run."""

import io
import re
from collections import Counter

import numpy as np
import pytest
from imageine.runner import Workflow, edit, run
from imageine.runner.client.events import NodeStarted
from imageine.runner.demo import BLEND_MASK, save_blend_mask
from imageine.runner.errors import ImageineError
from PIL import Image, ImageDraw
from support import comfyui as comfyui_support

# Sampling a small crop in few steps: what is tested is the path, and 512 pixels cost 16 times as much on a CPU.
QUICK = {"crop_size": 128, "megapixels": 0.02, "seed": 1, "steps": 2}

# Titles of the nodes of each part.
ALWAYS = {"Image", "Prompt", "Route Edit", "Found or Whole Photo", "Width", "Height", "Crop for Inpaint", "Checkpoint"}
ALWAYS |= {"Positive", "Negative", "Apply Controls", "Use Reference or Not", "InpaintModelConditioning", "KSampler"}
ALWAYS |= {"VAE Decode", "Stitch Inpaint", "Result"}
CROP = {"Crop Size", "Mask by Text"}
DETECTOR = {"Load Grounding DINO"}
FIND = CROP | DETECTOR | {"Load Segment Anything"}
WHOLE = {"Whole Photo", "Whole Photo's Size", "Get Image Size"}
POSE = {"Pose Model", "Detect People", "Map Pose", "Pose ControlNet"} | DETECTOR
DEPTH = {"Depth Model", "Map Depth", "Depth ControlNet"}
REFERENCE = {"Reference", "Load IP-Adapter", "Load CLIP Vision", "Encode Reference", "Apply IP-Adapter"}


@pytest.fixture(scope="module")
def server(comfyui_dir, seeded_models, tmp_path_factory):
    pytest.importorskip("transformers")
    from support import reference_models

    root = tmp_path_factory.mktemp("auto")
    models = reference_models.models_folder(root, seeded_models)
    with comfyui_support.server(comfyui_dir, models, log_path=root / "server.log") as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with server.client() as client:
        yield client


@pytest.fixture
def start(client, server):
    """Runs Auto Edit on a server that has kept nothing; see ``Edited``."""

    def start(photo, wish, reference=None, mask=None, **settings) -> "Edited":
        comfyui_support.forget(client)
        return Edited(client, server.log_path, photo, wish, reference, mask, QUICK | settings)

    return start


class Edited:
    """A finished edit: ``image`` and ``blend`` (where it shows) as arrays; what ran and was loaded; what was said.

    ``ran`` are the titles of the nodes, ``loaded`` the classes of the models that the server's log has as loaded.
    """

    def __init__(self, client, log, photo, wish, reference, mask, settings):
        workflow = Workflow.load("Auto Edit")
        for name, value in ({"prompt": wish} | settings).items():
            workflow.set(name, value)
        graph = save_blend_mask(workflow.graph())
        titles = {number: node["_meta"]["title"] for number, node in graph.items() if "_meta" in node}
        images = {"image": photo, "reference": photo if reference is None else reference}
        begin, started = log.stat().st_size, Counter()

        def count(event) -> None:
            if isinstance(event, NodeStarted) and event.node_id in titles:
                started[titles[event.node_id]] += 1

        result = run(graph, client=client, images=images, mask=mask, on_event=count)
        self.ran = set(started) - {BLEND_MASK}
        text = log.read_bytes()[begin:].decode(errors="replace")
        self.loaded = Counter(re.findall(r"Requested to load (\w+)", text))
        self.image = pixels(picture(result.outputs, "Result"))
        self.blend = pixels(picture(result.outputs, BLEND_MASK))[..., 0] > 0


def picture(outputs, title) -> Image.Image:
    return Image.open(io.BytesIO(next(output.data for output in outputs if output.title == title)))


def pixels(image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=np.int16)


def changed(photo, edited: Edited) -> np.ndarray:
    return np.abs(edited.image - pixels(Image.open(photo))).max(-1)


@pytest.fixture(scope="module")
def suit() -> Image.Image:
    """The astronaut's suit, painted roughly: no detector is needed."""
    mask = Image.new("L", (512, 512))
    ImageDraw.Draw(mask).rectangle((90, 200, 350, 500), fill=255)
    return mask


def test_a_colour_runs_nothing_but_the_simple_branch(start, photos, figures):
    edited = start(photos["chelsea"], "make the cat blue")
    assert edited.ran == ALWAYS | FIND
    assert not edited.loaded.keys() & {"ControlNet", "CLIPVisionModelProjection"}
    difference = changed(photos["chelsea"], edited)
    assert difference[~edited.blend].max() == 0 and difference[edited.blend].mean() > 2
    total = len(Workflow.load("Auto Edit").graph())
    figures(f"Auto Edit, nodes executed of {total}: a colour {len(edited.ran)}")


def test_a_painted_mask_leaves_the_detector_alone_as_well(start, photos, suit):
    edited = start(photos["astronaut"], "make the suit blue", mask=suit)
    assert edited.ran == ALWAYS | CROP
    difference = changed(photos["astronaut"], edited)
    assert difference[~edited.blend].max() == 0 and difference[edited.blend].mean() > 2


def test_clothes_run_the_pose_and_not_the_depth(start, photos, suit):
    """The seeded detector finds whatever it is asked for, so a person, too."""
    edited = start(photos["astronaut"], "put her in a red dress", mask=suit)
    assert edited.ran == ALWAYS | CROP | POSE
    assert edited.loaded["ControlNet"] == 1
    assert changed(photos["astronaut"], edited)[~edited.blend].max() == 0


def test_an_object_runs_the_depth_and_not_the_pose(start, photos):
    edited = start(photos["coffee"], "replace the cup with a teapot")
    assert edited.ran == ALWAYS | FIND | DEPTH
    assert edited.loaded["ControlNet"] == 1
    assert changed(photos["coffee"], edited)[~edited.blend].max() == 0


def test_nobody_in_the_photo_no_pose(start, photos, suit):
    """Nothing scores above 1, so nothing is found: the depth holds instead of the pose."""
    edited = start(photos["astronaut"], "put her in a red dress", mask=suit, **{"route_edit.box_threshold": 1.0})
    assert edited.ran == ALWAYS | CROP | DETECTOR | DEPTH


def test_the_light_repaints_the_whole_photo_and_looks_for_nothing(start, photos):
    edited = start(photos["coffee"], "make it look like winter")
    assert edited.ran == ALWAYS | WHOLE
    assert edited.image.shape == (400, 600, 3) and edited.blend.all()
    assert changed(photos["coffee"], edited).mean() > 2


def test_restyling_repaints_the_whole_photo_over_its_depth(start, photos):
    edited = start(photos["coffee"], "make the whole room Scandinavian")
    assert edited.ran == ALWAYS | WHOLE | DEPTH
    assert edited.image.shape == (400, 600, 3) and edited.blend.all()


def test_a_removal_is_simple_and_takes_nothing_from_a_reference(start, photos):
    edited = start(photos["chelsea"], "remove the cat", photos["coffee"], use_reference=True)
    assert edited.ran == ALWAYS | FIND


def test_a_reference_is_used_where_it_can_be(start, photos, suit):
    wish = "put this jacket on her"
    without = start(photos["astronaut"], wish, photos["coffee"], suit)
    assert without.ran == ALWAYS | CROP | POSE
    with_it = start(photos["astronaut"], wish, photos["coffee"], suit, use_reference=True)
    assert with_it.ran == ALWAYS | CROP | POSE | REFERENCE
    assert np.abs(with_it.image - without.image).max() > 2
    assert changed(photos["astronaut"], with_it)[~with_it.blend].max() == 0
    simple = start(photos["astronaut"], "use the fabric of the reference for the suit", photos["coffee"], suit,
                   use_reference=True)  # fmt: skip
    assert simple.ran == ALWAYS | CROP | REFERENCE


def test_the_pipeline_can_be_chosen(start, photos, suit):
    assert start(photos["astronaut"], "put her in a red dress", mask=suit, override="simple").ran >= ALWAYS | CROP
    complex_colour = start(photos["chelsea"], "make the cat blue", override="complex")
    assert complex_colour.ran == ALWAYS | FIND | DEPTH
    simple = start(photos["coffee"], "replace the cup with a teapot", override="simple")
    assert simple.ran == ALWAYS | FIND


def test_several_edits_are_done_one_at_a_time(start, photos):
    wish = "make the cat blue and replace the sofa with a bench"
    assert start(photos["chelsea"], wish).ran == ALWAYS | FIND
    assert start(photos["chelsea"], wish, edit=2).ran == ALWAYS | FIND | DEPTH
    with pytest.raises(ImageineError, match="Edit is 3, but this wish has 2"):
        start(photos["chelsea"], wish, edit=3)


@pytest.mark.parametrize("wish", ["", " \n", "!?", "😀"])
def test_a_prompt_without_a_word_is_refused(start, photos, wish):
    with pytest.raises(ImageineError, match="no word in it"):
        start(photos["chelsea"], wish)


def test_it_is_the_same_picture_as_the_simple_workflow(client, photos, suit):
    """One graph for both changes nothing about the simple one."""
    settings = {"seed": 1, "steps": 2, "mask": suit, "client": client}
    wish = "make the suit blue"
    auto = edit(photos["astronaut"], wish, workflow="Auto Edit", settings={"crop_size": 128}, **settings)
    simple = edit(photos["astronaut"], wish, settings={"width": 128, "height": 128}, **settings)
    assert simple.metadata["prompt"] != auto.metadata["prompt"]
    assert np.array_equal(pixels(auto.image), pixels(simple.image))
