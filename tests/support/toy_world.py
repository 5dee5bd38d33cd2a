"""The toy world of the demo's weights (the repository's folder ``demo``, which is not installed)."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _load():
    """The package ``demo``, without the repository's root on the path: ``nodes`` there would hide ComfyUI's."""
    folder = ROOT / "demo"
    spec = importlib.util.spec_from_file_location(
        "demo", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    package = sys.modules["demo"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


_load()

from demo import scoring, world  # noqa: E402, F401
