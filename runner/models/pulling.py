"""Fetching models: what is missing is looked up, checked against the free space, fetched, verified, moved in place."""

import shutil
from collections.abc import Callable, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError
from .files import (
    INCOMPLETE,
    LOCK,
    MISSING,
    PRESENT,
    STAGING,
    WRONG_SIZE,
    FileStatus,
    ModelStatus,
    partial_stem,
    record,
    sha256,
    status,
)
from .folders import ModelFolders
from .manifest import Model, ModelFile
from .transfer import Download, expected, fetch, gated, hub_metadata, raise_for_disk, retrying, unreachable

# Left free on the disk, for the file system's own needs and whatever else is running.
_SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class Progress:
    """Where a pull stands: ``done`` of ``total`` bytes of ``file``, ``overall`` of ``overall_total`` of them all.

    ``phase`` is ``"download"`` or ``"verify"``; a verifying pass moves ``done`` alone. ``total`` may be None.
    """

    file: ModelFile
    phase: str
    done: int
    total: int | None
    overall: int
    overall_total: int


def pull(
    models: Iterable[Model],
    folders: ModelFolders,
    *,
    accept: Callable[[Model], bool] | None = None,
    overwrite: bool = False,
    endpoint: str | None = None,
    token: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    attempts: int = 5,
    backoff: float = 1.0,
) -> list[ModelStatus]:
    """Fetch what is missing of ``models`` into ``folders`` and return how they are installed then.

    A file that is there and right is left alone. One that is there and wrong may be somebody's other edition: it is
    replaced only with ``overwrite``, which also hashes again what was verified before. ``accept(model)`` is asked
    before a gated model is fetched. ``endpoint`` is the hub's address (else HF_ENDPOINT, else huggingface.co) and
    ``token`` the account's (else HF_TOKEN, else huggingface_hub's login). A request is tried ``attempts`` times in a
    row, ``backoff`` seconds apart at first.

    Everything is looked up and the disk space checked before the first byte. A model's files appear together once
    all of them are verified, ``config.json`` last. What was fetched before an interruption is continued next time.

    Raises ``ModelError``. When several files fail, the others are still fetched, and the one error that is raised
    carries them all in ``details["failures"]``.
    """
    job = _Pull(folders, accept, overwrite, endpoint, token, on_progress, attempts, backoff)
    return job.run(list(models))


@dataclass
class _Pull:
    folders: ModelFolders
    accept: Callable[[Model], bool] | None
    overwrite: bool
    endpoint: str | None
    token: str | None
    on_progress: Callable[[Progress], None] | None
    attempts: int
    backoff: float

    def __post_init__(self):
        self.failures: list[ModelError] = []
        self.overall = self.overall_total = 0
        self.dead_end: ModelError | None = None

    def run(self, models: list[Model]) -> list[ModelStatus]:
        plans = [plan for model in models if (plan := self._plan(model))]
        self._check_space([download for plan in plans for download in plan])
        self.overall_total = sum(download.size or 0 for plan in plans for download in plan)
        for plan in plans:
            try:
                self._install(plan)
            except ModelError as error:
                self.failures.append(error)
                if error.code == "model_disk_full":
                    break
        if self.failures:
            raise _combined(self.failures)
        return [status(model, self.folders) for model in models]

    def _plan(self, model: Model) -> list[Download]:
        """The downloads that ``model`` needs: none when it is complete, or when one of them cannot be had."""
        found = status(model, self.folders)
        known = len(self.failures)
        missing = [entry for entry in found.files if not self._is_settled(model, entry, found.base)]
        if missing and model.gated and self.accept is not None and not self.accept(model):
            self.failures.append(gated(model, model.page))
        if len(self.failures) > known:
            return []
        plan = []
        for entry in missing:
            try:
                plan.append(self._look_up(model, entry, found.base))
            except ModelError as error:
                self.failures.append(error)
        return plan if len(self.failures) == known else []

    def _is_settled(self, model: Model, entry: FileStatus, base: Path) -> bool:
        """Whether the file can stay as it is. A wrong file that must not be replaced is a failure."""
        if entry.state == PRESENT and not self.overwrite:
            return True
        if entry.state in (MISSING, INCOMPLETE) or entry.size == 0:
            return False
        if entry.state == WRONG_SIZE:
            problem = f"it has {entry.size} bytes, expected were {entry.file.size}"
        else:
            if entry.file.sha256 is None:
                return True
            self._report(entry.file, "verify", 0, entry.size)
            digest = sha256(entry.path, lambda done: self._report(entry.file, "verify", done, entry.size))
            if digest == entry.file.sha256:
                record(base, entry.file, digest)
                return True
            problem = f"its SHA-256 is {digest}, expected was {entry.file.sha256}"
        if not self.overwrite:
            self.failures.append(_in_the_way(model, entry, problem))
        return False

    def _look_up(self, model: Model, entry: FileStatus, base: Path) -> Download:
        from huggingface_hub import try_to_load_from_cache

        file, url = entry.file, model.url(entry.file, self.endpoint)
        cached = try_to_load_from_cache(model.repo, file.source, revision=model.revision)
        if isinstance(cached, str) and file.sha256 and Path(cached).stat().st_size == file.size:
            size, digest, git_id, cached = file.size, file.sha256, None, Path(cached)
        else:
            metadata = self._metadata(model, file, entry.path, url)
            size, digest, git_id = expected(model, file, url, metadata)
            cached = None
        tag = (digest or git_id or model.revision)[:16]
        partial = base / STAGING / f"{partial_stem(file)}.{tag}.partial"
        return Download(model, file, base, entry.path, url, partial, size, digest, git_id, cached)

    def _metadata(self, model: Model, file: ModelFile, path: Path, url: str):
        if self.dead_end is not None:
            # The hub is out of reach: say so for each file, without trying again for each.
            raise unreachable(url, path, self.dead_end.details["reason"])

        def give_up(error: Exception) -> ModelError:
            self.dead_end = unreachable(url, path, str(error))
            return self.dead_end

        def request():
            return hub_metadata(model, file, path, url, self.token)

        return retrying(request, give_up, min(self.attempts, 3), self.backoff)

    def _check_space(self, downloads: list[Download]) -> None:
        needed: dict[int, tuple[Path, int]] = {}
        for download in downloads:
            folder = _existing(download.base)
            device = folder.stat().st_dev
            needed[device] = (folder, needed.get(device, (folder, 0))[1] + download.remaining)
        for folder, size in needed.values():
            free = shutil.disk_usage(folder).free
            if size and size + _SPARE_BYTES > free:
                raise ModelError(
                    "model_disk_full",
                    f"The models need {_gigabytes(size)} on the disk of {folder}; {_gigabytes(free)} are free.",
                    "Free some space, or choose another --models-dir. Nothing was downloaded.",
                    {"needed": size, "free": free, "path": str(folder)},
                )

    def _install(self, plan: list[Download]) -> None:
        """Fetch and verify every file of one model, then move them in place."""
        import requests

        base = plan[0].base
        with _staging(base), requests.Session() as session:
            if not self.overwrite:
                # Another pull may have finished while we waited for the staging folder.
                now = status(plan[0].model, self.folders)
                present = {entry.file for entry in now.files if entry.state == PRESENT}
                plan = [download for download in plan if download.file not in present]
            ready = [(download, self._fetch(download, session)) for download in plan]
            for download, digest in sorted(ready, key=lambda item: item[0].path.name == "config.json"):
                _move(download)
                record(base, download.file, digest)

    def _fetch(self, download: Download, session) -> str:
        before = self.overall

        def on_bytes(done: int) -> None:
            self.overall = before + done
            self._report(download.file, "download", done, download.size)

        def on_hashed(done: int) -> None:
            self._report(download.file, "verify", done, download.size)

        digest = fetch(download, session, self.token, on_bytes, on_hashed, self.attempts, self.backoff)
        self.overall = before + (download.size or 0)
        return digest

    def _report(self, file: ModelFile, phase: str, done: int, total: int | None) -> None:
        if self.on_progress is not None:
            self.on_progress(Progress(file, phase, done, total, self.overall, self.overall_total))


@contextmanager
def _staging(base: Path):
    """Have a staging folder in ``base``, alone among all processes; it goes when nothing is left in it."""
    from huggingface_hub.utils import WeakFileLock

    staging, lock = base / STAGING, base / LOCK
    try:
        base.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise_for_disk(error, staging)
        raise
    # The lock stays where it is: a process that waits for a lock file must not see it replaced.
    with WeakFileLock(lock):
        staging.mkdir(exist_ok=True)
        yield
        with suppress(OSError):
            staging.rmdir()


def _move(download: Download) -> None:
    try:
        download.path.parent.mkdir(parents=True, exist_ok=True)
        download.partial.replace(download.path)
    except OSError as error:
        raise_for_disk(error, download.path)
        raise


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


def _in_the_way(model: Model, entry: FileStatus, problem: str) -> ModelError:
    return ModelError(
        "model_corrupt",
        f"{entry.path} is not the manifest's file: {problem}. It was left as it is.",
        f"It may be half a download, or another edition that works as well. `imageine models pull {model.id} "
        f"--overwrite` puts the manifest's file in its place.",
        {"path": str(entry.path), "model": model.id},
    )


def _combined(failures: list[ModelError]) -> ModelError:
    """One error for all: the failure itself when it is the only one."""
    if len(failures) == 1:
        return failures[0]
    details = {"failures": [error.as_dict() for error in failures]}
    reasons = {error.details.get("reason") for error in failures}
    if len(reasons) > 1 or None in reasons:
        lines = "".join(f"\n- {error}" for error in failures)
        return ModelError(failures[0].code, f"{len(failures)} model files could not be had:{lines}", "", details)
    lines = "".join(f"\n- {error.details['url']}\n  to {error.details['path']}" for error in failures)
    return ModelError(
        failures[0].code,
        f"{len(failures)} model files could not be fetched: {reasons.pop()}.{lines}",
        "Run the same command again, or fetch each file in a browser and save it under the path named with it.",
        details,
    )
