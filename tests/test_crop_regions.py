"""Which regions a mask falls into, where their windows lie, and how edges are eased."""

import random

import numpy as np
import pytest
import torch
from imageine.nodes.algorithms import crop_masks, crops, windows
from imageine.nodes.algorithms.windows import Box
from scipy import ndimage


@pytest.mark.parametrize("seed", range(200))
def test_windows_keep_proportions_cover_the_region_and_stay_in_the_photo(seed):
    draw = random.Random(seed)
    photo = Box(0, 0, draw.choice([1, 8, 333, 1024, 4000]), draw.choice([1, 8, 200, 1500, 6000]))
    left, top = draw.randrange(photo.width), draw.randrange(photo.height)
    box = Box(left, top, draw.randint(left + 1, photo.width), draw.randint(top + 1, photo.height))
    context = draw.choice([1.0, 1.5, 3.0])
    size = (draw.choice([64, 512, 1024]), draw.choice([64, 512, 768]))
    window = windows.window_for(box, context, photo, size, keep_scale=False)

    exact = window.width * size[1] / size[0]
    assert abs(window.height - exact) <= max(1, size[1] / size[0]) + 1e-9, "nothing is squeezed"
    across, down = size
    wanted, least = (windows.context_box(box, factor, photo) for factor in (context, 1.0))
    fits = wanted.width * down <= photo.height * across and wanted.height * across <= photo.width * down
    covered = wanted if fits else least
    assert window.intersection(covered) == covered
    for first, last, length in (
        (window.left, window.right, photo.width),
        (window.top, window.bottom, photo.height),
    ):
        assert (first >= 0 and last <= length) or (first <= 0 and last >= length)
    padded = window.width > photo.width or window.height > photo.height
    if padded:  # then not even the least context would have fitted
        assert least.width * down > photo.height * across or least.height * across > photo.width * down


def test_context_gives_way_before_anything_is_padded():
    photo, box = Box(0, 0, 2000, 1000), Box(600, 100, 1400, 900)
    assert windows.context_box(box, 1.5, photo) == Box(400, 0, 1600, 1000)
    assert windows.window_for(box, 1.5, photo, (512, 512), keep_scale=False) == Box(500, 0, 1500, 1000)


def test_a_region_at_the_photos_edge_gets_its_context_from_the_other_side():
    window = windows.window_for(Box(0, 0, 100, 100), 2.0, Box(0, 0, 1000, 1000), (512, 512), keep_scale=False)
    assert window == Box(0, 0, 150, 150)


def test_a_photo_too_small_for_its_window_lies_around_the_middle_of_it():
    window = windows.window_for(Box(0, 0, 8, 6000), 1.5, Box(0, 0, 8, 6000), (512, 512), keep_scale=False)
    assert window == Box(-2996, 0, 3004, 6000)


@pytest.mark.parametrize(
    "width, height, multiple, expected",
    [
        (512, 512, 8, (512, 512)),
        (500, 300, 64, (512, 320)),
        (0, 0, 8, (304, 200)),
        (0, 0, 64, (320, 256)),
        (512, 0, 8, (512, 512)),
        (0, 100, 8, (160, 104)),
    ],
)
def test_crop_sizes(width, height, multiple, expected):
    contexts = [Box(0, 0, 300, 200), Box(0, 0, 150, 150)]
    assert windows.crop_size(contexts, width, height, multiple) == expected


def reference_regions(mask, context):
    """By the book: label what is connected, then join what has overlapping context boxes."""
    photo = Box(0, 0, mask.shape[1], mask.shape[0])
    labelled, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    boxes = [Box(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labelled)]
    return windows.join_overlapping(boxes, context, photo)


@pytest.mark.parametrize("seed", range(30))
def test_regions_are_those_of_labelled_components(seed):
    generator = np.random.default_rng(seed)
    mask = np.zeros(generator.integers(50, 700, 2), dtype=bool)
    for _ in range(generator.integers(1, 12)):
        y, x = generator.integers(0, mask.shape)
        h, w = generator.integers(1, 60, 2)
        mask[y : y + h, x : x + w] = generator.random(mask[y : y + h, x : x + w].shape) > 0.6
    photo = Box(0, 0, mask.shape[1], mask.shape[0])
    found = crop_masks.find_boxes(torch.from_numpy(mask).float(), 1.5, photo, each_limit=1000)
    assert found == reference_regions(mask, 1.5)


def two_squares(gap):
    mask = torch.zeros(1, 400, 800)
    mask[:, 150:250, 100:200] = 1
    mask[:, 150:250, 200 + gap : 300 + gap] = 1
    return mask


@pytest.mark.parametrize("gap, count", [(300, 2), (66, 2), (64, 2), (63, 1), (1, 1)])
def test_regions_far_apart_get_a_crop_each_and_one_photo_comes_back(gap, count):
    image, mask = torch.zeros(1, 400, 800, 3), two_squares(gap)
    info, images, sampled = crops.crop(image, mask, context=1.0, regions="each")
    assert len(images) == len(sampled) == count
    colours = torch.linspace(0.5, 1, count).view(-1, 1, 1, 1).expand_as(images)
    result, blend = crops.stitch(info, colours)
    assert len(result) == 1 and result[blend == 0].sum() == 0
    assert torch.allclose(result[0, 200, 150], colours[0, 0, 0])
    assert torch.allclose(result[0, 200, 250 + gap], colours[-1, 0, 0])


def test_a_crop_does_not_sample_its_neighbour():
    """Windows of different regions may overlap once widened; each still repaints its own alone."""
    mask = torch.zeros(1, 600, 600)
    mask[:, 50:550, 100:120] = 1
    mask[:, 50:550, 300:320] = 1
    info, images, sampled = crops.crop(torch.zeros(1, 600, 600, 3), mask, regions="each", width=256, height=256)
    first, second = (region.window for region in info.regions)
    assert first.overlaps(second)
    assert sampled[0].any(0).sum() < 256 / 4 and sampled[1].any(0).sum() < 256 / 4
    result, _ = crops.stitch(info, torch.stack([images[0] + 0.25, images[1] + 0.75]))
    assert torch.allclose(result[0, 300, 110], torch.tensor(0.25))
    assert torch.allclose(result[0, 300, 310], torch.tensor(0.75))


def test_overlapping_regions_share_a_crop():
    mask = torch.zeros(1, 300, 300)
    mask[:, 50:150, 50:150] = 1
    mask[:, 100:200, 100:200] = 1
    info, images, _ = crops.crop(torch.zeros(1, 300, 300, 3), mask, regions="each")
    assert [region.box for region in info.regions] == [Box(50, 50, 200, 200)]
    assert torch.equal(crops.stitch(info, images + 1)[1] > 0.999, mask > 0)


def test_small_regions_beyond_the_limit_join_the_nearest():
    photo = Box(0, 0, 4000, 4000)
    large = [Box(0, 0, 500, 500), Box(3000, 3000, 3500, 3500)]
    small = [Box(700, 0, 710, 10), Box(3000, 2500, 3020, 2520)]
    limited = windows.limit_count(large + small, 2, 1.0, photo)
    assert limited == [Box(0, 0, 710, 500), Box(3000, 2500, 3500, 3500)]


def test_specks_all_over_stay_few_crops():
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand(1, 1500, 1500, generator=generator) > 0.99999).float()
    info, images, _ = crops.crop(torch.zeros(1, 1500, 1500, 3), mask, regions="each", context=1.0, width=64, height=64)
    assert 1 <= len(images) <= 8
    _, blend = crops.stitch(info, images)
    assert (blend[mask > 0] == 1).all(), "no speck is lost"


@pytest.mark.parametrize("reach", [1, 2, 5, 13])
def test_easing_is_the_least_ramp_above_the_mask(reach):
    generator = torch.Generator().manual_seed(reach)
    mask = torch.rand(17, 23, generator=generator) * (torch.rand(17, 23, generator=generator) > 0.97)
    y, x = torch.meshgrid(torch.arange(17), torch.arange(23), indexing="ij")
    dy, dx = (y.flatten()[:, None] - y.flatten()).abs(), (x.flatten()[:, None] - x.flatten()).abs()
    distance = (dx - dy).abs() + 2**0.5 * torch.minimum(dx, dy)
    expected = (mask.flatten() - distance / reach).amax(1).clamp(min=0).view(17, 23)
    assert torch.allclose(crop_masks.ease(mask, reach), expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_a_cell_is_touched_by_any_pixel_that_reaches_into_it(seed):
    generator = np.random.default_rng(seed)
    window = Box(-5, 7, -5 + generator.integers(20, 90), 7 + generator.integers(20, 90))
    area = Box(0, 10, window.right - 4, window.bottom - 2)
    columns, rows = generator.integers(1, 12, 2)
    hit = generator.random((area.height, area.width)) > 0.997
    expected = np.zeros((rows, columns))
    for y, x in zip(*hit.nonzero(), strict=True):
        y, x = y + area.top - window.top, x + area.left - window.left
        for row, column in np.ndindex(rows, columns):
            beside_y = y * rows < (row + 1) * window.height and row * window.height < (y + 1) * rows
            beside_x = x * columns < (column + 1) * window.width and column * window.width < (x + 1) * columns
            expected[row, column] += beside_y and beside_x
    size = (int(columns) * 8, int(rows) * 8)
    touched = crop_masks.touched_cells(torch.from_numpy(hit), area, window, size).numpy()
    assert np.array_equal(touched, np.kron(expected > 0, np.ones((8, 8))))


def test_easing_by_nothing_changes_nothing():
    mask = torch.rand(9, 9)
    assert torch.equal(crop_masks.ease(mask, 0), mask)
