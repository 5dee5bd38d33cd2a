"""A server that paints, photos, and the batch command in this process or in one of its own."""

import subprocess
import sys
from pathlib import Path

import pytest
from imageine.runner.cli import app
from PIL import Image
from support.edit_server import EditServer
from typer.testing import CliRunner


@pytest.fixture
def server():
    with EditServer() as running:
        yield running


@pytest.fixture
def make_photos(tmp_path):
    """Call it with names: small photos of these names in the folder ``photos``, which is returned."""

    def make(*names: str) -> Path:
        folder = tmp_path / "photos"
        folder.mkdir(exist_ok=True)
        for number, name in enumerate(names):
            Image.linear_gradient("L").resize((20 + number, 10)).convert("RGB").save(folder / name)
        return folder

    return make


@pytest.fixture
def imageine():
    """Call it with arguments: ``imageine batch`` in this process."""
    return lambda *arguments: CliRunner().invoke(app, ["batch", *map(str, arguments)])


@pytest.fixture
def start():
    """Call it with arguments: ``imageine batch`` in a process of its own, after the code ``before`` there."""
    started = []

    def run(*arguments, before: str = "") -> subprocess.Popen:
        code = f"{before}\nfrom imageine.runner.cli import main\nmain()"
        command = [sys.executable, "-c", code, "batch", *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()
