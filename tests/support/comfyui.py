"""Real ComfyUIs for the tests: find them, start a server, or run a script inside one.

There are two ways in, both in another process, so that pytest never imports ComfyUI (whose top-level modules are
called ``nodes``, ``utils``, ``app``):

- a server, through the fixture ``comfyui``: what users have;
- ``run_inside``: a script of tests/support/inside with ComfyUI and this extension importable, for what a server
  does not show (loaded models, imported modules, latents).
"""

import functools
import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSIDE = Path(__file__).parent / "inside"

HOW_TO_RUN = (
    "To run them: git clone https://github.com/comfyanonymous/ComfyUI ~/comfy/ComfyUI (or set COMFYUI_DIR), "
    "pip install -r its requirements.txt into this environment, then pytest again."
)

# The tests' servers hold this extension alone, whatever else the ComfyUI has installed.
ALONE = ("--disable-all-custom-nodes", "--whitelist-custom-nodes", "imageine")


@functools.cache
def comfyui_dirs() -> dict[str, Path]:
    """Every ComfyUI at hand by its version, the one that the runner itself would choose first.

    The others are those beside it whose folder's name starts with "ComfyUI". Raises ``ServerError`` when
    COMFYUI_DIR names something else.
    """
    from imageine.runner.engines.comfyui import find_comfyui, is_comfyui

    chosen = find_comfyui()
    if chosen is None:
        return {}
    beside = sorted(path for path in chosen.resolve().parent.glob("ComfyUI*") if is_comfyui(path))
    found: dict[str, Path] = {}
    for folder in [chosen, *beside]:
        found.setdefault(version(folder), folder)
    return found


def version(folder: Path) -> str:
    """The version of the ComfyUI in ``folder``, "unknown" when it does not say."""
    try:
        text = (folder / "comfyui_version.py").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    match = re.search(r'__version__ = "([^"]+)"', text)
    return match.group(1) if match else "unknown"


@functools.cache
def obstacle() -> str:
    """Why no ComfyUI can be run here, as a sentence; empty when one can."""
    from imageine.runner.engines.comfyui import find_python
    from imageine.runner.errors import ServerError

    folders = comfyui_dirs()
    if not folders:
        return "No ComfyUI was found."
    try:
        find_python(next(iter(folders.values())))
    except ServerError as error:
        return str(error)
    return ""


def server(folder: Path, models: Path | None = None, **options):
    """A private server (``ManagedComfyUI``) of the ComfyUI in ``folder``, with this extension and no other."""
    from imageine.runner.engines.managed import ManagedComfyUI

    extra = (*ALONE, *options.pop("extra_args", ()))
    return ManagedComfyUI(folder, models=models, extra_args=extra, **options)


def run_inside(folder: Path, script: str, *arguments: object, base: Path, models: Path | None = None, cpu: bool = True):
    """Run tests/support/inside/``script``.py inside the ComfyUI in ``folder``; returns what it reports.

    The script is imported with ``comfy``, ``nodes`` and ``imageine`` importable and its ``main(*arguments)`` called
    with strings; main's result comes back through JSON. ``base`` is ComfyUI's base directory. Raises
    ``AssertionError`` with the end of the output when it fails.
    """
    from imageine.runner.engines.comfyui import find_python

    answer = base / f"{script}.json"
    job = {
        "comfyui": str(folder),
        "extension": str(ROOT),
        "base": str(base),
        "models": str(models) if models else None,
        "cpu": cpu,
        "script": str(INSIDE / f"{script}.py"),
        "arguments": [str(argument) for argument in arguments],
        "answer": str(answer),
    }
    interpreter = find_python(folder)
    done = subprocess.run(
        [str(interpreter.path), str(INSIDE / "bootstrap.py"), json.dumps(job)],
        cwd=base,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{script}.py failed inside {folder}:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}")
    return json.loads(answer.read_text(encoding="utf-8"))


def has_accelerator(folder: Path) -> bool:
    """Whether the Python that runs the ComfyUI in ``folder`` sees a GPU."""
    from imageine.runner.engines.comfyui import find_python

    return bool(find_python(folder).accelerator)


def forget(client) -> None:
    """Have the server drop what it keeps. It does so after a job, hence the small one."""
    client.free()
    graph = {
        "photo": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "save": {"class_type": "PreviewImage", "inputs": {"images": ["photo", 0]}},
    }
    client.submit(graph).wait(300)
