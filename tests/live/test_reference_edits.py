"""The shipped workflows with a reference through the runner on a real ComfyUI, with seeded weights and real photos."""

import io

import numpy as np
import pytest
from imageine.runner import Workflow, run
from imageine.runner.client.events import NodeStarted
from imageine.runner.demo import BLEND_MASK, save_blend_mask
from PIL import Image, ImageDraw
from support import comfyui as comfyui_support

TRY_ON, REPLACE, RESTYLE, SIMPLE = WORKFLOWS = (
    "Virtual Try-On",
    "Replace Object",
    "Restyle Room",
    "Simple Edit with Reference",
)
# Sampling a small crop in few steps: what is tested is the path, and 512 pixels cost 16 times as much on a CPU.
CROP = {"width": 128, "height": 128}
QUICK = {TRY_ON: CROP, REPLACE: CROP, RESTYLE: {"megapixels": 0.02}, SIMPLE: CROP}

DETECTION = {"ImageineLoadGroundingDINO", "ImageineLoadSegmentAnything"}
POSE = {"ImageineLoadViTPose", "ImageineMapPose", "ImageineDetectObjects"}
DEPTH = {"ImageineLoadDepthAnything", "ImageineMapDepth"}
REFERENCE = {"ImageineLoadIPAdapter", "CLIPVisionLoader", "ImageineEncodeReference", "ImageineApplyIPAdapter"}


@pytest.fixture(scope="module")
def client(comfyui_dir, seeded_models, tmp_path_factory):
    pytest.importorskip("transformers")
    from support import reference_models

    models = reference_models.models_folder(tmp_path_factory.mktemp("references"), seeded_models)
    with comfyui_support.server(comfyui_dir, models) as server, server.client() as client:
        yield client


@pytest.fixture
def start(client):
    """Runs a workflow; see ``Edited``. ``afresh`` on a server that has kept nothing, so that what runs can be counted.

    A switched-off reference is not looked at, but ComfyUI wants every picture that a graph names to be there: without
    one it is the photo, as ``edit`` has it.
    """

    def start(title, photo, reference=None, mask=None, *, afresh=False, **settings) -> "Edited":
        if afresh:
            comfyui_support.forget(client)
        images = {"image": photo, "reference": photo if reference is None else reference}
        return Edited(client, title, images, mask, {"seed": 1, "steps": 2} | QUICK[title] | settings)

    return start


class Edited:
    """A finished edit: ``image`` and ``blend`` (where it shows) as arrays, and ``ran``, the classes of the nodes."""

    def __init__(self, client, title, images, mask, settings):
        workflow = Workflow.load(title)
        for name, value in settings.items():
            workflow.set(name, value)
        graph = save_blend_mask(workflow.graph())
        started = []
        self.outputs = run(
            graph, client=client, images=images, mask=mask,
            on_event=lambda event: started.append(event.node_id) if isinstance(event, NodeStarted) else None,
        ).outputs  # fmt: skip
        self.image = pixels(self._picture("Result"))
        self.blend = pixels(self._picture(BLEND_MASK))[..., 0] > 0
        self.ran = [graph[node]["class_type"] for node in started if node in graph]

    def _picture(self, title) -> Image.Image:
        return Image.open(io.BytesIO(next(output.data for output in self.outputs if output.title == title)))


def pixels(image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=np.int16)


def photo_of(path) -> np.ndarray:
    return pixels(Image.open(path))


def painted(size, box) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


@pytest.fixture(scope="module")
def suit() -> Image.Image:
    """The astronaut's suit, painted roughly: no detector is needed."""
    return painted((512, 512), (90, 200, 350, 500))


@pytest.mark.parametrize(
    ("title", "name", "reference", "expected"),
    [
        (TRY_ON, "astronaut", "coffee", DETECTION | POSE | REFERENCE),
        (REPLACE, "coffee", None, DETECTION | DEPTH),
        (RESTYLE, "coffee", None, DEPTH),
        (SIMPLE, "chelsea", "coffee", DETECTION | REFERENCE),
    ],
)
def test_as_shipped(title, name, reference, expected, start, photos, figures):
    """Detection, controls and reference as the workflow has them; nothing changes outside the blend mask."""
    photo = photo_of(photos[name])
    settings = {} if title == RESTYLE else {"target": {"astronaut": "suit", "coffee": "cup", "chelsea": "cat"}[name]}
    edited = start(title, photos[name], photos.get(reference), afresh=True, **settings)
    difference = np.abs(edited.image - photo).max(-1)
    outside = difference[~edited.blend]
    figures(
        f"{title}, {name}, seeded models, 2 steps: {len(edited.ran)} nodes; {edited.blend.mean():.0%} of the photo in "
        f"the blend mask, 8-bit difference outside at most {outside.max(initial=0)}, inside "
        f"{difference[edited.blend].mean():.0f} on average"
    )
    assert set(edited.ran) & (DETECTION | POSE | DEPTH | REFERENCE) == expected
    assert edited.image.shape == photo.shape
    assert outside.max(initial=0) == 0 and difference[edited.blend].mean() > 5
    assert edited.blend.all() if title == RESTYLE else 0 < edited.blend.mean() < 1


@pytest.mark.parametrize("title", WORKFLOWS)
def test_another_reference_gives_another_picture(title, start, photos, suit):
    mask = None if title == RESTYLE else suit
    switched = title in (REPLACE, RESTYLE)
    on, off = ({"use_reference": True}, {"use_reference": False}) if switched else ({}, {})
    first, second = (
        start(title, photos["astronaut"], photos[name], mask, **on).image for name in ("coffee", "chelsea")
    )
    weightless = start(title, photos["astronaut"], photos["coffee"], mask, **on | {"apply_ip_adapter.weight": 0}).image
    assert np.abs(first - second).max() > 2
    assert all(np.abs(image - weightless).max() > 2 for image in (first, second))
    if switched:
        without = [start(title, photos["astronaut"], photos[name], mask, **off).image for name in ("coffee", "chelsea")]
        assert all(np.array_equal(image, weightless) for image in without)


@pytest.mark.parametrize(("title", "pose"), [(TRY_ON, True), (REPLACE, False)])
def test_the_other_control_can_be_switched_on_instead(title, pose, start, photos, suit):
    """A painted mask, so that the detector only serves to find people."""
    shipped = start(title, photos["astronaut"], photos["coffee"], suit)
    settings = {"use_pose": not pose, "use_depth": pose}
    other = start(title, photos["astronaut"], photos["coffee"], suit, afresh=True, **settings)
    assert set(other.ran) & (POSE | DEPTH) == (DEPTH if pose else POSE)
    assert other.ran.count("ControlNetLoader") == 1
    assert ("ImageineLoadGroundingDINO" in other.ran) == (not pose)
    assert np.abs(other.image - shipped.image).max() > 2


def test_without_controls_a_try_on_is_a_simple_edit_with_the_same_reference(start, photos, suit):
    settings = {"prompt": "red jacket", "use_pose": False}
    try_on = start(TRY_ON, photos["astronaut"], photos["coffee"], suit, **settings)
    simple = start(SIMPLE, photos["astronaut"], photos["coffee"], suit, prompt="red jacket")
    assert np.array_equal(try_on.image, simple.image)


def test_nobody_in_the_picture(start, photos):
    """No person: the pose map is black, and the garment is still painted where the mask is."""
    mask = painted((600, 400), (150, 60, 420, 320))
    settings = {"detect_people.box_threshold": 1.0}
    edited = start(TRY_ON, photos["coffee"], photos["chelsea"], mask, **settings)
    difference = np.abs(edited.image - photo_of(photos["coffee"])).max(-1)
    assert "ImageineMapPose" in edited.ran
    assert difference[~edited.blend].max() == 0 and difference[edited.blend].mean() > 5


@pytest.mark.parametrize("title", [TRY_ON, REPLACE, SIMPLE])
def test_nothing_found_returns_the_photo(title, start, photos):
    settings = {"mask_by_text.box_threshold" if title != SIMPLE else "box_threshold": 1.0}
    edited = start(title, photos["chelsea"], photos["coffee"], **settings)
    assert np.array_equal(edited.image, photo_of(photos["chelsea"])) and not edited.blend.any()


def test_references_of_any_size_and_with_transparency(start, photos, suit):
    """A pixel and a poster; and a cut-out, which is seen on white."""
    coffee = Image.open(photos["coffee"])
    cut_out = coffee.convert("RGBA")
    cut_out.putalpha(painted(coffee.size, (150, 60, 420, 320)))
    on_white = Image.new("RGB", coffee.size, "white")
    on_white.paste(coffee, mask=cut_out.getchannel("A"))
    references = [coffee, coffee.resize((1, 1)), coffee.resize((4200, 2800)), cut_out, on_white]
    results = [start(SIMPLE, photos["astronaut"], reference, suit).image for reference in references]
    whole, pixel, poster, flattened, white = results
    assert np.array_equal(flattened, white) and not np.array_equal(flattened, whole)
    assert np.abs(pixel - whole).max() > 2
    assert np.abs(poster - whole).mean() < np.abs(pixel - whole).mean()
    untouched = photo_of(photos["astronaut"])[:150]
    assert all(np.array_equal(result[:150], untouched) for result in results)


@pytest.mark.parametrize("size", [(300, 900), (1001, 333), (64, 64)])
def test_a_restyled_photo_keeps_its_size_and_shape(size, start, photos):
    """Tall, wide or tiny: all of it is painted anew, and it comes back as large as it was."""
    photo = Image.open(photos["coffee"]).resize(size)
    edited = start(RESTYLE, photo)
    assert edited.image.shape == (size[1], size[0], 3) and edited.blend.all()
    assert np.abs(edited.image - pixels(photo)).mean() > 2
