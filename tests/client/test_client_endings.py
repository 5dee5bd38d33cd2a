"""How a job ends when it does not succeed: the server goes, the worker dies, a node fails, somebody cancels."""

import asyncio
import json
import signal
import threading

import pytest
from imageine.runner.client import Client
from imageine.runner.client.events import Finished, NodeStarted, Queued
from imageine.runner.errors import ImageineError, JobCancelled
from support.client_cases import GRAPH, error_of, hold, wait_in_queue
from support.scripted_server import ScriptedServer


def run_error(client) -> ImageineError:
    return error_of(client.submit(GRAPH).wait, 10)


# The server goes away


def test_server_restarted_and_forgot_the_job(client, server):
    server.script = hold
    job = client.submit(GRAPH)

    def restart(event):
        if event == NodeStarted("3"):
            server.stop()
            server.forget()
            server.start()

    error = error_of(job.wait, 10, restart)
    assert error.code == "job_lost"
    assert "restarted" in error.message


def test_server_away_for_good(client, server):
    server.script = hold
    error = error_of(client.submit(GRAPH).wait, 10, lambda event: server.stop() if event == NodeStarted("3") else None)
    assert error.code == "server_lost"
    assert error.exit_code == 4


def test_server_away_for_a_moment(client, server):
    server.script = hold

    def blink(event):
        if event == NodeStarted("3"):
            server.stop()
            server.finish(server.jobs[0])
            server.start()

    assert client.submit(GRAPH).wait(10, blink).outputs


def test_a_proxy_without_its_server_for_a_moment(client, server):
    server.script = hold

    def blink(event):
        if event == NodeStarted("3"):
            server.fail("GET", "/api/jobs", *[502] * 7)
            server.finish(server.jobs[0])

    assert client.submit(GRAPH).wait(10, blink).outputs


# A worker that is dead


def test_running_without_any_sign_of_life(client, server):
    server.script = hold
    error = run_error(client)
    assert error.code == "job_stalled"
    assert "restart" in error.hint


def test_waiting_though_nothing_runs(client, server):
    server.script = wait_in_queue
    assert run_error(client).code == "job_stalled"


def test_a_slow_node_is_not_taken_for_dead_without_events():
    async def script(server, job):
        await hold(server, job)
        await asyncio.sleep(0.6)
        server.finish(job)

    with ScriptedServer(sockets=False) as server, Client(server.url, stalled_after=0.2) as client:
        server.script = script
        assert client.submit(GRAPH).wait(10).outputs


# How jobs fail


def failing(kind: str, message: str):
    async def script(server, job):
        error = {"node_id": "3", "node_type": "KSampler", "exception_type": kind, "exception_message": message}
        error["traceback"] = ["line 1\n", "line 2\n"]
        await server.send(job, "execution_error", **error)
        server.finish(job, {}, "error", [["execution_start", {}], ["execution_error", error]])

    return script


def test_node_error(client, server):
    server.script = failing("RuntimeError", "shapes differ\n")
    error = run_error(client)
    assert error.code == "job_failed"
    assert error.message == 'KSampler (node 3, "Sampler") failed: RuntimeError: shapes differ'
    expected = {"node_id": "3", "node_type": "KSampler", "title": "Sampler", "traceback": "line 1\nline 2\n"}
    assert expected.items() <= error.details.items()
    assert json.dumps(error.as_dict())


@pytest.mark.parametrize(
    ("kind", "message", "word"),
    [
        ("OSError", "[Errno 28] No space left on device: '/out/x.png'", "disk is full"),
        ("torch.OutOfMemoryError", "Allocation on device", "memory"),
        ("RuntimeError", "CUDA out of memory. Tried to allocate", "memory"),
        ("PermissionError", "[Errno 13] Permission denied", "permissions"),
        ("ValueError", "something else", "traceback"),
    ],
)
def test_hints(client, server, kind, message, word):
    server.script = failing(kind, message)
    assert word in run_error(client).hint


def test_failure_that_the_status_does_not_admit(client, server):
    async def script(server, job):
        error = {"node_id": "3", "node_type": "KSampler", "exception_type": "E", "exception_message": "cycle"}
        server.finish(job, {}, "success", [["execution_error", error]])

    server.script = script
    assert run_error(client).code == "job_failed"


def test_failure_without_a_reason(client, server):
    async def script(server, job):
        server.finish(job, {}, "error")

    server.script = script
    assert run_error(client).code == "job_failed"


def test_stopped_by_somebody_else(client, server):
    async def script(server, job):
        await hold(server, job)
        server.interrupt(job)

    server.script = script
    assert run_error(client).code == "job_interrupted"


def test_removed_from_the_queue_by_somebody_else(client, server):
    async def script(server, job):
        job.phase = "gone"

    server.script = script
    assert run_error(client).code == "job_interrupted"


# Waiting and cancelling


def test_positions_in_the_queue(client, server):
    server.script = hold
    client.submit(GRAPH)
    server.script = wait_in_queue
    client.submit(GRAPH)
    events = []
    job = client.submit(GRAPH)
    for event in job.events(10):
        events.append(event)
        if event == Queued(2):
            server.jobs[1].phase = "gone"
        elif event == Queued(1):
            server.jobs[0].phase = "gone"
        elif event == Queued(0):
            server.finish(server.jobs[2])
    assert events == [Queued(2), Queued(1), Queued(0), Finished()]


def test_timeout_leaves_the_job_running(client, server):
    server.script = hold
    job = client.submit(GRAPH)
    error = error_of(job.wait, 0.2)
    assert (error.code, error.details) == ("job_timeout", {"prompt_id": job.id})
    assert server.jobs[0].phase == "running"
    server.finish(server.jobs[0])
    assert job.wait(10).outputs


def test_a_cancel_that_the_server_loses_is_repeated(client, server):
    server.script = hold
    job = client.submit(GRAPH)
    server.fail("POST", "/api/jobs", (200, "{}"), (200, "{}"))
    assert job.cancel(wait=0) is False
    assert error_of(job.wait, 10).code == "job_cancelled"
    assert server.count("POST", f"/api/jobs/{job.id}/cancel") == 3


def test_cancel_from_another_thread(client, server):
    server.script = hold
    job = client.submit(GRAPH)
    thread = threading.Thread(target=job.cancel)
    with pytest.raises(JobCancelled):
        job.wait(10, lambda event: thread.start() if event == NodeStarted("3") else None)
    thread.join()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_cancel_from_a_signal_handler_that_interrupts_events(client, server):
    main = threading.main_thread().ident
    server.script = hold
    job = client.submit(GRAPH)
    previous = signal.signal(signal.SIGINT, lambda *_: job.cancel())
    try:
        sender = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
        with pytest.raises(JobCancelled):
            job.wait(10, lambda event: sender.start() if event == NodeStarted("3") else None)
    finally:
        signal.signal(signal.SIGINT, previous)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_ctrl_c_while_waiting_then_cancel(client, server):
    main = threading.main_thread().ident
    server.script = hold
    job = client.submit(GRAPH)
    sender = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        job.wait(10, lambda event: sender.start() if event == NodeStarted("3") else None)
    assert job.cancel()
    assert server.unwatched.wait(10)  # the interrupted generator closed its socket
