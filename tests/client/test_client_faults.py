"""The traps between submission and outputs, each played by a scripted server: what the client makes of them."""

import asyncio
import json
import struct
import threading

import pytest
from imageine.runner.client import Client
from imageine.runner.client import job as job_module
from imageine.runner.client.events import Finished, NodeCached, NodeProgress, NodeStarted, Preview, Reconnected, Started
from imageine.runner.errors import ImageineError
from support.client_cases import GRAPH, error_of, hold
from support.scripted_server import OUTPUT, ScriptedServer, succeed

# Success, hinted at too early, or not at all


@pytest.mark.parametrize("jobs_api", [True, False])
@pytest.mark.parametrize("sockets", [True, False])
def test_history_written_long_after_success(jobs_api, sockets):
    async def script(server, job):
        job.phase = "running"
        await server.send(job, "execution_success")
        await asyncio.sleep(0.2)
        server.finish(job)

    with ScriptedServer(jobs_api=jobs_api, sockets=sockets) as server, Client(server.url) as client:
        server.script = script
        assert client.submit(GRAPH).wait(10).outputs


async def keep_all(server, job):
    """Run nothing: all results are kept ones."""
    job.phase = "running"
    await server.send(job, "execution_start")
    await server.send(job, "execution_cached", nodes=["3", "9"])
    await server.send(job, "executed", node="9", output={"images": [OUTPUT]})
    await server.send(job, "execution_success")
    server.finish(job, messages=[["execution_cached", {"nodes": ["3", "9"]}]])


def test_fully_cached(client, server):
    server.script = keep_all
    events = []
    result = client.submit(GRAPH).wait(10, events.append)
    assert events == [Started(2), NodeCached(("3", "9")), Finished()]
    assert result.cached_nodes == ("3", "9")
    assert result.outputs


def test_cached_output_whose_file_was_deleted(client, server):
    server.script = keep_all
    server.files.clear()
    error = error_of(client.submit(GRAPH).wait, 10)
    assert error.code == "output_missing"
    assert OUTPUT["filename"] in error.message
    assert "filename_prefix" in error.hint
    assert error.details["missing"][0]["filename"] == OUTPUT["filename"]


def test_history_cleared_by_somebody(client, server):
    async def script(server, job):
        await succeed(server, job)
        job.phase = "gone"

    server.script = script
    result = client.submit(GRAPH).wait(10)
    assert [file.filename for file in result.outputs] == [OUTPUT["filename"]]


def test_frames_that_are_not_for_us_or_make_no_sense(client, server):
    async def script(server, job):
        job.phase = "running"
        for frame in ("", "{", '{"type": "progress"}', '{"type": "x", "data": 3}', b"", b"\0\0\0\4\xff\xff\xff\xff{"):
            await server.send_raw(job, frame)
        await server.send_raw(job, json.dumps({"type": "executing", "data": {"node": "77", "prompt_id": "another"}}))
        await server.send_raw(job, json.dumps({"type": "execution_error", "data": {"prompt_id": "another"}}))
        await succeed(server, job)

    server.script = script
    events = []
    client.submit(GRAPH).wait(10, events.append)
    assert NodeStarted("77") not in events
    assert events[-1] == Finished()


# The socket


def test_socket_dropped_in_mid_job(client, server):
    again = asyncio.Event()

    async def script(server, job):
        await hold(server, job)
        server.drop_sockets()
        await again.wait()
        await server.send(job, "progress", node="3", value=5, max=20)
        await succeed(server, job)

    server.script = script
    events = []
    for event in client.submit(GRAPH).events(10):
        events.append(event)
        if event == Reconnected():
            server._loop.call_soon_threadsafe(again.set)
    assert NodeProgress("3", 5, 20) in events
    assert events[-1] == Finished()
    assert len(set(server.client_ids)) == 1  # another id would get no events of this job
    assert len(server.bodies) == 1


def test_job_ends_while_the_socket_is_down(client, server):
    async def script(server, job):
        await hold(server, job)
        server.sockets_on = False
        server.drop_sockets()
        server.finish(job)

    server.script = script
    assert client.submit(GRAPH).wait(10).outputs


def test_the_server_forgets_a_reconnected_socket(client, server, monkeypatch):
    monkeypatch.setattr(job_module, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(client, "_stalled_after", None)
    lost = []

    async def script(server, job):
        await hold(server, job)
        server.drop_sockets()

    server.script = script
    for event in client.submit(GRAPH).events(10):
        if event == Reconnected():
            lost.append(server.sockets.pop(server.client_ids[-1], None))  # what the old handler's end does
            if len(lost) == 2:
                server.finish(server.jobs[0])
    assert len(lost) == 2


def test_no_socket_at_all():
    with ScriptedServer(sockets=False) as server, Client(server.url) as client:
        events = []
        assert client.submit(GRAPH).wait(10, events.append).outputs
        assert events[-1] == Finished()


def test_the_socket_is_read_though_nobody_takes_the_events(client, server):
    sent = threading.Event()

    async def script(server, job):
        await hold(server, job)
        for number in range(200):  # 20 MB: far more than the kernel's buffers hold
            await server.send_raw(job, struct.pack(">II", 1, 2) + bytes(100_000) + bytes([number]))
        sent.set()
        server.finish(job)

    server.script = script
    job = client.submit(GRAPH)
    assert sent.wait(10)
    previews = [event for event in job.events(10) if isinstance(event, Preview)]
    assert len(previews) < 200  # the latest ones, not a backlog


# Validation


def test_partial_node_errors_are_a_failure_and_the_rest_is_cancelled(client, server):
    server.script = hold
    too_big = {"type": "value_bigger_than_max", "message": "Value 9 too big", "extra_info": {"input_name": "seed"}}
    report = {"errors": [too_big]}
    server.prompt_answer = (200, {"node_errors": {"3": report}})
    error = error_of(client.submit, GRAPH)
    assert error.code == "job_rejected"
    assert 'KSampler (node 3, "Sampler"): seed: Value 9 too big [value_bigger_than_max]' in error.message
    assert error.details["node_errors"] == {"3": report}
    assert [job.phase for job in server.jobs] == ["done"]
    server.script = succeed
    job = client.submit(GRAPH, allow_partial=True)
    assert job.node_errors == {"3": report}
    assert job.wait(10).outputs


def test_validation_lists_every_node_and_input(client, server):
    missing = {"type": "value_not_in_list", "message": "Value not in list", "details": "ckpt_name: 'x' not in []"}
    errors = {"3": {"errors": [missing, {"type": "required_input_missing", "message": "Missing", "details": "cfg"}]}}
    errors["9"] = {"errors": [{"type": "bad_linked_input", "message": "Bad link"}]}
    server.prompt_answer = (400, {"error": {"type": "prompt_outputs_failed_validation"}, "node_errors": errors})
    error = error_of(client.submit, GRAPH)
    assert error.code == "job_rejected"
    for part in ("KSampler (node 3", "not in []", "[required_input_missing]", "SaveImage (node 9)", "Bad link"):
        assert part in error.message
    assert "model" in error.hint


MISSING_NODE = {"type": "missing_node_type", "message": "Node 'X' not found."}


@pytest.mark.parametrize("body", [{"error": MISSING_NODE}, {"error": "old"}])
def test_validation_without_node_errors(client, server, body):
    server.prompt_answer = (400, {**body, "node_errors": {}})
    error = error_of(client.submit, GRAPH)
    assert error.code == "job_rejected"
    assert ("not found" in error.message and "Install" in error.hint) or "old" in error.message


# POST /prompt without an answer


def test_lost_answer_does_not_run_the_job_twice(client, server):
    server.fail("POST", "/prompt", "lost")
    assert client.submit(GRAPH).wait(10).outputs
    assert len(server.bodies) == 1


def test_request_that_never_arrived_is_sent_again(client, server):
    server.fail("POST", "/prompt", "reset")
    assert client.submit(GRAPH).wait(10).outputs
    assert len(server.bodies) == 1
    server.fail("POST", "/prompt", "reset", "reset")
    assert error_of(client.submit, GRAPH).code == "server_unreachable"
    assert len(server.bodies) == 1


def test_no_answer_in_time_is_not_sent_again(server):
    with Client(server.url, timeout=0.3) as client:
        server.fail("POST", "/prompt", "hang")
        assert error_of(client.submit, GRAPH).code == "server_unreachable"
        assert server.count("POST", "/prompt") == 1


def test_redirected_and_failing_prompt(client, server):
    server.fail("POST", "/prompt", 302, 500, (200, "<html>"))
    for _ in range(3):
        assert error_of(client.submit, GRAPH).code == "server_refused"
    assert not server.bodies


def test_ctrl_c_during_the_post_cancels_the_job(client, server, monkeypatch):
    server.script = hold
    send = client._transport.send

    def interrupted(method, path, **options):
        answer = send(method, path, **options)
        if path == "/prompt":
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(client._transport, "send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.submit(GRAPH)
    assert [job.phase for job in server.jobs] == ["done"]


def test_a_server_that_chooses_the_id_itself(client, server):
    async def script(server, job):
        job.id = "chosen"
        await succeed(server, job)

    server.script = script
    server.prompt_answer = (200, {"prompt_id": "chosen", "node_errors": {}})
    assert client.submit(GRAPH).wait(10).outputs


# GETs are tried again


@pytest.mark.parametrize("fault", ["reset", 502, 503, 504])
def test_gets_are_tried_again(client, server, fault):
    server.fail("GET", "/system_stats", fault, fault)
    assert client.check().version == "0.33.0"
    server.fail("GET", "/system_stats", fault, fault, fault)
    with pytest.raises(ImageineError):
        client.check()


def test_upload_is_tried_again(client, server):
    server.fail("POST", "/upload/image", "lost")
    assert client.upload_image(b"photo").endswith(".png")
    assert len(server.files) == 2
