"""A machine of the tests' own: no ComfyUI, no server, no settings but what a test puts there."""

import socket

import pytest
from imageine.runner.doctor.site import Site
from imageine.runner.engines import comfyui as places
from imageine.runner.engines import embedded
from support.toy_comfyui import make_comfyui


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch, tmp_path):
    for name in ("COMFYUI_DIR", "IMAGEINE_SERVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("IMAGEINE_MODELS", raising=False)
    monkeypatch.setattr(places, "DEFAULT_SERVER", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setattr(embedded, "missing_packages", lambda: ["diffusers"])


@pytest.fixture
def with_engine(monkeypatch):
    """What the engine without ComfyUI needs is there."""
    monkeypatch.setattr(embedded, "missing_packages", list)


@pytest.fixture
def comfyui(tmp_path):
    """A folder that looks like ComfyUI 0.33.0, and has no Python of its own."""
    folder = make_comfyui(tmp_path / "ComfyUI")
    (folder / "comfyui_version.py").write_text('__version__ = "0.33.0"\n')
    return folder


@pytest.fixture
def site():
    """``site(server=None, comfyui=None)`` makes a Site; all are closed at the end."""
    made = []

    def make(server=None, comfyui=None) -> Site:
        made.append(Site(server, comfyui))
        return made[-1]

    yield make
    for entry in made:
        entry.close()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
