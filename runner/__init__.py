"""The headless runner: Imageine's workflows over ComfyUI's API.

>>> from imageine.runner import edit
>>> edit("street.jpg", "make the car blue").save("out.png")
"""

import importlib
from typing import Any

_EXPORTS = {
    "BatchResult": ".batch",
    "Client": ".client",
    "Diagnosis": ".doctor",
    "EditResult": ".editing",
    "ImageineError": ".errors",
    "Pool": ".pool",
    "RunResult": ".running",
    "Workflow": ".workflow",
    "diagnose": ".doctor",
    "edit": ".editing",
    "run": ".running",
    "run_batch": ".batch",
}

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Import an exported name's module when the name is first used: ``imageine --help`` needs none of them."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
