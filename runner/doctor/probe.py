"""Ask another Python what it has installed and which GPU its torch sees, without importing torch here."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

# Importing torch from a cold, slow disk takes tens of seconds; whoever needs more has found the problem.
PROBE_SECONDS = 60.0

_MARK = "imageine-probe "
# Packages are told before torch is imported, so that they are known when that import hangs or crashes.
_PROBE = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
import importlib.metadata, json, platform
def tell(**facts):
    print("imageine-probe " + json.dumps(facts), flush=True)
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
packages = {name: version(name) for name in sys.argv[1:]}
tell(python=platform.python_version(), packages=packages)
if packages.get("torch"):
    import torch
    def has(kind):
        return hasattr(torch, kind) and getattr(torch, kind).is_available()
    devices = []
    for kind in ("cuda", "xpu"):
        module = getattr(torch, kind, None)
        for index in range(module.device_count() if has(kind) else 0):
            about = module.get_device_properties(index)
            free = module.mem_get_info(index)[0] if hasattr(module, "mem_get_info") else None
            devices.append({"kind": kind, "name": about.name, "total": about.total_memory, "free": free})
    if torch.backends.mps.is_available():
        devices.append({"kind": "mps", "name": "Apple GPU", "total": torch.mps.recommended_max_memory(), "free": None})
    build = {"cuda": torch.version.cuda, "hip": getattr(torch.version, "hip", None)}
    tell(torch={"version": torch.__version__, "build": build, "devices": devices})
"""


@dataclass(frozen=True)
class Answers:
    """What an interpreter said. ``packages`` maps names to versions, None where one is not installed.

    ``torch`` is ``{"version", "build": {"cuda", "hip"}, "devices": [{"kind", "name", "total", "free"}]}`` with bytes,
    None when there is none or when ``error`` says why it could not be asked.
    """

    python: str = ""
    packages: dict[str, str | None] = field(default_factory=dict)
    torch: dict | None = None
    error: str = ""


def ask(python: Path, packages: list[str]) -> Answers:
    """Have ``python`` say which of ``packages`` it has, and what its torch sees. Never raises."""
    try:
        status, output, errors = _run([str(python), "-c", _PROBE, *packages])
    except OSError as error:
        return Answers(error=f"{python} cannot be run: {error.strerror or error}")
    facts: dict = {}
    for line in output.splitlines():
        with contextlib.suppress(ValueError, TypeError):
            facts |= json.loads(line.removeprefix(_MARK)) if line.startswith(_MARK) else {}
    packages_found = facts.get("packages")
    error = ""
    if status is None:
        error = f"it did not answer within {PROBE_SECONDS:g} s"
    elif status or packages_found is None:
        last = errors.strip().splitlines()[-1:] or [f"exit status {status}"]
        error = f"it failed: {last[0]}"
    return Answers(facts.get("python", ""), packages_found or {}, facts.get("torch"), error)


def _run(command: list[str]) -> tuple[int | None, str, str]:
    """``(exit status, None when it was killed for taking too long; stdout; stderr)``.

    Files, not pipes: a grandchild that outlives the interpreter would keep a pipe open, and us waiting.
    """
    group = {} if os.name == "nt" else {"start_new_session": True}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, **group)
        try:
            status = process.wait(PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if process.poll() is None:  # Ctrl-C, too
                _kill(process)
        return status, *(_content(stream) for stream in (output, errors))


def _kill(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "nt":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _content(stream) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")
