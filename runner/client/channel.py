"""The WebSocket of one job, read by a thread of its own."""

import base64
import contextlib
import json
import queue
import threading
import uuid
from collections.abc import Callable

import websocket

from .transport import Address

QUIET_SECONDS = 15.0  # without a frame for so long, ask for a sign of life
PINGS_UNANSWERED = 4  # after so many, the connection is dead

CLOSE_SECONDS = 1.0
MOST_RESTING = 4  # open channels that a client keeps for its next jobs

_CLOSED = object()
_PREVIEW = object()  # in the queue: here the latest preview is due
_STATUS = b'{"type": "status"'  # the queue's length, to everybody at every change: nothing about a job
_PREVIEW_KINDS = (b"\0\0\0\1", b"\0\0\0\4")


class Channel:
    """Frames that the server sends to ``client_id``, for one job at a time.

    A thread drains the socket at all times: ComfyUI sends to its clients one after the other, so one that does
    not read stalls everybody's events. Of previews only the latest is kept until somebody takes it.

    ``connect`` opens the socket; ``open`` may be called again after a drop.
    """

    def __init__(self, connect: Callable[[str], websocket.WebSocket]):
        self.client_id = uuid.uuid4().hex
        self._connect = connect
        self._socket: websocket.WebSocket | None = None
        self._frames: queue.SimpleQueue = queue.SimpleQueue()
        self._reader: threading.Thread | None = None
        self._preview: bytes | None = None
        self._preview_lock = threading.Lock()
        self._resting = False
        self._opened = 0

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self) -> None:
        """Connect and start to read. Raises ``OSError`` or ``websocket.WebSocketException``."""
        self.close()
        self._frames, self._preview = queue.SimpleQueue(), None
        self._socket = self._connect(self.client_id)
        self._opened += 1
        # The first message of a connection may say what the client understands: previews that name their node.
        hello = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
        self._socket.send(json.dumps(hello))
        self._socket.settimeout(QUIET_SECONDS)
        self._reader = threading.Thread(target=self._read, args=(self._socket, self._frames), daemon=True)
        self._reader.start()

    def get(self, timeout: float) -> str | bytes | None:
        """The next frame, or None after ``timeout`` seconds without one. Raises ``EOFError`` once it is closed."""
        if self._socket is None:
            raise EOFError("the channel is closed")
        try:
            frame = self._frames.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return None
        if frame is _CLOSED:
            self.close()
            raise EOFError("the server closed the channel")
        return self._take_preview() if frame is _PREVIEW else frame

    def rest(self) -> bool:
        """Go on reading, but keep nothing, until ``wake``. False when this connection had better be closed.

        One that was opened again may be forgotten by the server at any time (its handler of the dropped socket, ending
        late, forgets the new one): good for the rest of one job, which polls as well, not for the next.
        """
        self._resting = True
        return self._opened == 1 and self._is_alive

    def wake(self) -> bool:
        """Keep frames from now on. False when the connection was lost meanwhile."""
        with contextlib.suppress(queue.Empty):
            while self._frames.get_nowait() is not _CLOSED:
                pass
            return False
        self._preview, self._resting = None, False
        return self._is_alive

    @property
    def _is_alive(self) -> bool:
        return self._socket is not None and self._reader.is_alive()

    def close(self) -> None:
        """Close the socket, having waited for the server to close its end: only then may the id be used again."""
        connection, self._socket = self._socket, None
        if connection is None:
            return
        with contextlib.suppress(OSError, websocket.WebSocketException):
            connection.send_close()
        self._reader.join(CLOSE_SECONDS)
        with contextlib.suppress(OSError, websocket.WebSocketException):
            connection.abort()  # wakes the reader if the server did not answer
        with contextlib.suppress(OSError, websocket.WebSocketException):
            connection.shutdown()

    def _read(self, connection: websocket.WebSocket, frames: queue.SimpleQueue) -> None:
        pings = 0
        with contextlib.suppress(OSError, ValueError, AttributeError, websocket.WebSocketException):
            while True:
                try:
                    opcode, data = connection.recv_data(control_frame=True)
                except websocket.WebSocketTimeoutException:
                    if pings >= PINGS_UNANSWERED:
                        break
                    pings += 1
                    connection.ping()
                    continue
                pings = 0
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    break
                if self._resting or data.startswith(_STATUS):
                    continue
                if opcode == websocket.ABNF.OPCODE_TEXT:
                    frames.put(data.decode("utf-8"))
                elif opcode == websocket.ABNF.OPCODE_BINARY:
                    self._put_binary(frames, data)
        frames.put(_CLOSED)

    def _put_binary(self, frames: queue.SimpleQueue, frame: bytes) -> None:
        if frame[:4] not in _PREVIEW_KINDS:
            frames.put(frame)
            return
        with self._preview_lock:
            waiting, self._preview = self._preview is not None, frame
            if not waiting:
                frames.put(_PREVIEW)

    def _take_preview(self) -> bytes | None:
        with self._preview_lock:
            frame, self._preview = self._preview, None
        return frame


class Channels:
    """The channels of one client: what a job has done with is there for the next, for to open a socket takes as long
    as a small job. ``connect`` as in ``Channel``."""

    def __init__(self, connect: Callable[[str], websocket.WebSocket]):
        self._connect = connect
        self._resting: list[Channel] = []
        self._lock = threading.Lock()

    def take(self) -> Channel:
        """A channel that no other job uses, open if there was one."""
        while True:
            with self._lock:
                if not self._resting:
                    return Channel(self._connect)
                channel = self._resting.pop()
            if channel.wake():
                return channel
            channel.close()

    def give_back(self, channel: Channel) -> None:
        """Take a channel whose job has ended, with all of its frames read."""
        if channel.rest():
            with self._lock:
                if len(self._resting) < MOST_RESTING:
                    self._resting.append(channel)
                    return
        channel.close()

    def close(self) -> None:
        with self._lock:
            resting, self._resting = self._resting, []
        for channel in resting:
            channel.close()


def connect(address: Address, client_id: str, timeout: float, headers: dict) -> websocket.WebSocket:
    """Open ``/ws``. Raises ``OSError`` or ``websocket.WebSocketException``."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if address.auth and not any(line.lower().startswith("authorization:") for line in lines):
        lines.append(f"Authorization: {_basic(*address.auth)}")
    return websocket.create_connection(
        address.websocket(client_id),
        timeout=timeout,
        header=lines,
        # Behind a proxy the Host that ComfyUI sees differs from the Origin we would send, which it answers with 403.
        suppress_origin=True,
        http_no_proxy=[address.host] if address.is_loopback else None,
        skip_utf8_validation=True,
        enable_multithread=True,
    )


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
