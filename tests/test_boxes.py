import pytest
import torch
from imageine.nodes.algorithms import boxes


def box(x=0, y=0, width=10, height=10, **more):
    return {"x": x, "y": y, "width": width, "height": height, **more}


A, B, C = box(1, label="car", score=0.9), box(2, label="dog", score=0.5), box(3)


@pytest.mark.parametrize(
    ("bboxes", "frames"),
    [
        (A, [[A], [A], [A]]),
        ([A, B], [[A, B], [A, B], [A, B]]),
        ([[A]], [[A], [A], [A]]),
        ([[A], [B]], [[A], [B], []]),
        ([[], [B], [A], [C]], [[], [B], [A]]),
        ([A, [B]], [[A], [B], []]),
        ([None, [B]], [[], [B], []]),
        ([], [[], [], []]),
        ([[]], [[], [], []]),
        (None, [[], [], []]),
    ],
)
def test_every_form_becomes_one_frame_per_image(bboxes, frames):
    assert boxes.as_frames(bboxes, 3) == frames


def test_frames_do_not_share_lists():
    frames = boxes.as_frames([A], 2)
    frames[0].clear()
    assert frames[1] == [A]


@pytest.mark.parametrize(
    "bad", ["car", 3, [3], [["car"]], [[{"x": 1, "y": 2}]], {"x": "1", "y": 0, "width": 1, "height": 1}]
)
def test_what_is_no_box_is_refused_with_its_value(bad):
    with pytest.raises(ValueError, match="Boxes must be|frame of boxes|A box needs"):
        boxes.as_frames(bad, 1)


MANY = [
    box(50, 0, 40, 40, label="red car", score=0.4),
    box(0, 50, 10, 10, label="door", score=0.9),
    box(20, 20, 20, 20, label="red door", score=0.6),
    box(80, 80, 5, 5, label="Car", score=0.5),
]


def chosen(**choice):
    return [MANY.index(one) for one in boxes.Selection(**choice).apply(MANY, 100, 100)]


@pytest.mark.parametrize(
    ("choice", "indices"),
    [
        ({}, [1, 2, 3, 0]),
        ({"sort": "left to right"}, [1, 2, 0, 3]),
        ({"sort": "top to bottom"}, [0, 2, 1, 3]),
        ({"sort": "large to small"}, [0, 2, 1, 3]),
        ({"sort": "small to large"}, [3, 1, 2, 0]),
        ({"max_boxes": 2}, [1, 2]),
        ({"max_boxes": 2, "sort": "small to large"}, [1, 2]),
        ({"index": 0}, [1]),
        ({"index": 3}, [0]),
        ({"index": 4}, []),
        ({"index": 1, "sort": "left to right"}, [2]),
        ({"index": 1, "max_boxes": 1}, []),
        ({"min_area": 0.04}, [2, 0]),
        ({"max_area": 0.01}, [1, 3]),
        ({"min_area": 0.01, "max_area": 0.04}, [1, 2]),
        ({"labels": "car"}, [3, 0]),
        ({"labels": "red door"}, [2]),
        ({"labels": "door"}, [1, 2]),
        ({"labels": "RED, "}, [2, 0]),
        ({"labels": "cat"}, []),
        ({"labels": " , "}, [1, 2, 3, 0]),
        ({"labels": "door, car", "max_boxes": 3, "sort": "top to bottom", "index": 2}, [3]),
    ],
)
def test_selection(choice, indices):
    assert chosen(**choice) == indices


def test_a_label_filter_takes_whole_words():
    assert boxes.Selection(labels="car").apply([box(label="carpet")], 100, 100) == []


def test_boxes_without_label_or_score_can_be_selected():
    assert boxes.Selection(max_boxes=1).apply([C, B], 100, 100) == [C]


def test_the_area_counts_only_inside_the_image():
    outside = box(-50, 0, 100, 100)
    assert boxes.area_fraction(outside, 100, 100) == 0.5
    assert boxes.Selection(max_area=0.5).apply([outside], 100, 100) == [outside]
    assert boxes.area_fraction(box(200, 0), 100, 100) == 0
    assert boxes.Selection().apply([box(-10, -10, 500, 500)], 100, 100)


@pytest.mark.parametrize("bad", [{"sort": "random"}, {"min_area": 0.5, "max_area": 0.2}])
def test_a_selection_that_makes_no_sense(bad):
    with pytest.raises(ValueError, match=r"sorted by|smallest area"):
        boxes.Selection(**bad)


def test_label_lines_are_one_per_frame():
    assert boxes.label_lines([[A, B], [], [C]]) == "car, dog\n\n"


def test_drawing_marks_the_frame_and_nothing_else():
    images = torch.full((3, 200, 300, 3), 0.5)
    drawn = boxes.draw(images, [[box(100, 100, 50, 60, label="car", score=0.75)], [], []])
    assert drawn.shape == images.shape and drawn.dtype == torch.float32
    changed = (drawn - images).abs().amax(-1) > 0.01
    assert changed[0, 100, 100:150].all() and changed[0, 159, 100:150].all()
    assert not changed[0, 105:150, 110:140].any() and not changed[0, 170:].any()
    assert not changed[1:].any()


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (2, 8, 600, 4), (1, 64, 64, 1), (1, 5, 3, 3)])
def test_any_picture_can_be_drawn_on(shape):
    wild = [A, box(-5, -5, 9999, 9999, label="日本 ñ", score=1), box(5000, 5000), box(0, 0, 0, 0)]
    drawn = boxes.draw(torch.rand(shape), wild)
    assert drawn.shape == (*shape[:3], 3)
    assert drawn.min() >= 0 and drawn.max() <= 1


def test_a_message_is_written_only_where_nothing_is():
    images = torch.zeros(2, 100, 300, 3)
    drawn = boxes.draw(images, [[box(50, 50)], []], "Nothing found: car")
    assert not drawn[0, :20].any() and drawn[1, :20].any()


def test_a_preview_is_small_and_keeps_proportions():
    images = torch.zeros(2, 3000, 1000, 3)
    shown = boxes.preview(images, [[box(0, 1500, 1000, 1500)], []])
    assert shown.shape == (2, 1024, 341, 3)
    rows = shown[0].amax(dim=(1, 2)).nonzero()[:, 0]
    assert 505 <= rows.min() <= 512
    assert boxes.preview(images[:, :100, :200], [[]]).shape == (2, 256, 512, 3)
    assert boxes.preview(images[:, :600, :700], [[]]).shape == (2, 600, 700, 3)
    assert boxes.preview(images[:1, :1, :1], [[]], "Nothing found: car").shape == (1, 512, 512, 3)
