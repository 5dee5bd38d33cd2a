"""What Imageine needs to run, and how versions are told apart. The standard library alone: install.py reads it too."""

import importlib.metadata
import re
from pathlib import Path

OLDEST_PYTHON = (3, 10)
OLDEST_COMFYUI = (0, 28, 0)
# What the nodes import, and the oldest version of each; ComfyUI's own requirements bring all of it.
NODE_PACKAGES = {"torch": "", "transformers": "4.50.3", "safetensors": "0.4.2", "numpy": "", "pillow": ""}
# What ComfyUI itself does not start without, beyond those.
COMFYUI_PACKAGES = {"aiohttp": "", "pyyaml": "", "comfyui-frontend-package": ""}

_REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
_REQUIREMENT = re.compile(r"^([\w.-]+)\s*(?:>=\s*([\w.]+))?", re.MULTILINE)


def as_numbers(version: str) -> tuple[int, ...]:
    """``(2, 14, 1)`` for 2.14.1+cpu; what is not a number ends it."""
    return tuple(int(part) for part in re.match(r"[\d.]*", version)[0].split(".") if part)


def is_older(version: str, oldest: str | tuple[int, ...]) -> bool:
    """Whether ``version`` is below ``oldest``; never for one that is no number ("nightly"), nor where any will do."""
    numbers = as_numbers(version)
    oldest = as_numbers(oldest) if isinstance(oldest, str) else oldest
    return bool(numbers) and (*numbers, *[0] * (len(oldest) - len(numbers))) < oldest


def as_text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def requirement(name: str, oldest: str) -> str:
    """A package as pip takes it: ``safetensors>=0.4.2``, or just the name where any version will do."""
    return f"{name}>={oldest}" if oldest else name


def comfyui_version(comfyui: Path) -> str | None:
    """The version of the ComfyUI in that folder, None when it does not say."""
    try:
        text = (comfyui / "comfyui_version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    match = re.search(r"__version__\s*=\s*[\"']([^\"']+)", text)
    return match and match[1]


def required_packages() -> dict[str, str]:
    """The packages that the runner needs beyond ComfyUI's (all of them where it is installed as a wheel), and the
    oldest version of each."""
    try:
        text = _REQUIREMENTS.read_text(encoding="utf-8")
    except OSError:  # a wheel carries its requirements as metadata
        text = "\n".join(line for line in importlib.metadata.requires("imageine") or () if "extra ==" not in line)
    return dict(_REQUIREMENT.findall(text))


def without_space(name: str) -> str:
    """A folder name that ComfyUI can serve web files from: it answers 404 for those of a name with a space."""
    return name.replace(" ", "-")
