"""Depth Anything: a depth map per image, of any size, from a folder that is checked first."""

import json
import shutil
import socket

import pytest
import torch
from support import seeded_pose_depth as seeded

pytest.importorskip("transformers")

from imageine.nodes.algorithms import depth_anything  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model():
    return depth_anything.load(seeded.template("depth"))


@pytest.fixture
def folder(tmp_path):
    """A copy of the model's folder that a test may damage."""
    return shutil.copytree(seeded.template("depth"), tmp_path / "model")


def pictures(batch=2, height=60, width=90, channels=3):
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(3))


def change(folder, name, **settings):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_one_grey_map_per_image(model):
    images, seen = pictures(3), []
    maps = depth_anything.depth_maps(model, images, on_image=lambda: seen.append(1))
    assert maps.shape == images.shape and maps.dtype == torch.float32 and len(seen) == 3
    assert torch.equal(maps[..., 0], maps[..., 1]) and torch.equal(maps[..., 0], maps[..., 2])
    for one in maps:
        assert one.amin() == 0 and one.amax() == 1
    alone = depth_anything.depth_maps(model, images[1:2])
    assert torch.allclose(alone[0], maps[1], atol=1e-5)
    maps.fill_(0)  # an ordinary tensor: inference mode does not leak out


def test_near_is_white(model):
    """White where the model's disparity is largest; inverted, black."""
    image = pictures(1)
    near = depth_anything.disparity(model, image[0], torch.device("cpu"))
    found = depth_anything.depth_maps(model, image)[0, ..., 0]
    assert found.flatten()[near.flatten().argmax()] == 1 and found.flatten()[near.flatten().argmin()] == 0
    inverted = depth_anything.depth_maps(model, image, invert=True)[0, ..., 0]
    assert torch.allclose(inverted, 1 - found)


def test_metres_become_disparity():
    model = depth_anything.load(seeded.template("metric depth"))
    assert model.metric
    image = pictures(1)
    with torch.inference_mode():
        rows, columns = depth_anything.input_size(model, 60, 90)
        settings = depth_anything.dataclasses.replace(model.preprocessing, size={"height": rows, "width": columns})
        metres = model.model(pixel_values=settings.apply(image[0])).predicted_depth
    assert 0 < metres.min() < metres.max() <= 20
    metres = torch.nn.functional.interpolate(metres[None], (60, 90), mode="bilinear", align_corners=False)[0, 0]
    grey = depth_anything.depth_maps(model, image)[0, ..., 0]
    nearest, farthest = metres <= metres.quantile(0.1), metres >= metres.quantile(0.9)
    assert grey[nearest].mean() > grey[farthest].mean() + 0.2


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (8, 6000), (6000, 8), (3648, 5472)], ids=str)
def test_any_size_survives(model, shape):
    image = torch.rand(1, *shape, 1).expand(1, *shape, 3)
    found = depth_anything.depth_maps(model, image)
    assert found.shape == image.shape and bool(found.isfinite().all())
    assert found.amin() >= 0 and found.amax() <= 1


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_any_channel_count(model, channels):
    assert depth_anything.depth_maps(model, pictures(1, channels=channels)).shape == (1, 60, 90, 3)


def test_the_same_depth_everywhere_is_black_and_finite():
    flat = depth_anything.normalised(torch.full((4, 5), 7.0))
    assert torch.equal(flat, torch.zeros(4, 5))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (518, 518, (518, 518)),
        (480, 640, (518, 686)),
        (640, 480, (686, 518)),
        (4000, 6000, (518, 784)),
        (1, 1, (518, 518)),
        (8, 6000, (14, 518)),
        (6000, 8, (518, 14)),
        (300, 3000, (322, 3276)),  # transformers: 518 by 5180, and without end as the picture grows longer
    ],
)
def test_the_size_inside_the_model(model, height, width, expected):
    assert depth_anything.input_size(model, height, width) == expected


@pytest.mark.parametrize("width", [1500, 5000, 20_000, 100_000])
@pytest.mark.parametrize("height", [1, 100, 260, 518, 1000, 5000])
def test_the_size_inside_the_model_is_bounded(model, height, width):
    for edges in ((height, width), (width, height)):
        rows, columns = depth_anything.input_size(model, *edges)
        assert rows % 14 == columns % 14 == 0 and 0 < rows * columns <= 4.5 * 518 * 518


def test_settings_of_the_folder(folder):
    change(folder, "preprocessor_config.json", size=280, keep_aspect_ratio=False, ensure_multiple_of=4, resample=2)
    model = depth_anything.load(folder)
    assert model.size == (280, 280) and model.multiple == 28 and model.preprocessing.resample == 2
    assert depth_anything.input_size(model, 100, 300) == (280, 280)


def test_nothing_is_fetched(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    change(folder, "config.json", use_pretrained_backbone=True)
    depth_anything.load(folder)


def test_a_folder_that_cannot_be_used_is_refused(folder):
    for name, broken, message in (
        ("config.json", {"model_type": "dpt"}, "is a 'dpt' model"),
        ("preprocessor_config.json", {"size": {"shortest_edge": 518}}, "give the size"),
        ("preprocessor_config.json", {"size": {"height": 0, "width": 5}}, "give the size"),
    ):
        before = (folder / name).read_text()
        change(folder, name, **broken)
        with pytest.raises(ValueError, match=message):
            depth_anything.load(folder)
        (folder / name).write_text(before)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match="has no preprocessor_config.json or processor_config.json"):
        depth_anything.load(folder)


def test_missing_weights_are_refused(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["head.conv1.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 of the weights.*head.conv1.weight.*guess depth at random"):
        depth_anything.load(folder)


def test_the_next_step_names_the_pipeline(tmp_path):
    with pytest.raises(ValueError, match="imageine models pull complex"):
        depth_anything.load(tmp_path / "depth-anything" / "none")
