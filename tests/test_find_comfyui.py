"""Which ComfyUI, which server and which Python are used."""

import os
import sys
from pathlib import Path

import pytest
from imageine.runner.engines import comfyui as engine
from imageine.runner.errors import ServerError
from support.scripted_server import ScriptedServer
from support.toy_comfyui import make_comfyui

ROOT = Path(__file__).parents[1]


@pytest.fixture
def comfyui_dir(tmp_path):
    return make_comfyui(tmp_path / "ComfyUI")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """This interpreter will do, whatever it has installed, and nothing is named."""
    monkeypatch.setattr(engine, "_probe", lambda python: ((), ""))
    for name in ("COMFYUI_DIR", "IMAGEINE_SERVER"):
        monkeypatch.delenv(name, raising=False)


def test_a_named_folder_comes_first(comfyui_dir, tmp_path, monkeypatch):
    other = make_comfyui(tmp_path / "other")
    monkeypatch.setenv("COMFYUI_DIR", str(other))
    assert engine.find_comfyui(comfyui_dir) == comfyui_dir
    assert engine.find_comfyui() == other


def test_a_named_folder_must_be_a_comfyui(tmp_path, monkeypatch):
    with pytest.raises(ServerError, match=r"has no main\.py") as caught:
        engine.find_comfyui(tmp_path)
    assert caught.value.code == "comfyui_missing"
    monkeypatch.setenv("COMFYUI_DIR", str(tmp_path))
    with pytest.raises(ServerError, match="COMFYUI_DIR is not a ComfyUI"):
        engine.find_comfyui()


def test_the_comfyui_around_this_extension_and_the_default_workspace(comfyui_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    module = comfyui_dir / "custom_nodes" / "imageine" / "runner" / "engines" / "comfyui.py"
    monkeypatch.setattr(engine, "__file__", str(module))
    assert engine.find_comfyui() == comfyui_dir
    monkeypatch.setattr(engine, "__file__", str(tmp_path / "a" / "b" / "c" / "comfyui.py"))
    assert engine.find_comfyui() is None
    workspace = make_comfyui(tmp_path / "home" / "comfy" / "ComfyUI")
    assert engine.find_comfyui() == workspace


def test_find_server(monkeypatch):
    with ScriptedServer() as server:
        with engine.find_server(server.url) as client:
            assert client.url == server.url
        monkeypatch.setenv("IMAGEINE_SERVER", server.url)
        with engine.find_server() as client:
            assert client.url == server.url
        monkeypatch.delenv("IMAGEINE_SERVER")
        monkeypatch.setattr(engine, "DEFAULT_SERVER", server.url)
        engine.find_server().close()
        server.fail("GET", "/system_stats", 404)
        server.fail("GET", "/api/system_stats", 404)
        assert engine.find_server() is None
    assert engine.find_server() is None
    with pytest.raises(ServerError, match="Nothing answers"):
        engine.find_server(server.url)


def test_the_interpreter_is_the_comfyuis_own(comfyui_dir):
    assert engine.find_python(comfyui_dir).path == Path(sys.executable)
    own = comfyui_dir / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    own.parent.mkdir(parents=True)
    own.touch()
    assert engine.find_python(comfyui_dir).path == own
    assert engine.find_python(comfyui_dir, Path("chosen")).path == Path("chosen")


def test_an_interpreter_that_lacks_what_comfyui_needs(comfyui_dir, monkeypatch):
    monkeypatch.setattr(engine, "_probe", lambda python: (("torch", "aiohttp"), ""))
    with pytest.raises(ServerError) as caught:
        engine.find_python(comfyui_dir)
    assert "no torch, aiohttp" in caught.value.message
    assert f'pip install -r "{comfyui_dir / "requirements.txt"}"' in caught.value.hint


def test_the_probe_reads_a_real_interpreter(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(engine, "_MODULES", ("json", "no_such_module"))
    engine._probe.cache_clear()
    assert engine._probe(sys.executable) == (("no_such_module",), "")
    with pytest.raises(ServerError, match="cannot import torch"):
        engine._probe(str(ROOT / "no_such_python"))
    engine._probe.cache_clear()
