"""Boxes, scores and labels against transformers' own processor and post-processing on the same weights."""

import warnings

import pytest
import torch
from support.detectors import detector, photo, template

transformers = pytest.importorskip("transformers")

from imageine.nodes.algorithms import grounding_dino  # noqa: E402
from imageine.nodes.algorithms.preprocessing import Preprocessing  # noqa: E402

PIXEL = 1.0
SCORE = 2e-3
PHOTOS = ["astronaut", "chelsea", "coffee"]
PROMPTS = [["car"], ["person", "red door"], ["a small cat", "cup", "a wooden table", "sky"]]


@pytest.fixture(scope="module")
def reference():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    model = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(template(), local_files_only=True)
    processor = transformers.AutoProcessor.from_pretrained(template(), local_files_only=True)
    yield model.eval(), processor
    torch.set_num_threads(before)


def expected(reference, image, phrases, box_threshold, text_threshold):
    """transformers' result for one image: boxes [N,4] (corners), scores [N] and labels, best score first."""
    model, processor = reference
    pixels = image[0].mul(255).round().to(torch.uint8).numpy()
    inputs = processor(images=pixels, text=[phrases], return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    # The names of the options changed between 4.50 and 5: by position they did not.
    (result,) = processor.post_process_grounded_object_detection(
        outputs, inputs["input_ids"], box_threshold, text_threshold, [tuple(image.shape[1:3])]
    )
    order = result["scores"].argsort(descending=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = result.get("text_labels") or result["labels"]
    return result["boxes"][order], result["scores"][order], [labels[at] for at in order.tolist()]


def corners(frame):
    rows = [[one["x"], one["y"], one["x"] + one["width"], one["y"] + one["height"]] for one in frame]
    return torch.tensor(rows).reshape(-1, 4)


@pytest.mark.parametrize("phrases", PROMPTS, ids=" . ".join)
@pytest.mark.parametrize("name", PHOTOS)
def test_boxes_and_scores_are_those_of_transformers(reference, figures, name, phrases):
    image = photo(name)
    threshold = 0.25
    boxes, scores, _ = expected(reference, image, phrases, threshold, 0.25)
    (frame,) = grounding_dino.detect(detector(), image, " . ".join(phrases), threshold, 0.25)
    assert len(frame) == len(boxes) > 0
    assert torch.allclose(torch.tensor([one["score"] for one in frame]), scores, atol=SCORE)
    distance = float((corners(frame) - boxes).abs().amax())
    figures(f"Grounding DINO boxes against transformers, {name}: {len(frame)} boxes, {distance:.1e} px apart at most")
    assert distance <= PIXEL


@pytest.mark.parametrize("phrases", [["small red door"], ["red door", "person", "wooden table"]], ids=" . ".join)
def test_labels_are_those_of_transformers_where_these_name_one_phrase(reference, phrases):
    compared = 0
    for name in PHOTOS:
        for text_threshold in (0.25, 0.4, 0.55):
            _, _, labels = expected(reference, photo(name), phrases, 0.2, text_threshold)
            (frame,) = grounding_dino.detect(detector(), photo(name), " . ".join(phrases), 0.2, text_threshold)
            assert len(frame) == len(labels)
            for one, label in zip(frame, labels, strict=True):
                words = label.replace(".", " ").split()
                owners = [phrase for phrase in phrases if set(words) & set(phrase.split())]
                if len(owners) == 1:
                    assert one["label"] == " ".join(words)
                    compared += 1
    print(f"{compared} labels compared")
    assert compared


@pytest.mark.parametrize("size", [(400, 400), (123, 457), (457, 123), (1200, 900), (50, 60)])
def test_pixels_are_those_of_transformers(reference, size):
    _, processor = reference
    image = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(0)).mul(255).round().div(255)
    pixels = image[0].mul(255).round().to(torch.uint8).numpy()
    given = processor.image_processor(images=pixels, return_tensors="pt")["pixel_values"]
    own = Preprocessing.read(template()).apply(image[0])
    assert own.shape == given.shape
    step = 1 / 255 / 0.224  # one level of an 8-bit picture
    assert (own - given).abs().amax() <= step * 1.01


def test_tokens_are_those_of_transformers(reference):
    _, processor = reference
    from imageine.nodes.algorithms.phrases import plan_passes

    phrases = ["a person's hat", "t-shirt", "café table", "cars"]
    (one,) = plan_passes(detector().tokenizer, phrases, 256)
    assert list(one.token_ids) == processor.tokenizer(". ".join(phrases) + ".")["input_ids"]
