"""Pythons for the doctor to ask: real processes that have other packages, hang, crash or say something else."""

import sys
from pathlib import Path

TORCH = """
__version__ = "9.9.9"

class version:
    cuda = {cuda!r}
    hip = {hip!r}

class _About:
    name = "Test GPU"
    total_memory = 8_000_000_000

class cuda:
    is_available = staticmethod(lambda: {gpus} > 0)
    device_count = staticmethod(lambda: {gpus})
    get_device_properties = staticmethod(lambda index: _About)
    mem_get_info = staticmethod(lambda index: (6_000_000_000, 8_000_000_000))

class backends:
    class mps:
        is_available = staticmethod(lambda: {mps})

class mps:
    recommended_max_memory = staticmethod(lambda: 12_000_000_000)
"""


def torch_code(cuda: str | None = None, hip: str | None = None, gpus: int = 0, mps: bool = False) -> str:
    """A module that answers what the doctor asks of torch; ``cuda`` and ``hip`` are what it was built for."""
    return TORCH.format(cuda=cuda, hip=hip, gpus=gpus, mps=mps)


def put_package(folder: Path, name: str, version: str, code: str = "") -> None:
    """An installed distribution of one module in ``folder``."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "__init__.py").write_text(code, encoding="utf-8")
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")


def put_what_nodes_need(folder: Path) -> Path:
    """Every package but torch that the nodes, and ComfyUI to start, need; in ``folder``, which is returned."""
    versions = {"transformers": "5.0.0", "safetensors": "0.7.0", "numpy": "2.0", "pillow": "12.0"}
    for name, version in {**versions, "aiohttp": "3.12", "pyyaml": "6.0", "comfyui_frontend_package": "1.49"}.items():
        put_package(folder, name, version)
    return folder


def put_python(comfyui: Path, script: str) -> Path:
    """A ``.venv/bin/python`` of ``comfyui`` that runs a shell script."""
    path = comfyui / ".venv" / "bin" / "python"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def put_isolated_python(comfyui: Path, packages: Path) -> Path:
    """A ``.venv/bin/python`` that has nothing but what lies in ``packages``."""
    packages.mkdir(parents=True, exist_ok=True)
    return put_python(comfyui, f'PYTHONPATH="{packages}" exec "{sys.executable}" -S "$@"')
