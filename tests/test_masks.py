"""Mask algorithms against scipy's exact ones, and the promises of their docstrings."""

import math

import pytest
import torch
from imageine.nodes.algorithms import mask_components, masks

SHAPES = [(1, 1), (1, 9), (9, 1), (13, 17), (40, 33), (8, 600)]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def ndimage():
    return pytest.importorskip("scipy.ndimage")


def noise(shape, density=0.5, batch=2, seed=0) -> torch.Tensor:
    """Random bool masks; around a density of one half they are full of holes, islands and touching corners."""
    return torch.rand(batch, *shape, generator=torch.Generator().manual_seed(seed)) < density


def rectangle(height, width, top, left, bottom, right) -> torch.Tensor:
    mask = torch.zeros(1, height, width)
    mask[:, top:bottom, left:right] = 1
    return mask


# ---- holes and islands


@pytest.mark.parametrize("density", [0.1, 0.4, 0.6, 0.9])
@pytest.mark.parametrize("shape", SHAPES)
def test_holes_are_those_of_scipy(ndimage, shape, density):
    mask = noise(shape, density)
    expected = [torch.from_numpy(ndimage.binary_fill_holes(one.numpy())) for one in mask]
    assert torch.equal(mask_components.fill_holes(mask), torch.stack(expected))


@pytest.mark.parametrize("min_area", [2, 5, 20])
@pytest.mark.parametrize("density", [0.1, 0.4, 0.6, 0.9])
@pytest.mark.parametrize("shape", SHAPES)
def test_islands_are_those_of_scipy(ndimage, shape, density, min_area):
    mask = noise(shape, density)
    expected = []
    for one in mask:
        labels, count = ndimage.label(one.numpy(), structure=[[1] * 3] * 3)
        areas = torch.from_numpy(labels).flatten().bincount(minlength=count + 1)[1:]
        kept = (areas >= min_area) | (areas == areas.max()) if count else areas.bool()
        expected.append(torch.cat([torch.tensor([False]), kept])[torch.from_numpy(labels).long()])
    assert torch.equal(mask_components.drop_islands(mask, min_area), torch.stack(expected))


def test_a_long_winding_region_is_one():
    mask = torch.zeros(1, 801, 41, dtype=torch.bool)
    mask[:, ::2] = True  # lines, joined at alternating ends: the worst case for labels that travel step by step
    mask[:, 1::4, -1] = mask[:, 3::4, 0] = True
    assert torch.equal(mask_components.drop_islands(mask, int(mask.sum())), mask)
    mask[:, 401, -1] = mask[:, 401, 0] = False  # cut in two
    assert not mask_components.drop_islands(mask, int(mask.sum()) / 2 + 1)[:, 402:].any()


def test_a_diagonal_line_holds_its_hole():
    mask = torch.tensor([[0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [1, 0, 0, 0, 1], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0]])[None]
    filled = mask_components.fill_holes(mask.bool())
    assert int(filled.sum()) == 13 and not filled[0, 0, 0]


# ---- grow and shrink


def footprint(px, shape):
    axis = torch.arange(-px, px + 1)
    inside = axis[:, None] ** 2 + axis[None] ** 2 <= px * px
    return (inside if shape == "round" else torch.ones_like(inside)).numpy()


@pytest.mark.parametrize("px", [1, 2, 3, 5, 30])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("element", ["round", "square"])
@pytest.mark.parametrize("grey", [False, True])
def test_grow_and_shrink_are_those_of_scipy(ndimage, px, shape, element, grey):
    mask = torch.rand(2, *shape) if grey else noise(shape).float()
    grown, shrunk = masks.grow(mask, px, element), masks.grow(mask, -px, element)
    around = {"footprint": footprint(px, element), "mode": "constant"}
    for one, wide, narrow in zip(mask.numpy(), grown, shrunk, strict=True):
        assert torch.equal(wide, torch.from_numpy(ndimage.grey_dilation(one, cval=-1, **around)))
        torch.testing.assert_close(narrow, torch.from_numpy(ndimage.grey_erosion(one, cval=2, **around)))


def test_the_border_is_not_an_edge():
    assert torch.equal(masks.grow(torch.ones(1, 9, 9), -3), torch.ones(1, 9, 9))
    left_half = rectangle(20, 20, 0, 0, 20, 10)
    assert torch.equal(masks.grow(left_half, -4), rectangle(20, 20, 0, 0, 20, 6))


def test_grow_far_beyond_the_image():
    mask = torch.zeros(1, 8, 60)
    mask[0, 3, 3] = 1
    assert bool(masks.grow(mask, 10_000).all()) and not bool(masks.grow(mask, -10_000).any())


def test_grow_refuses_another_shape():
    with pytest.raises(ValueError, match="'round' or 'square', not 'star'"):
        masks.grow(torch.ones(1, 2, 2), 1, "star")


# ---- feather


@pytest.mark.parametrize("radius", [*range(12), 21, 40, 99])
def test_feather_is_exactly_as_wide_as_asked(radius):
    half = 150
    mask = rectangle(7, 2 * half, 0, 0, 7, half)  # an edge down the middle, between two pixels
    row = masks.feather(mask, radius)[0, 3]
    centres = torch.arange(2 * half) + 0.5 - half
    assert bool((row[centres <= -radius / 2] == 1).all()) and bool((row[centres >= radius / 2] == 0).all())
    ramp = row[centres.abs() < radius / 2]
    assert bool(((ramp > 0) & (ramp < 1)).all()) and len(ramp) == 2 * (radius // 2)
    assert bool((row[1:] <= row[:-1]).all()), "the ramp turns back"
    torch.testing.assert_close(row + row.flip(0), torch.ones_like(row))  # centred: as much inside as outside


@pytest.mark.parametrize("radius", [1, 2, 21, 64, 5000])
@pytest.mark.parametrize("shape", [*SHAPES, (8, 6000)])
def test_feather_keeps_black_black_and_white_white(shape, radius):
    assert torch.equal(masks.feather(torch.zeros(1, *shape), radius), torch.zeros(1, *shape))
    assert torch.equal(masks.feather(torch.ones(1, *shape), radius), torch.ones(1, *shape))


@pytest.mark.parametrize("radius", [2, 7, 21, 300])
def test_feather_stays_within_range_and_reach(radius):
    mask = noise((70, 90), 0.3).float()
    mask[:, 40:] = 0
    soft = masks.feather(mask, radius)
    assert float(soft.min()) >= 0 and float(soft.max()) <= 1
    assert torch.equal(soft[:, 40 + math.ceil(radius / 2) :], torch.zeros_like(soft[:, 40 + math.ceil(radius / 2) :]))


def test_feather_is_the_same_for_an_object_and_for_the_whole_picture():
    mask = rectangle(300, 400, 100, 150, 140, 170)
    far = mask.clone()
    far[0, 0, 0] = far[0, -1, -1] = 1  # now the whole picture is looked at, not the object's surroundings
    assert torch.equal(masks.feather(mask, 21)[:, 50:200, 50:300], masks.feather(far, 21)[:, 50:200, 50:300])


def test_feather_works_on_greys_and_is_linear():
    grey = torch.rand(1, 30, 40)
    torch.testing.assert_close(masks.feather(grey * 0.5, 9), masks.feather(grey, 9) * 0.5)


def test_feather_refuses_a_negative_radius():
    with pytest.raises(ValueError, match="-3 px"):
        masks.feather(torch.ones(1, 4, 4), -3)


# ---- refine and shapes


def test_threshold_makes_greys_black_or_white():
    grey = torch.tensor([[0.0, 0.2, 0.5, 0.51, 1.0]])
    plain = {"fill_holes": False, "feather": 0}
    assert masks.refine(grey, 0.5, **plain).tolist() == [[[0, 0, 0, 1, 1]]]
    assert masks.refine(grey, 0.0, **plain).tolist() == [[[0, 1, 1, 1, 1]]]
    assert masks.refine(grey, 1.0, **plain).tolist() == [[[0, 0, 0, 0, 1]]]


def test_refine_does_every_step_in_order():
    mask = rectangle(60, 60, 10, 10, 40, 40)
    mask[0, 20:25, 20:25] = 0  # a hole
    mask[0, 55, 55] = 1  # a speck
    clean = masks.refine(mask, min_island=2 / 3600, grow=3, feather=0)
    assert torch.equal(clean, masks.grow(rectangle(60, 60, 10, 10, 40, 40), 3))
    assert torch.equal(masks.refine(mask, min_island=2 / 3600, grow=3, feather=9), masks.feather(clean, 9))


def test_the_only_island_stays_however_small():
    mask = torch.zeros(1, 50, 50)
    mask[0, 7, 7] = 1
    assert torch.equal(masks.refine(mask, min_island=0.5, feather=0), mask)


def test_every_mask_of_a_batch_is_refined_on_its_own():
    batch = noise((40, 50), 0.45, batch=5).float()
    batch[2] = 0
    batch[3] = 1
    together = masks.refine(batch, min_island=0.01, grow=2, feather=7)
    apart = [masks.refine(one, min_island=0.01, grow=2, feather=7) for one in batch]
    assert torch.equal(together, torch.cat(apart))
    assert not together[2].any() and bool((together[3] == 1).all())


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1), (8, 6000), (3, 1, 5), (2, 1, 6, 7)])
def test_any_shape_of_mask(shape):
    refined = masks.refine(torch.ones(shape), grow=2)
    assert refined.shape == (shape if len(shape) == 3 else (*(shape[:1] if len(shape) == 4 else (1,)), *shape[-2:]))
    assert refined.dtype == torch.float32 and bool((refined == 1).all())


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4, 5), (0, 4, 4), (1, 0, 4)])
def test_what_is_no_mask_is_refused(shape):
    with pytest.raises(ValueError, match="shape"):
        masks.refine(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float16, torch.float64])
def test_any_number_type(dtype):
    mask = rectangle(20, 20, 5, 5, 15, 15)
    assert torch.equal(masks.refine(mask.to(dtype)), masks.refine(mask))


def test_numbers_out_of_range_and_nan():
    mask = torch.tensor([[float("nan"), float("inf"), -float("inf"), -3.0, 7.0]])
    assert masks.as_batch(mask).tolist() == [[[0, 1, 0, 0, 1]]]
    assert not bool(masks.refine(torch.full((1, 9, 9), float("nan"))).any())


def test_nothing_is_changed_in_place():
    mask = torch.rand(2, 30, 30)
    before = mask.clone()
    for change in (masks.refine, lambda one: masks.grow(one, 3), lambda one: masks.feather(one, 5)):
        result = change(mask)
        result.fill_(-1)
        assert torch.equal(mask, before)
    for nothing in (masks.grow(mask, 0), masks.feather(mask, 0)):
        nothing.fill_(-1)
        assert torch.equal(mask, before)


def test_fit_keeps_thin_strokes_and_stays_in_range():
    mask = torch.zeros(1, 600, 800)
    mask[0, 300] = 1
    small = masks.fit(mask, 60, 80)
    assert small.shape == (1, 60, 80) and bool((small[0, 30] == 1).all()) and float(small.sum()) == 80
    large = masks.fit(mask, 601, 6000)
    assert large.shape == (1, 601, 6000) and 0 <= float(large.min()) <= float(large.max()) <= 1
    assert torch.equal(masks.fit(mask, 600, 800), mask)


def test_overlay_is_red_where_the_mask_is():
    shown = masks.overlay(torch.zeros(2, 40, 60, 4), rectangle(40, 60, 0, 0, 40, 30).expand(2, -1, -1), 20, 30)
    assert shown.shape == (2, 20, 30, 3)
    assert float(shown[0, 10, 5, 0]) > 0.4 and float(shown[0, 10, 5, 1]) > 0.4  # red over transparent black: white
    assert torch.equal(shown[0, :, 20:], torch.ones(20, 10, 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_agrees_and_keeps_the_mask():
    mask = noise((200, 300), 0.45, batch=3).float()
    refined = masks.refine(mask.cuda(), min_island=0.001, grow=4)
    assert refined.is_cuda
    assert torch.equal(refined.cpu(), masks.refine(mask, min_island=0.001, grow=4))
