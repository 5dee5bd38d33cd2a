"""The shipped Complex Edit through the runner on a real ComfyUI, with seeded weights and real photos."""

import numpy as np
import pytest
from imageine.runner import edit
from imageine.runner.client.events import NodeStarted
from imageine.runner.demo import blend_mask
from PIL import Image, ImageDraw
from support import comfyui as comfyui_support

# Sampling a small crop in few steps: what is tested is the path, and 512 pixels cost 16 times as much on a CPU.
QUICK = {"width": 128, "height": 128}
POSE = {"ImageineLoadViTPose", "ImageineMapPose", "ImageineDetectObjects"}
DEPTH = {"ImageineLoadDepthAnything", "ImageineMapDepth"}


@pytest.fixture(scope="module")
def client(comfyui_dir, seeded_models, tmp_path_factory):
    pytest.importorskip("transformers")
    from support import complex_models

    models = complex_models.models_folder(tmp_path_factory.mktemp("complex"), seeded_models)
    with comfyui_support.server(comfyui_dir, models) as server, server.client() as client:
        yield client


@pytest.fixture(scope="module")
def suit() -> Image.Image:
    """The astronaut's suit, painted roughly."""
    mask = Image.new("L", (512, 512))
    ImageDraw.Draw(mask).rectangle((90, 200, 350, 500), fill=255)
    return mask


def run(client, photo, wish="put her in a navy suit", **options):
    """(the result, the classes of the nodes that ran), on a server that has kept nothing."""
    comfyui_support.forget(client)
    started = []
    settings = QUICK | options.pop("settings", {})
    result = edit(
        photo, wish, client=client, workflow="Complex Edit", seed=1, steps=3, settings=settings, **options,
        on_event=lambda event: started.append(event.node_id) if isinstance(event, NodeStarted) else None,
    )  # fmt: skip
    graph = result.metadata["prompt"]
    return result, [graph[node]["class_type"] for node in started if node in graph]


def pixels(image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=np.int16)


def test_only_the_found_region_changes(client, photos, figures):
    photo = Image.open(photos["astronaut"])
    result, ran = run(client, photos["astronaut"])
    inside = np.asarray(blend_mask(client, result))
    difference = np.abs(pixels(result.image) - pixels(photo)).max(-1)
    figures(
        f"Complex Edit, astronaut, seeded models, 128 px, 3 steps: {len(ran)} nodes in {result.seconds:.1f} s; 8-bit "
        f"difference outside the blend mask at most {difference[~inside].max()}, inside {difference[inside].mean():.0f}"
    )
    assert set(ran) >= POSE | DEPTH and ran.count("ControlNetLoader") == 2
    assert result.image.size == photo.size and 0 < inside.mean() < 1
    assert difference[~inside].max() == 0 and difference[inside].mean() > 5


def test_what_is_switched_off_is_not_run(client, photos, suit):
    """A painted mask, so that not even the detector is needed."""
    cases = {
        (True, True): POSE | DEPTH,
        (True, False): POSE,
        (False, True): DEPTH,
        (False, False): set(),
    }
    results = {}
    for (pose, depth), expected in cases.items():
        settings = {"use_pose": pose, "use_depth": depth}
        result, ran = run(client, photos["astronaut"], mask=suit, settings=settings)
        assert set(ran) & (POSE | DEPTH) == expected
        assert ran.count("ControlNetLoader") == pose + depth
        assert ("ImageineLoadGroundingDINO" in ran) == pose  # to find the people
        results[pose, depth] = pixels(result.image)
    both, plain = results[True, True], results[False, False]
    assert all(np.abs(results[one] - plain).max() > 2 for one in cases if any(one))
    assert all(np.abs(both - results[one]).max() > 2 for one in cases if one != (True, True))


def test_without_controls_it_is_simple_edit(client, photos, suit):
    off, _ = run(client, photos["astronaut"], mask=suit, settings={"use_pose": False, "use_depth": False})
    simple = edit(photos["astronaut"], "put her in a navy suit", client=client, mask=suit, seed=1, steps=3,
                  workflow="Simple Edit", settings=QUICK)  # fmt: skip
    assert np.array_equal(pixels(off.image), pixels(simple.image))


def test_nobody_in_the_picture(client, photos, suit):
    """No person: a black pose map, and the depth still holds."""
    result, ran = run(client, photos["coffee"], "a blue cup", mask=suit.resize((600, 400)),
                      settings={"detect_people.box_threshold": 1.0})  # fmt: skip
    assert set(ran) >= POSE | DEPTH and result.image.size == (600, 400)


def test_nothing_found_returns_the_photo(client, photos):
    result, _ = run(client, photos["chelsea"], "a green cat", settings={"mask_by_text.box_threshold": 1.0})
    assert np.array_equal(pixels(result.image), pixels(Image.open(photos["chelsea"])))
    assert any("Nothing was changed" in note for note in result.notes)
