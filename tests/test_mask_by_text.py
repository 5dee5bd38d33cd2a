"""From words or paint to one mask per image: every pattern of frames, without a model and with the small real ones."""

import itertools

import pytest
import torch
from imageine.nodes.algorithms import boxes, mask_by_text
from imageine.nodes.algorithms.mask_by_text import Wish, find

HEIGHT, WIDTH = 24, 36
BOX = {"x": 4.0, "y": 3.0, "width": 10.0, "height": 6.0, "label": "car", "score": 0.62}
EMPTY, FOUND, PAINTED = "empty", "found", "painted"


def picture(kind: str) -> torch.Tensor:
    """An image that tells the stub detector whether it has something in it."""
    return torch.full((HEIGHT, WIDTH, 3), 1.0 if kind == FOUND else 0.0)


class Detector:
    """Finds ``box`` in white images; remembers what it was asked."""

    def __init__(self, *found: dict):
        self.found = list(found) or [BOX]
        self.seen = []

    def __call__(self, images: torch.Tensor, threshold: float) -> list[list[dict]]:
        self.seen.append((len(images), threshold))
        return [list(self.found) if image.mean() > 0.5 else [] for image in images]


def segment(images: torch.Tensor, frames: list[list[dict]]) -> torch.Tensor:
    """As Segment Anything would: something smaller than the box."""
    mask = mask_by_text.fill_boxes(images, frames)
    mask[:, 5] = False
    return mask


def paint(kinds) -> torch.Tensor:
    painted = torch.zeros(len(kinds), HEIGHT, WIDTH)
    for index, kind in enumerate(kinds):
        if kind == PAINTED:
            painted[index, 10:12, 20:30] = 1
    return painted


@pytest.mark.parametrize("on_empty", [mask_by_text.EMPTY_MASK, mask_by_text.WHOLE_IMAGE])
@pytest.mark.parametrize("segmenter", [None, segment])
def test_n_images_give_n_masks_for_every_pattern(on_empty, segmenter):
    for kinds in itertools.product((EMPTY, FOUND, PAINTED), repeat=4):
        images = torch.stack([picture(kind) for kind in kinds])
        detector = Detector()
        found = find(images, paint(kinds), detector, segmenter, Wish("car", on_empty=on_empty))
        assert found.mask.shape == (4, HEIGHT, WIDTH) and found.mask.dtype == torch.float32
        assert len(found.frames) == len(found.lines) == 4
        assert [count for count, _ in detector.seen] == ([4 - kinds.count(PAINTED)] if set(kinds) != {PAINTED} else [])
        for kind, mask, frame in zip(kinds, found.mask, found.frames, strict=True):
            if kind == EMPTY:
                assert frame == [] and bool((mask == (on_empty == mask_by_text.WHOLE_IMAGE)).all())
            elif kind == FOUND:
                assert frame == [BOX] and int(mask.sum()) == (60 if segmenter is None else 50)
                assert bool((mask[3:5, 4:14] == 1).all()) and not mask[9:].any()
            else:
                assert int(mask.sum()) == 20 and bool((mask[10:12, 20:30] == 1).all())
                assert (frame[0]["x"], frame[0]["y"], frame[0]["width"], frame[0]["height"]) == (20, 10, 10, 2)


def test_on_empty_error_names_the_image_the_words_and_the_best_score():
    images = torch.stack([picture(FOUND), picture(EMPTY)])
    with pytest.raises(ValueError, match="Image 2 of 2: Nothing found for 'blue car' above 0.30. Lower the box thresh"):
        find(images, None, Detector(), None, Wish("blue car", on_empty=mask_by_text.ERROR))
    faint = Detector({**BOX, "score": 0.21})
    with pytest.raises(ValueError, match=r"^Nothing found for 'car' above 0.30 \(the best was car 0.21\)"):
        find(images[:1], None, faint, None, Wish("car", on_empty=mask_by_text.ERROR))


def test_a_faint_box_is_seen_but_not_used():
    images = picture(FOUND)[None]
    detector = Detector(BOX, {**BOX, "x": 20.0, "score": 0.3})
    found = find(images, None, detector, None, Wish("car", box_threshold=0.3))
    assert detector.seen == [(1, 0.05)] and found.frames == [[BOX]] and found.count == 1
    low = Detector()
    find(images, None, low, None, Wish("car", box_threshold=0.01))
    assert low.seen == [(1, 0.01)]


def test_the_message_says_why_nothing_is_left():
    images = picture(FOUND)[None]
    found = find(images, None, Detector(), None, Wish("car", selection=boxes.Selection(min_area=0.9)))
    assert found.message.startswith("Nothing left for 'car': 1 object: car 0.62, but none passes")
    assert not found.mask.any()
    blank = find(images, None, Detector(), lambda images, frames: torch.zeros(images.shape[:3]).bool(), Wish("car"))
    assert blank.message == "1 object: car 0.62, but Segment Anything found no object in the box."


def test_messages_are_readable():
    two = [BOX, {**BOX, "score": 0.41}]
    assert mask_by_text.describe(two) == "2 objects: car 0.62, car 0.41"
    assert mask_by_text.describe([{"x": 0, "y": 0, "width": 1, "height": 1}]) == "1 object: object 1.00"
    many = find(torch.ones(9, HEIGHT, WIDTH, 3), None, Detector(), None, Wish("car")).message.splitlines()
    assert many[0] == "9 objects in 9 images" and many[1] == "Image 1: 1 object: car 0.62"
    assert many[-1] == "and 3 more images" and len(many) == 8


@pytest.mark.parametrize("nothing", [None, torch.zeros(1, 64, 64), torch.zeros(0, 64, 64), torch.full((1, 9, 9), 0.5)])
def test_what_counts_as_nothing_painted(nothing):
    assert mask_by_text.painted_frames(nothing, 3) == [False] * 3
    assert find(picture(FOUND)[None], nothing, Detector(), None, Wish("car")).frames == [[BOX]]


def test_one_painted_mask_stands_for_all_images_and_a_short_batch_is_padded():
    one = torch.ones(1, 8, 8)
    assert mask_by_text.painted_frames(one, 3) == [True] * 3
    assert mask_by_text.painted_frames(one[0], 3) == [True] * 3
    two = torch.stack([torch.zeros(8, 8), torch.ones(8, 8)])
    assert mask_by_text.painted_frames(two, 4) == [False, True, False, False]
    assert mask_by_text.painted_frames(two, 1) == [False]


@pytest.mark.parametrize("size", [(12, 18), (48, 72), (64, 64), (1, 1), (HEIGHT, 7)])
def test_a_painted_mask_of_another_size_is_fitted(size):
    painted = torch.zeros(1, *size)
    painted[0, : (size[0] + 1) // 2] = 1
    found = find(torch.zeros(2, HEIGHT, WIDTH, 3), painted, Detector(), None, Wish(""))
    assert found.mask.shape == (2, HEIGHT, WIDTH) and bool((found.mask[:, : HEIGHT // 2] == 1).all())
    assert set(found.mask.unique().tolist()) <= {0.0, 1.0}
    assert size[0] == 1 or not found.mask[:, HEIGHT // 2 + 1 :].any()


def test_boxes_are_filled_to_their_last_pixel_and_clipped():
    frame = [{"x": -5.0, "y": 3.5, "width": 7.2, "height": 2.0}, {"x": 90.0, "y": 0.0, "width": 5.0, "height": 5.0}]
    mask = mask_by_text.fill_boxes(torch.zeros(1, HEIGHT, WIDTH, 3), [frame])[0]
    assert int(mask.sum()) == 9 and bool(mask[3:6, :3].all())


def test_an_unknown_answer_to_emptiness_is_refused():
    with pytest.raises(ValueError, match="got 'panic'"):
        Wish("car", on_empty="panic")


@pytest.mark.parametrize("size", [(1, 1), (8, 600)])
def test_odd_sizes(size):
    images = torch.ones(2, *size, 3)
    found = find(images, None, Detector({**BOX, "x": 0.0, "y": 0.0}), None, Wish("car"))
    assert found.mask.shape == (2, *size) and bool(found.mask.flatten(1).any(1).all())


def test_every_pattern_with_the_real_models():
    """Grounding DINO and SAM 2 in their real formats with seeded weights: grey images hold nothing for them."""
    pytest.importorskip("transformers")
    from imageine.nodes.algorithms import grounding_dino, segment_anything
    from support.detectors import detector, photo
    from support.tiny_segment_anything import shared

    cat = photo("chelsea")[:, 20:276, 60:316]
    model = detector()

    def detect(images, threshold):
        return grounding_dino.detect(model, images, "car", threshold)

    best = [
        max((box["score"] for box in frame), default=0.0) for frame in detect(torch.cat([cat, cat * 0 + 0.5]), 0.05)
    ]
    assert best[0] != best[1], "the seeded detector cannot tell the two images apart"
    full = best.index(max(best))
    wish = Wish("car", box_threshold=sum(best) / 2, selection=boxes.Selection(max_boxes=1))
    for pattern in ((True, False), (False, True), (False, False), (True, True)):
        images = torch.cat([cat if filled == (full == 0) else cat * 0 + 0.5 for filled in pattern])
        found = find(images, None, detect, lambda *args: segment_anything.union_masks(shared(), *args), wish)
        assert found.mask.shape == (2, 256, 256)
        assert [bool(frame) for frame in found.frames] == list(pattern)
        assert all(filled or not mask.any() for filled, mask in zip(pattern, found.mask, strict=True))
