"""Put files into a server's input folder, each content once."""

import hashlib
from collections.abc import Callable

from ..errors import ServerError
from .transport import Refused, Transport, Unreachable

HINT = "Send a smaller picture, or start ComfyUI with a larger --max-upload-size (in MB; 100 unless set)."


class Uploads:
    """Uploads to one server. ``features`` gives its feature flags, which name its size limit."""

    def __init__(self, transport: Transport, features: Callable[[], dict]):
        self._transport = transport
        self._features = features
        self._renamed: dict[str, str] = {}  # what the server called a file instead of the name we gave

    def put(self, data: bytes, suffix: str, subfolder: str) -> str:
        """The file's name for a loader node: ``subfolder/name``, as the server answered.

        The server never overwrites: when a file of our name holds something else (an upload that a full disk cut
        short), it stores ours as "name (1)".
        """
        name = hashlib.sha256(data).hexdigest()[:32] + suffix
        value = self._renamed.get(_join(subfolder, name), _join(subfolder, name))
        if self._size(value) == len(data):
            return value
        answer = self._send(name, data, subfolder)
        self._renamed[_join(subfolder, name)] = value = _join(answer.get("subfolder") or "", answer["name"])
        return value

    def _size(self, value: str) -> int | None:
        """Bytes of an input file on the server, None where there is none."""
        subfolder, _, name = value.rpartition("/")
        place = {"filename": name, "subfolder": subfolder, "type": "input"}
        try:
            return int(self._transport.get("/view", method="HEAD", params=place).headers["Content-Length"])
        except (Refused, KeyError, ValueError):
            return None

    def _send(self, name: str, data: bytes, subfolder: str) -> dict:
        size = f"{len(data) / 2**20:.1f} MB"
        limit = self._features().get("max_upload_size")
        if isinstance(limit, int | float) and len(data) > limit:
            message = f"The picture has {size}, the server takes {limit / 2**20:g} MB at most."
            raise ServerError("server_refused", message, HINT, {"status": 413})
        form = {"type": "input", "subfolder": subfolder}
        for last in (False, True):  # a repetition finds its own content there, so this POST may be tried again
            try:
                files = {"image": (name, data, "application/octet-stream")}
                return self._transport.send("POST", "/upload/image", data=form, files=files).json()
            except Refused as error:
                if error.status != 413:
                    raise
                message = f"The picture has {size}, which the server does not take."
                raise ServerError("server_refused", message, HINT, error.details) from error
            except Unreachable as error:
                if last or not error.sent or error.timed_out:
                    raise
        raise AssertionError("the loop returns or raises")


def _join(subfolder: str, name: str) -> str:
    subfolder = subfolder.replace("\\", "/").strip("/")
    return f"{subfolder}/{name}" if subfolder else name
