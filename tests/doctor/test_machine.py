"""Python, packages, torch, ComfyUI, this extension in it, the clock."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from imageine.runner.doctor import machine, serving
from imageine.runner.engines import comfyui as places
from imageine.runner.engines import embedded
from imageine.runner.supported import NODE_PACKAGES, OLDEST_COMFYUI, is_older, required_packages
from support.sick_pythons import put_isolated_python, put_package, put_python, put_what_nodes_need, torch_code
from support.told_server import ToldServer

ROOT = Path(__file__).parents[2]
shell = pytest.mark.skipif(sys.platform == "win32", reason="the Pythons are shell scripts")


@pytest.fixture
def packages(tmp_path):
    """What the nodes need, but for torch."""
    return put_what_nodes_need(tmp_path / "packages")


def test_this_python(site):
    check = machine.check_python(site())
    assert (check.status, check.details["executable"]) == ("ok", sys.executable)


def test_what_the_runner_needs(site, monkeypatch):
    assert machine.check_runner_packages(site()).status == "ok"
    monkeypatch.setattr(machine, "required_packages", lambda: {"typer": "99.1", "absent-package": ""})
    check = machine.check_runner_packages(site())
    assert check.status == "problem" and check.found.startswith("typer 0.")
    assert check.next == f'{sys.executable} -m pip install "typer>=99.1" "absent-package"'
    assert {"typer", "rich", "websocket-client"} <= set(required_packages())


@pytest.mark.parametrize(
    ("version", "oldest", "older"),
    [
        ("2.14.1+cu130", "2.14", False),
        ("4.50.2", "4.50.3", True),
        ("0.28", (0, 28, 0), False),
        ("0.27.9", OLDEST_COMFYUI, True),
        ("nightly", "1", False),
        ("1", "", False),
    ],
)
def test_versions(version, oldest, older):
    assert is_older(version, oldest) is older


# Packages and torch, in ComfyUI's own Python


@shell
def test_all_is_there(site, comfyui, packages):
    put_package(packages, "torch", "9.9.9", torch_code(cuda="13.0", gpus=2))
    put_isolated_python(comfyui, packages)
    here = site(comfyui=comfyui)
    assert machine.check_node_packages(here).status == "ok"
    check = machine.check_torch(here)
    assert check.status == "ok" and check.next == ""
    gpu = "Test GPU, 8.0 GB, 6.0 GB free"
    assert check.found == f"9.9.9, CUDA 13.0: {gpu}; {gpu}"


@shell
def test_old_and_missing_packages(site, comfyui, packages):
    put_package(packages, "torch", "9.9.9", torch_code())
    (packages / "transformers-5.0.0.dist-info").rename(packages / "transformers-4.49.0.dist-info")
    (packages / "transformers-4.49.0.dist-info" / "METADATA").write_text("Name: transformers\nVersion: 4.49.0\n")
    (packages / "numpy-2.0.dist-info" / "METADATA").unlink()
    (packages / "numpy-2.0.dist-info").rmdir()
    python = put_isolated_python(comfyui, packages)
    check = machine.check_node_packages(site(comfyui=comfyui))
    assert (check.status, check.found) == ("problem", f"transformers 4.49.0, no numpy ({python})")
    assert check.next == f'{python} -m pip install "transformers>=4.50.3" "numpy"'
    assert check.details["transformers"] == "4.49.0" and check.details["numpy"] is None


@shell
def test_what_comfyui_does_not_start_without(site, comfyui, packages):
    python = put_isolated_python(comfyui, packages.with_name("none"))
    put_package(packages.with_name("none"), "torch", "9.9.9", torch_code())
    check = machine.check_node_packages(site(comfyui=comfyui))
    assert check.status == "problem" and "no aiohttp" in check.found and "no torch" not in check.found
    assert check.next == f'{python} -m pip install -r "{comfyui / "requirements.txt"}"'


@shell
def test_no_torch(site, comfyui, packages):
    python = put_isolated_python(comfyui, packages)
    check = machine.check_torch(site(comfyui=comfyui))
    assert (check.status, check.found) == ("problem", f"not installed in {python}")
    assert check.next == f'{python} -m pip install -r "{comfyui / "requirements.txt"}"'


@shell
@pytest.mark.parametrize(
    ("torch", "nvidia", "status", "found"),
    [
        ({"hip": "6.4", "gpus": 1}, False, "ok", "9.9.9, ROCm 6.4: Test GPU"),
        ({"mps": True}, False, "ok", "9.9.9, MPS: Apple GPU, 12.0 GB"),
        ({"cuda": "13.0"}, False, "ok", "no GPU that it can use"),
        ({"cuda": "13.0"}, True, "warning", "for CUDA 13.0 sees no GPU"),
        ({}, True, "warning", "is a build without CUDA"),
    ],
)
def test_what_torch_sees(site, comfyui, packages, tmp_path, monkeypatch, torch, nvidia, status, found):
    put_package(packages, "torch", "9.9.9", torch_code(**torch))
    put_isolated_python(comfyui, packages)
    tools = tmp_path / "tools"
    tools.mkdir()
    if nvidia:
        (tools / "nvidia-smi").touch(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/bin")
    check = machine.check_torch(site(comfyui=comfyui))
    assert check.status == status and found in check.found
    assert bool(check.next) == (status == "warning")


@shell
def test_a_python_that_crashes(site, comfyui):
    python = put_python(comfyui, "echo 'Illegal instruction' >&2; exit 132")
    here = site(comfyui=comfyui)
    for check in (machine.check_node_packages(here), machine.check_torch(here)):
        assert check.status == "problem" and check.next
        assert str(python) in check.found and "Illegal instruction" in check.found


@shell
def test_what_this_machine_lacks_is_no_problem_where_a_server_is_used(site, comfyui, packages, monkeypatch):
    monkeypatch.setenv("COMFYUI_DIR", str(comfyui))
    put_isolated_python(comfyui, packages)
    with ToldServer() as server:
        here = site(server.url)
        assert machine.check_node_packages(here).status == "warning"
        assert machine.check_torch(here).status == "warning"


def test_without_a_comfyui_nothing_is_asked_of_its_python(site):
    assert machine.check_node_packages(site()).status == "skipped"
    assert set(NODE_PACKAGES) >= {"torch", "transformers"}


# ComfyUI


def test_comfyui(site, comfyui):
    check = machine.check_comfyui(site(comfyui=comfyui))
    assert (check.status, check.found) == ("ok", f"0.33.0 in {comfyui}")


@pytest.mark.parametrize(("text", "status"), [('__version__ = "0.27.1"', "problem"), ("", "warning")])
def test_comfyui_of_another_version(site, comfyui, text, status):
    (comfyui / "comfyui_version.py").write_text(text)
    check = machine.check_comfyui(site(comfyui=comfyui))
    assert check.status == status and "0.28.0" in check.next


def test_no_comfyui(site, tmp_path, monkeypatch):
    check = machine.check_comfyui(site())
    assert check.status == "problem" and check.next.startswith("imageine setup")
    with ToldServer() as server:
        assert machine.check_comfyui(site(server.url)).status == "skipped"
    check = machine.check_comfyui(site(comfyui=tmp_path))
    assert check.status == "problem" and "has no main.py" in check.found and check.next
    monkeypatch.setenv("COMFYUI_DIR", str(tmp_path))
    assert "COMFYUI_DIR" in machine.check_comfyui(site()).found


def test_no_comfyui_but_the_engine_without_one(site, comfyui, with_engine, monkeypatch):
    check = machine.check_comfyui(site())
    assert check.status == "warning" and check.next.startswith("imageine setup")
    with ToldServer() as server:
        assert not site(server.url).uses_embedded
    assert not site(comfyui=comfyui).uses_embedded
    named = site("http://127.0.0.1:1")
    assert not named.uses_embedded and serving.check_server(named).status == "problem"
    monkeypatch.setenv("IMAGEINE_SERVER", "embedded")
    assert site().uses_embedded and not site(comfyui=comfyui).uses_embedded


@shell
def test_the_engine_without_comfyui_needs_torch(site, with_engine, tmp_path, monkeypatch):
    python = put_python(tmp_path / "broken", "exit 1")
    monkeypatch.setattr(places, "choose_python", lambda folder: python)
    assert machine.check_torch(site()).status == "problem"
    monkeypatch.setattr(embedded, "missing_packages", lambda: ["torch"])
    assert machine.check_torch(site()).status == "warning"


def test_the_engine_without_comfyui_is_asked_for(site, comfyui, monkeypatch):
    monkeypatch.setenv("COMFYUI_DIR", str(comfyui))
    check = machine.check_comfyui(site("embedded"))
    assert check.status == "problem" and "diffusers" in check.found and "imageine[embedded]" in check.next
    assert serving.check_server(site("embedded")).status == "skipped"
    monkeypatch.setattr(embedded, "missing_packages", list)
    assert machine.check_comfyui(site("embedded")).status == "ok"


# This extension in custom_nodes


def put_extension(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "imageine"\n')
    return folder


def test_the_extension_is_linked(site, comfyui):
    link = comfyui / "custom_nodes" / "imageine"
    check = machine.check_extension(site(comfyui=comfyui))
    assert check.status == "warning" and check.next == machine.link_command(link)
    subprocess.run(check.next, shell=True, check=True)
    assert link.resolve() == ROOT.resolve()
    check = machine.check_extension(site(comfyui=comfyui))
    assert (check.status, check.found) == ("ok", str(link))


def test_a_folder_name_with_a_space(site, comfyui):
    path = put_extension(comfyui / "custom_nodes" / "my imageine")
    check = machine.check_extension(site(comfyui=comfyui))
    assert check.status == "warning" and str(path.with_name("my-imageine")) in check.next


def test_two_copies_and_one_that_is_switched_off(site, comfyui):
    nodes = comfyui / "custom_nodes"
    put_extension(nodes / "imageine.disabled")
    check = machine.check_extension(site(comfyui=comfyui))
    assert check.status == "warning" and check.found.startswith("switched off")
    put_extension(nodes / "one")
    assert machine.check_extension(site(comfyui=comfyui)).status == "ok"
    put_extension(nodes / "two")
    check = machine.check_extension(site(comfyui=comfyui))
    assert check.status == "warning" and check.found.startswith("2 copies")


def test_custom_nodes_of_extra_model_paths(site, comfyui, tmp_path):
    (comfyui / "extra_model_paths.yaml").write_text(f"other:\n  custom_nodes: {tmp_path / 'more'}\n")
    path = put_extension(tmp_path / "more" / "imageine")
    assert machine.check_extension(site(comfyui=comfyui)).found == str(path)


# The clock


def test_the_clock(site, monkeypatch):
    assert machine.check_clock(site()).status == "ok"
    monkeypatch.setattr(time, "time", lambda: 86400.0)
    check = machine.check_clock(site())
    assert check.status == "warning" and "1970-01-02" in check.found


def test_the_clock_of_the_server(site):
    with ToldServer() as server:
        assert machine.check_clock(site(server.url)).found == "as the server's"
        server.date = "Thu, 01 Jan 2015 00:00:00 GMT"
        check = machine.check_clock(site(server.url))
        assert check.status == "warning" and "behind" in check.found
        server.date = "tomorrow"
        assert machine.check_clock(site(server.url)).status == "ok"
