"""torch.compile for the UNet: slower to begin with, then faster at every step."""

import importlib.util
import os
import shutil
from typing import TYPE_CHECKING

from ...errors import InputError, ModelError
from .memory import SEQUENTIAL

if TYPE_CHECKING:
    import torch

WITHOUT = "Or do without: leave out --compile (in Python: compile=True)."


def check_compile(offload: str) -> None:
    """Raises ``InputError`` ``option_invalid`` where layers are moved one by one: there is nothing to compile then."""
    if offload == SEQUENTIAL:
        message = "A UNet whose layers are moved one by one (offload 'sequential') gains nothing by being compiled."
        raise InputError("option_invalid", message, "Leave out one of the two, or take offload 'model'.")


def require_compiler(device: "torch.device") -> None:
    """Raises ``ModelError`` ``engine_missing`` unless there is what torch.compile takes on ``device``: a C++ compiler
    for the CPU; Triton, and a C compiler for it, for CUDA and ROCm."""
    if device.type == "cuda":
        if importlib.util.find_spec("triton") is None:
            on_windows = os.name == "nt"
            raise _missing(device, "Triton", f"Run `pip install {'triton-windows' if on_windows else 'triton'}`.")
        named, known, install = os.environ.get("CC"), ("cc", "gcc", "clang", "cl"), "gcc"
    else:
        named, known, install = os.environ.get("CXX"), ("g++", "clang++", "cl"), "g++"
    if not any(shutil.which(name) for name in ([named] if named else known)):
        what = f"the compiler {named}" if named else f"a compiler ({', '.join(known)})"
        raise _missing(device, what, f"Install one (on Debian and Ubuntu: `apt install {install}`).")


def _missing(device: "torch.device", what: str, install: str) -> ModelError:
    message = f"torch.compile takes {what} on the {device.type}, and there is none."
    return ModelError("engine_missing", message, f"{install} {WITHOUT}", {"device": device.type})


def is_compilers(error: BaseException) -> bool:
    """Whether torch.compile raised ``error``, and not the network."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "triton"))
