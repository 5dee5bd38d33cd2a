"""A small model hub on this machine: the part of the Hugging Face protocol that a download meets.

``HEAD`` and ``GET`` of ``/<repo>/resolve/<revision>/<path>`` with the real headers, LFS files behind a redirect to
another host (the CDN), ranges, and the ways in which a download goes wrong, on request.
"""

import hashlib
import random
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub.constants
from imageine.runner import models
from imageine.runner.models import Licence, Model, ModelFile

REVISION = "c0ffee" + "0" * 34
# A model folder as transformers wants it, small enough to be sent in no time.
SIZE = 3_000_000
WEIGHTS = random.Random(0).randbytes(SIZE)
FILES = {"config.json": b'{"model_type": "sam2"}', "model.safetensors": WEIGHTS, "vocab.txt": b"a\nb\n"}


def isolate(monkeypatch, tmp_path) -> None:
    """No token, cache, proxy, mirror or ComfyUI of this machine takes part."""
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "COMFYUI_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))


def pull(hub: "Hub", wanted: list[Model], folders: models.ModelFolders, **options) -> list[models.ModelStatus]:
    """``models.pull`` from ``hub``, with pauses too short to be felt."""
    return models.pull(wanted, folders, endpoint=hub.url, backoff=0.001, **options)


@dataclass
class Trouble:
    """What goes wrong with one file, for the next ``times`` requests of its bytes (-1: always)."""

    kind: str  # cut (after value bytes), status (value), wrong_bytes, no_range
    times: int = 1
    value: int = 0


@dataclass
class Request:
    method: str
    path: str
    host: str
    range: str | None
    token: str | None
    status: int = 0
    sent: int = 0


@dataclass
class Hub:
    """Start with ``with Hub() as hub``; ``hub.url`` is the endpoint."""

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    small: set[tuple[str, str]] = field(default_factory=set)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    gated: dict[str, str] = field(default_factory=dict)
    etags: dict[tuple[str, str], str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    login_page: bool = False  # answer 200 to everything, as a captive portal does

    def __enter__(self):
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = _Server(("127.0.0.1", 0), handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exc_info):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def model(self, id: str, files: dict[str, bytes], *, pinned: bool = True, folder: str = "sams", **fields) -> Model:
        """Publish ``files`` and return the manifest entry for them; ``pinned`` says whether it names size and hash.

        Files that end in .json or .txt are served as the hub serves files outside LFS.
        """
        repo = f"someone/{id}"
        for path, content in files.items():
            self.files[repo, path] = content
            if path.endswith((".json", ".txt")):
                self.small.add((repo, path))
        prefix = f"{folder}/{id}" if "config.json" in files else folder
        entries = tuple(
            ModelFile(path, f"{prefix}/{path}", *((len(content), sha256(content)) if pinned else ()))
            for path, content in files.items()
        )
        fields = {"gated": False, "default": True, "pipelines": ("simple",), **fields}
        licence = Licence("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0", "Apache-2.0")
        return Model(
            id, "mask", id, repo=repo, revision=REVISION, folder=folder, licence=licence, files=entries, **fields
        )

    def bytes_sent(self) -> int:
        """Body bytes of all files sent so far."""
        return sum(request.sent for request in self.requests)

    def gets(self) -> list[Request]:
        """The requests that were answered with file content."""
        return [request for request in self.requests if request.method == "GET" and request.status in (200, 206)]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that goes away in the middle of a file is what many of the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def log_message(self, *args):
        pass

    def _answer(self, body: bool) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        host = self.headers["Host"].split(":")[0]
        self.request_log = Request(self.command, self.path, host, self.headers.get("Range"), token)
        self.hub.requests.append(self.request_log)
        if self.hub.login_page:
            return self._send(200, {})
        if self.path.startswith("/cdn/"):
            repo, path = self.path.removeprefix("/cdn/").split("/resolve/")
            return self._content(repo, path) if body else self._refuse(403, "")
        repo, _, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, path = rest.partition("/")
        return self._resolve(repo, revision, path, token, body)

    def _resolve(self, repo: str, revision: str, path: str, token: str | None, body: bool) -> None:
        hub = self.hub
        if repo not in {known for known, _ in hub.files}:
            return self._refuse(401, "RepoNotFound")
        if repo in hub.gated and token != hub.gated[repo]:
            return self._refuse(403 if token else 401, "GatedRepo")
        if revision != REVISION:
            return self._refuse(404, "RevisionNotFound")
        if (repo, path) not in hub.files:
            return self._refuse(404, "EntryNotFound")
        trouble = hub.troubles.get(path)
        if trouble and trouble.kind == "status" and trouble.times:
            trouble.times -= 1
            return self._refuse(trouble.value, "")
        content = hub.files[repo, path]
        if (repo, path) in hub.small:
            headers = {"X-Repo-Commit": REVISION, "ETag": f'"{git_blob_id(content)}"'}
            return self._content(repo, path, headers) if body else self._send(200, headers, length=len(content))
        etag = hub.etags.get((repo, path), sha256(content))
        location = f"http://localhost:{hub.port}/cdn/{repo}/resolve/{path}"
        headers = {"X-Repo-Commit": REVISION, "X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        return self._send(302, {**headers, "Location": location})

    def _content(self, repo: str, path: str, headers: dict | None = None) -> None:
        content = self.hub.files[repo, path]
        trouble = self.hub.troubles.get(path)
        kind = ""
        if trouble and trouble.times:
            trouble.times -= 1
            kind = trouble.kind
        if kind == "wrong_bytes":
            content = bytes([content[0] ^ 1]) + content[1:]
        start = int(self.request_log.range.removeprefix("bytes=").rstrip("-")) if self.request_log.range else 0
        if kind == "no_range":
            start = 0
        if start and start >= len(content):
            return self._send(416, {"Content-Range": f"bytes */{len(content)}"})
        part = content[start:]
        headers = dict(headers or {})
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(206 if start else 200, headers, length=len(part))
        if kind == "cut":
            part = part[: trouble.value]
            self.close_connection = True
        self.request_log.sent = len(part)
        self.wfile.write(part)
        return None

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, {"X-Error-Code": code} if code else {})

    def _send(self, status: int, headers: dict, length: int = 0) -> None:
        self.request_log.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
