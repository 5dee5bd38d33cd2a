"""Models: what the manifest names, where it belongs, what is there, and how it gets there.

    from imageine.runner import models

    folders = models.models_dirs()
    models.pull(models.select(["simple"]), folders)

Nothing here prints; ``imageine models`` (cli/models.py) and install.py do.
"""

from .files import (
    CORRUPT,
    INCOMPLETE,
    MISSING,
    PRESENT,
    UNVERIFIED,
    WRONG_SIZE,
    FileStatus,
    ModelStatus,
    status,
    verify,
)
from .folders import ModelFolders, models_dirs
from .manifest import Licence, Model, ModelFile, hub_endpoint, load_manifest, select
from .pulling import Progress, pull

__all__ = [
    "CORRUPT",
    "INCOMPLETE",
    "MISSING",
    "PRESENT",
    "UNVERIFIED",
    "WRONG_SIZE",
    "FileStatus",
    "Licence",
    "Model",
    "ModelFile",
    "ModelFolders",
    "ModelStatus",
    "Progress",
    "hub_endpoint",
    "load_manifest",
    "models_dirs",
    "pull",
    "select",
    "status",
    "verify",
]
