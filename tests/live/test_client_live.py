"""The traps of ComfyUI's API on a real server, measured where the client only claims to survive them.

They run in this order on one server of their own, whose process and worker the last tests kill.
"""

import contextlib
import itertools
import os
import subprocess
import uuid
from pathlib import Path

import pytest
import requests
from imageine.runner.client import Client
from imageine.runner.client.events import Finished, NodeCached, NodeProgress, NodeStarted, Queued, Reconnected, Started
from imageine.runner.engines import managed
from imageine.runner.errors import ImageineError, JobCancelled
from support.cutting_proxy import CuttingProxy

colours = itertools.count(1)


@pytest.fixture(scope="module")
def server(slow_comfyui):
    with slow_comfyui() as server:
        yield server


@pytest.fixture
def client(server):
    with server.client(grace=1, stalled_after=60) as client:
        yield client


def graph(steps: int = 0, colour: int | None = None, prefix: str = "live") -> dict:
    """A picture of one colour, one never seen before unless ``colour`` is given, after ``steps`` of 0.05 s."""
    colour = next(colours) if colour is None else colour
    result = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": colour}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }
    if steps:
        result["3"] = {"class_type": "TestWait", "inputs": {"images": ["1", 0], "steps": steps}}
        result["9"]["inputs"]["images"] = ["3", 0]
    return result


def error_of(call, *arguments, **options) -> ImageineError:
    with pytest.raises(ImageineError) as caught:
        call(*arguments, **options)
    return caught.value


def when(event_type, action):
    """An on_event that calls ``action`` at the first event of a kind."""
    done = []

    def on_event(event):
        if isinstance(event, event_type) and not done:
            done.append(event)
            action()

    return on_event


def test_what_the_server_says(client):
    info = client.check()
    assert info.version.startswith("0.")
    assert info.devices
    assert "SaveImage" in client.object_info()
    assert client.features()["max_upload_size"] == 100 * 2**20
    assert client.queue_length() == 0


def test_no_result_is_lost_to_the_history_race(client, figures):
    complete = sum(bool(client.submit(graph()).wait(60).outputs) for _ in range(60))
    figures(f"history race: {complete} of 60 jobs gave their output")
    assert complete == 60


def test_events_of_a_job(client):
    events = []
    result = client.submit(graph(steps=3)).wait(60, events.append)
    assert events[:2] == [Started(3), NodeCached(())]
    assert [event.node_id for event in events if isinstance(event, NodeStarted)] == ["1", "3", "9"]
    assert NodeProgress("3", 3, 3) in events
    assert events[-1] == Finished()
    assert client.fetch(result.outputs[0]).startswith(b"\x89PNG")


def test_fully_cached(client):
    first = client.submit(graph(colour=99)).wait(60)
    events = []
    second = client.submit(graph(colour=99)).wait(60, events.append)
    assert set(second.cached_nodes) == {"1", "9"}
    assert second.outputs == first.outputs  # the earlier file
    assert not any(isinstance(event, NodeStarted) for event in events)


def test_cached_output_whose_file_was_deleted(client, server):
    output = client.submit(graph(colour=98)).wait(60).outputs[0]
    (server.output_dir / output.filename).unlink()
    error = error_of(client.submit(graph(colour=98)).wait, 60)
    assert error.code == "output_missing"
    assert client.submit(graph(colour=98, prefix="another")).wait(60).outputs


def test_preview_only(client):
    workflow = graph()
    workflow["9"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    result = client.submit(workflow).wait(60)
    assert [file.type for file in result.outputs] == ["temp"]
    assert client.fetch(result.outputs[0])


def test_partial_node_errors(client):
    workflow = graph(steps=1000)
    workflow["10"] = {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}}
    workflow["8"] = {"class_type": "EmptyImage", "inputs": {"width": 0, "height": 16, "batch_size": 1, "color": 0}}
    error = error_of(client.submit, workflow)
    assert error.code == "job_rejected"
    assert "EmptyImage (node 8): width:" in error.message
    assert "value_smaller_than_min" in error.message
    assert client.submit(graph()).wait(60).outputs  # at once: the accepted half does not run
    workflow["3"]["inputs"]["steps"] = 1
    job = client.submit(workflow, allow_partial=True)
    assert set(job.node_errors) == {"8"}
    assert [file.node_id for file in job.wait(60).outputs] == ["9"]


def test_validation(client):
    workflow = graph()
    workflow["9"]["inputs"] = {"images": ["1", 7]}
    error = error_of(client.submit, workflow)
    assert error.code == "job_rejected"
    assert "(node 9)" in error.message
    error = error_of(client.submit, {"1": {"class_type": "NoSuchNode", "inputs": {}}})
    assert error.details["type"] == "missing_node_type"
    assert "Install" in error.hint


def test_a_node_that_fails(client):
    photo = client.upload_image(b"not a picture")
    workflow = graph()
    workflow["1"] = {"class_type": "LoadImage", "inputs": {"image": photo}, "_meta": {"title": "Photo"}}
    error = error_of(client.submit(workflow).wait, 60)
    assert error.code == "job_failed"
    assert error.message.startswith('LoadImage (node 1, "Photo") failed: ')
    assert error.details["node_type"] == "LoadImage"
    assert 'File "' in error.details["traceback"]


def test_a_duplicate_id_runs_twice_unless_the_client_looks(client, server, figures):
    body = {"prompt": graph(steps=20), "prompt_id": str(uuid.uuid4())}
    for _ in range(2):
        requests.post(f"{server.url}/prompt", json=body, timeout=30).raise_for_status()
    queue = requests.get(f"{server.url}/queue", timeout=30).json()
    held = [item[1] for item in queue["queue_running"] + queue["queue_pending"]]
    figures(f"the server holds a prompt sent twice {held.count(body['prompt_id'])} times")
    prompt_id = str(uuid.uuid4())
    jobs = [client.submit(graph(colour=90), prompt_id=prompt_id) for _ in range(2)]
    queue = requests.get(f"{server.url}/queue", timeout=30).json()
    assert [item[1] for item in queue["queue_pending"]].count(prompt_id) == 1
    client.attach(body["prompt_id"]).cancel()
    assert [job.wait(60).outputs for job in jobs][0]


def test_upload_is_deduplicated_across_clients(client, server):
    first = client.upload_image(b"content")
    with server.client() as other:
        assert other.upload_image(b"content") == first
    (server.input_dir / first).write_bytes(b"cut")  # an upload that a full disk ended
    assert client.upload_image(b"content") == first.replace(".png", " (1).png")


def test_cancel_pending_and_running(client):
    running, waiting = client.submit(graph(steps=2000)), client.submit(graph())
    events = iter(waiting.events(60))
    assert next(events) == Queued(1)
    assert waiting.cancel()
    assert error_of(list, events).code == "job_cancelled"
    with pytest.raises(JobCancelled):
        running.wait(60, when(NodeProgress, running.cancel))
    assert client.submit(graph()).wait(60).outputs


def test_stopped_by_somebody_else(client, server):
    stop = lambda: requests.post(f"{server.url}/interrupt", json={}, timeout=30)  # noqa: E731
    assert error_of(client.submit(graph(steps=2000)).wait, 60, when(NodeProgress, stop)).code == "job_interrupted"


def test_connections_cut_in_mid_job(server):
    port = int(server.url.rpartition(":")[2])
    with CuttingProxy(port) as proxy, Client(proxy.url) as client:
        events = []
        on_first_step = when(NodeProgress, proxy.cut)

        def on_event(event):
            events.append(event)
            on_first_step(event)

        assert client.submit(graph(steps=60)).wait(60, on_event).outputs
    after = events[events.index(Reconnected()) :]
    assert any(isinstance(event, NodeProgress) for event in after)
    assert events[-1] == Finished()


@contextlib.contextmanager
def full_disk(folder: Path):
    """Let ``folder`` have room for nothing; skips the test where that takes rights that it lacks."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tiny file system")
    try:
        (folder / "filler").write_bytes(bytes(4096))
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_out_of_disk(client, server):
    with full_disk(server.output_dir):
        error = error_of(client.submit(graph()).wait, 60)
    assert error.code == "job_failed"
    assert error.details["node_type"] == "SaveImage"
    assert "disk is full" in error.hint
    assert client.submit(graph()).wait(60).outputs


def test_the_poison_prompt_is_harmless_when_normalised(client):
    workflow = graph()
    workflow["poison"] = {"class_type": "EmptyImage"}
    assert client.submit(workflow).wait(60).outputs


def test_killed_in_mid_job_and_restarted(client, server, monkeypatch):
    port = int(server.url.rpartition(":")[2])
    monkeypatch.setattr(managed, "free_port", lambda: port)

    def restart():
        server.process.kill()
        server.stop()
        server.__enter__()

    error = error_of(client.submit(graph(steps=2000)).wait, 60, when(NodeProgress, restart))
    assert error.code == "job_lost"
    assert "restarted" in error.message
    assert client.submit(graph()).wait(60).outputs


def test_a_dead_worker_is_noticed(server):
    """What the normalisation prevents: sent as it is, that prompt kills the worker of a server that stays up."""
    body = {"prompt": {**graph(), "poison": {"class_type": "EmptyImage"}}, "prompt_id": str(uuid.uuid4())}
    requests.post(f"{server.url}/prompt", json=body, timeout=30).raise_for_status()
    with server.client(stalled_after=0.5) as client:
        assert client.check()
        error = error_of(client.submit(graph()).wait, 60)
    assert error.code == "job_stalled"


def test_killed_for_good(server, client):
    job = client.submit(graph())
    server.process.kill()
    error = error_of(job.wait, 60)
    assert error.code == "server_lost"
    assert "submit the job again" in error.hint
