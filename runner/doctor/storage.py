"""Checks of what is on disk: the models of each pipeline, the space for what is missing, folders to write in."""

import json
import shutil
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import models
from ..models import FileStatus, Model, ModelStatus
from .check import OK, PROBLEM, SKIPPED, WARNING, WORST_FIRST, Check, existing, gigabytes
from .site import Site

# `imageine edit` runs this pipeline unless told otherwise: without its models nothing works.
FIRST_PIPELINE = "simple"
# Below these many free bytes no picture can be saved, and not many more.
FULL_BYTES, LOW_BYTES = 100_000_000, 1_000_000_000

_ABSENT = (models.MISSING, models.INCOMPLETE)


@dataclass(frozen=True)
class Finding:
    """One model: its ``state`` as the models package names it, and ``broken``, why it cannot be loaded (or "")."""

    model: Model
    state: str
    path: str = ""
    missing_bytes: int = 0
    broken: str = ""

    @property
    def is_absent(self) -> bool:
        return self.state in _ABSENT

    def as_dict(self) -> dict:
        return {
            "id": self.model.id,
            "state": self.state,
            "path": self.path,
            "missing_bytes": self.missing_bytes,
            "broken": self.broken,
        }


class Models:
    """Every model of the manifest as found at the site, looked up once."""

    def __init__(self, site: Site, *, verify: bool = False, tell: Callable[[str], None] | None = None):
        self.site = site
        self._verify = verify
        self._tell = tell or (lambda text: None)
        self._found: dict[str, Finding] = {}

    @property
    def are_known(self) -> bool:
        return self.site.folders is not None or self.site.has_server

    def find(self, model: Model) -> Finding:
        if model.id not in self._found:
            folders = self.site.folders
            self._found[model.id] = self._on_disk(model, folders) if folders else self._by_name(model)
        return self._found[model.id]

    def _on_disk(self, model: Model, folders: models.ModelFolders) -> Finding:
        status = models.status(model, folders)
        if self._verify and status.state not in _ABSENT:
            self._tell(f"Hashing {model.id} ({gigabytes(model.size)}) ...")
            status = models.verify([model], folders)[0]
        missing = sum(entry.file.size or 0 for entry in status.files if entry.state in _ABSENT)
        return Finding(model, status.state, str(status.path), missing, _broken(status))

    def _by_name(self, model: Model) -> Finding:
        """Of a server elsewhere only the names of weights can be had."""
        listed = self.site.server.get_json(f"/models/{model.folder}", [])
        names = {str(name).replace("\\", "/") for name in listed if isinstance(name, str)}
        lacking = [file for file in model.files if not file.name.endswith((".json", ".txt")) and file.name not in names]
        state = models.MISSING if lacking else models.UNVERIFIED
        return Finding(model, state, "", sum(file.size or 0 for file in lacking))


def check_models(found: Models) -> list[Check]:
    """One check for the default models of each pipeline, one for the alternatives that are there."""
    manifest = models.load_manifest()
    pipelines = list(dict.fromkeys(name for model in manifest if model.default for name in model.pipelines))
    if not found.are_known:
        return [Check(f"models-{name}", SKIPPED, "no ComfyUI whose models could be looked for") for name in pipelines]
    checks: list[Check] = []
    told: set[str] = set()
    for name in pipelines:
        chosen = [found.find(model) for model in models.select([name])]
        checks.append(_check_pipeline(name, chosen, told, found.site))
        told.update(entry.model.id for entry in chosen if entry.is_absent)
    others = [entry for model in manifest if not model.default and not (entry := found.find(model)).is_absent]
    return [*checks, _judge("models-optional", others, found.site, WARNING)] if others else checks


def check_disk(found: Models) -> list[Check]:
    """Free space for the models that are still missing, and for pictures."""
    checks = []
    folders = found.site.folders
    if folders:
        absent: dict[int, list[Finding]] = {existing(folders.root).stat().st_dev: []}
        for entry in map(found.find, _wanted()):
            if entry.missing_bytes:  # extra model paths may lie on other disks
                absent.setdefault(existing(Path(entry.path)).stat().st_dev, []).append(entry)
        spaces = [_check_space(Path(group[0].path) if group else folders.root, group) for group in absent.values()]
        checks.append(min(spaces, key=lambda check: WORST_FIRST.index(check.status)))
    folder = _output_folder(found.site)
    free = shutil.disk_usage(existing(folder)).free
    details = {"path": str(folder), "free": free}
    status = PROBLEM if free < FULL_BYTES else WARNING if free < LOW_BYTES else OK
    next_step = "" if status == OK else f"Free some space on the disk of {folder}."
    checks.append(Check("disk-output", status, f"{gigabytes(free)} free for pictures in {folder}", next_step, details))
    return checks


def check_writing(found: Models) -> list[Check]:
    """Whether this user can write where models (if any are missing) and pictures go."""
    folder = _output_folder(found.site)
    checks = [_check_writable("write-output", folder, PROBLEM)]
    folders = found.site.folders
    absent = [model for model in _wanted() if found.find(model).is_absent] if folders else []
    targets = sorted({folders.paths(model.folder)[0] for model in absent})
    findings = [_check_writable("write-models", target, WARNING) for target in targets]
    refused = [finding for finding in findings if finding.status != OK]
    # One of them is enough: its next step is the next step.
    return [*checks, *(refused or findings)[:1]]


def _wanted() -> list[Model]:
    return [model for model in models.load_manifest() if model.default]


def _check_pipeline(name: str, found: list[Finding], told: set[str], site: Site) -> Check:
    """The check of one pipeline; of the missing models it names those that another pipeline has not ``told``."""
    absent = [entry for entry in found if entry.is_absent]
    if not absent:
        return _judge(f"models-{name}", found, site, PROBLEM)
    new = [f"{entry.model.id} ({gigabytes(entry.missing_bytes)})" for entry in absent if entry.model.id not in told]
    named = [f"{len(absent) - len(new)} named above"] if len(new) < len(absent) else []
    listed = ", ".join([*new, *named])
    status = PROBLEM if name == FIRST_PIPELINE else WARNING
    next_step = _pull(site, name)
    details = {"models": [entry.as_dict() for entry in found]}
    return Check(f"models-{name}", status, f"{len(absent)} of {len(found)} missing: {listed}", next_step, details)


def _judge(name: str, found: list[Finding], site: Site, when_broken: str) -> Check:
    """The check for models that are all there."""
    details = {"models": [entry.as_dict() for entry in found]}
    broken = [entry for entry in found if entry.broken]
    if broken:
        listed = "; ".join(f"{entry.model.id}: {entry.broken}" for entry in broken)
        return Check(name, when_broken, listed, _pull(site, f"{broken[0].model.id} --overwrite"), details)
    other = [entry.model.id for entry in found if entry.state == models.WRONG_SIZE]
    if other:
        next_step = _pull(site, f"{other[0]} --overwrite") + "   (if it was not meant)"
        return Check(name, WARNING, f"another edition than the manifest's: {', '.join(other)}", next_step, details)
    by_state = [entry.model.id for entry in found if entry.state == models.UNVERIFIED]
    hashed = " (not hashed: --verify)" if by_state and site.folders else ""
    return Check(name, OK, f"{', '.join(entry.model.id for entry in found)}{hashed}", "", details)


def _broken(status: ModelStatus) -> str:
    """Why a model that is there cannot be loaded, or ""; a file of another size may be another, whole edition."""
    for entry in status.files:
        if entry.state == models.CORRUPT:
            return f"the checksum of {entry.path} is wrong"
        if entry.state == models.WRONG_SIZE and not _is_whole(entry):
            return f"{entry.path} is cut off: {entry.size} bytes, expected were {entry.file.size}"
    return ""


def _is_whole(entry: FileStatus) -> bool:
    """Whether a safetensors file is as long as its header says; other files need only have something in them.

    Format: 8 bytes, the header's length in little endian; the header, JSON, with each tensor's data_offsets, counted
    from the header's end (https://github.com/huggingface/safetensors#format).
    """
    if not entry.size or entry.path.suffix != ".safetensors":
        return bool(entry.size)
    try:
        with entry.path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > entry.size:
                return False
            header = json.loads(stream.read(length))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    except (OSError, struct.error, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return False
    return 8 + length + max(ends, default=0) == entry.size


def _check_space(path: Path, absent: list[Finding]) -> Check:
    """Whether ``absent``, models that would be pulled to the disk of ``path``, fit there."""
    folder = existing(path)
    free = shutil.disk_usage(folder).free
    needed = sum(entry.missing_bytes for entry in absent)
    first = sum(entry.missing_bytes for entry in absent if FIRST_PIPELINE in entry.model.pipelines)
    details = {"path": str(folder), "free": free, "needed": needed}
    found = f"{gigabytes(free)} free in {folder}"
    if needed:
        found += f", {gigabytes(needed)} needed for the models that are missing"
    if needed > free:
        status = PROBLEM if first > free else WARNING
        return Check("disk-models", status, found, f"Free {gigabytes(needed - free)} there.", details)
    return Check("disk-models", OK, found, "", details)


def _check_writable(name: str, folder: Path, when_not: str) -> Check:
    details = {"path": str(folder)}
    try:
        # Asked by doing: permission bits know nothing of read-only file systems, lists of rights, or root.
        with tempfile.TemporaryFile(dir=existing(folder)):
            return Check(name, OK, f"{folder} can be written", "", details)
    except OSError as error:
        found = f"{folder} cannot be written: {error.strerror or error}"
        return Check(name, when_not, found, f"Give your user the right to write in {existing(folder)}.", details)


def _output_folder(site: Site) -> Path:
    """Where pictures are made: by a server that runs here, or by one that the runner starts in the temporary folder."""
    own = site.server.output_folder if site.has_server else None
    return own or Path(tempfile.gettempdir())


def _pull(site: Site, what: str) -> str:
    """The command that fetches models to where they are searched."""
    command = f"imageine models pull {what}"
    if site.folders is None:
        return f"On the server's machine: {command}"
    if site.has_server and site.folders.root != (site.comfyui and site.comfyui / "models"):
        return f'{command} --models-dir "{site.folders.root}"'
    return f'{command} --comfyui "{site.comfyui}"' if site.given else command
