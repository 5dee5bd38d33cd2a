"""A TCP proxy whose connections can be cut, as a network or a proxy in front of a server does."""

import contextlib
import socket
import struct
import threading


class CuttingProxy:
    """``with CuttingProxy(port) as proxy: proxy.url`` forwards to ``port`` of this machine."""

    def __init__(self, port: int):
        self._target = port
        self._is_refusing = False
        self._unanswered: tuple[bytes, ...] = ()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "CuttingProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Reset every open connection on both sides; new ones are taken."""
        pairs, self._pairs = self._pairs, []
        for end in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close means reset
                end.shutdown(socket.SHUT_RD)
            end.close()

    def refuse(self) -> None:
        """Cut what is open and whatever comes, until ``accept``."""
        self._is_refusing = True
        self.cut()

    def accept(self) -> None:
        self._is_refusing = False

    def lose_answer(self, *requests: bytes) -> None:
        """Let the next request that begins with one of these reach the server, and cut its answer off."""
        self._unanswered = requests

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    if self._is_refusing:
                        raise OSError("refusing")
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    near.close()
                    continue
                self._pairs.append((near, far))
                doomed = threading.Event()
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(
                        target=self._pump, args=(source, sink, source is near, doomed), daemon=True
                    ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_request: bool, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_request and self._unanswered and data.startswith(self._unanswered):
                    self._unanswered = ()
                    doomed.set()
                elif not is_request and doomed.is_set():
                    for end in (source, sink):
                        end.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
