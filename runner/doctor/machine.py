"""Checks of this machine: Python, packages, torch and its GPU, ComfyUI, this extension in it, the clock."""

import importlib.metadata
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

from ..engines.embedded import INSTALL
from ..models.manifest import MANIFEST
from ..supported import (
    COMFYUI_PACKAGES,
    NODE_PACKAGES,
    OLDEST_COMFYUI,
    OLDEST_PYTHON,
    as_text,
    comfyui_version,
    is_older,
    required_packages,
    requirement,
    without_space,
)
from .check import OK, PROBLEM, SKIPPED, WARNING, Check, gigabytes
from .site import ROOT, Site

# How far the clocks of two machines may be apart before their logs and tokens no longer fit together.
CLOCK_SECONDS = 120.0
TORCH_PAGE = "https://pytorch.org/get-started/locally"


def check_python(site: Site) -> Check:
    """The Python that runs this program."""
    version = platform.python_version()
    details = {"version": version, "executable": sys.executable}
    if is_older(version, OLDEST_PYTHON):
        return Check("python", PROBLEM, version, f"Install Python {as_text(OLDEST_PYTHON)} or newer.", details)
    return Check("python", OK, f"{version} ({sys.executable})", "", details)


def check_runner_packages(site: Site) -> Check:
    """What the runner itself imports, in the Python that runs this program."""
    versions = {name: _version(name) for name in required_packages()}
    return _packages("runner-packages", versions, required_packages(), Path(sys.executable), PROBLEM)


def check_node_packages(site: Site) -> Check:
    """What the nodes import, and ComfyUI cannot start without, in the Python of the ComfyUI on this machine."""
    if not site.comfyui:
        return Check("node-packages", SKIPPED, "no ComfyUI on this machine, so no Python to look into")
    answers = site.answers
    when_missing = WARNING if site.has_server else PROBLEM
    if not answers.packages:
        return Check("node-packages", when_missing, f"{site.python}: {answers.error}", _repair(site))
    if is_older(answers.python, OLDEST_PYTHON):
        found = f"{site.python} is Python {answers.python}"
        return Check("node-packages", when_missing, found, "Give ComfyUI Python 3.10 or newer.", answers.packages)
    if any(answers.packages.get(name) is None for name in COMFYUI_PACKAGES):
        lacking = [name for name, version in answers.packages.items() if version is None]
        found = f"no {', no '.join(lacking)} ({site.python}): ComfyUI does not start"
        return Check("node-packages", when_missing, found, _repair(site), answers.packages)
    return _packages("node-packages", answers.packages, NODE_PACKAGES, site.python, when_missing)


def check_torch(site: Site) -> Check:
    """The torch of the ComfyUI on this machine, and the GPU it sees."""
    answers, bad = site.answers, WARNING if site.has_server else PROBLEM
    torch = answers.torch
    details = {"python": str(site.python), "torch": torch, "error": answers.error}
    if torch:
        return Check("torch", *_judge_torch(torch), details)
    if answers.packages and not answers.packages.get("torch"):
        if not site.comfyui and not site.uses_embedded:
            return Check("torch", SKIPPED, "not installed here; only a ComfyUI on this machine needs it", "", details)
        return Check("torch", bad, f"not installed in {site.python}", _repair(site), details)
    next_step = f'{_quoted(site.python)} -c "import torch" shows the error; to install torch again: {TORCH_PAGE}'
    bad = bad if site.comfyui or site.uses_embedded else WARNING
    return Check("torch", bad, f"cannot be asked in {site.python}: {answers.error}", next_step, details)


def check_comfyui(site: Site) -> Check:
    """The ComfyUI folder of this machine."""
    folder = site.comfyui
    if site.comfyui_error:
        return Check("comfyui", PROBLEM, site.comfyui_error.message, site.comfyui_error.hint)
    if folder is None:
        if site.has_server:
            return Check("comfyui", SKIPPED, f"none on this machine; the server at {site.server.url} is used")
        return _without_comfyui(site)
    version = comfyui_version(folder)
    details = {"path": str(folder), "version": version}
    oldest = as_text(OLDEST_COMFYUI)
    if version is None:
        return Check("comfyui", WARNING, f"{folder}, version unknown", f"Imageine needs {oldest} or newer.", details)
    if is_older(version, OLDEST_COMFYUI):
        bad = WARNING if site.has_server else PROBLEM
        return Check("comfyui", bad, f"{version} in {folder}", f"Update it to {oldest} or newer: git pull", details)
    return Check("comfyui", OK, f"{version} in {folder}", "", details)


def _without_comfyui(site: Site) -> Check:
    """There is no ComfyUI, or it is not wanted: what the engine without one lacks."""
    details = {"embedded_lacks": site.embedded_lacks}
    lacks = f"edits without one lack {', '.join(site.embedded_lacks)}"
    if site.chose_embedded:
        if site.embedded_lacks:
            return Check("comfyui", PROBLEM, f"not to be used, and {lacks}", INSTALL, details)
        return Check("comfyui", OK, "not to be used: edits run in this Python, by torch and diffusers", "", details)
    next_step = "imageine setup   (or name one: --server URL, --comfyui DIR)"
    if site.uses_embedded:
        found = "none found, and no server answers: edits run without one, by the shipped workflows alone"
        return Check("comfyui", WARNING, found, next_step, details)
    found = "none found on this machine, and no server answers"
    found = f"{found}; {lacks}" if site.embedded_lacks else found
    return Check("comfyui", PROBLEM, found, next_step, details)


def check_extension(site: Site) -> Check:
    """This extension in ComfyUI's custom_nodes: once, switched on, in a folder whose name has no space."""
    if not site.custom_nodes:
        return Check("extension", SKIPPED, "no custom_nodes folder on this machine to look into")
    switched_off = [path for path in site.extensions if path.name.endswith(".disabled") or path.name.startswith(".")]
    active = [path for path in site.extensions if path not in switched_off]
    details = {"active": [str(path) for path in active], "switched_off": [str(path) for path in switched_off]}
    if len(active) > 1:
        found = f"{len(active)} copies: {', '.join(map(str, active))}"
        return Check("extension", WARNING, found, f"Keep one, or every node is registered twice: {active[0]}", details)
    if active:
        path = active[0]
        if " " not in path.name:
            return Check("extension", OK, str(path), "", details)
        renamed = path.with_name(without_space(path.name))
        next_step = f"Rename it, for ComfyUI cannot serve its scripts: {_move(path, renamed)}"
        return Check("extension", WARNING, f"{path}: its name has a space", next_step, details)
    if switched_off:
        path = switched_off[0]
        return Check("extension", WARNING, f"switched off: {path}", _move(path, path.with_name("imageine")), details)
    found = f"not in {site.custom_nodes[0]}: the graph editor has no nodes of ours (a ComfyUI started here has)"
    return Check("extension", WARNING, found, link_command(site.custom_nodes[0] / "imageine"), details)


def check_clock(site: Site) -> Check:
    """This machine's clock, against the age of this program's files and the server's clock."""
    now = time.time()
    made = MANIFEST.stat().st_mtime
    # A day's grace: archives carry local times.
    if now < made - 86400:
        found = f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime(now))} UTC, before this program's files were made"
        return Check("clock", WARNING, found, "Set the clock: certificates look invalid and downloads fail until then.")
    told = site.server.get("/prompt").headers.get("Date", "") if site.has_server else ""
    try:
        apart = parsedate_to_datetime(told).timestamp() - time.time()
    except (ValueError, TypeError):  # no server, or one that does not say
        return Check("clock", OK, f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime(now))} UTC")
    details = {"server_ahead_seconds": round(apart, 1)}
    if abs(apart) > CLOCK_SECONDS:
        found = f"the server's is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} this machine's"
        return Check("clock", WARNING, found, "Set both clocks (NTP).", details)
    return Check("clock", OK, "as the server's", "", details)


def _judge_torch(torch: dict) -> tuple[str, str, str]:
    """(status, found, next) for a torch that could be asked."""
    build, devices = torch["build"], torch["devices"]
    kind = f"ROCm {build['hip']}" if build["hip"] else f"CUDA {build['cuda']}" if build["cuda"] else ""
    if devices:
        kind = kind if devices[0]["kind"] == "cuda" else devices[0]["kind"].upper()
        return OK, f"{torch['version']}, {kind}: {'; '.join(map(_device, devices))}", ""
    has_nvidia = shutil.which("nvidia-smi") is not None
    if has_nvidia and build["cuda"]:
        found = f"{torch['version']} for {kind} sees no GPU, though this machine has NVIDIA's tools"
        return WARNING, found, "nvidia-smi must list the GPU; if it does, its driver is too old for this torch."
    if has_nvidia:
        found = f"{torch['version']} is a build without CUDA, though this machine has NVIDIA's tools"
        return WARNING, found, f"Install the CUDA build of torch: {TORCH_PAGE}"
    return OK, f"{torch['version']}, no GPU that it can use: edits run on the processor, slowly", ""


def _device(device: dict) -> str:
    free = f", {gigabytes(device['free'])} free" if device["free"] is not None else ""
    return f"{device['name']}, {gigabytes(device['total'])}{free}"


def _packages(name: str, versions: dict, wanted: dict[str, str], python: Path, when_missing: str) -> Check:
    gaps = list(_gaps(versions, wanted))
    if not gaps:
        return Check(name, OK, ", ".join(f"{key} {versions[key]}" for key in wanted), "", dict(versions))
    needed = " ".join(f'"{wanted}"' for wanted, _ in gaps)
    found = ", ".join(text for _, text in gaps)
    return Check(
        name, when_missing, f"{found} ({python})", f"{_quoted(python)} -m pip install {needed}", dict(versions)
    )


def _gaps(versions: dict, wanted: dict[str, str]) -> Iterator[tuple[str, str]]:
    """``(what to install, what is wrong)`` for each package that is absent or too old."""
    for name, oldest in wanted.items():
        if versions.get(name) is None:
            yield requirement(name, oldest), f"no {name}"
        elif is_older(versions[name], oldest):
            yield requirement(name, oldest), f"{name} {versions[name]}"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _repair(site: Site) -> str:
    return f'{_quoted(site.python)} -m pip install -r "{site.comfyui / "requirements.txt"}"'


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)


def _move(source: Path, target: Path) -> str:
    return f'{"move" if os.name == "nt" else "mv"} "{source}" "{target}"'


def link_command(link: Path) -> str:
    """What puts this extension at ``link``, as one types it here."""
    return f'mklink /J "{link}" "{ROOT}"' if os.name == "nt" else f'ln -s "{ROOT}" "{link}"'
