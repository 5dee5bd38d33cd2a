"""Which model files are on disk, and whether they are the right ones.

Beside the models that were pulled lies a record, ``.imageine.json``, with the size, checksum and modification time
of each. It lets a listing tell a file that was verified from one that merely has the right name, without hashing
gigabytes, and lets ``verify`` work offline for files whose checksum the manifest does not name.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ModelError
from .folders import ModelFolders
from .manifest import Model, ModelFile

RECORD = ".imageine.json"
LOCK = ".imageine.lock"
STAGING = ".imageine-partial"

PRESENT = "present"
UNVERIFIED = "unverified"
INCOMPLETE = "incomplete"
WRONG_SIZE = "wrong size"
CORRUPT = "corrupt"
MISSING = "missing"
# The worst state of its files is a model's state; one that lacks only some of its files is incomplete.
_WORST_FIRST = (CORRUPT, WRONG_SIZE, INCOMPLETE, MISSING, UNVERIFIED, PRESENT)

_BLOCK = 1 << 20


@dataclass(frozen=True)
class FileStatus:
    """One file of a model as found; ``size`` in bytes, or None when it is missing."""

    file: ModelFile
    path: Path
    state: str
    size: int | None = None


@dataclass(frozen=True)
class ModelStatus:
    """One model as found below ``base``, one of the paths of its folder."""

    model: Model
    base: Path
    files: tuple[FileStatus, ...]

    @property
    def state(self) -> str:
        states = {status.state for status in self.files}
        if MISSING in states and len(states) > 1:
            states.add(INCOMPLETE)
        return next(state for state in _WORST_FIRST if state in states)

    @property
    def path(self) -> Path:
        """The checkpoint's file, or the folder that holds the model's files."""
        return self.files[0].path if len(self.files) == 1 else self.files[0].path.parent


def status(model: Model, folders: ModelFolders) -> ModelStatus:
    """How ``model`` is installed, judged by names, sizes and the record; nothing is hashed.

    It is looked for under every path of its folder; when no path holds any of its files, the status is that of the
    path where a pull would put it.
    """
    paths = folders.paths(model.folder)
    held = [sum((path / file.name).is_file() for file in model.files) for path in paths]
    base = paths[held.index(max(held))]
    records = _read_record(base)
    files = tuple(_file_status(file, base, records.get(file.name)) for file in model.files)
    return ModelStatus(model, base, files)


def _file_status(file: ModelFile, base: Path, record: dict | None) -> FileStatus:
    path = base / file.name
    try:
        found = path.stat()
    except OSError:
        partial = next((base / STAGING).glob(f"{partial_stem(file)}.*.partial"), None)
        return FileStatus(file, path, INCOMPLETE if partial else MISSING)
    expected = file.size if file.size is not None else (record or {}).get("size")
    if found.st_size == 0 or expected not in (None, found.st_size):
        state = WRONG_SIZE
    elif _is_as_recorded(found, record) and file.sha256 in (None, record["sha256"]):
        state = PRESENT
    else:
        state = UNVERIFIED
    return FileStatus(file, path, state, found.st_size)


def partial_stem(file: ModelFile) -> str:
    """The start of the name that ``file`` has in the staging folder while it is being fetched."""
    return file.name.replace("/", "__")


def verify(
    models: Iterable[Model],
    folders: ModelFolders,
    on_progress: Callable[[FileStatus, int], None] | None = None,
) -> list[ModelStatus]:
    """Hash every file that is there and compare it with the manifest, or with the record of its pull.

    ``on_progress(file, bytes_hashed)`` is called as it goes. A file becomes ``present`` or ``corrupt``, or stays
    ``unverified`` when nobody has named its checksum; one that is missing or of the wrong size is not hashed.
    Nothing is changed on disk but the record.
    """
    return [_verify(status(model, folders), on_progress) for model in models]


def _verify(found: ModelStatus, on_progress) -> ModelStatus:
    records = _read_record(found.base)
    files = []
    for entry in found.files:
        expected = entry.file.sha256 or records.get(entry.file.name, {}).get("sha256")
        if entry.state in (PRESENT, UNVERIFIED) and expected:
            digest = sha256(entry.path, on_progress and (lambda done, entry=entry: on_progress(entry, done)))
            entry = replace(entry, state=PRESENT if digest == expected else CORRUPT)
            if entry.state == PRESENT:
                record(found.base, entry.file, digest)
        files.append(entry)
    return replace(found, files=tuple(files))


def sha256(path: Path, on_progress: Callable[[int], None] | None = None) -> str:
    """The file's SHA-256 in lower-case hex; ``on_progress`` gets the bytes read so far, block by block."""
    return _digest(path, hashlib.sha256(), on_progress)


def git_blob_id(path: Path) -> str:
    """The id git gives the file: what the hub answers as the ETag of a file that is not in LFS."""
    return _digest(path, hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False), None)


def _digest(path: Path, digest, on_progress) -> str:
    done = 0
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                done += len(block)
                if on_progress:
                    on_progress(done)
    except OSError as error:
        raise ModelError(
            "model_corrupt",
            f"{path} cannot be read: {error.strerror or error}.",
            "Check the file's permissions and the disk.",
            {"path": str(path)},
        ) from error
    return digest.hexdigest()


def record(base: Path, file: ModelFile, digest: str) -> None:
    """Remember that ``file`` below ``base`` was verified to have the SHA-256 ``digest``.

    A folder that cannot be written keeps no record: its files are listed as unverified, which is harmless.
    """
    found = (base / file.name).stat()
    records = _read_record(base)
    entry = {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": digest}
    if records.get(file.name) == entry:
        return
    records[file.name] = entry
    temporary = base / f"{RECORD}.{os.getpid()}"
    try:
        temporary.write_text(json.dumps({"version": 1, "files": records}, indent=1, sort_keys=True), encoding="utf-8")
        temporary.replace(base / RECORD)
    except OSError:
        temporary.unlink(missing_ok=True)


def _read_record(base: Path) -> dict[str, dict]:
    try:
        files = json.loads((base / RECORD).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {name: entry for name, entry in files.items() if isinstance(entry, dict) and "sha256" in entry}


def _is_as_recorded(found: os.stat_result, record: dict | None) -> bool:
    return record is not None and (record.get("size"), record.get("mtime_ns")) == (found.st_size, found.st_mtime_ns)
