"""The files of a batch: pictures that go in and results that come out, known again by their content."""

import hashlib
import re
import threading
from pathlib import Path
from typing import Any

from ..pictures import output_files
from .contact_sheet import PAGE
from .jobs import Job
from .manifest import DONE, SAVING, Entry, Manifest
from .names import Names
from .tasks import Made

_BLOCK = 2**20
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")  # it comes from the server
RESERVED = ("batch.jsonl", "failures.csv", "report.html")
THUMBNAILS = ".thumbnails"


def stamp(path: Path) -> dict[str, Any]:
    """Size, time and hash of a file. Raises ``OSError``."""
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256(path)}


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def are_unchanged(inputs: dict[str, dict], pictures: dict[str, Path]) -> bool:
    """Whether ``pictures`` are those that were stamped; read only where size or time differ."""
    return inputs.keys() == pictures.keys() and all(_is_same(path, inputs[name]) for name, path in pictures.items())


def _is_same(path: Path, known: dict[str, Any]) -> bool:
    try:
        status = path.stat()
        if status.st_size != known.get("size"):
            return False
        return status.st_mtime_ns == known.get("mtime_ns") or sha256(path) == known.get("sha256")
    except OSError:
        return False


def are_whole(folder: Path, outputs: list[dict]) -> bool:
    """Whether the files are there as they were written."""
    try:
        return bool(outputs) and all(
            (folder / output["path"]).stat().st_size == output["size"]
            and sha256(folder / output["path"]) == output["sha256"]
            for output in outputs
        )
    except OSError:
        return False


def sweep_up(folder: Path, entry: Entry) -> None:
    """Remove the half files that a killed process left beside the outputs it was writing."""
    for output in entry.outputs:
        path = folder / output["path"]
        for debris in path.parent.glob(f".{_escaped(path.name)}.*"):
            debris.unlink(missing_ok=True)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


class Store:
    """Writes what jobs made into ``folder``, recorded in ``manifest`` before and after.

    The files of ``finished`` jobs, and those that no batch with the same ``source`` wrote, are never replaced.
    """

    def __init__(self, folder: Path, manifest: Manifest, source: str, finished: list[Entry]):
        self._folder = folder
        self._manifest = manifest
        self._source = source
        self._lock = threading.Lock()
        self._names = Names()
        for name in RESERVED:
            self._names.keep(name)
        for output in (output for entry in finished for output in entry.outputs):
            self._names.keep(output["path"])

    def save(self, job: Job, made: Made, inputs: dict[str, dict], facts: dict[str, Any]) -> Entry:
        """Write the files whole, and put on record that they are. Raises ``InputError`` ``output_unwritable``."""
        outputs = []
        with self._lock:
            for part, suffix, data in made.files:
                path = self._choose(f"{job.stem}{part}", suffix.lower() if _SUFFIX.fullmatch(suffix) else "")
                outputs.append({"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        facts = {"inputs": inputs, "outputs": outputs, "source": self._source, **facts}
        self._manifest.append(SAVING, job.identity, **facts)
        for output, (_, _, data) in zip(outputs, made.files, strict=True):
            output_files.write(self._folder / output["path"], data)
        self._manifest.append(DONE, job.identity, **facts)
        return self._manifest.entries[job.identity]

    def _choose(self, stem: str, suffix: str) -> str:
        while True:
            name = self._names.take(stem, suffix)
            free = not (self._folder / name).exists() or self._is_ours(name)
            if free and not PAGE.fullmatch(name):
                return name

    def _is_ours(self, name: str) -> bool:
        known = self._manifest.files.get(name)
        return known is not None and known.get("source") == self._source and are_whole(self._folder, [known])
