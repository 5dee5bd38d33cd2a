"""The demo's trained Grounding DINO: built the same each time, loaded as the real one is, and it finds what is named.

demo/finder_figures.py measures on 200 scenes; here few of them, and floors well below what it shows.
"""

import filecmp

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("skimage")

from imageine.demo import finder_figures, world  # noqa: E402
from imageine.demo.scoring import iou  # noqa: E402
from imageine.nodes.algorithms import grounding_dino  # noqa: E402
from imageine.runner.demo import trained_finder  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

FILES = ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json", "vocab.txt"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return trained_finder.save(tmp_path_factory.mktemp("finder"))


@pytest.fixture(scope="module")
def detector(folder):
    return grounding_dino.load(folder)


@pytest.fixture(scope="module")
def answers(detector):
    asked = finder_figures.questions(24, world.load_photos(world.HELD_OUT_PHOTOS), seed=1)
    return [finder_figures.answer(detector, question) for question in asked]


def picture():
    """A red circle, a blue circle and a red square on grey."""
    things = (("red", "circle", 0.25), ("blue", "circle", 0.5), ("red", "square", 0.78))
    return world.Scene(
        world.Image.new("RGB", (512, 384), (150, 150, 150)),
        tuple(
            world.Thing(colour, shape, x, 0.5, 0.1, 0.133, 0.0, world.COLOURS[colour]) for colour, shape, x in things
        ),
    )


def test_every_build_is_the_same(folder, tmp_path):
    again = trained_finder.save(tmp_path / "again")
    same, different, missing = filecmp.cmpfiles(folder, again, FILES, shallow=False)
    assert (sorted(same), different, missing) == (sorted(FILES), [], [])


def test_weights_are_small():
    assert trained_finder.WEIGHTS.stat().st_size < 4e6


def test_weights_of_another_model_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    stored = load_file(trained_finder.WEIGHTS)
    del stored["model.level_embed"]
    save_file(stored, tmp_path / "other.safetensors")
    with pytest.raises(RuntimeError, match="Not the finder's weights.*level_embed"):
        trained_finder.save(tmp_path / "model", tmp_path / "other.safetensors")


def test_words_of_the_toy_world_are_taught():
    taught = {word for words in trained_finder.WORDS for word in words}
    assert set(world.COLOURS) | set(world.SHAPES) <= taught


def test_transformers_finds_the_same_thing(folder):
    scene = picture()
    model = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(folder, local_files_only=True)
    processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
    inputs = processor(images=scene.picture(), text="blue circle.", return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    (result,) = processor.post_process_grounded_object_detection(
        outputs, inputs["input_ids"], 0.1, 0.1, [scene.size[::-1]]
    )
    best = result["boxes"][result["scores"].argmax()].tolist()
    assert iou(best, scene.things[1].box(*scene.size)) > 0.5


@pytest.mark.parametrize(
    ("prompt", "right"),
    [("red circle", [0]), ("the blue circle", [1]), ("red square", [2]), ("circle", [0, 1]), ("Square.", [2])],
)
def test_finds_what_is_named_and_nothing_else(detector, prompt, right):
    scene = picture()
    boxes = tuple(scene.things[at].box(*scene.size) for at in right)
    question = finder_figures.Question("", scene, prompt, boxes)
    assert finder_figures.answer(detector, question).exact(finder_figures.BOX_THRESHOLD)


@pytest.mark.parametrize("prompt", ["dog", "car", "green circle", "star", "blue square", "xylophone", "red car"])
def test_finds_nothing_where_nothing_is(detector, prompt):
    pixels = torch.from_numpy(np.array(picture().picture())).float().div(255)[None]
    assert grounding_dino.detect(detector, pixels, prompt) == [[]]


@pytest.mark.parametrize(
    ("kind", "floor"),
    [
        ("shape", 0.8),
        ("colour and shape", 0.8),
        ("colour absent", 0.8),
        ("shape absent", 0.8),
        ("other words", 0.9),
        ("beside its shape in another colour", 0.75),
        ("beside its colour in another shape", 0.75),
    ],
)
def test_held_out_scenes(answers, figures, kind, floor):
    part, count = finder_figures.figures(answers)[kind]
    figures(f"Trained finder, {kind}: {part:.0%} of {count} right")
    assert part >= floor
