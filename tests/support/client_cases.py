"""What the tests of the client share: a graph, scripts for ``ScriptedServer``, and shorter waits."""

import pytest
from imageine.runner.client import job as job_module
from imageine.runner.client import submission, transport
from imageine.runner.errors import ImageineError
from support.scripted_server import ScriptedServer, ServedJob

GRAPH = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 1}, "_meta": {"title": "Sampler"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
}


async def hold(server: ScriptedServer, job: ServedJob) -> None:
    """Start the job and leave it running."""
    job.phase = "running"
    await server.send(job, "execution_start")
    await server.send(job, "execution_cached", nodes=[])
    await server.send(job, "executing", node="3")


async def wait_in_queue(server: ScriptedServer, job: ServedJob) -> None:
    """Leave the job pending."""


def hasten(monkeypatch) -> None:
    """Let the client keep its rules, with waits that suit a test."""
    monkeypatch.setattr(job_module, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(job_module, "FIRST_POLL_SECONDS", 0.05)
    monkeypatch.setattr(job_module, "RECONNECT_SECONDS", (0.05, 0.2))
    monkeypatch.setattr(job_module, "CANCEL_AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(submission, "SETTLE_SECONDS", 0.3)
    monkeypatch.setattr(transport, "RETRY_DELAYS", (0.01, 0.02))


def error_of(call, *arguments, **options) -> ImageineError:
    """The error that a call raises."""
    with pytest.raises(ImageineError) as caught:
        call(*arguments, **options)
    return caught.value
