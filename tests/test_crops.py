"""Crop and stitch: what changes, what must not, and what comes back for odd input."""

import itertools

import pytest
import torch
from imageine.nodes.algorithms import crops, masks, pixels

SEEDS = range(24)


def photo(generator, batch=1, height=100, width=120, channels=3):
    return torch.rand(batch, height, width, channels, generator=generator)


def rectangles(generator, batch, height, width, count=2):
    """Masks with ``count`` rectangles each, hard or soft."""
    mask = torch.zeros(batch, height, width)
    for frame in mask:
        for _ in range(count):
            y, x = (int(torch.randint(0, size, (), generator=generator)) for size in (height, width))
            h, w = (int(torch.randint(1, 2 + size // 3, (), generator=generator)) for size in (height, width))
            frame[y : y + h, x : x + w] = 1
    return mask


def random_case(seed):
    """A photo, a mask and options of any kind."""
    generator = torch.Generator().manual_seed(seed)

    def pick(*choices):
        return choices[int(torch.randint(0, len(choices), (), generator=generator))]

    batch, height, width = pick(1, 2, 3), pick(1, 7, 64, 101, 200), pick(1, 9, 80, 133, 257)
    mask = rectangles(generator, pick(1, batch), height, width, pick(1, 2, 5))
    options = {
        "context": pick(1.0, 1.5, 4.0),
        "width": pick(0, 64, 100),
        "height": pick(0, 64, 136),
        "multiple": pick(8, 64),
        "regions": pick("together", "each"),
        "max_regions": pick(1, 3, 8),
        "sample_grow": pick(0, 5, 40),
        "blend": pick(0, 1, 10, 90),
    }
    image = photo(generator, batch, height, width, pick(1, 3, 4))
    return image, masks.feather(mask, pick(0, 9)), options


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_changes_outside_the_blend_mask(seed):
    image, mask, options = random_case(seed)
    before = image.clone()
    info, images, sampled = crops.crop(image, mask, **options)
    result, blend = crops.stitch(info, 1 - images)

    original = pixels.to_rgb(image)
    assert torch.equal(image, before)
    assert result.shape == original.shape and blend.shape == original.shape[:3]
    assert (result - original).abs()[blend == 0].sum() == 0
    assert blend.min() >= 0 and blend.max() <= 1
    assert (blend >= mask - 1 / 512).all(), "the blend mask is nowhere below the user's"
    assert set(sampled.unique().tolist()) <= {0.0, 1.0}
    assert all(side % options["multiple"] == 0 for side in images.shape[1:3])


@pytest.mark.parametrize("seed", SEEDS)
def test_unedited_crops_at_their_own_size_give_the_input_bit_for_bit(seed):
    image, mask, options = random_case(seed)
    info, images, _ = crops.crop(image, mask, **{**options, "width": 0, "height": 0})
    result, _ = crops.stitch(info, images)
    assert torch.equal(result, pixels.to_rgb(image))


def test_a_window_of_the_target_size_is_not_resampled():
    image = photo(torch.Generator().manual_seed(0), 1, 128, 128)
    mask = torch.zeros(1, 128, 128)
    mask[:, 32:96, 32:96] = 1
    info, images, _ = crops.crop(image, mask, context=1.0, width=128, height=128)
    assert torch.equal(images, image)


@pytest.mark.parametrize("pattern", list(itertools.product([False, True], repeat=4)))
@pytest.mark.parametrize("regions", ["together", "each"])
def test_frames_with_nothing_to_repaint_come_back_untouched(pattern, regions):
    generator = torch.Generator().manual_seed(1)
    image, mask = photo(generator, 4), torch.zeros(4, 100, 120)
    for frame, painted in enumerate(pattern):
        mask[frame, 40:60, 30:70] = float(painted)
    info, images, sampled = crops.crop(image, mask, width=64, height=64, regions=regions)
    assert len(images) == len(sampled) == max(1, sum(pattern)), "samplers take no empty batch"
    assert sampled.any() == any(pattern)

    result, blend = crops.stitch(info, 1 - images)
    assert len(result) == len(blend) == 4
    for frame, painted in enumerate(pattern):
        assert torch.equal(result[frame], image[frame]) != painted
        assert blend[frame].any() == painted


def test_an_edit_shows_in_full_where_the_mask_is_one_and_in_part_where_it_is_soft():
    image, mask = torch.zeros(1, 200, 200, 3), torch.zeros(1, 200, 200)
    mask[:, 80:120, 80:120] = 1
    mask[:, 80:120, 120:130] = 0.25
    info, images, _ = crops.crop(image, mask, blend=0)
    result, blend = crops.stitch(info, torch.ones_like(images))
    assert torch.equal(blend, mask)
    assert torch.allclose(result, mask[..., None].expand(-1, -1, -1, 3), atol=1e-6)


def test_the_sampled_mask_and_the_blend_mask_are_independent():
    image, mask, options = random_case(3)
    del options["blend"], options["sample_grow"]
    info, images, sampled = crops.crop(image, mask, blend=0, sample_grow=0, **options)
    other, other_images, other_sampled = crops.crop(image, mask, blend=40, sample_grow=0, **options)
    assert torch.equal(sampled, other_sampled) and torch.equal(images, other_images)
    grown, grown_images, grown_sampled = crops.crop(image, mask, blend=40, sample_grow=24, **options)
    assert torch.equal(images, grown_images)
    assert (grown_sampled >= sampled).all() and grown_sampled.sum() > sampled.sum()
    assert torch.equal(crops.stitch(other, images)[1], crops.stitch(grown, images)[1])
    assert crops.stitch(other, images)[1].sum() > crops.stitch(info, images)[1].sum()


def test_sample_grow_is_in_pixels_of_the_photo():
    mask = torch.zeros(1, 256, 256)
    mask[:, 104:152, 104:152] = 1
    image = torch.zeros(1, 256, 256, 3)
    _, _, sampled = crops.crop(image, mask, context=8, width=0, height=0, sample_grow=16)
    assert torch.equal(sampled[0, 128], torch.nn.functional.pad(torch.ones(80), (88, 88)))


@pytest.mark.parametrize("feather", [0, 21])
def test_at_the_defaults_all_that_shows_was_sampled_and_little_more(feather):
    mask = torch.zeros(1, 256, 256)
    mask[:, 100:160, 90:170] = 1
    soft = masks.feather(mask, feather)
    info, images, sampled = crops.crop(torch.zeros(1, 256, 256, 3), soft, context=8, width=0, height=0)
    _, blend = crops.stitch(info, images)
    assert (sampled >= (blend > 0)).all()
    assert sampled.sum() <= (60 + 2 * 18) * (80 + 2 * 18), "at most 10 pixels and a cell around the mask"


@pytest.mark.parametrize("target", [0, 64, 512])
def test_the_latent_grid_sees_the_sampled_mask_whole(target):
    """Every cell with a masked pixel in it is 1, and core's ways to reduce the mask all agree."""
    mask = torch.zeros(1, 300, 300)
    mask[0, 150, 33:200] = 1 / 100  # one pixel thin, and faint
    mask[0, 140, 210] = 1
    info, images, sampled = crops.crop(torch.zeros(1, 300, 300, 3), mask, 1.5, target, target, sample_grow=0)
    cells = torch.nn.functional.max_pool2d(sampled[None], 8)
    bilinear = torch.nn.functional.interpolate(sampled[None], size=cells.shape[2:], mode="bilinear")
    assert torch.equal(cells, bilinear)
    window = info.regions[0].window
    rows, columns = cells.shape[2:]
    for y, x in mask[0].nonzero().tolist():
        first, left = (y - window.top) * rows // window.height, (x - window.left) * columns // window.width
        last = -(-(y + 1 - window.top) * rows // window.height)
        right = -(-(x + 1 - window.left) * columns // window.width)
        assert cells[0, 0, first:last, left:right].all()


def test_a_soft_mask_is_blended_by_as_it_is():
    mask = torch.zeros(1, 200, 200)
    mask[:, 70:130, 60:140] = 1
    soft = masks.feather(mask, 21)
    info, images, _ = crops.crop(torch.zeros(1, 200, 200, 3), soft)
    assert torch.allclose(crops.stitch(info, images)[1], soft, atol=1 / 512)


def test_a_wide_blend_ends_inside_the_crop():
    """No seam at the crop's edge, whatever the blend."""
    mask = torch.zeros(1, 400, 400)
    mask[:, 150:250, 150:250] = 1
    info, images, _ = crops.crop(torch.zeros(1, 400, 400, 3), mask, context=1.0, blend=300)
    _, blend = crops.stitch(info, images)
    window = info.regions[0].window
    inside = blend[0, window.top : window.bottom, window.left : window.right]
    assert blend.count_nonzero() == inside.count_nonzero()
    assert torch.cat([inside[0], inside[-1], inside[:, 0], inside[:, -1]]).max() < 0.05
    assert blend.diff(dim=1).abs().max() < 0.05


def test_a_mask_at_the_photos_edge_is_blended_on_its_other_sides():
    mask = torch.zeros(1, 200, 200)
    mask[:, :80, :80] = 1
    info, images, _ = crops.crop(torch.zeros(1, 200, 200, 3), mask, blend=10)
    _, blend = crops.stitch(info, images)
    assert blend[0, 0, 75:95].tolist() == pytest.approx(
        [1] * 5 + [0.9 - 0.1 * i for i in range(10)] + [0] * 5, abs=1e-5
    )


def test_the_edit_may_come_back_larger_smaller_or_with_alpha():
    image = torch.full((1, 300, 300, 3), 0.25)
    mask = torch.zeros(1, 300, 300)
    mask[:, 100:180, 100:200] = 1
    info, images, _ = crops.crop(image, mask)
    for size, channels in ((1024, 3), (100, 3), (512, 4)):
        edited = torch.full((1, size, size, channels), 0.75)
        edited[..., 3:] = 1
        result, _ = crops.stitch(info, edited)
        assert torch.allclose(result[mask > 0], torch.tensor(0.75), atol=1e-5)


def test_what_goes_out_comes_back_in_place():
    """Through another size and back, a smooth picture returns to where it was."""
    y, x = torch.meshgrid(torch.linspace(0, 3, 301), torch.linspace(0, 2, 203), indexing="ij")
    image = torch.stack([y.sin() ** 2, x.cos() ** 2, (x * y).sin() ** 2], -1)[None]
    mask = torch.zeros(1, 301, 203)
    mask[:, 20:260, 30:203] = 1
    for size in ((512, 512), (128, 192), (640, 64)):
        info, images, _ = crops.crop(image, mask, width=size[0], height=size[1])
        result, _ = crops.stitch(info, images)
        assert (result - image).abs().max() < 0.02


def test_transparency_is_flattened_on_white():
    image = torch.zeros(1, 80, 80, 4)
    image[:, :, 40:, 3] = 0.5
    mask = torch.zeros(1, 80, 80)
    mask[:, 30:50, 30:50] = 1
    info, images, _ = crops.crop(image, mask, width=0, height=0)
    result, _ = crops.stitch(info, images)
    assert result.shape == (1, 80, 80, 3)
    assert result[0, 0, 0].tolist() == [1, 1, 1] and result[0, 0, 79].tolist() == [0.5, 0.5, 0.5]


def test_half_precision_photos_stay_as_they_are():
    image = photo(torch.Generator().manual_seed(2)).half()
    mask = torch.zeros(1, 100, 120).half()
    mask[:, 40:60, 30:70] = 1
    info, images, _ = crops.crop(image, mask)
    result, blend = crops.stitch(info, 1 - images)
    assert images.dtype == result.dtype == torch.float16
    assert torch.equal(result[blend == 0], image[blend == 0])


@pytest.mark.parametrize("regions, count", [("together", 1), ("each", 2)])
def test_one_photo_may_come_back_in_several_versions(regions, count):
    image = photo(torch.Generator().manual_seed(8), 1, 100, 400)
    mask = torch.zeros(1, 100, 400)
    mask[:, 40:60, 20:40] = mask[:, 40:60, 350:370] = 1
    info, images, _ = crops.crop(image, mask, regions=regions)
    assert len(images) == count
    result, blend = crops.stitch(info, torch.cat([images * 0, images * 0 + 0.5, images * 0 + 1]))
    assert result.shape == (3, 100, 400, 3) and torch.equal(blend[0], blend[2])
    for version, value in enumerate([0, 0.5, 1]):
        assert torch.allclose(result[version][mask[0] == 1], torch.tensor(float(value)))
        assert torch.equal(result[version][blend[0] == 0], image[0][blend[0] == 0])


def test_versions_of_nothing_are_copies():
    image = photo(torch.Generator().manual_seed(9))
    info, images, _ = crops.crop(image, torch.zeros(1, 100, 120))
    assert torch.equal(crops.stitch(info, images.repeat(2, 1, 1, 1))[0], image.repeat(2, 1, 1, 1))


def test_a_wrong_number_of_crops_is_an_error_with_both_numbers():
    mask = torch.zeros(3, 100, 120)
    mask[:, 40:60, 30:70] = 1
    info, images, _ = crops.crop(torch.zeros(3, 100, 120, 3), mask)
    for back in (images[:1], images[:0], torch.cat([images, images])):
        with pytest.raises(ValueError, match=f"3 crops were cut, but {len(back)} came back"):
            crops.stitch(info, back)
