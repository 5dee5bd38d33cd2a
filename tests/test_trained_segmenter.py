"""The demo's trained Segment Anything: built the same each time, loaded as the real one is, and it finds silhouettes.

demo/segmenter_figures.py measures on 200 scenes; here few of them, and floors well below what it shows.
"""

import filecmp

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("skimage")
if not hasattr(transformers, "Sam2Model"):
    pytest.skip("transformers without SAM 2", allow_module_level=True)

from imageine.demo import segmenter_figures, world  # noqa: E402
from imageine.nodes.algorithms import segment_anything  # noqa: E402
from imageine.runner.demo import trained_segmenter  # noqa: E402
from PIL import Image  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

FILES = ["config.json", "model.safetensors", "preprocessor_config.json", "processor_config.json"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return trained_segmenter.save(tmp_path_factory.mktemp("segmenter"))


@pytest.fixture(scope="module")
def sam(folder):
    return segment_anything.load(folder)


@pytest.fixture(scope="module")
def cases(folder):
    return segmenter_figures.evaluate(folder, scenes=15, jitter=0.05)


def scene(shape, neighbour="blue"):
    """A red ``shape`` and a circle beside it, on grey."""
    things = ((shape, "red", 0.3), ("circle", neighbour, 0.7))
    return world.Scene(
        Image.new("RGB", (512, 384), (150, 150, 150)),
        tuple(world.Thing(colour, kind, x, 0.5, 0.14, 0.187, 0.1, world.COLOURS[colour]) for kind, colour, x in things),
    )


def prompt(thing, size):
    left, top, right, bottom = thing.box(*size)
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def overlap(mask, thing, size):
    true = np.asarray(thing.mask(*size)) > 127
    return (mask & true).sum() / (mask | true).sum()


def test_every_build_is_the_same(folder, tmp_path):
    again = trained_segmenter.save(tmp_path / "again")
    same, different, missing = filecmp.cmpfiles(folder, again, FILES, shallow=False)
    assert (sorted(same), different, missing) == (sorted(FILES), [], [])


def test_weights_are_small():
    assert trained_segmenter.WEIGHTS.stat().st_size < 3e6


def test_weights_of_another_model_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    stored = load_file(trained_segmenter.WEIGHTS)
    del stored["mask_decoder.mask_tokens.weight"]
    save_file(stored, tmp_path / "other.safetensors")
    with pytest.raises(RuntimeError, match="mask_tokens"):
        trained_segmenter.save(tmp_path / "model", tmp_path / "other.safetensors")


@pytest.mark.parametrize("shape", world.SHAPES)
@pytest.mark.parametrize("neighbour", ["blue", "red"])
def test_box_chooses_the_shape_and_leaves_its_neighbour(sam, shape, neighbour):
    both = scene(shape, neighbour)
    image = torch.from_numpy(np.asarray(both.picture(), np.float32) / 255)[None]
    (masks,) = segment_anything.object_masks(sam, image, [prompt(thing, both.size) for thing in both.things])
    for mask, thing in zip(masks.numpy(), both.things, strict=True):
        assert overlap(mask, thing, both.size) > 0.8


def test_transformers_gives_the_same_silhouette(sam, folder):
    both = scene("star")
    left, top, right, bottom = both.things[0].box(*both.size)
    model = transformers.Sam2Model.from_pretrained(folder, local_files_only=True)
    processor = transformers.Sam2Processor.from_pretrained(folder, local_files_only=True)
    inputs = processor(images=both.picture(), input_boxes=[[[left, top, right, bottom]]], return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    masks = processor.post_process_masks(outputs.pred_masks, inputs["original_sizes"])[0][0].numpy()
    # Three masks are for ambiguous prompts; this world has none, and they are the same.
    assert len(masks) == 3 and all(overlap(mask, both.things[0], both.size) > 0.8 for mask in masks)
    assert outputs.object_score_logits.min() > 0


def test_held_out_scenes(cases, figures):
    ious = np.array([case.iou for case in cases])
    figures(f"Trained segmenter: mean IoU {ious.mean():.3f}, {(ious >= 0.85).mean():.0%} of {len(ious)} at least 0.85")
    assert ious.mean() >= 0.8
    assert (ious >= 0.7).mean() >= 0.85


@pytest.mark.parametrize("shape", ["star", "triangle"])
def test_silhouette_does_not_fill_the_box(cases, shape):
    """Their boxes are about 2.6 and 2 times as large as they are."""
    chosen = [case for case in cases if case.thing.shape == shape]
    sizes = [case.found.sum() / (np.asarray(case.thing.mask(*case.picture.size)) > 127).sum() for case in chosen]
    assert 0.85 < np.mean(sizes) < 1.3
