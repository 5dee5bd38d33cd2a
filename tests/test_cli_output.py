"""What the command line shows of a job, by terminal, pipe and --quiet."""

import io
import sys

import pytest
from imageine.runner.cli import console
from imageine.runner.client.events import Message, NodeProgress, NodeStarted, Preview, Queued, Reconnected
from imageine.runner.jobs import Submitted


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


EVENTS = [
    Message("Using a server."),
    Queued(2),
    Queued(0),
    Submitted("id", {"7": {"class_type": "KSampler", "inputs": {"steps": 20}, "_meta": {"title": "Sampler"}}}),
    NodeStarted("7"),
    *[NodeProgress("7", step, 20) for step in range(1, 21)],
    Reconnected(),
    Preview("7", b"jpeg", "image/jpeg"),
]


def shown(monkeypatch, stream, **options) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with console.Display(**options) as display:
        for event in EVENTS:
            display.on_event(event)
    return stream.getvalue()


def test_plain_lines_when_piped(monkeypatch):
    lines = shown(monkeypatch, io.StringIO()).splitlines()
    assert lines[:3] == ["Using a server.", "Waiting: 2 jobs are before this one.", "Next in line."]
    assert sum("step" in line for line in lines) == 6
    assert "\x1b" not in "".join(lines)


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    text = shown(monkeypatch, Terminal())
    assert "Using a server." in text
    assert "\x1b[" in text
    assert "Sampler, step 20 of 20" in text


def test_nothing_when_quiet(monkeypatch, tmp_path):
    assert shown(monkeypatch, Terminal(), quiet=True, previews=tmp_path) == ""
    assert (tmp_path / "preview-0001.jpg").read_bytes() == b"jpeg"


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (59.4, "59 s"), (60, "1 min 00 s"), (125, "2 min 05 s")])
def test_durations(seconds, text):
    assert console.duration(seconds) == text
