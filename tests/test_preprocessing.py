import json

import pytest
import torch
from imageine.nodes.algorithms.pixels import to_rgb
from imageine.nodes.algorithms.preprocessing import Preprocessing, target_size

DEFAULT = {"shortest_edge": 800, "longest_edge": 1333}


@pytest.mark.parametrize(
    ("height", "width", "size", "expected"),
    [
        (512, 512, DEFAULT, (800, 800)),
        (800, 900, DEFAULT, (800, 900)),
        (480, 640, DEFAULT, (800, 1066)),
        (640, 480, DEFAULT, (1066, 800)),
        (1000, 3000, DEFAULT, (444, 1333)),
        (1, 1, DEFAULT, (800, 800)),
        (8, 6000, DEFAULT, (2, 1333)),
        (6000, 1, DEFAULT, (1333, 1)),
        (100, 200, {"shortest_edge": 50}, (50, 100)),
        (100, 200, {"height": 30, "width": 40}, (30, 40)),
        (100, 200, {"max_height": 50, "max_width": 50}, (25, 50)),
        (100, 200, {}, (100, 200)),
    ],
)
def test_target_size(height, width, size, expected):
    assert target_size(height, width, size) == expected


def write(folder, name, config):
    (folder / name).write_text(config if isinstance(config, str) else json.dumps(config))


def test_settings_of_either_file(tmp_path):
    write(tmp_path, "preprocessor_config.json", {"size": 600, "max_size": 1000, "image_mean": [0, 0, 0]})
    settings = Preprocessing.read(tmp_path)
    assert settings.size == {"shortest_edge": 600, "longest_edge": 1000} and settings.mean == (0, 0, 0)
    write(tmp_path, "processor_config.json", {"processor_class": "GroundingDinoProcessor"})
    assert Preprocessing.read(tmp_path) == settings
    write(tmp_path, "processor_config.json", {"image_processor": {"size": {"height": 8, "width": 8}}})
    assert Preprocessing.read(tmp_path).size == {"height": 8, "width": 8}


def test_steps_can_be_switched_off(tmp_path):
    write(tmp_path, "preprocessor_config.json", {"do_resize": False, "do_normalize": False, "do_rescale": False})
    image = torch.rand(5, 7, 3)
    assert torch.equal(Preprocessing.read(tmp_path).apply(image), (image * 255).round().movedim(-1, 0)[None])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "no image processor"),
        ({"image_mean": 3}, "cannot be used"),
        ({"size": "big"}, "cannot be used"),
    ],
)
def test_unusable_settings(tmp_path, config, message):
    write(tmp_path, "preprocessor_config.json", config)
    with pytest.raises(ValueError, match=message):
        Preprocessing.read(tmp_path)


def test_no_settings(tmp_path):
    with pytest.raises(ValueError, match="no image processor"):
        Preprocessing.read(tmp_path)


def test_transparency_is_flattened_on_white():
    rgba = torch.tensor([0.2, 0.4, 0.6, 0.25]).expand(1, 2, 2, 4)
    assert torch.allclose(to_rgb(rgba)[0, 0, 0], torch.tensor([0.8, 0.85, 0.9]))
    assert torch.equal(to_rgb(torch.zeros(1, 2, 2, 4)), torch.ones(1, 2, 2, 3))
    assert torch.allclose(to_rgb(torch.tensor([0.5, 0.5]).expand(1, 2, 2, 2)), torch.full((1, 2, 2, 3), 0.75))
    assert torch.equal(to_rgb(torch.full((1, 2, 2, 1), 0.3)), torch.full((1, 2, 2, 3), 0.3))


@pytest.mark.parametrize("shape", [(2, 2, 3), (1, 2, 2, 5), (1, 0, 2, 3), (0, 2, 2, 3)])
def test_what_is_no_image_batch_is_refused(shape):
    with pytest.raises(ValueError, match=r"\[B,H,W,C\]"):
        to_rgb(torch.zeros(shape))
