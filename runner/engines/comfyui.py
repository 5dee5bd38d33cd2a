"""Find the ComfyUI to work with: a folder on this machine, or a server that already runs."""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..client import Client
from ..errors import ServerError

DEFAULT_SERVER = "http://127.0.0.1:8188"

# Printed by the probe below: what ComfyUI needs and this interpreter lacks, then the accelerator it found.
_PROBE = """
import importlib.util
missing = [name for name in {modules!r} if importlib.util.find_spec(name) is None]
print("missing", *missing)
if not missing:
    import torch
    kinds = [kind for kind in ("cuda", "xpu", "mps") if hasattr(torch, kind) and getattr(torch, kind).is_available()]
    if torch.backends.mps.is_available():
        kinds.append("mps")
    print("accelerator", *kinds[:1])
"""
_MODULES = ("torch", "aiohttp", "yaml", "PIL", "safetensors", "transformers", "comfyui_frontend_package")


@dataclass(frozen=True)
class Interpreter:
    """A Python that can run ComfyUI; ``accelerator`` is cuda (ROCm too), xpu or mps, empty where there is none."""

    path: Path
    accelerator: str


def find_comfyui(explicit: Path | None = None) -> Path | None:
    """The folder of a ComfyUI: ``explicit``, else ``COMFYUI_DIR``, else the ComfyUI whose custom_nodes holds this
    extension, else comfy-cli's default workspace. None when there is none.

    Raises ``ServerError`` (comfyui_missing) when a folder was named and is not a ComfyUI.
    """
    for source, value in (("The given folder", explicit), ("COMFYUI_DIR", os.environ.get("COMFYUI_DIR"))):
        if value:
            return _named(source, Path(value))
    return next((folder for folder in _usual_places() if is_comfyui(folder)), None)


def is_comfyui(folder: Path) -> bool:
    """Whether ``folder`` holds ComfyUI's own code."""
    return all((folder / name).exists() for name in ("main.py", "folder_paths.py", "comfy"))


def find_server(explicit: str | None = None) -> Client | None:
    """A client of ``explicit``, else of ``IMAGEINE_SERVER`` (the first of several), else of 127.0.0.1:8188 if a ComfyUI
    answers there.

    The client has been checked; closing it is the caller's. Raises ``ServerError`` when a server was named and
    cannot be used; None when none was named and none runs.
    """
    named = explicit or os.environ.get("IMAGEINE_SERVER", "").split(",")[0].strip()
    client = Client(named or DEFAULT_SERVER)
    try:
        client.check()
    except ServerError:
        client.close()
        if named:
            raise
        return None
    except BaseException:
        client.close()
        raise
    return client


def find_python(comfyui_dir: Path, explicit: Path | None = None) -> Interpreter:
    """The interpreter that runs ``comfyui_dir``: ``explicit``, else its own virtual environment or the portable
    build's Python, else the one that runs this program.

    Raises ``ServerError`` (server_start) when it lacks what ComfyUI requires.
    """
    python = explicit or choose_python(comfyui_dir)
    missing, accelerator = _probe(str(python))
    if missing:
        raise ServerError(
            "server_start",
            f"{python} cannot run ComfyUI: it has no {', '.join(missing)}.",
            f'Install its requirements: "{python}" -m pip install -r "{comfyui_dir / "requirements.txt"}"',
            {"python": str(python), "missing": list(missing)},
        )
    return Interpreter(Path(python), accelerator)


def choose_python(comfyui_dir: Path | None) -> Path:
    """The Python that belongs to ``comfyui_dir``, as ``find_python`` takes it, but not asked whether it can run it."""
    own = _own_pythons(comfyui_dir) if comfyui_dir else []
    return next((path for path in own if path.is_file()), Path(sys.executable))


def _named(source: str, folder: Path) -> Path:
    folder = folder.expanduser().absolute()
    if is_comfyui(folder):
        return folder
    raise ServerError(
        "comfyui_missing",
        f"{source} is not a ComfyUI: {folder} has no main.py with a comfy folder beside it.",
        "Name the folder that git cloned ComfyUI into.",
        {"path": str(folder)},
    )


def _usual_places() -> list[Path]:
    places = []
    root = Path(__file__).absolute().parents[2]
    for extension in (root, root.resolve()):  # a link in custom_nodes, then what it points to
        if extension.parent.name == "custom_nodes":
            places.append(extension.parent.parent)
    home = Path.home()
    return [*places, home / "comfy" / "ComfyUI", home / "Documents" / "comfy" / "ComfyUI"]


def _own_pythons(comfyui_dir: Path) -> list[Path]:
    windows = os.name == "nt"
    inside = "Scripts/python.exe" if windows else "bin/python"
    pythons = [comfyui_dir / name / inside for name in (".venv", "venv")]
    if windows:  # the portable build keeps its Python beside the ComfyUI folder, under this spelling
        pythons.append(comfyui_dir.parent / "python_embeded" / "python.exe")
    return pythons


@lru_cache
def _probe(python: str) -> tuple[tuple[str, ...], str]:
    """``(missing modules, accelerator)`` of an interpreter; imports torch there, a few seconds, once a process."""
    command = [python, "-c", _PROBE.format(modules=_MODULES)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        raise ServerError(
            "server_start",
            f"{python} cannot import torch: {' '.join(said)}",
            "Repair that environment, or name another Python.",
            {"python": python},
        ) from error
    answers = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    return tuple(answers.get("missing", "").split()), answers.get("accelerator", "")
