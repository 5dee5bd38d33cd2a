"""``imageine doctor`` and ``diagnose``: what is printed, exit codes, and that nothing stops it."""

import contextlib
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from imageine.runner import diagnose
from imageine.runner.cli import app
from imageine.runner.doctor import Check, Diagnosis, storage
from imageine.runner.doctor.check import guarded
from imageine.runner.engines import comfyui as places
from imageine.runner.errors import ServerError
from support.sick_pythons import put_isolated_python, put_package, put_what_nodes_need, torch_code
from support.told_server import ToldServer
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
NAMES = [
    "python", "runner-packages", "server", "comfyui", "node-packages", "torch", "extension", "nodes", "browser",
    "disk-output", "write-output", "clock",
]  # fmt: skip


def doctor(*arguments):
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


@pytest.fixture(autouse=True)
def quick_python(monkeypatch, tmp_path):
    """Where there is no ComfyUI, a Python without torch stands for ours: importing the real one takes seconds."""
    python = put_isolated_python(tmp_path / "quick", tmp_path / "nothing")
    choose = places.choose_python
    monkeypatch.setattr(places, "choose_python", lambda folder: choose(folder) if folder else python)


@pytest.fixture
def packages(tmp_path):
    """All that the nodes need; torch among it."""
    folder = put_what_nodes_need(tmp_path / "packages")
    put_package(folder, "torch", "9.9.9", torch_code(hip="6.4", gpus=1))
    return folder


def test_json_has_stable_keys(comfyui):
    result = doctor("--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 7
    assert list(told) == ["ok", "next", "counts", "checks"] and told["ok"] is False
    assert [entry["name"] for entry in told["checks"] if not entry["name"].startswith("models-")] == NAMES
    assert all(list(entry) == ["name", "status", "found", "next", "details"] for entry in told["checks"])
    assert sum(told["counts"].values()) == len(told["checks"])
    assert told["next"].startswith("imageine setup")


@pytest.mark.skipif(sys.platform == "win32", reason="the Python is a shell script")
def test_no_problem_is_success(comfyui, packages, monkeypatch):
    monkeypatch.setattr(storage, "FIRST_PIPELINE", "none")
    put_isolated_python(comfyui, packages)
    result = doctor("--comfyui", comfyui)
    assert result.exit_code == 0, result.stdout
    assert result.stdout.startswith("warning")
    assert " warnings. First: " in result.stdout.splitlines()[-1]


def test_the_worst_comes_first_and_the_last_line_says_what_to_do():
    lines = doctor().stdout.splitlines()
    order = ["problem", "warning", "ok", "skipped"]
    statuses = [line.split()[0] for line in lines[:-1] if not line.lstrip().startswith("->")]
    assert statuses == sorted(statuses, key=order.index)
    assert lines[-1].startswith("1 problem. First: imageine setup")


def test_both_a_server_and_a_folder(comfyui, packages):
    put_isolated_python(comfyui, packages)
    with ToldServer() as server:
        checks = {entry.name: entry for entry in diagnose(server.url, comfyui).checks}
    assert checks["server"].status == checks["comfyui"].status == "ok"


def test_nonsense_from_a_server_is_survived():
    with ToldServer(**{path: [3] for path in ("object_info", "queue", "prompt", "internal/folder_paths")}) as server:
        server.told["/system_stats"] = {"system": {"comfyui_version": "0.33.0", "argv": 5}, "devices": []}
        found = diagnose(server.url)
    assert any("this check failed itself" in entry.found for entry in found.checks)
    assert {"python", "clock"} <= {entry.name for entry in found.checks}


def test_a_check_that_fails_itself_says_so():
    (failed,) = guarded("clock", lambda: 1 / 0)
    assert (failed.name, failed.status) == ("clock", "warning")
    assert failed.found == "this check failed itself: ZeroDivisionError: division by zero"

    def refuse():
        raise ServerError("server_lost", "It went away.", "Start it again.")

    (found,) = guarded("server", refuse)
    assert (found.status, found.found, found.next) == ("problem", "It went away.", "Start it again.")
    assert found.details["error"]["code"] == "server_lost"


def test_what_to_do_first():
    problem, warning = Check("b", "problem", "", "mend"), Check("a", "warning", "", "improve")
    assert Diagnosis((warning, problem)).next == "mend"
    assert Diagnosis((warning,)).next == "improve" and Diagnosis((warning,)).ok
    assert Diagnosis(()).next.startswith("imageine edit")


def test_torch_is_never_imported_here():
    code = (
        "import sys; from imageine.runner import diagnose; found = diagnose();"
        "print(sorted({'torch', 'numpy', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def with_requirements(*names: str) -> list[metadata.Distribution]:
    """Installed distributions with all that they require, each once."""
    found: dict[str, metadata.Distribution] = {}
    wanted = list(names)
    while wanted:
        name = re.match(r"[\w.-]+", wanted.pop())[0].lower()
        with contextlib.suppress(metadata.PackageNotFoundError):  # required on other systems alone
            if name not in found:
                found[name] = metadata.distribution(name)
                wanted += [line for line in found[name].requires or () if "extra ==" not in line]
    return list(found.values())


@pytest.fixture
def bare_python(tmp_path) -> Path:
    """A Python with the runner's own requirements and no torch, in an environment of its own."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site_packages = next(folder.rglob("site-packages"))
    (site_packages / "imageine").symlink_to(ROOT, target_is_directory=True)
    for distribution in with_requirements("typer", "rich", "requests", "websocket-client"):
        for name in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            (site_packages / name).symlink_to(distribution.locate_file(name))
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def test_a_machine_with_nothing(bare_python):
    code = "from imageine.runner.cli import main; main()"
    command = [str(bare_python), "-c", code, "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 7, done.stderr
    checks = {entry["name"]: entry for entry in json.loads(done.stdout)["checks"]}
    assert checks["comfyui"]["status"] == "problem"
    assert checks["torch"]["found"].startswith("not installed here")
    assert not any("failed itself" in entry["found"] for entry in checks.values())


def test_every_check_is_documented():
    rows = re.findall(r"^\| ([\w, …-]+) \| ", (ROOT / "docs" / "runner.md").read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name for row in rows for name in re.split(r"[, …]+", row)}
    assert {*NAMES, "models-simple", "models-optional", "disk-models", "write-models"} <= documented


def test_help_says_the_exit_code():
    assert "7 when there is one" in " ".join(doctor("--help").stdout.split())
