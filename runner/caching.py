"""Where files are kept that can be made again. Standard library only."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Where generated files are kept: ``$IMAGEINE_CACHE``, or ``imageine`` in the user's cache folder."""
    chosen = os.environ.get("IMAGEINE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "imageine"
