"""Crop and stitch on photos and masks of unusual shape, size and content."""

import pytest
import torch
from imageine.nodes.algorithms import crops


def photo(seed, batch=1, height=100, width=120):
    return torch.rand(batch, height, width, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("height, width", [(1, 1), (6000, 8), (8, 6000), (3, 500)])
@pytest.mark.parametrize("target", [0, 512])
def test_extreme_shapes(height, width, target):
    image = photo(4, 1, height, width)
    mask = torch.ones(1, height, width)
    info, images, sampled = crops.crop(image, mask, width=target, height=target)
    assert images.shape[1] * images.shape[2] <= max(512 * 512, 8 * 6000)
    result, blend = crops.stitch(info, torch.zeros_like(images))
    assert result.shape == image.shape and blend.min() == 1 and result.max() < 1e-6


def test_a_side_worked_out_from_an_extreme_aspect_ratio_is_limited():
    info, images, _ = crops.crop(torch.zeros(1, 6000, 8, 3), torch.ones(1, 6000, 8), width=64, height=0)
    assert images.shape[1:3] == (16384, 64)
    assert crops.stitch(info, images + 1)[0].min() > 0.999


def test_a_large_photo_is_kept_by_reference():
    image = torch.zeros(1, 4000, 5000, 3)
    mask = torch.zeros(1, 4000, 5000)
    mask[:, 1000:1100, 1000:1100] = 1
    info, images, _ = crops.crop(image, mask)
    assert info.image is image and images.shape == (1, 512, 512, 3)
    empty, _, _ = crops.crop(image, mask * 0)
    assert crops.stitch(empty, images)[0].data_ptr() == image.data_ptr()


def test_a_mask_of_another_size_is_resized():
    mask = torch.zeros(1, 50, 60)
    mask[:, 20:30, 15:35] = 1
    info, images, _ = crops.crop(torch.zeros(2, 100, 120, 3), mask)
    _, blend = crops.stitch(info, images)
    assert [region.frame for region in info.regions] == [0, 1]
    assert blend[:, 40:60, 32:68].min() > 0.7 and blend[:, :20].max() == 0


def test_core_load_image_without_alpha_means_an_empty_mask():
    image = photo(5)
    info, images, sampled = crops.crop(image, torch.zeros(1, 64, 64))
    assert not sampled.any() and torch.equal(crops.stitch(info, images)[0], image)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), -5.0])
def test_broken_mask_values_count_as_zero(bad):
    image = photo(6)
    mask = torch.full((1, 100, 120), bad)
    mask[:, 40:60, 30:70] = 1
    info, images, _ = crops.crop(image, mask, blend=0)
    _, blend = crops.stitch(info, images)
    assert blend.sum() == 20 * 40


def test_a_broken_edit_stays_inside_the_mask():
    image = photo(7)
    mask = torch.zeros(1, 100, 120)
    mask[:, 40:60, 30:70] = 1
    info, images, _ = crops.crop(image, mask)
    result, blend = crops.stitch(info, torch.full_like(images, torch.nan))
    assert torch.equal(result[blend == 0], image[blend == 0])


@pytest.mark.parametrize(
    "image, mask, options, message",
    [
        ((4, 9, 9, 3), (3, 9, 9), {}, "3 masks for 4 images"),
        ((1, 9, 9, 3), (2, 9, 9), {}, "2 masks for 1 images"),
        ((9, 9, 3), (1, 9, 9), {}, r"\[9, 9, 3\]"),
        ((1, 9, 9, 7), (1, 9, 9), {}, "7"),
        ((1, 9, 9, 3), (1, 9, 9, 3), {}, r"\[1, 9, 9, 3\]"),
        ((1, 9, 9, 3), (1, 9, 9), {"multiple": 12}, "multiple is 12"),
        ((1, 9, 9, 3), (1, 9, 9), {"context": 0.5}, "context is 0.5"),
        ((1, 9, 9, 3), (1, 9, 9), {"context": float("nan")}, "context is nan"),
        ((1, 9, 9, 3), (1, 9, 9), {"width": -8}, "width is -8"),
        ((1, 9, 9, 3), (1, 9, 9), {"regions": "all"}, "regions is 'all'"),
    ],
)
def test_unusable_input_is_an_error_with_the_value_seen(image, mask, options, message):
    with pytest.raises(ValueError, match=message):
        crops.crop(torch.zeros(image), torch.ones(mask), **options)
