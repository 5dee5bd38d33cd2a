"""One model file from the hub to the disk: looked up, fetched with resume and retries, and checked.

huggingface_hub gives the metadata, the token and the meaning of a refusal. The bytes are fetched here, because its
``hf_hub_download`` deletes what it has when it is interrupted (since 1.0), and these files have gigabytes.
"""

import errno
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError
from .files import git_blob_id, sha256
from .manifest import Model, ModelFile

_BLOCK = 1 << 20
_CONNECT_TIMEOUT, _READ_TIMEOUT = 10, 60
_LONGEST_PAUSE = 30
_TRANSIENT_CODES = {408, 429, 500, 502, 503, 504}
_NETWORK_PACKAGES = {"httpx", "httpx2", "httpcore", "requests", "urllib3"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_ID = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Download:
    """A file to fetch into ``partial`` and then to move to ``path``.

    ``size`` (bytes), ``sha256`` and ``git_id`` are what it must turn out to have, as far as known; ``cached`` is a
    copy in huggingface_hub's own cache.
    """

    model: Model
    file: ModelFile
    base: Path
    path: Path
    url: str
    partial: Path
    size: int | None
    sha256: str | None
    git_id: str | None = None
    cached: Path | None = None

    @property
    def remaining(self) -> int:
        """Bytes still to be written, as far as the size is known."""
        have = self.partial.stat().st_size if self.partial.exists() else 0
        return max((self.size or 0) - have, 0)


class Transient(Exception):
    """A failure that another attempt may not meet."""


def by_hand(url: str, path: Path) -> str:
    """The next step that always works."""
    return f"Run the same command again; or fetch {url} in a browser and save it as {path}."


def retrying(action: Callable, give_up: Callable[[Exception], ModelError], attempts: int, backoff: float):
    """``action()``, repeated while it raises ``Transient``, ``attempts`` times in a row without progress at most.

    The pause doubles from ``backoff`` seconds. ``action`` may set ``progress`` on the exception, which starts the
    count again. Raises what ``give_up`` makes of the last failure.
    """
    failures = 0
    while True:
        try:
            return action()
        except Transient as error:
            failures = 1 if getattr(error, "progress", False) else failures + 1
            if failures >= attempts:
                raise give_up(error) from error
            time.sleep(min(backoff * 2 ** (failures - 1), _LONGEST_PAUSE))


def hub_metadata(model: Model, file: ModelFile, path: Path, url: str, token: str | None):
    """What the hub says of ``url`` (its size, its etag), by one HEAD request.

    Raises ``Transient`` when the hub cannot be reached or is overloaded, and ``ModelError`` when it refuses
    (``model_gated``) or has no such file (``model_offline``).
    """
    from huggingface_hub import constants, errors, get_hf_file_metadata

    if constants.HF_HUB_OFFLINE:
        raise unreachable(url, path, "HF_HUB_OFFLINE is set")
    try:
        metadata = get_hf_file_metadata(url, token=token, timeout=_CONNECT_TIMEOUT, library_name="imageine")
    except errors.GatedRepoError as error:
        raise gated(model, url) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise _absent(model, file, path, url) from error
    except errors.HfHubHTTPError as error:
        _raise_for_status(error.response.status_code, model, file, path, url)
        raise
    except Exception as error:
        # Each major version of huggingface_hub has its own HTTP library, and lets its exceptions through.
        if isinstance(error, OSError) or type(error).__module__.split(".")[0] in _NETWORK_PACKAGES:
            raise Transient(f"the hub cannot be reached ({error or type(error).__name__})") from error
        raise
    if metadata.commit_hash is None or metadata.etag is None:
        raise unreachable(url, path, "what answers there is not a model hub (a proxy's or a login page?)")
    return metadata


def expected(model: Model, file: ModelFile, url: str, metadata) -> tuple[int | None, str | None, str | None]:
    """(size, sha256, git blob id) that the file must have, from the manifest and the hub's metadata.

    Raises ``ModelError`` (``model_corrupt``) when the two name different files.
    """
    offered = metadata.etag if _SHA256.fullmatch(metadata.etag) else None
    if file.sha256 and offered and offered != file.sha256:
        raise _another_file(model, url, f"SHA-256 {offered}", f"SHA-256 {file.sha256}")
    if file.size is not None and metadata.size not in (None, file.size):
        raise _another_file(model, url, f"{metadata.size} bytes", f"{file.size} bytes")
    git_id = metadata.etag if _GIT_ID.fullmatch(metadata.etag) else None
    size = file.size if file.size is not None else metadata.size
    return size, file.sha256 or offered, git_id


def fetch(download: Download, session, token, on_bytes, on_hashed, attempts: int, backoff: float) -> str:
    """Bring ``download.partial`` to its full size, check it, and return its SHA-256.

    ``on_bytes`` and ``on_hashed`` get the bytes done so far. What an earlier run left is continued. Raises
    ``ModelError``: ``model_offline``, ``model_gated``, ``model_disk_full``, ``model_unwritable``, or
    ``model_corrupt`` once a file fetched from its first byte is not the right one; a bad file is deleted.
    """

    def give_up(error: Exception) -> ModelError:
        return unreachable(download.url, download.path, str(error))

    from_scratch = not download.partial.exists() and download.cached is None
    if download.cached is not None:
        _copy_cached(download, on_bytes)
    while True:
        retrying(lambda: _receive(download, session, token, on_bytes), give_up, attempts, backoff)
        digest, problem = _check(download, on_hashed)
        if problem is None:
            return digest
        download.partial.unlink()
        if from_scratch:
            raise ModelError(
                "model_corrupt",
                f"{download.url} gave a file with {problem}. It was deleted.",
                "Run the same command again; if it repeats, something on the way changes the file (a proxy, a mirror).",
                {"url": download.url, "path": str(download.path)},
            )
        from_scratch = True


def _check(download: Download, on_hashed) -> tuple[str, str | None]:
    """(SHA-256, what is wrong with the fetched file or None)."""
    size = download.partial.stat().st_size
    if download.size not in (None, size):
        return "", f"{size} bytes instead of {download.size}"
    digest = sha256(download.partial, on_hashed)
    if download.sha256 and digest != download.sha256:
        return digest, f"SHA-256 {digest} instead of {download.sha256}"
    if not download.sha256 and download.git_id and git_blob_id(download.partial) != download.git_id:
        return digest, f"another git id than {download.git_id}"
    return digest, None


def _receive(download: Download, session, token, on_bytes) -> None:
    """One request for the bytes that ``download.partial`` still lacks, appended to it as they come."""
    import requests
    from huggingface_hub.utils import build_hf_headers

    have = download.partial.stat().st_size if download.partial.exists() else 0
    if have and have == download.size:
        return
    headers = {**build_hf_headers(token=token, library_name="imageine"), "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    start = have
    try:
        timeout = (_CONNECT_TIMEOUT, _READ_TIMEOUT)
        with session.get(download.url, headers=headers, stream=True, timeout=timeout) as response:
            have = _resume_point(response, download, have)
            start = min(start, have)
            have = _write(response, download, have, on_bytes)
    except requests.RequestException as error:
        failure = Transient(str(error) or type(error).__name__)
        failure.progress = download.partial.exists() and download.partial.stat().st_size > start
        raise failure from error
    if download.size is not None and have < download.size:
        failure = Transient(f"the connection ended after {have} of {download.size} bytes")
        failure.progress = have > start
        raise failure


def _resume_point(response, download: Download, have: int) -> int:
    """How many bytes of ``download.partial`` stand, given the answer to a request for the rest."""
    if response.status_code == 416 or (
        response.status_code == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    ):
        download.partial.unlink(missing_ok=True)
        raise Transient("the server could not continue the download")
    _raise_for_status(response.status_code, download.model, download.file, download.path, download.url)
    return have if response.status_code == 206 else 0


def _write(response, download: Download, have: int, on_bytes) -> int:
    try:
        with download.partial.open("ab" if have else "wb") as stream:
            for block in response.iter_content(_BLOCK):
                stream.write(block)
                have += len(block)
                on_bytes(have)
                if download.size is not None and have > download.size:
                    break  # not the file that was announced; the check names the sizes
    except OSError as error:
        raise_for_disk(error, download.path)
        raise
    return have


def _copy_cached(download: Download, on_bytes) -> None:
    try:
        shutil.copyfile(download.cached, download.partial)
    except OSError as error:
        raise_for_disk(error, download.path)
        raise Transient(str(error)) from error
    on_bytes(download.partial.stat().st_size)


def raise_for_disk(error: OSError, path: Path) -> None:
    """Raise the ``ModelError`` for a failure to write ``path``; return when ``error`` is of another kind."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise ModelError(
            "model_disk_full",
            f"The disk is full: {path} could not be written.",
            "Free some space and run the same command again; it goes on where it stopped.",
            {"path": str(path)},
        ) from error
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        raise ModelError(
            "model_unwritable",
            f"{path} cannot be written: {error.strerror}.",
            "Check the folder's permissions (and that no program has the file open), or choose another --models-dir.",
            {"path": str(path)},
        ) from error


def _raise_for_status(status: int, model: Model, file: ModelFile, path: Path, url: str) -> None:
    if status < 400:
        return
    if status in _TRANSIENT_CODES:
        raise Transient(f"HTTP {status}")
    if status in (401, 403):
        raise gated(model, url)
    if status in (404, 410):
        raise _absent(model, file, path, url)
    raise unreachable(url, path, f"HTTP {status}")


def unreachable(url: str, path: Path, why: str) -> ModelError:
    """``url`` could not be fetched because of ``why``."""
    details = {"url": url, "path": str(path), "reason": why}
    return ModelError("model_offline", f"{url} could not be fetched: {why}.", by_hand(url, path), details)


def gated(model: Model, url: str) -> ModelError:
    """The hub refuses this account, or asks for one."""
    next_step = f"Accept its terms on {model.page} and set HF_TOKEN to a token of that account."
    if not model.gated:
        next_step = f"Check HF_TOKEN, which may be wrong or expired. If the model has become gated: {next_step}"
    return ModelError(
        "model_gated",
        f"The hub refused {url} ({model.title}, licence {model.licence.name}).",
        next_step,
        {"url": url, "page": model.page, "licence": model.licence.name},
    )


def _absent(model: Model, file: ModelFile, path: Path, url: str) -> ModelError:
    return ModelError(
        "model_offline",
        f"{url} is not there: {model.repo} has no {file.source} at this revision, or is private.",
        f"Update Imageine, or put the file at {path} by hand.",
        {"url": url, "path": str(path), "reason": "not found"},
    )


def _another_file(model: Model, url: str, offered: str, wanted: str) -> ModelError:
    return ModelError(
        "model_corrupt",
        f"{url} is not the file the manifest names: it has {offered}, expected was {wanted}. Nothing was downloaded.",
        "Update Imageine; if HF_ENDPOINT names a mirror, try without it.",
        {"url": url, "model": model.id},
    )
