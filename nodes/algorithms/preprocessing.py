"""Pictures as Grounding DINO's image processor makes them: resized, and normalised."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

_FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # PIL's numbers


@dataclass(frozen=True)
class Preprocessing:
    """The settings of an image processor; the defaults are those of transformers' GroundingDinoImageProcessor."""

    size: dict
    resample: int = 2
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    rescale: float = 1 / 255

    @classmethod
    def read(cls, folder: Path) -> "Preprocessing":
        """From the folder's processor_config.json (written by transformers 5) or preprocessor_config.json.

        Raises ``ValueError`` when neither holds an image processor's settings.
        """
        config = image_processor_settings(folder)
        size = config.get("size", {"shortest_edge": 800, "longest_edge": 1333})
        if isinstance(size, int):  # the form of 2023's files
            size = {"shortest_edge": size, "longest_edge": config.get("max_size", 1333)}
        normalise = config.get("do_normalize", True)
        try:
            return cls(
                size=dict(size) if config.get("do_resize", True) else {},
                resample=int(config.get("resample", cls.resample)),
                mean=tuple(config.get("image_mean", cls.mean)) if normalise else (0.0, 0.0, 0.0),
                std=tuple(config.get("image_std", cls.std)) if normalise else (1.0, 1.0, 1.0),
                rescale=float(config.get("rescale_factor", cls.rescale)) if config.get("do_rescale", True) else 1.0,
            )
        except (TypeError, ValueError) as error:
            raise ValueError(f"The image processor's settings in {folder} cannot be used: {error}.") from error

    def apply(self, image: torch.Tensor) -> torch.Tensor:
        """``image`` ``[H,W,3]`` float in 0..1 as the model's input ``[1,3,h,w]`` float32, on the CPU."""
        height, width = image.shape[:2]
        # As transformers resizes: on the CPU, in 8 bits. Another rounding of the pixels is enough to swap queries of
        # nearly equal rank, and with them boxes.
        pixels = image.float().clamp(0, 1).mul(255).round().to("cpu", torch.uint8).movedim(-1, 0)[None].contiguous()
        target = target_size(height, width, self.size)
        if target != (height, width):
            mode = _FILTERS.get(self.resample, "bilinear")
            smooth = {"antialias": True, "align_corners": False} if mode != "nearest" else {}
            pixels = torch.nn.functional.interpolate(pixels, size=target, mode=mode, **smooth)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return (pixels.float() * self.rescale - mean) / std


def target_size(height: int, width: int, size: dict) -> tuple[int, int]:
    """Height and width of a ``height`` by ``width`` picture after resizing by transformers' ``size`` settings.

    ``{}`` keeps the picture. At least one pixel is left of either edge, where transformers would ask for none.
    """
    if "height" in size and "width" in size:
        return int(size["height"]), int(size["width"])
    if "max_height" in size and "max_width" in size:
        scale = min(size["max_height"] / height, size["max_width"] / width)
        return max(1, int(height * scale)), max(1, int(width * scale))
    if "shortest_edge" not in size:
        return height, width
    short, longest = size["shortest_edge"], size.get("longest_edge")
    exact = short
    if longest and max(height, width) / min(height, width) * short > longest:
        exact = longest * min(height, width) / max(height, width)
        short = int(round(exact))
    if min(height, width) == short:
        return height, width
    if width < height:
        return max(1, int(exact * height / width)), max(1, short)
    return max(1, short), max(1, int(exact * width / height))


def image_processor_settings(folder: Path) -> dict:
    """All settings of the image processor in ``folder``, for those that ``Preprocessing`` does not hold.

    Raises ``ValueError`` when neither of its two files has any.
    """
    for name in ("processor_config.json", "preprocessor_config.json"):
        path = folder / name
        if not path.is_file():
            continue
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not JSON ({error}). Download the model again.") from error
        if name == "processor_config.json":
            config = config.get("image_processor") if isinstance(config, dict) else None
        if isinstance(config, dict):
            return config
    raise ValueError(
        f"{folder} has no image processor's settings in processor_config.json or preprocessor_config.json. "
        "Download the model again."
    )
