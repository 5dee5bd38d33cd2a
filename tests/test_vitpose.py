"""ViTPose: boxes in, joints out, from a folder that is checked first."""

import json
import math
import shutil
import socket

import numpy as np
import pytest
import torch
from support import seeded_pose_depth as seeded

pytest.importorskip("transformers")

from imageine.nodes.algorithms import vitpose  # noqa: E402

HEIGHT, WIDTH = 300, 400
BOX = {"x": 40.0, "y": 20.0, "width": 150.0, "height": 200.0, "score": 0.9}
OTHER = {"x": 200.5, "y": 50.25, "width": 120.0, "height": 240.0}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model():
    return vitpose.load(seeded.template("vitpose"))


@pytest.fixture
def folder(tmp_path):
    """A copy of the model's folder that a test may damage."""
    return shutil.copytree(seeded.template("vitpose"), tmp_path / "model")


def pictures(batch=1, height=HEIGHT, width=WIDTH, channels=3):
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(3))


def expected_points(box):
    """Where the seeded person's joints are in the picture."""
    centre, extent = vitpose.crop_region(box, (256, 192))
    return np.array(seeded.PERSON) * extent + centre - extent / 2


@pytest.mark.parametrize("box", [BOX, OTHER, {"x": -60.0, "y": 100.0, "width": 160.0, "height": 300.0}], ids=str)
def test_joints_lie_where_the_heatmaps_say(model, box):
    ((person,),) = vitpose.find_people(model, pictures(), [[box]])
    assert person.points.shape == (17, 2) and person.scores.shape == (17,) and person.box == box
    assert person.scores.min() > 0.3
    apart = np.linalg.norm(person.points - expected_points(box), axis=1) / max(box["width"], box["height"])
    assert apart.max() < 0.08


def test_people_of_a_batch(model):
    seen = []
    found = vitpose.find_people(model, pictures(3), [[BOX, OTHER], [], [OTHER]], on_image=lambda: seen.append(1))
    assert [len(people) for people in found] == [2, 0, 1] and len(seen) == 3
    assert [one.box for one in found[0]] == [BOX, OTHER]
    alone = vitpose.find_people(model, pictures(3)[2:], [[OTHER]])[0][0]
    assert np.allclose(alone.points, found[2][0].points, atol=1e-3)


def test_without_boxes_the_image_is_one_person(model):
    found = vitpose.find_people(model, pictures(2), None)
    assert [len(people) for people in found] == [1, 1]
    whole = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT}
    assert np.array_equal(found[0][0].points, vitpose.find_people(model, pictures(2), whole)[0][0].points)
    assert vitpose.find_people(model, pictures(2), []) == [[], []]


def test_many_people_run_in_parts(model, monkeypatch):
    many = [BOX | {"x": 5.0 * index} for index in range(7)]
    (together,) = vitpose.find_people(model, pictures(), [many])
    monkeypatch.setattr(vitpose, "_PEOPLE_AT_ONCE", 3)
    (parts,) = vitpose.find_people(model, pictures(), [many])
    for one, other in zip(together, parts, strict=True):
        assert np.allclose(one.points, other.points, atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [{"x": 500.0}, {"y": -200.0}, {"width": 0.0}, {"height": -5.0}, {"x": math.nan}, {"width": math.inf}],
    ids=str,
)
def test_a_box_without_area_in_the_image_is_nobody(model, change):
    (people,) = vitpose.find_people(model, pictures(), [[BOX | change, OTHER]])
    assert [one.box for one in people] == [OTHER]


@pytest.mark.parametrize("shape", [(1, 1, 3), (8, 6000, 3), (6000, 8, 4), (3648, 5472, 3), (40, 30, 1)], ids=str)
def test_any_image_survives(model, shape):
    ((person,),) = vitpose.find_people(model, torch.rand(1, *shape), None)
    assert np.isfinite(person.points).all() and np.isfinite(person.scores).all()


def test_a_crop_of_the_same_size_is_the_picture():
    pixels = np.random.default_rng(0).integers(0, 256, (31, 21, 3), dtype=np.uint8)
    # Corners on corners: the pixels 0..20 are 20 wide, seen from the centre at 10.5 the first is at 0.5 - 0.5.
    found = vitpose.crop(pixels, np.float32([10, 15]), np.float32([20, 30]), (31, 21))
    assert np.array_equal(found, pixels)
    shifted = vitpose.crop(pixels, np.float32([15, 15]), np.float32([20, 30]), (31, 21))
    assert np.array_equal(shifted[:, :16], pixels[:, 5:]) and not shifted[:, 16:].any()


def test_the_region_has_the_models_aspect_and_a_margin():
    for width, height, expected in ((75, 100, (93.75, 125)), (10, 100, (93.75, 125)), (150, 10, (187.5, 250))):
        centre, extent = vitpose.crop_region({"x": 5, "y": 7, "width": width, "height": height}, (256, 192))
        assert extent == pytest.approx(expected) and centre == pytest.approx((5 + width / 2, 7 + height / 2))


def test_decoding_finds_fractions_of_a_pixel():
    rows, columns = np.mgrid[:64, :48]
    places = np.array([[10.3, 20.8], [47.0, 63.0], [0.0, 0.0], [30.49, 5.51]])
    blobs = [np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8) for x, y in places]
    heatmaps = np.stack([*blobs, np.zeros((64, 48)), np.full((64, 48), -1.0)])[None].astype(np.float32)
    peaks, scores = vitpose.decode(heatmaps)
    assert np.abs(peaks[0, [0, 3]] - places[[0, 3]]).max() < 1e-3
    assert np.abs(peaks[0, [1, 2]] - places[[1, 2]]).max() < 0.51  # in a corner half of the peak is missing
    assert scores[0, :4] == pytest.approx([blob.max() for blob in blobs])
    assert peaks[0, 4:].tolist() == [[0, 0], [0, 0]] and scores[0, 4:].tolist() == [0, 0]


def test_flat_heatmaps_do_no_harm():
    peaks, scores = vitpose.decode(np.full((1, 2, 8, 6), 0.4, dtype=np.float32))
    assert np.isfinite(peaks).all() and scores.max() == pytest.approx(0.4)


def test_a_model_for_other_points_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    labels = {str(index): f"point {index}" for index in range(17)}
    for entry in ("id2label", "label2id"):
        config.pop(entry, None)
    (folder / "config.json").write_text(json.dumps(config | {"id2label": labels | {"17": "tail"}}))
    with pytest.raises(ValueError, match="finds 18 keypoints|could not be loaded"):
        vitpose.load(folder)


def test_another_kind_and_missing_files_are_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "sam"}))
    with pytest.raises(ValueError, match="is a 'sam' model; this node needs 'vitpose'"):
        vitpose.load(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match="has no preprocessor_config.json or processor_config.json"):
        vitpose.load(folder)


def test_missing_weights_are_refused(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["head.conv.bias"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 of the weights.*head.conv.bias.*place joints at random"):
        vitpose.load(folder)


def test_a_transformers_without_the_class_is_named(folder):
    from imageine.nodes.algorithms.pretrained import load_pretrained

    with pytest.raises(ValueError, match="needs transformers' VitPoseOfTomorrow, which transformers .* lacks"):
        load_pretrained(folder, "VitPoseOfTomorrow", "fail")


def test_nothing_is_fetched(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    vitpose.load(folder)
