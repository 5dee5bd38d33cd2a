"""install.py as ComfyUI-Manager, a newcomer and a container run it: a separate Python process, in a ComfyUI or not."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from imageine.runner import models
from support.hub import Hub

ROOT = Path(__file__).parents[1]
FILES = {"config.json": b"{}", "model.safetensors": bytes(200_000)}


@pytest.fixture
def clone(tmp_path):
    """A copy of the extension in the custom_nodes of a ComfyUI 0.33.0 that is nothing but its version."""
    return put_clone(tmp_path / "ComfyUI", "comfyui-imageine", "0.33.0")


def put_clone(comfyui: Path, name: str, version: str) -> Path:
    folder = comfyui / "custom_nodes" / name
    folder.mkdir(parents=True)
    (comfyui / "main.py").touch()
    (comfyui / "comfyui_version.py").write_text(f'# generated\n__version__ = "{version}"\n')
    return copy_extension(folder)


def copy_extension(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("__init__.py", "install.py", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    for name in ("nodes", "runner"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def install(folder: Path, *arguments: str, python: tuple[str, ...] = (), **environment: str):
    """Run ``python install.py`` in ``folder``; HOME is empty and no ComfyUI is named."""
    home = folder.parent / "empty-home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COMFYUI", "HF_", "PWD"))}
    kept |= {"HOME": str(home), "USERPROFILE": str(home), "NO_PROXY": "*", "PIP_NO_INDEX": "1"}
    command = [sys.executable, *python, "install.py", *arguments]
    return subprocess.run(command, cwd=folder, env=kept | environment, capture_output=True, text=True, timeout=120)


def findings(result) -> dict[str, dict]:
    return {entry["name"]: entry for entry in json.loads(result.stdout)["checks"]}


def use_manifest(folder: Path, model) -> None:
    """Make ``model``, of the local hub, the only one that the copy knows."""
    entry = asdict(model)
    (folder / "runner" / "models" / "models.json").write_text(json.dumps({"version": 1, "models": [entry]}))


def closed_port() -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_only_models_missing_is_success_and_nothing_is_downloaded(clone):
    result = install(clone, HF_ENDPOINT=closed_port())
    assert result.returncode == 0, result.stderr
    assert "0.33.0" in result.stdout and "grounding-dino-tiny" in result.stdout and "--models" in result.stdout
    assert not (clone.parents[1] / "models").exists()
    found = findings(install(clone, "--json"))
    assert {"Python", "ComfyUI", "folder name", "torch", "transformers", "websocket-client"} <= set(found)
    missing = [name for name, entry in found.items() if entry["state"] != "ok"]
    assert missing == [f"model {model.id}" for model in models.load_manifest() if model.default]
    assert all(found[name]["next"] for name in missing)


def test_an_old_comfyui_is_an_error(tmp_path):
    clone = put_clone(tmp_path / "ComfyUI", "imageine", "0.27.9")
    result = install(clone)
    assert result.returncode == 1 and "Update ComfyUI" in result.stdout
    result = install(clone, "--json")
    assert result.returncode == 1 and findings(result)["ComfyUI"]["state"] == "error"


def test_missing_packages_are_an_error_inside_comfyui_and_a_warning_outside(clone, tmp_path):
    """``-S`` hides site-packages, so this also holds install.py to the standard library."""
    inside = install(clone, "--json", python=("-S",))
    assert inside.returncode == 1, inside.stderr
    assert findings(inside)["torch"]["state"] == "error" and "pip install" in findings(inside)["torch"]["next"]
    assert findings(inside)["typer"]["state"] == "warning"

    outside = install(copy_extension(tmp_path / "src" / "imageine"), "--json", python=("-S",))
    assert outside.returncode == 0, outside.stderr
    assert findings(outside)["torch"]["state"] == "warning" == findings(outside)["ComfyUI"]["state"]


def test_a_folder_name_with_a_space_is_named(tmp_path):
    result = install(put_clone(tmp_path / "ComfyUI", "my imageine", "0.28.0"), "--json")
    found = findings(result)["folder name"]
    assert result.returncode == 0 and found["state"] == "warning" and "my-imageine" in found["next"]


def test_a_linked_checkout_knows_its_comfyui(clone, tmp_path):
    checkout = clone.rename(tmp_path / "checkout")
    clone.symlink_to(checkout, target_is_directory=True)
    result = install(clone, "--json", PWD=str(clone))
    assert findings(result)["ComfyUI"]["found"] == f"0.33.0 in {clone.parents[1]}"


def test_comfyui_dir_and_home_are_looked_at(clone, tmp_path):
    checkout = copy_extension(tmp_path / "src" / "imageine")
    named = install(checkout, "--json", COMFYUI_DIR=str(clone.parents[1]))
    assert findings(named)["ComfyUI"]["found"].startswith("0.33.0")
    shutil.copytree(clone.parents[1], tmp_path / "src" / "empty-home" / "comfy" / "ComfyUI")
    assert "empty-home" in findings(install(checkout, "--json"))["ComfyUI"]["found"]


def test_import_nodes_stays_comfyuis(clone):
    """After install.py ran in its own folder, ``nodes`` is not ours."""
    code = (
        "import importlib.util, runpy, sys; sys.path.insert(0, sys.argv[1]); sys.argv = ['install.py', '--json'];"
        "runpy.run_path('install.py'); print(importlib.util.find_spec('nodes'))"
    )
    command = [sys.executable, "-I", "-c", code, str(clone)]
    result = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "None"


def test_models_are_downloaded_when_asked_and_once(clone):
    with Hub() as hub:
        use_manifest(clone, hub.model("sam", FILES))
        result = install(clone, "--models", "simple", HF_ENDPOINT=hub.url)
        assert result.returncode == 0, result.stderr
        assert "licence Apache-2.0" in result.stderr and "100 %" in result.stderr
        folder = clone.parents[1] / "models" / "sams" / "sam"
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES

        asked = len(hub.requests)
        again = install(clone, "--models", "simple", "--json", HF_ENDPOINT=hub.url)
        assert len(hub.requests) == asked and findings(again)["model sam"]["state"] == "ok"


def test_models_go_where_extra_model_paths_says(clone):
    comfyui = clone.parents[1]
    (comfyui / "extra_model_paths.yaml").write_text("disk:\n  base_path: ../disk\n  is_default: true\n  sams: sams\n")
    with Hub() as hub:
        use_manifest(clone, hub.model("sam", FILES))
        assert install(clone, "--models", "sam", HF_ENDPOINT=hub.url).returncode == 0
    assert (comfyui.parent / "disk" / "sams" / "sam" / "config.json").is_file() and not (comfyui / "models").exists()


def test_models_offline(clone):
    address = closed_port()
    result = install(clone, "--models", "sam2.1-hiera-tiny", "--json", HF_ENDPOINT=address)
    assert result.returncode == 6 and json.loads(result.stdout)["error"]["code"] == "model_offline"
    assert f"{address}/facebook/sam2.1-hiera-tiny/resolve/" in result.stderr
    assert str(clone.parents[1] / "models" / "sams" / "sam2.1-hiera-tiny" / "model.safetensors") in result.stderr


def test_unknown_model_and_no_place_for_models(clone, tmp_path):
    result = install(clone, "--models", "simpel")
    assert result.returncode == 6 and "Did you mean 'simple'?" in result.stderr
    result = install(copy_extension(tmp_path / "src" / "imageine"), "--models", "simple")
    assert result.returncode == 1 and "--comfyui" in result.stderr


def test_comfyui_requirements(clone, tmp_path):
    """pip is run for the ComfyUI found, or named; without one it is said loudly and is no failure."""
    (clone.parents[1] / "requirements.txt").write_text("packaging\n")
    for arguments in ([], [str(clone.parents[1])]):
        result = install(clone, "--comfyui-requirements", *arguments)
        assert result.returncode == 0 and "already satisfied: packaging" in result.stdout, result.stderr

    checkout = copy_extension(tmp_path / "src" / "imageine")
    nowhere = install(checkout, "--comfyui-requirements")
    assert nowhere.returncode == 0 and "No ComfyUI was found" in nowhere.stderr and "====" in nowhere.stderr
    assert install(checkout, "--comfyui-requirements", str(tmp_path)).returncode == 1
    (clone.parents[1] / "requirements.txt").write_text("no-such-package-of-imageine\n")
    assert install(clone, "--comfyui-requirements").returncode != 0


def test_requirements_are_a_subset_of_the_projects():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [dependencies] = re.findall(r"^dependencies = \[(.*?)\]", project, re.MULTILINE | re.DOTALL)
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = [line for line in lines if line and not line.startswith("#")]
    assert required
    for line in required:
        requirement, _, comment = line.partition("#")
        assert requirement.strip() in re.findall(r'"(.*?)"', dependencies) and comment.strip()


def test_the_registry_package_has_what_it_needs_and_no_more(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    shutil.copy(ROOT / ".comfyignore", tmp_path / ".gitignore")
    kept = [
        "web/docs/A.md",
        "runner/models/models.json",
        "runner/demo/a.py",
        "workflows/api/A.json",
        "nodes/a.py",
        "install.py",
    ]
    left_out = ["docs/models.md", "tests/a.py", "benchmarks/a.py", ".ci/run", "runner/__pycache__/a.pyc"]
    command = ["git", "-C", str(tmp_path), "check-ignore", *kept, *left_out]
    assert subprocess.run(command, capture_output=True, text=True).stdout.split() == left_out
