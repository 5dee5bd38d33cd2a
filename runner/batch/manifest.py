"""What a batch has done so far, on disk: one JSON object a line, only ever appended, each on the disk before it counts.

    {"event": "begin", "batch": <uuid>}                        a new pass over the table
    {"event": "sent", "job": ..., "inputs": ..., "prompt_id"}  before the prompt is sent; one for each of its parts
    {"event": "saving", "job": ..., "outputs": [...]}          the files that are about to be written
    {"event": "done", "job": ..., "outputs": [...], ...}       they are all there
    {"event": "failed", "job": ..., "code": ..., "message": ...}
    {"event": "dropped", "job": ...}                           its prompts are not to be looked for again

``job`` is what the job was asked to do (``Job.identity``), ``inputs`` the content of its pictures. Lines cut off by a
crash, and lines that are no such object, are passed over.
"""

import json
import os
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ..errors import InputError

NAME = "batch.jsonl"
OPEN, SAVING, DONE, FAILED, DROPPED = "sent", "saving", "done", "failed", "dropped"


@dataclass
class Entry:
    """The latest about one job. ``outputs`` are ``{"path", "size", "sha256"}``, ``path`` relative to the folder."""

    state: str
    inputs: dict[str, dict] = field(default_factory=dict)
    prompt_ids: list[str] = field(default_factory=list)
    outputs: list[dict] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)


class Manifest:
    """The manifest in ``folder``, held by this process alone; a context manager.

    Raises ``InputError`` ``batch_busy`` when another process works in the folder, ``output_unwritable`` when the file
    cannot be read or written, also while it is appended to.
    """

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self.batch = ""
        self.entries: dict[str, Entry] = {}
        self.files: dict[str, dict] = {}
        """Every file that a batch ever wrote here, by path: ours to replace."""
        self.damaged = 0
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._is_torn = False

    def __enter__(self) -> "Manifest":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b", buffering=0)
            _hold(self._file, self.path)
            self._file.seek(0)
            content = self._file.read()
        except OSError as error:
            self.__exit__()
            raise self._unwritable(error) from error
        except BaseException:
            self.__exit__()
            raise
        self._is_torn = bool(content) and not content.endswith(b"\n")
        for line in content.split(b"\n"):
            self._read(line)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._file is not None:
            self._file.close()  # and with it the lock
            self._file = None

    def begin(self) -> None:
        """Start a new pass, in which nothing is done yet."""
        self.append("begin", "", batch=str(uuid.uuid4()))

    def append(self, event: str, job: str, **facts: Any) -> None:
        """Write a line, and return when it is on the disk."""
        record = {"event": event, **({"job": job} if job else {}), **facts}
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        with self._lock:
            try:
                data = b"\n" + line if self._is_torn else line
                self._is_torn = True
                while data:
                    data = data[self._file.write(data) :]
                os.fsync(self._file.fileno())
                self._is_torn = False
            except OSError as error:
                raise self._unwritable(error) from error
            self._take(record)

    def _read(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            record = json.loads(line.decode("utf-8", "surrogatepass"))
            self._take(record)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.damaged += 1

    def _take(self, record: dict[str, Any]) -> None:
        event = record["event"]
        if event == "begin":
            self.batch = record["batch"]
            self.entries.clear()
            return
        entry = self.entries.get(record["job"])
        if event == OPEN:
            if entry is None or entry.state != OPEN or entry.inputs != record["inputs"]:
                entry = Entry(OPEN, record["inputs"])
            if record["prompt_id"] not in entry.prompt_ids:
                entry.prompt_ids.append(record["prompt_id"])
        elif event in (SAVING, DONE):
            outputs = [{key: output[key] for key in ("path", "size", "sha256")} for output in record["outputs"]]
            self.files |= {output["path"]: output | {"source": record.get("source")} for output in outputs}
            entry = Entry(event, record["inputs"], entry.prompt_ids if entry else [], outputs, record)
        elif event in (FAILED, DROPPED):
            entry = Entry(event, record=record)
        self.entries[record["job"]] = entry

    def _unwritable(self, error: OSError) -> InputError:
        message = f"The batch's manifest '{self.path}' cannot be written: {error.strerror or error}."
        hint = "Free some space, or name another folder; the same command then goes on."
        return InputError("output_unwritable", message, hint, {"path": str(self.path)})


def _hold(file: IO[bytes], path: Path) -> None:
    """Lock the file until it is closed or the process ends, however that ends."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(2**30)  # a byte past the end: a lock there keeps nobody from reading
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        message = f"Another batch works in '{path.parent}' at this moment."
        raise InputError("batch_busy", message, "Wait until it ends, or name another folder with -o.") from error
