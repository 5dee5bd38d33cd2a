"""``imageine setup``, with a stand-in for comfy-cli's command and for ComfyUI's Python: real processes, no network."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from imageine.runner.cli import app
from imageine.runner.engines import installing
from support.toy_comfyui import make_comfyui
from typer.testing import CliRunner

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")

ROOT = Path(__file__).parents[1]
LOG = 'echo "$0" "$@" "DO_NOT_TRACK=$DO_NOT_TRACK" >> "{log}"'
OFFLINE = "fatal: unable to access 'https://github.com/': Could not resolve host: github.com"


def script(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    path.chmod(0o755)
    return path


class Machine:
    """A home without ComfyUI, a PATH with the stand-in of comfy-cli, and what was run."""

    def __init__(self, tmp_path: Path):
        self.log = tmp_path / "log"
        self.bin = tmp_path / "bin"
        self.folder = tmp_path / "home" / "comfy" / "ComfyUI"
        template = make_comfyui(tmp_path / "template")
        script(template / ".venv" / "bin" / "python", LOG.format(log=self.log))
        self.comfy = [LOG.format(log=self.log), "echo installing", f'mkdir -p "$3"; cp -R "{template}/." "$3"']

    def put_comfy(self, *lines: str) -> None:
        script(self.bin / "comfy", *(lines or self.comfy))

    def runs(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path, monkeypatch):
    machine = Machine(tmp_path)
    machine.bin.mkdir()
    for name in ("sh", "mkdir", "cp", "chmod"):
        (machine.bin / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(machine.bin))
    for name in ("COMFYUI_DIR", "IMAGEINE_SERVER"):
        monkeypatch.delenv(name, raising=False)
    # comfy-cli's command is looked for beside the Python that runs this.
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python" / "python3"))
    return machine


def setup(*arguments):
    return CliRunner().invoke(app, ["setup", *map(str, arguments)])


def test_all_of_it(machine):
    machine.put_comfy()
    result = setup()
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == str(machine.folder)
    install, requirements = machine.runs()[:2]
    assert install.endswith(f"--workspace {machine.folder} install --version latest --cpu DO_NOT_TRACK=1")
    assert requirements.startswith(f"{machine.folder}/.venv/bin/python -m pip install rich>=13 ")
    assert (machine.folder / "custom_nodes" / "imageine").resolve() == ROOT.resolve()
    assert "installing" in result.stderr
    assert "problem" in result.stdout.splitlines()[-1]  # the doctor's verdict: there are no models


def test_again_changes_nothing(machine):
    machine.put_comfy()
    setup()
    before = sorted(machine.folder.rglob("*"))
    count = len(machine.runs())
    result = setup("--quiet")
    assert result.stdout == f"{machine.folder}\n"
    assert [line.split()[1:4] for line in machine.runs()[count:]] == [["-m", "pip", "install"]]
    assert sorted(machine.folder.rglob("*")) == before


def test_a_comfyui_that_is_there_is_used(machine, tmp_path):
    machine.put_comfy()
    folder = make_comfyui(tmp_path / "mine")
    script(folder / ".venv" / "bin" / "python", LOG.format(log=machine.log))
    shutil.copytree(ROOT, folder / "custom_nodes" / "copy", ignore=lambda path, names: set(names) - {"pyproject.toml"})
    assert setup("--comfyui", folder, "--quiet").exit_code == 0
    assert all(str(machine.bin / "comfy") not in line for line in machine.runs())
    assert [entry.name for entry in (folder / "custom_nodes").iterdir()] == ["copy"]


def test_dry_run_prints_the_commands_and_does_nothing(machine, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    result = setup("--dry-run", "--comfyui", tmp_path / "new", "--gpu", "nvidia")
    assert result.exit_code == 0
    pip, install, link, requirements = result.stdout.splitlines()
    assert pip == f"{sys.executable} -m pip install comfy-cli"
    assert install.endswith(f"--skip-prompt --workspace {tmp_path / 'new'} install --version latest --nvidia")
    assert link == f"link {tmp_path / 'new' / 'custom_nodes' / 'imageine'} to {ROOT.resolve()}"
    assert "pip install 'rich>=13'" in requirements
    assert sorted(tmp_path.rglob("*")) == before


def test_comfy_cli_is_installed_when_asked_to(machine):
    """The Python that runs this is a stand-in, whose pip puts the command beside it."""
    machine.put_comfy()
    python = script(
        Path(sys.executable),
        LOG.format(log=machine.log),
        f'cp "{machine.bin / "comfy"}.kept" "{Path(sys.executable).with_name("comfy")}"',
    )
    (machine.bin / "comfy").rename(machine.bin / "comfy.kept")
    refused = setup()
    assert refused.exit_code == 4 and "setup_failed" in refused.stderr
    assert "pip install comfy-cli" in refused.stderr and "--yes" in refused.stderr
    assert machine.runs() == []
    assert setup("--yes").exit_code == 0
    assert machine.runs()[0].startswith(f"{python} -m pip install comfy-cli")


@pytest.mark.parametrize(("said", "hint"), [(OFFLINE, "needs the network"), ("disk quota exceeded", "Run it yourself")])
def test_a_step_that_fails_is_told_with_its_last_words(machine, said, hint):
    machine.put_comfy("for i in 1 2 3; do echo line $i; done", f'echo "{said}" >&2', "exit 3")
    result = setup()
    assert result.exit_code == 4
    assert "Error (setup_failed)" in result.stderr and "exit status 3" in result.stderr
    assert said in result.stderr.split("Error")[1] and hint in result.stderr
    assert not machine.folder.exists()


def test_the_cause_far_above_the_last_words(machine):
    machine.put_comfy(
        f'echo "{OFFLINE}"', "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do echo frame $i; done", "exit 1"
    )
    told = setup().stderr.split("Error")[1]
    assert OFFLINE in told and "needs the network" in told and "frame" not in told


def test_no_comfyui_though_all_went_well(machine):
    machine.put_comfy("exit 0")
    result = setup()
    assert result.exit_code == 4 and "there is no ComfyUI in" in result.stderr


def test_a_command_that_cannot_be_run(machine):
    machine.put_comfy()
    (machine.bin / "comfy").write_text("#!/nowhere/at/all\n", encoding="utf-8")
    result = setup()
    assert result.exit_code == 4 and "setup_failed" in result.stderr


def test_a_folder_of_something_else_is_left_alone(machine, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    result = setup("--comfyui", tmp_path / "photos")
    assert result.exit_code == 4 and "not empty" in result.stderr
    assert machine.runs() == []


def test_custom_nodes_that_cannot_be_written(machine):
    machine.put_comfy(*machine.comfy, 'rm -r "$3/custom_nodes"; : > "$3/custom_nodes"')
    (machine.bin / "rm").symlink_to(shutil.which("rm", path=os.defpath))
    result = setup()
    assert result.exit_code == 4 and "cannot be made" in result.stderr


def test_an_unknown_gpu(machine):
    result = setup("--gpu", "voodoo")
    assert result.exit_code == 2 and "nvidia" in result.stderr


@pytest.mark.parametrize(
    ("command", "system", "machine_type", "gpu"),
    [
        ("nvidia-smi", "Linux", "x86_64", "nvidia"),
        ("rocminfo", "Linux", "x86_64", "amd"),
        ("", "Linux", "x86_64", "cpu"),
        ("", "Darwin", "arm64", "m-series"),
        ("", "Darwin", "x86_64", "cpu"),
    ],
)
def test_which_gpu(machine, monkeypatch, command, system, machine_type, gpu):
    if command:
        script(machine.bin / command)
    monkeypatch.setattr(installing.platform, "system", lambda: system)
    monkeypatch.setattr(installing.platform, "machine", lambda: machine_type)
    assert f"--{gpu}" in setup("--dry-run").stdout.splitlines()[1].split()
