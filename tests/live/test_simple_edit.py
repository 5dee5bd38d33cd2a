"""The shipped Simple Edit through the runner on a real ComfyUI, with seeded weights and real photos."""

import copy
import io

import numpy as np
import pytest
from imageine.runner import Workflow, edit, run
from imageine.runner.demo import BLEND_MASK, blend_mask, save_blend_mask
from imageine.runner.errors import ImageineError, InputError
from PIL import Image, ImageDraw

# Sampling a small crop in few steps: what is tested is the path, and 512 pixels cost 16 times as much on a CPU.
QUICK = {"width": 128, "height": 128}
STEPS = 3
WISHES = {"astronaut": "make the suit blue", "chelsea": "a green cat", "coffee": "make the cup blue"}


@pytest.fixture(scope="module")
def client(comfyui):
    with comfyui.client() as client:
        yield client


@pytest.fixture(scope="module")
def quick_edit(client):
    def quick_edit(photo, wish, *, settings=None, **options):
        options = {"seed": 1, "steps": STEPS} | options
        settings = QUICK | (settings or {})
        return edit(photo, wish, client=client, workflow="Simple Edit", settings=settings, **options)

    return quick_edit


def pixels(image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=np.int16)


def same(first, second) -> bool:
    return np.array_equal(pixels(first), pixels(second))


@pytest.mark.parametrize("name", WISHES)
def test_only_the_found_region_changes(name, photos, quick_edit, client, figures):
    photo = Image.open(photos[name])
    result = quick_edit(photos[name], WISHES[name])
    assert result.image.size == photo.size
    inside = np.asarray(blend_mask(client, result))
    difference = np.abs(pixels(result.image) - pixels(photo)).max(-1)
    figures(
        f'Simple Edit, {name}, "{WISHES[name]}": {inside.mean():.0%} of the photo in the blend mask; 8-bit difference '
        f"outside at most {difference[~inside].max()}, inside {difference[inside].mean():.0f} on average"
    )
    assert 0 < inside.mean() < 1
    assert difference[~inside].max() == 0
    assert difference[inside].mean() > 5


def test_same_seed_same_pixels(photos, quick_edit, client):
    first = quick_edit(photos["coffee"], "make the cup blue")
    client.free()  # or the server would only hand out the first result again
    assert same(first.image, quick_edit(photos["coffee"], "make the cup blue").image)
    assert not same(first.image, quick_edit(photos["coffee"], "make the cup blue", seed=2).image)


def test_prompt_reaches_the_sampler(photos, quick_edit):
    """With a painted mask only the text conditioning is left for a prompt to act on."""
    mask = Image.new("L", (600, 400))
    ImageDraw.Draw(mask).rectangle((200, 100, 400, 300), fill=255)
    first, second = (quick_edit(photos["coffee"], wish, mask=mask).image for wish in ("blue cup", "wooden spoon"))
    assert not same(first, second)


def test_painted_mask_replaces_the_search(photos, quick_edit):
    photo = Image.open(photos["coffee"])
    mask = Image.new("L", photo.size)
    ImageDraw.Draw(mask).rectangle((60, 60, 180, 160), fill=255)
    # A threshold at which nothing can be found: the painted mask needs no finding.
    edited = quick_edit(photos["coffee"], "a blue cup", mask=mask, settings={"box_threshold": 1.0}).image
    changed = np.abs(pixels(edited) - pixels(photo)).max(-1) > 0
    assert changed[80:140, 80:160].mean() > 0.9
    assert not changed[230:].any() and not changed[:, 260:].any()


def test_nothing_found_returns_the_photo(photos, quick_edit):
    result = quick_edit(photos["chelsea"], "a green cat", settings={"box_threshold": 1.0})
    assert same(result.image, Image.open(photos["chelsea"]))
    assert any("Nothing was changed" in note for note in result.notes)


def test_batch_in_batch_out(photos, client):
    """Three pictures in: three out, in order, each untouched outside its own mask; in the second nothing is found."""
    workflow = Workflow.load("Simple Edit")
    graph = save_blend_mask(workflow.graph())
    image = next(number for number, node in graph.items() if node["class_type"] == "LoadImage")
    original = copy.deepcopy(graph)
    # Pictures: the photo, an empty one, the photo. The painted masks: a square, none, a square.
    graph["size"] = {"class_type": "EmptyImage", "inputs": {"width": 600, "height": 400, "batch_size": 1, "color": 0}}
    graph["two"] = {"class_type": "ImageBatch", "inputs": {"image1": [image, 0], "image2": ["size", 0]}}
    graph["three"] = {"class_type": "ImageBatch", "inputs": {"image1": ["two", 0], "image2": [image, 0]}}
    for number, node in original.items():
        for name, value in node["inputs"].items():
            if value == [image, 0] and name == "image":
                graph[number]["inputs"][name] = ["three", 0]
    crop = next(number for number, node in graph.items() if node["class_type"] == "ImageineCropForInpaint")
    size = {f"{crop}.{name}": value for name, value in QUICK.items()}  # by address: Empty Image has a width, too
    settings = {"prompt": "cup", "steps": STEPS, "seed": 1, **size}
    outputs = run(graph, client=client, images={"image": photos["coffee"]}, settings=settings).outputs
    results = [load(output) for output in outputs if output.title == "Result"]
    masks = [load(output) for output in outputs if output.title == BLEND_MASK]
    assert len(results) == len(masks) == 3
    black = Image.new("RGB", (600, 400))
    photo = Image.open(photos["coffee"])
    for before, after, mask in zip((photo, black, photo), results, masks, strict=True):
        outside = pixels(mask).max(-1) == 0
        assert outside.any()
        assert np.abs(pixels(after) - pixels(before)).max(-1)[outside].max() == 0
    assert not same(results[0], photo)


def load(output) -> Image.Image:
    return Image.open(io.BytesIO(output.data)).convert("RGB")


# Modes that the runner turns into plain RGB before the upload are test_photos.py's; these reach the nodes as odd sizes.
ODD = {
    "one pixel": lambda: Image.new("RGB", (1, 1), "red"),
    "very tall": lambda: Image.linear_gradient("L").resize((8, 6000)),
    "16 bit": lambda: Image.fromarray((np.arange(90 * 60).reshape(60, 90) * 12).astype(np.uint16)),
    "transparent": lambda: Image.merge("RGBA", [Image.linear_gradient("L").resize((120, 90))] * 4),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_pictures_come_back_in_their_size(kind, quick_edit):
    picture = ODD[kind]()
    assert quick_edit(picture, "a blue cup").image.size == picture.size


def test_20_megapixels(quick_edit, client, figures):
    picture = Image.linear_gradient("L").resize((5472, 3648)).convert("RGB")
    result = quick_edit(picture, "a blue cup", settings={"max_boxes": 1})
    figures(f"Simple Edit of a 20-megapixel photo, seeded models, CPU: {result.seconds:.0f} s")
    inside = np.asarray(blend_mask(client, result))
    difference = np.abs(pixels(result.image) - pixels(picture)).max(-1)
    assert difference[~inside].max() == 0


@pytest.mark.parametrize("wish", ["", "   ", "...", "?!"])
def test_wish_without_a_word(wish, photos, quick_edit):
    with pytest.raises(InputError) as caught:
        quick_edit(photos["coffee"], wish)
    assert caught.value.code == "prompt_empty"


def test_prompt_without_a_word_is_refused_by_the_node(photos, client):
    """For clients that are not this runner: the node itself says what is wrong."""
    with pytest.raises(ImageineError, match=r"(?i)prompt|word|target"):
        run("Simple Edit", client=client, images={"image": photos["coffee"]}, settings={"prompt": ". ."} | QUICK)


@pytest.mark.parametrize("name", ["grounding-dino-huge", "../../etc"])
def test_model_that_is_not_there(name, photos, client):
    graph = Workflow.load("Simple Edit").graph()
    loader = next(node for node in graph.values() if node["class_type"] == "ImageineLoadGroundingDINO")
    loader["inputs"]["model"] = name
    with pytest.raises(ImageineError, match=name.replace(".", r"\.")):
        run(graph, client=client, images={"image": photos["coffee"]})


def test_server_survived(photos, quick_edit):
    """After all of that, an edit still works."""
    assert quick_edit(photos["coffee"], "a blue cup").image.size == (600, 400)
