"""The demo's trained Depth Anything: built the same each time, loaded as the real one is, and things are near."""

import filecmp

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("skimage")

from imageine.demo import depth, world  # noqa: E402
from imageine.nodes.algorithms import depth_anything  # noqa: E402
from imageine.runner.demo import trained_depth, trained_painter  # noqa: E402
from PIL import Image  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

FILES = ["config.json", "model.safetensors", "preprocessor_config.json"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return trained_depth.save(tmp_path_factory.mktemp("depth"))


def scene():
    """A large red square and a small blue circle, on grey."""
    things = (("square", "red", 0.3, 0.22), ("circle", "blue", 0.78, 0.1))
    return world.Scene(
        Image.new("RGB", (320, 256), (150, 150, 150)),
        tuple(
            world.Thing(colour, shape, x, 0.5, size * 0.8, size, 0.1, world.COLOURS[colour])
            for shape, colour, x, size in things
        ),
    )


def test_every_build_is_the_same(folder, tmp_path):
    again = trained_depth.save(tmp_path / "again")
    same, different, missing = filecmp.cmpfiles(folder, again, FILES, shallow=False)
    assert (sorted(same), different, missing) == (sorted(FILES), [], [])
    assert trained_depth.WEIGHTS.stat().st_size < 1e6


def test_larger_is_nearer_and_the_ground_is_far(folder):
    drawn = scene()
    image = torch.from_numpy(np.asarray(drawn.picture(), np.float32) / 255)[None]
    found = depth_anything.depth_maps(depth_anything.load(folder), image)[0, ..., 0].numpy()
    assert found.shape == (256, 320)
    large, small = (found[np.asarray(thing.mask(320, 256, 0.7)) > 127].mean() for thing in drawn.things)
    ground = found[:, 180:200].mean()
    assert large > small + 0.15 > ground + 0.3


def test_decoder_hands_on_what_the_backbone_says(folder):
    narrow = depth.Network().eval()
    narrow.load_state_dict(trained_painter.narrow(trained_depth.WEIGHTS))
    wide = transformers.DepthAnythingForDepthEstimation.from_pretrained(folder, local_files_only=True).eval()
    pixels = torch.randn(1, 3, 128, 168, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        assert torch.allclose(wide(pixel_values=pixels).predicted_depth, narrow(pixels).clamp(min=0), atol=1e-5)


def test_transformers_sees_the_same(folder):
    picture = scene().picture()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModelForDepthEstimation.from_pretrained(folder, local_files_only=True)
    with torch.inference_mode():
        output = model(**processor(images=picture, return_tensors="pt"))
    (theirs,) = processor.post_process_depth_estimation(output, target_sizes=[(256, 320)])
    image = torch.from_numpy(np.asarray(picture, np.float32) / 255)[None]
    ours = depth_anything.depth_maps(depth_anything.load(folder), image)[0, ..., 0]
    theirs = depth_anything.normalised(theirs["predicted_depth"])
    assert float((ours - theirs).abs().mean()) < 0.01


def test_held_out_silhouettes(folder, figures):
    overlaps, _ = depth.held_out(folder, 40)
    figures(f"Trained depth model: silhouettes of 40 held-out pictures overlap by {np.mean(overlaps):.3f}")
    assert np.mean(overlaps) > 0.55
