"""What another Python is asked, and what it may do instead of answering."""

import contextlib
import os
import select
import sys
from pathlib import Path

import pytest
from imageine.runner.doctor import probe
from support.sick_pythons import put_isolated_python, put_package, put_python, torch_code

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the Pythons are shell scripts")


@pytest.fixture
def packages(tmp_path):
    return tmp_path / "packages"


def test_packages_and_gpu(comfyui, packages):
    put_package(packages, "torch", "9.9.9", torch_code(cuda="13.0", gpus=1))
    put_package(packages, "numpy", "2.0")
    answers = probe.ask(put_isolated_python(comfyui, packages), ["torch", "numpy", "pillow"])
    assert answers.packages == {"torch": "9.9.9", "numpy": "2.0", "pillow": None}
    assert answers.python == ".".join(map(str, sys.version_info[:3]))
    device = {"kind": "cuda", "name": "Test GPU", "total": 8_000_000_000, "free": 6_000_000_000}
    assert answers.torch == {"version": "9.9.9", "build": {"cuda": "13.0", "hip": None}, "devices": [device]}
    assert answers.error == ""


def test_the_real_torch():
    pytest.importorskip("torch")
    answers = probe.ask(Path(sys.executable), ["torch"])
    assert answers.error == "" and answers.torch["version"].startswith(answers.packages["torch"])


def test_a_torch_that_cannot_be_imported_leaves_the_packages(comfyui, packages):
    put_package(packages, "torch", "9.9.9", "raise ImportError('libcudart.so.13: cannot open shared object file')")
    answers = probe.ask(put_isolated_python(comfyui, packages), ["torch"])
    assert answers.packages == {"torch": "9.9.9"} and answers.torch is None
    assert answers.error == "it failed: ImportError: libcudart.so.13: cannot open shared object file"


def test_a_torch_that_hangs(comfyui, packages, monkeypatch):
    monkeypatch.setattr(probe, "PROBE_SECONDS", 3.0)
    put_package(packages, "torch", "9.9.9", "import threading; threading.Event().wait()")
    answers = probe.ask(put_isolated_python(comfyui, packages), ["torch"])
    assert answers.packages == {"torch": "9.9.9"}
    assert answers.error == "it did not answer within 3 s"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_what_it_started_ends_with_it(comfyui, tmp_path, monkeypatch):
    """A grandchild holds the output open: neither is it waited for, nor does it stay."""
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.5)
    python = put_python(comfyui, f'sleep 600 & echo $! >"{tmp_path / "pid"}"; wait')
    assert "did not answer" in probe.ask(python, ["torch"]).error
    number = (tmp_path / "pid").read_text().strip()
    # The kernel carries out a kill in its own time.
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(int(number))
        select.select([handle], [], [], 10)
        os.close(handle)
    process = Path("/proc", number, "stat")
    assert not process.exists() or process.read_text().split()[2] == "Z"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("kill -SEGV $$", "exit status -11"),
        ("echo hello", "exit status 0"),
        ("echo 'imageine-probe {broken'; exit 3", "exit status 3"),
        ("echo 'no such option: -c' >&2; exit 2", "no such option: -c"),
    ],
)
def test_something_else_than_a_python(comfyui, script, said):
    answers = probe.ask(put_python(comfyui, script), ["torch"])
    assert answers.error == f"it failed: {said}" and not answers.packages


def test_a_python_that_cannot_be_run(comfyui):
    path = put_python(comfyui, "")
    path.chmod(0o644)
    assert "cannot be run" in probe.ask(path, ["torch"]).error
    assert "No such file" in probe.ask(comfyui / "absent", ["torch"]).error


def test_modules_of_the_current_folder_are_not_taken_for_packages(comfyui, packages, tmp_path, monkeypatch):
    put_package(packages, "torch", "9.9.9", torch_code())
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert probe.ask(put_isolated_python(comfyui, packages), ["torch"]).torch["version"] == "9.9.9"
