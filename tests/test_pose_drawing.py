"""Skeletons: COCO to OpenPose, and pictures of any keypoints."""

import numpy as np
import pytest
import torch
from imageine.nodes.algorithms import pose_drawing as drawing
from support.seeded_pose_depth import PERSON

WIDTH, HEIGHT = 384, 512
NAMES = [
    *("nose", "neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist"),
    *("r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "r_eye", "l_eye", "r_ear", "l_ear"),
]
BLACK = (0, 0, 0)


def standing(scores=1.0):
    points = np.array(PERSON) * [WIDTH, HEIGHT]
    return drawing.openpose_person(points, np.broadcast_to(np.float32(scores), (17,)))


def joints(person):
    rows = np.array(person[drawing.BODY]).reshape(18, 3)
    return dict(zip(NAMES, rows, strict=True))


def colour(picture, x, y):
    return tuple(picture[round(y), round(x)].mul(255).round().int().tolist())


def shade(index):
    return tuple(int(0.6 * level) for level in drawing.COLOURS[index])


def with_joints(**places):
    """A person with these joints alone."""
    body = [value for name in NAMES for value in (*places.get(name, (0, 0)), float(name in places))]
    return {drawing.BODY: body}


def draw(*people, width=WIDTH, height=HEIGHT, **style):
    return drawing.draw([drawing.frame(list(people), width, height)], drawing.Style(**style))[0]


def test_coco_to_openpose():
    found = joints(standing())
    for name, index in {"nose": 0, "r_shoulder": 6, "l_wrist": 9, "r_ankle": 16, "l_eye": 1, "r_ear": 4}.items():
        assert found[name][:2] == pytest.approx(np.array(PERSON[index]) * [WIDTH, HEIGHT])
    assert found["neck"][:2] == pytest.approx((found["r_shoulder"] + found["l_shoulder"])[:2] / 2)
    # The person looks at us: their right is on our left.
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear"):
        assert found[f"r_{part}"][0] < found[f"l_{part}"][0]


def test_the_neck_is_as_sure_as_the_less_sure_shoulder():
    scores = np.linspace(0.1, 0.9, 17, dtype=np.float32)
    assert joints(standing(scores))["neck"][2] == pytest.approx(scores[5])
    scores[6] = 0
    assert joints(standing(scores))["neck"].tolist() == [0, 0, 0]


def test_the_keypoints_have_cores_form():
    one = drawing.frame([standing()], WIDTH, HEIGHT)
    assert (one["canvas_width"], one["canvas_height"]) == (WIDTH, HEIGHT)
    (person,) = one["people"]
    assert {name: len(values) // 3 for name, values in person.items()} == drawing.LENGTHS
    assert all(type(value) is float for values in person.values() for value in values)
    eyes = np.array(person[drawing.FACE]).reshape(70, 3)[68:]
    assert eyes.tolist() == [joints(person)["r_eye"].tolist(), joints(person)["l_eye"].tolist()]


@pytest.mark.parametrize(("limb", "ends"), list(enumerate(drawing.LIMBS)))
def test_every_limb_has_its_colour(limb, ends):
    names = [NAMES[end] for end in ends]
    picture = draw(with_joints(**{names[0]: (100, 100), names[1]: (300, 200)}))
    assert colour(picture, 200, 150) == shade(limb)
    assert colour(picture, 100, 100) == drawing.COLOURS[ends[0]]
    assert colour(picture, 300, 200) == drawing.COLOURS[ends[1]]
    assert colour(picture, 200, 120) == BLACK


def test_there_are_the_limbs_of_openpose():
    pairs = {frozenset((NAMES[start], NAMES[end])) for start, end in drawing.LIMBS}
    arms_and_legs = [("neck", "shoulder"), ("shoulder", "elbow"), ("elbow", "wrist"), ("neck", "hip")]
    arms_and_legs += [("hip", "knee"), ("knee", "ankle"), ("nose", "eye"), ("eye", "ear")]
    expected = {frozenset(("neck", "nose"))}
    for side in ("r_", "l_"):
        for pair in arms_and_legs:
            expected.add(frozenset(name if name in ("neck", "nose") else side + name for name in pair))
    assert pairs == expected and len(drawing.LIMBS) == 17 and len(set(drawing.COLOURS)) == 18


def test_a_standing_person():
    picture = draw(standing())
    found = joints(standing())
    assert picture.shape == (HEIGHT, WIDTH, 3) and picture.dtype == torch.float32
    for index, name in enumerate(NAMES):
        assert colour(picture, *found[name][:2]) == drawing.COLOURS[index], name
    filled = (picture.amax(-1) > 0).float().mean()
    assert 0.02 < filled < 0.15


@pytest.mark.parametrize("scale", [0.5, 1, 2, 4])
def test_lines_grow_with_the_picture(scale):
    size = int(512 * scale)
    picture = draw(
        with_joints(neck=(size * 0.2, size * 0.5), r_shoulder=(size * 0.8, size * 0.5)), width=size, height=size
    )
    thickness = int((picture[:, size // 2].amax(-1) > 0).sum())
    assert abs(thickness - 8 * scale) <= 2
    assert draw(standing(), width=8, height=6000).shape == (6000, 8, 3)


def test_line_width_multiplies():
    frame = drawing.frame([standing()], WIDTH, HEIGHT)
    styles = (drawing.Style(), drawing.Style(width=2.0))
    narrow, wide = (int((drawing.draw(frame, style).amax(-1) > 0).sum()) for style in styles)
    assert 1.6 < wide / narrow < 2.4


def test_joints_below_the_threshold_are_left_out_with_their_limbs():
    scores = np.ones(17, dtype=np.float32)
    scores[[9, 10]] = 0.2
    found, picture = joints(standing()), draw(standing(scores))
    assert colour(picture, *found["l_wrist"][:2]) == BLACK
    middle = (found["r_elbow"] + found["r_wrist"]) / 2
    assert colour(picture, *middle[:2]) == BLACK
    assert colour(draw(standing(scores), threshold=0.1), *middle[:2]) == shade(drawing.LIMBS.index((3, 4)))
    assert not draw(standing(0.0), threshold=0.0).any()
    assert not drawing.is_visible(standing(0.2), 0.3) and drawing.is_visible(standing(scores), 0.3)
    assert not drawing.is_visible(standing(0.0), 0.0)


def test_a_person_partly_out_of_the_frame():
    points = np.array(PERSON) * [WIDTH, HEIGHT] + [WIDTH * 0.5, HEIGHT * 0.3]
    person = drawing.openpose_person(points, np.ones(17, dtype=np.float32))
    picture = draw(person)
    found = joints(person)
    assert found["l_wrist"][0] > WIDTH and found["r_ankle"][1] > HEIGHT
    assert colour(picture, *found["r_shoulder"][:2]) == drawing.COLOURS[2]
    assert picture[:, -1].any() and picture[-1].any()  # the limbs go on to the edge


@pytest.mark.parametrize("place", [float("nan"), float("inf"), 1e12, -1e30])
def test_impossible_places_are_not_drawn(place):
    body = with_joints(neck=(100, 100), r_shoulder=(place, 50))
    assert torch.equal(draw(body), draw(with_joints(neck=(100, 100))))


def test_people_and_frames():
    left = with_joints(neck=(50, 50), nose=(50, 20))
    right = with_joints(neck=(300, 300), nose=(300, 200))
    frames = [drawing.frame(people, WIDTH, HEIGHT) for people in ([left, right], [], [right])]
    pictures = drawing.draw(frames)
    assert pictures.shape == (3, HEIGHT, WIDTH, 3)
    assert pictures.flatten(1).any(1).tolist() == [True, False, True]
    assert torch.equal(pictures[0], torch.maximum(draw(left), draw(right)))
    assert torch.equal(drawing.draw(frames[2])[0], pictures[2])  # a frame alone


def test_no_frame_gives_a_small_black_picture():
    assert drawing.draw([]).shape == (1, 64, 64, 3)


def test_shares_of_the_canvas_are_understood():
    pixels = standing()
    shares = dict(pixels)
    shares[drawing.BODY] = (np.array(pixels[drawing.BODY]).reshape(-1, 3) / [WIDTH, HEIGHT, 1]).ravel().tolist()
    for name in (drawing.FACE, *drawing.HANDS, drawing.FEET):
        shares[name] = None
    assert torch.equal(draw(shares), draw(pixels, face=False))


def test_hands_and_face():
    hand = np.stack([np.linspace(100, 180, 21), np.full(21, 300), np.ones(21)], 1)
    face = np.stack([np.linspace(100, 200, 70), np.full(70, 100), np.ones(70)], 1)
    person = with_joints() | {drawing.HANDS[0]: hand.ravel().tolist(), drawing.FACE: face.ravel().tolist()}
    picture = draw(person)
    assert colour(picture, 100, 300) == (0, 0, 255) and colour(picture, 100, 100) == (255, 255, 255)
    assert not draw(person, hands=False)[300].any() and not draw(person, face=False)[100].any()
    sixty_eight = person | {drawing.FACE: face[:68].ravel().tolist()}
    assert torch.equal(draw(sixty_eight), picture)


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        ("pose", "must be a list of frames"),
        ([[]], "must be a list of frames"),
        ([{}], "needs canvas_width and canvas_height"),
        ([{"canvas_width": 0, "canvas_height": 5, "people": []}], "needs canvas_width and canvas_height"),
        ([drawing.frame([], 8, 8), drawing.frame([], 8, 9)], "one size"),
        ([drawing.frame([{drawing.BODY: [0.0] * 75}], 8, 8)], "18 points; got 75 numbers"),
        ([drawing.frame([{}], 8, 8)], "18 points; got 0 numbers"),
        ([drawing.frame([with_joints() | {drawing.HANDS[1]: [1.0]}], 8, 8)], "21 points; got 1 numbers"),
    ],
)
def test_what_is_not_keypoints_is_refused(keypoints, message):
    with pytest.raises(ValueError, match=message):
        drawing.draw(keypoints)
