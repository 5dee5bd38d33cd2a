"""What a running job reports, the reading of ComfyUI's socket messages, and progress as one number."""

import contextlib
import json
import statistics
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True)
class Queued(Event):
    """The job waits; ``position`` jobs are before it (running ones included), 0 when it is next."""

    position: int


@dataclass(frozen=True)
class Started(Event):
    """The job runs; its graph has ``nodes`` nodes."""

    nodes: int


@dataclass(frozen=True)
class NodeCached(Event):
    """These nodes will not run: the server kept their results."""

    node_ids: tuple[str, ...]


@dataclass(frozen=True)
class NodeStarted(Event):
    node_id: str


@dataclass(frozen=True)
class NodeProgress(Event):
    """Step ``value`` of ``maximum`` within a node."""

    node_id: str
    value: float
    maximum: float


@dataclass(frozen=True)
class NodeDone(Event):
    node_id: str


@dataclass(frozen=True)
class Preview(Event):
    """An unfinished picture, encoded as ``mime`` (image/jpeg or image/png); ``node_id`` may be empty."""

    node_id: str
    image_bytes: bytes
    mime: str


@dataclass(frozen=True)
class ProgressText(Event):
    """A line that a node shows while it runs, or as its result."""

    node_id: str
    text: str


@dataclass(frozen=True)
class Message(Event):
    """Something the user may want to know about the connection or the job."""

    text: str


@dataclass(frozen=True)
class Reconnected(Event):
    """The socket is back after a drop; events in between were missed."""


@dataclass(frozen=True)
class Finished(Event):
    """The job succeeded and its outputs can be fetched."""


@dataclass(frozen=True)
class Ended(Event):
    """The server says that the job ended, well or not: time to ask how. ComfyUI says so twice, just before it writes
    its history and, ``recorded``, just after. Never leaves ``Job.events``."""

    recorded: bool = False


class Decoder:
    """Turns the socket's frames into events of job ``prompt_id``, whose graph has ``nodes`` nodes.

    Frames of other jobs, unknown messages and malformed frames give no events: the socket is a hint, and custom
    nodes send what they like over it.
    """

    def __init__(self, prompt_id: str, nodes: int):
        self.prompt_id = prompt_id
        self.nodes = nodes
        self._current = ""
        self._started = False
        self._seen: dict[str, str] = {}  # node id -> "running" or "finished"
        self.outputs: dict[str, dict] = {}  # node id -> what it made, as the history will hold it
        self.verdict: tuple[str, dict] | None = None  # the message that ended the job
        self.cached: frozenset[str] | None = None  # whose results the server kept, once it said so

    def decode(self, frame: str | bytes) -> list[Event]:
        """The events of one frame, oldest first."""
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, struct.error):
            return self._binary(frame) if isinstance(frame, bytes) else self._text(json.loads(frame))
        return []

    def _text(self, message: dict) -> list[Event]:
        kind, data = message["type"], message["data"]
        reader = getattr(self, f"_on_{kind}", None) if kind in _MESSAGES else None
        if reader is None or data.get("prompt_id", self.prompt_id) != self.prompt_id:
            return []
        return reader(data)

    def _on_execution_start(self, data: dict) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [Started(self.nodes)]

    def _on_execution_cached(self, data: dict) -> list[Event]:
        nodes = tuple(str(node) for node in data["nodes"])
        self._seen.update(dict.fromkeys(nodes, "finished"))
        self.cached = frozenset(nodes)
        return [NodeCached(nodes)]

    def _on_executing(self, data: dict) -> list[Event]:
        if data["node"] is None:
            return [Ended(recorded=True)] if "prompt_id" in data else []
        return self._start_node(str(data["node"]))

    def _on_progress(self, data: dict) -> list[Event]:
        node = str(data.get("node") or self._current)
        return [*self._start_node(node), NodeProgress(node, float(data["value"]), float(data["max"]))]

    def _on_progress_state(self, data: dict) -> list[Event]:
        # Cumulative: after a gap in the connection this alone brings the picture up to date.
        events = []
        for key, state in data["nodes"].items():
            node = str(state.get("display_node_id") or key)
            if state["state"] == "running":
                events += self._start_node(node)
            elif state["state"] == "finished" and node == str(key):
                events += self._finish_node(node)
        return events

    def _on_executed(self, data: dict) -> list[Event]:
        node = str(data.get("display_node") or data["node"])
        output = data.get("output") or {}
        self.outputs[str(data["node"])] = output
        lines = output.get("text") or ()
        lines = [lines] if isinstance(lines, str) else lines
        texts = [ProgressText(node, line) for line in lines if isinstance(line, str)]
        return [*texts, *self._finish_node(node)]

    def _on_progress_text(self, data: dict) -> list[Event]:
        return [ProgressText(str(data.get("nodeId", self._current)), str(data["text"]))]

    def _on_execution_success(self, data: dict) -> list[Event]:
        return self._end("execution_success", data)

    def _on_execution_error(self, data: dict) -> list[Event]:
        return self._end("execution_error", data)

    def _on_execution_interrupted(self, data: dict) -> list[Event]:
        return self._end("execution_interrupted", data)

    def _end(self, name: str, data: dict) -> list[Event]:
        self.verdict = (name, data)
        return [Ended()]

    def _start_node(self, node: str) -> list[Event]:
        self._current = node
        if self._seen.get(node):
            return []
        self._seen[node] = "running"
        return [NodeStarted(node)]

    def _finish_node(self, node: str) -> list[Event]:
        if self._seen.get(node) == "finished":
            return []
        started = [] if node in self._seen else [NodeStarted(node)]
        self._seen[node] = "finished"
        return [*started, NodeDone(node)]

    def _binary(self, frame: bytes) -> list[Event]:
        (kind,) = struct.unpack_from(">I", frame)
        if kind == 1:  # preview: format, image
            (image_format,) = struct.unpack_from(">I", frame, 4)
            return [Preview(self._current, frame[8:], "image/png" if image_format == 2 else "image/jpeg")]
        head, tail = _prefixed(frame, 4)
        if kind == 3:  # text: node id, line
            return [ProgressText(head.decode(), tail.decode())]
        if kind == 4:  # preview with metadata
            data = json.loads(head)
            if data.get("prompt_id", self.prompt_id) == self.prompt_id:
                node = str(data.get("display_node_id") or data.get("node_id") or self._current)
                return [Preview(node, tail, data.get("image_type", "image/jpeg"))]
        return []


_MESSAGES = frozenset(name.removeprefix("_on_") for name in vars(Decoder) if name.startswith("_on_"))


def _prefixed(frame: bytes, at: int) -> tuple[bytes, bytes]:
    """Split ``frame`` at ``at`` into the part that a u32 length announces, and the rest."""
    (length,) = struct.unpack_from(">I", frame, at)
    if at + 4 + length > len(frame):
        raise ValueError("the frame is cut short")
    return frame[at + 4 : at + 4 + length], frame[at + 4 + length :]


class Progress:
    """One number for a job, from its events.

    A node weighs 1, one with a ``steps`` input (samplers) as many as its steps: on any hardware those are nearly
    all of the time. ``clock`` gives seconds.
    """

    def __init__(self, graph: dict, clock: Callable[[], float] = time.monotonic):
        self._weights = {str(node_id): _weight(node) for node_id, node in graph.items()}
        self._clock = clock
        self._done: set[str] = set()
        self._steps: deque[float] = deque(maxlen=8)  # seconds of the latest steps
        self._last: tuple[float, float] | None = None  # value and time of the latest step
        self.node_id = ""
        self.value = 0.0
        self.maximum = 0.0
        self.finished = False

    def update(self, event: Event) -> None:
        """Take one event of ``Job.events`` into account."""
        if isinstance(event, NodeCached):
            self._done.update(event.node_ids)
        elif isinstance(event, NodeStarted):
            self._enter(event.node_id)
        elif isinstance(event, NodeProgress):
            if event.node_id != self.node_id:
                self._enter(event.node_id)
            self._step(event)
        elif isinstance(event, NodeDone):
            self._done.add(event.node_id)
        elif isinstance(event, Finished):
            self.finished = True

    @property
    def fraction(self) -> float:
        """How much of the job is done, 0..1."""
        if self.finished:
            return 1.0
        total = sum(self._weights.values()) or 1
        done = sum(weight for node, weight in self._weights.items() if node in self._done)
        if self.node_id not in self._done and self.maximum:
            done += self._weights.get(self.node_id, 0) * min(self.value / self.maximum, 1.0)
        return min(done / total, 1.0)

    @property
    def seconds_left(self) -> float | None:
        """Time the steps still to come take at the rate of the latest ones; None until two were timed.

        Nodes without steps (load, encode, decode) are not in it: nothing tells how long they take.
        """
        if self.finished or not self._steps:
            return None
        ahead = sum(w for node, w in self._weights.items() if w > 1 and node not in self._done | {self.node_id})
        here = max(self.maximum - self.value, 0.0) if self.node_id not in self._done else 0.0
        return statistics.median(self._steps) * (here + ahead)

    def _enter(self, node_id: str) -> None:
        self.node_id, self.value, self.maximum = node_id, 0.0, 0.0
        self._steps.clear()
        self._last = None

    def _step(self, event: NodeProgress) -> None:
        now = self._clock()
        if self._last is not None and event.value > self._last[0]:
            self._steps.append((now - self._last[1]) / (event.value - self._last[0]))
        if self._last is None or event.value != self._last[0]:
            self._last = (event.value, now)
        self.value, self.maximum = event.value, event.maximum


def _weight(node: dict) -> float:
    steps = (node.get("inputs") or {}).get("steps") if isinstance(node, dict) else None
    return float(steps) if isinstance(steps, int | float) and steps > 1 else 1.0
