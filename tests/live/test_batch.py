"""A batch on a real ComfyUI whose client is killed in the middle: what the server ran is what the table asks for."""

import json
import signal
import subprocess
import sys

import pytest
import requests
from imageine.runner import run_batch
from PIL import Image, ImageChops, ImageOps

ROWS = 6
INVERT = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}, "_meta": {"title": "Image"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "TestWait", "inputs": {"images": ["2", 0], "steps": 4}},
    "4": {
        "class_type": "SaveImage",
        "inputs": {"images": ["3", 0], "filename_prefix": "x"},
        "_meta": {"title": "Result"},
    },
}


@pytest.fixture(scope="module")
def server(slow_comfyui):
    with slow_comfyui() as server:
        yield server


@pytest.fixture
def job(tmp_path):
    """(workflow file, folder of photos, output folder)."""
    workflow, photos = tmp_path / "invert.json", tmp_path / "photos"
    workflow.write_text(json.dumps(INVERT))
    photos.mkdir()
    for number in range(ROWS):
        Image.effect_noise((24 + number, 16), 90).convert("RGB").save(photos / f"{number}.png")
    return workflow, photos, tmp_path / "out"


def test_a_client_killed_in_the_middle(server, job, figures):
    workflow, photos, out = job
    code = "from imageine.runner.cli import main; main()"
    command = [sys.executable, "-c", code, "batch", workflow, "--table", photos, "-o", out, "--server", server.url]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not process.stderr.readline().startswith("2 of "):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    result = run_batch(workflow, out, table=photos, server=server.url)
    assert (result.count("skipped"), result.count("done")) == (2, ROWS - 2)
    ran = requests.get(f"{server.url}/history", timeout=30).json()
    figures(
        f"batch on ComfyUI, client killed after 2 of {ROWS}: {len(ran)} prompts ran, {len(result.outcomes)} results"
    )
    assert len(ran) == ROWS
    for number in range(ROWS):
        made, photo = Image.open(out / f"000{number + 1}-{number}.png"), Image.open(photos / f"{number}.png")
        apart = ImageChops.difference(made.convert("RGB"), ImageOps.invert(photo)).getextrema()
        assert max(high for _, high in apart) <= 1  # ComfyUI rounds down
