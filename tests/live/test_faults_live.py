"""Faults on the client's side of a real server: killed, refused, too large, out of time, and not alone.

What goes wrong on the server's side is in test_client_live.py, and with several servers in tests/pool.
"""

import io
import itertools
import json
import subprocess
import sys
import time
import uuid

import pytest
from imageine.runner.client import Client
from imageine.runner.client.events import NodeProgress, NodeStarted
from PIL import Image
from support.client_cases import error_of

# Another runner: submits each graph of stdin under its id, and tells events and the colours that came back.
RUNNER = """
import io, json, sys
from imageine.runner import Client
from PIL import Image

with Client(sys.argv[1]) as client:
    for line in sys.stdin:
        prompt_id, graph = json.loads(line)
        job = client.submit(graph, prompt_id=prompt_id)
        result = job.wait(60, lambda event: print(type(event).__name__, flush=True))
        with Image.open(io.BytesIO(client.fetch(result.outputs[0]))) as picture:
            print("colour", picture.convert("RGB").tobytes()[:3].hex(), flush=True)
"""

colours = itertools.count(1)


@pytest.fixture(scope="module")
def server(slow_comfyui):
    with slow_comfyui("--max-upload-size", "2") as server:
        yield server


@pytest.fixture
def client(server):
    with server.client(grace=1, stalled_after=60) as client:
        yield client


def graph(steps: int = 0, prefix: str = "fault", colour: int | None = None) -> dict:
    """A picture of one colour, a new one unless ``colour`` is given, after ``steps`` of 0.05 s."""
    colour = next(colours) if colour is None else colour
    result = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": colour}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }
    if steps:
        result["3"] = {"class_type": "TestWait", "inputs": {"images": ["1", 0], "steps": steps}}
        result["9"]["inputs"]["images"] = ["3", 0]
    return result


def start_runner(url: str) -> subprocess.Popen:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", RUNNER, url], text=True, **pipes)


def tell(runner: subprocess.Popen, prompt_id: str, content: dict) -> None:
    runner.stdin.write(json.dumps([prompt_id, content]) + "\n")
    runner.stdin.flush()


def test_a_killed_client_is_resumed(client, server):
    prompt_id, content = str(uuid.uuid4()), graph(steps=40, prefix="killed")
    with start_runner(server.url) as runner:
        tell(runner, prompt_id, content)
        assert any(line == "NodeProgress\n" for line in runner.stdout)
        runner.kill()
    result = client.attach(prompt_id).wait(60)
    assert client.fetch(result.outputs[0]).startswith(b"\x89PNG")
    assert client.submit(content, prompt_id=prompt_id).wait(60).outputs == result.outputs
    assert len(list(server.output_dir.glob("killed_*.png"))) == 1


def test_two_runners_on_one_server(client, server):
    """Each gets its own pictures, and a cancel of one leaves the other's job alone."""
    with start_runner(server.url) as first, start_runner(server.url) as second:
        wanted = {}
        for number, runner in enumerate((first, second)):
            wanted[runner] = [0x100000 * (number + 1) + index for index in range(12)]
            for colour in wanted[runner]:
                tell(runner, str(uuid.uuid4()), graph(colour=colour))
            runner.stdin.close()
        ours = client.submit(graph(steps=1000))
        assert ours.cancel()
        for runner, expected in wanted.items():
            told = [line.split()[1] for line in runner.stdout if line.startswith("colour")]
            assert [int(colour, 16) for colour in told] == expected
    assert first.returncode == second.returncode == 0


def test_a_graph_of_300_nodes(client):
    content = graph(colour=0x102030)
    for number in range(100, 398):
        source = "1" if number == 100 else str(number - 1)
        content[str(number)] = {"class_type": "ImageInvert", "inputs": {"image": [source, 0]}}
    content["9"]["inputs"]["images"] = ["397", 0]
    assert len(content) == 300
    events = []
    result = client.submit(content).wait(120, events.append)
    assert {event.node_id for event in events if isinstance(event, NodeStarted)} == set(content)
    with Image.open(io.BytesIO(client.fetch(result.outputs[0]))) as picture:
        colour = picture.convert("RGB").getpixel((0, 0))
    # Inverted an even number of times; ComfyUI cuts fractions off when it saves.
    assert colour == pytest.approx((0x10, 0x20, 0x30), abs=1)


def test_no_output_node(client):
    content = graph()
    del content["9"]
    error = error_of(client.submit, content)
    assert error.code == "job_rejected"
    assert error.details["type"] == "prompt_no_outputs"
    assert "no outputs" in error.message
    assert client.queue_length() == 0


def test_an_unknown_node_class(client):
    error = error_of(client.submit, {**graph(), "4": {"class_type": "NoSuchNode", "inputs": {}}})
    assert error.code == "job_rejected" and error.details["type"] == "missing_node_type"
    assert "NoSuchNode" in error.message and "Install" in error.hint


def test_larger_than_the_server_takes(client):
    photo = bytes(3 * 2**20)
    error = error_of(client.upload_image, photo)  # the server says its limit: nothing is sent
    assert error.code == "server_refused" and "3.0 MB" in error.message and "2 MB at most" in error.message
    client._features = {}  # one that does not say
    error = error_of(client.upload_image, photo)
    assert error.code == "server_refused" and error.details["status"] == 413
    assert "--max-upload-size" in error.hint
    error = error_of(client.submit, graph(), ui_workflow={"notes": "x" * 3 * 2**20})
    assert error.details["status"] == 413 and "--max-upload-size" in error.hint
    assert client.upload_image(b"small enough")


def test_another_origin(server):
    with Client(server.url, headers={"Origin": "http://elsewhere.example"}) as client:
        for call in (client.check, lambda: client.submit(graph()), lambda: client.upload_image(b"x")):
            error = error_of(call)
            assert error.code == "server_refused" and error.details["status"] == 403
            assert "Origin" in error.hint


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_the_clock_jumps_in_mid_job(client, monkeypatch, jump):
    real, jumped = time.time, []

    def on_event(event):
        if isinstance(event, NodeProgress) and not jumped:
            jumped.append(event)
            monkeypatch.setattr(time, "time", lambda: real() + jump)

    assert client.submit(graph(steps=20)).wait(60, on_event).outputs
    assert jumped
