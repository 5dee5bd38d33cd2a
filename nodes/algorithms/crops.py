"""Cut the masked parts out of photos, and put the edited parts back.

``crop`` and ``stitch`` are inverse: outside the blend mask a stitched photo has the very bits of the input, and
where a crop was neither resized nor edited it has them inside, too. Two masks are made from the user's one:

- The *sampled mask* goes with the crop: what the sampler repaints. It is 1 wherever the user's mask is above 0,
  soft edge included, and at least ``sample_grow`` pixels around what is fully masked. It comes in whole cells of
  8 × 8 crop pixels, one latent pixel each: InpaintModelConditioning greys out masked pixels but samples by the
  centre of each cell, so that a mask crossing cells would leave some half grey and unsampled, and a thin one
  would be missed altogether.
- The *blend mask* stays with the photo: how much of the edit shows. It is the user's mask, with edges steeper
  than a ramp of ``blend`` pixels eased outwards to such a ramp (``crop_masks.ease``). It is nowhere below the
  user's mask, so nothing of the old object shines through along a hard edge.

Neither depends on the option of the other, and the windows on neither option. At their defaults all that shows of
an edit was sampled: the seam between sampled and kept latents, where colours may jump, lies where the blend mask
ends, under hard edges as under those feathered by 21 pixels. Photos are resampled in float32 by
an antialiased bicubic filter, only where a window and its crop differ in size; what a window has beyond the
photo is a continuation of the photo's edge pixels, and is dropped again when the crop is put back.
"""

import math
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F

from . import masks, windows
from .crop_masks import LATENT_CELL, ease, find_boxes, touched_cells
from .crop_pixels import cut_out, fit_back
from .pixels import to_rgb
from .windows import Box

# Half a step of an 8-bit picture. The tails of blurred masks lie below; they would only widen the crop.
_INVISIBLE = 1 / 512

# Size of the stand-in crop that is made when there is nothing to crop: samplers take no empty batch.
_STAND_IN = 64


@dataclass(frozen=True)
class Region:
    """One crop's place: ``box`` holds all there is to repaint, ``window`` is what was cut out of photo ``frame``."""

    frame: int
    box: Box
    window: Box


@dataclass(frozen=True)
class CropInfo:
    """What ``stitch`` needs. ``image`` is the caller's own tensor ``[B,H,W,C]``, not a copy.

    ``mask`` is ``[B or 1,H,W]``; ``regions`` are in the order of the crops, empty when no mask held anything.
    """

    image: torch.Tensor = field(repr=False)
    mask: torch.Tensor = field(repr=False)
    regions: tuple[Region, ...]
    blend: int

    @property
    def photo(self) -> Box:
        return Box(0, 0, self.image.shape[2], self.image.shape[1])

    def mask_around(self, region: Region, area: Box) -> torch.Tensor:
        """The region's own mask ``[h,w]`` on ``area``, which contains its box; others' masks are left out."""
        box = region.box
        mask = self.mask[region.frame if len(self.mask) > 1 else 0]
        sides = (box.left - area.left, area.right - box.right, box.top - area.top, area.bottom - box.bottom)
        return F.pad(mask[box.top : box.bottom, box.left : box.right], sides)


def crop(
    image: torch.Tensor,
    mask: torch.Tensor,
    context: float = 1.5,
    width: int = 512,
    height: int = 512,
    multiple: int = 8,
    regions: str = "together",
    max_regions: int = 8,
    sample_grow: int = 10,
    blend: int = 10,
) -> tuple[CropInfo, torch.Tensor, torch.Tensor]:
    """Cut the masked parts out of photos; returns ``(info, crops [N,h,w,3], sampled masks [N,h,w])``.

    ``image`` is ``[B,H,W,C]`` in 0..1 with 1 to 4 channels (transparency is flattened on white), ``mask``
    ``[B,H,W]``, or one mask for all photos; of another size it is resized. Mask values that are not finite count
    as 0. A photo whose mask is empty has no crop. When all are empty, one small picture with an empty mask
    stands in, as samplers need one.

    ``context`` multiplies the sides of the mask's box. ``width`` and ``height`` are the crops' size, rounded up
    to ``multiple`` (itself a multiple of 8); 0 for both keeps the photo's own pixels, 0 for one keeps the
    region's aspect ratio. ``regions`` is "together" (one crop per photo) or "each" (one for each part of the mask
    whose surroundings do not overlap another's, ``max_regions`` at most per photo: small ones then join their
    neighbours). ``sample_grow`` and ``blend`` are pixels of the photo. Raises ``ValueError``.
    """
    _check_options(context, width, height, multiple, regions, max_regions, sample_grow, blend)
    info = CropInfo(image, _fitting_mask(mask, image), (), blend)
    found = _find_regions(info, context, max_regions if regions == "each" else None)
    if not found:
        stand_in = cut_out(image[0], info.photo, (_STAND_IN, _STAND_IN))[None].to(image.dtype)
        return info, stand_in, torch.zeros(stand_in.shape[:3], device=image.device)

    info, size = _place(info, found, context, width, height, multiple)
    crops = torch.stack([cut_out(image[region.frame], region.window, size) for region in info.regions])
    sampled = torch.stack([_sampled_mask(info, region, size, sample_grow) for region in info.regions])
    return info, crops.to(image.dtype), sampled


def stitch(info: CropInfo, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Put edited crops ``[N,h,w,C]`` back; returns ``(photos [B,H,W,3], blend masks [B,H,W])``.

    Crops may come back in another size. Where the blend mask is 0, and in photos that had nothing to crop, the
    photos are bit for bit the input's. The crops of a single photo may come back several times over (all of them,
    then all again, as Repeat Latent Batch orders them): the photo does, too. Any other number of crops than were
    cut raises ``ValueError``.
    """
    versions = _count_versions(info, crops)
    photos = to_rgb(info.image)
    if versions > 1:
        photos = photos.repeat(versions, 1, 1, 1)
    elif info.regions and info.image.shape[-1] in (1, 3):
        photos = photos.clone()  # else it is no copy, but the caller's
    blends = torch.zeros(photos.shape[:3], device=photos.device)
    for region, edited, photo, blend in _pairs(info, crops, photos, blends):
        area, weight = _blend_mask(info, region)
        edited = fit_back(to_rgb(edited[None])[0].to(photo.device), region.window, area)
        target = photo[area.top : area.bottom, area.left : area.right]
        # lerp is exact for equal ends, for weight 0 and for weight 1; where guards from NaN in the edit.
        blended = torch.lerp(target, edited, weight[..., None])
        target.copy_(torch.where(weight[..., None] > 0, blended, target))
        seen = blend[area.top : area.bottom, area.left : area.right]
        torch.maximum(seen, weight, out=seen)
    return photos.contiguous().to(info.image.dtype), blends


def preview(crops: torch.Tensor, sampled: torch.Tensor) -> torch.Tensor:
    """The crops ``[N,h,w,3]`` with all that is not sampled darkened."""
    return crops * (0.35 + 0.65 * sampled[..., None])


def _count_versions(info: CropInfo, crops: torch.Tensor) -> int:
    """How many times over the crops of a single photo came back; 1 for a batch of photos."""
    cut, back = max(1, len(info.regions)), len(crops)
    if len(info.image) == 1 and back and back % cut == 0:
        return back // cut
    if info.regions and back != cut:
        raise ValueError(
            f"{cut} crops were cut, but {back} came back. Connect the images made from all crops of this Crop for "
            "Inpaint, in their order. For several versions of many photos, put Repeat Image Batch before the Crop."
        )
    return 1


def _pairs(info: CropInfo, crops: torch.Tensor, photos: torch.Tensor, blends: torch.Tensor):
    """Each region with its edited crop, and the photo and blend mask it goes into; version by version."""
    for index in range(len(crops) if info.regions else 0):
        version, which = divmod(index, len(info.regions))
        region = info.regions[which]
        frame = region.frame + version  # only a single photo, frame 0, has versions
        yield region, crops[index], photos[frame], blends[frame]


def _check_options(context, width, height, multiple, regions, max_regions, sample_grow, blend) -> None:
    for name, value, least in (
        ("context", context, 1),
        ("width", width, 0),
        ("height", height, 0),
        ("multiple", multiple, LATENT_CELL),
        ("max_regions", max_regions, 1),
        ("sample_grow", sample_grow, 0),
        ("blend", blend, 0),
    ):
        if not least <= value < math.inf:
            raise ValueError(f"{name} is {value}; it has to be {least} or more.")
    if multiple % LATENT_CELL:
        raise ValueError(f"multiple is {multiple}; it has to be a multiple of {LATENT_CELL}, such as 8 or 64.")
    if regions not in ("together", "each"):
        raise ValueError(f"regions is '{regions}'; it has to be 'together' or 'each'.")


def _fitting_mask(mask: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """The mask as ``[B or 1,H,W]`` on the image's device, of the image's size, without invisible values."""
    to_rgb(image[:1, :1, :1] if image.ndim == 4 else image)  # raises if it is not an image
    mask = masks.as_batch(torch.nan_to_num(mask.to(image.device), nan=0.0, posinf=0.0, neginf=0.0))
    if len(mask) not in (1, len(image)):
        raise ValueError(
            f"There are {len(mask)} masks for {len(image)} images. Connect one mask for each image, or a single one "
            "for all. Masks of several objects in one image have to be joined first (Segment Boxes' 'mask')."
        )
    if mask.shape[1:] != image.shape[1:3]:
        mask = F.interpolate(mask[:, None], size=image.shape[1:3], mode="bilinear", antialias=True)[:, 0]
    return torch.where(mask < _INVISIBLE, 0.0, mask)


def _find_regions(info: CropInfo, context: float, each_limit: int | None) -> list[tuple[int, Box]]:
    """Frame and box of all there is to repaint, frame by frame."""
    in_masks = [find_boxes(mask, context, info.photo, each_limit) for mask in info.mask]
    in_frames = in_masks if len(in_masks) == len(info.image) else in_masks * len(info.image)
    return [(frame, box) for frame, boxes in enumerate(in_frames) for box in boxes]


def _place(
    info: CropInfo, found: list[tuple[int, Box]], context: float, width: int, height: int, multiple: int
) -> tuple[CropInfo, tuple[int, int]]:
    """``info`` with its regions, and the size (width, height) that all crops share."""
    photo = info.photo
    size = windows.crop_size([windows.context_box(box, context, photo) for _, box in found], width, height, multiple)
    keep_scale = not width and not height
    placed = (Region(frame, box, windows.window_for(box, context, photo, size, keep_scale)) for frame, box in found)
    return replace(info, regions=tuple(placed)), size


def _sampled_mask(info: CropInfo, region: Region, size: tuple[int, int], grow: int) -> torch.Tensor:
    """What the sampler repaints, ``[h,w]`` of zeros and ones in whole latent cells: all cells that are touched."""
    window, reach = region.window, grow + 1  # a ramp of n pixels has come down to 0 at the nth
    area = region.box.grown(reach, reach).intersection(window).intersection(info.photo)
    return touched_cells(ease(info.mask_around(region, area), reach) > 0, area, window, size)


def _blend_mask(info: CropInfo, region: Region) -> tuple[Box, torch.Tensor]:
    """Where the region's edit shows, a box of the photo, and how much, ``[h,w]``.

    The ramp ends inside the window: where the crop has less room than ``blend``, it is shortened.
    """
    box, window, photo = region.box, region.window, info.photo
    rooms = (
        (box.left - window.left, window.left <= photo.left),
        (box.top - window.top, window.top <= photo.top),
        (window.right - box.right, window.right >= photo.right),
        (window.bottom - box.bottom, window.bottom >= photo.bottom),
    )
    reach = min([info.blend, *(room for room, at_photo_edge in rooms if not at_photo_edge)])
    area = box.grown(reach, reach).intersection(photo)
    return area, ease(info.mask_around(region, area), reach)
