"""One ComfyUI server over HTTP and WebSocket."""

import contextlib
import uuid
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit, urlunsplit

import websocket

from ..errors import JobError, ServerError
from . import submission
from .channel import Channel, Channels, connect
from .job import Job
from .job_api import UNKNOWN, JobApi
from .outcome import CACHE_HINT, JobResult, OutputFile, rejection
from .transport import Address, Refused, Transport
from .upload import Uploads

__all__ = ["Client", "Job", "JobResult", "OutputFile", "ServerInfo"]

SOCKET_SECONDS = 5.0  # to open the socket; events are worth no longer wait


@dataclass(frozen=True)
class ServerInfo:
    """What a server says about itself; parts it does not tell are empty. ``devices`` are torch's names of them."""

    url: str
    version: str
    os: str
    python: str
    pytorch: str
    devices: tuple[str, ...]


class Client:
    """A ComfyUI server: ``Client("http://127.0.0.1:8188")``, also a context manager.

    ``url`` may be https, have a path prefix (``/api`` too), ``user:password@``, or be just ``host:port``.
    ``timeout`` is the longest silence within one request in seconds; ``headers`` go with every request and the
    socket. A server that goes away is waited for ``grace`` seconds; a job without any sign of life counts as
    stalled after ``stalled_after`` seconds (None: never).

    May be shared by threads; each job belongs to one. Every method raises ``ServerError`` when the server cannot
    be reached (server_unreachable) or answers with an error (server_refused).
    """

    def __init__(
        self,
        url: str,
        timeout: float = 30.0,
        headers: dict | None = None,
        *,
        grace: float = 30.0,
        stalled_after: float | None = 900.0,
    ):
        self._transport = Transport(Address.parse(url), timeout, headers)
        self._jobs = JobApi(self._transport)
        self._channels = Channels(self._connect)
        self._grace = grace
        self._stalled_after = stalled_after
        self._object_info: dict | None = None
        self._features: dict | None = None
        self._uploads = Uploads(self._transport, self.features)

    @property
    def url(self) -> str:
        """The server's address without credentials or trailing slash."""
        return self._transport.address.base

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections; jobs go on."""
        self._channels.close()
        self._transport.close()

    def check(self) -> ServerInfo:
        """Make sure that a ComfyUI answers, and say which. Call it first.

        Follows a redirect to another address, and finds a server that only serves its ``/api`` routes. Raises
        ``ServerError`` (server_unreachable, server_not_comfyui, server_refused).
        """
        last: ServerError | None = None
        for prefix in ("", "/api"):
            try:
                response = self._transport.get(f"{prefix}/system_stats")
                stats = response.json()
                info = self._server_info(stats["system"], stats.get("devices") or ())
            except Refused as error:
                if error.status in (401, 403) or error.status >= 500:
                    raise
                last = error
            except (ValueError, KeyError, TypeError, AttributeError):
                last = None
            else:
                self._move(response.url.removesuffix("/system_stats"))
                return info
        raise ServerError(
            "server_not_comfyui",
            f"{self.url} answers, but not as ComfyUI does" + (f": {last.message}" if last else "."),
            "Give the address of ComfyUI itself, like http://127.0.0.1:8188.",
        ) from last

    def object_info(self, refresh: bool = False) -> dict:
        """Every node class of the server with its inputs; asked once per client unless ``refresh``."""
        if self._object_info is None or refresh:
            self._object_info = self._transport.get_json("/object_info")
        return self._object_info

    def features(self) -> dict:
        """The server's feature flags, such as max_upload_size in bytes; empty where it has none to tell."""
        if self._features is None:
            try:
                self._features = self._transport.get_json("/features")
            except Refused as error:
                if error.status != 404:
                    raise
                self._features = {}
        return self._features

    def queue_length(self) -> int:
        """How many jobs wait or run."""
        return int(self._transport.get_json("/prompt")["exec_info"]["queue_remaining"])

    def upload_image(self, data: bytes, suffix: str = ".png", subfolder: str = "imageine") -> str:
        """Put a file into the server's input folder and return its name for a Load Image node.

        The file is named by its content, so the same content is sent once, also across clients and sessions.
        """
        return self._uploads.put(data, suffix, subfolder)

    def submit(
        self,
        graph: dict,
        *,
        prompt_id: str | None = None,
        ui_workflow: dict | None = None,
        previews: bool = False,
        front: bool = False,
        allow_partial: bool = False,
    ) -> Job:
        """Queue an API-format ``graph``, before all others if ``front``.

        ``prompt_id`` is a lowercase UUID of your own; a job of that id that the server has already is not run again
        but returned. ``ui_workflow`` is embedded in saved files. ``previews`` asks for pictures while it samples.

        Raises ``JobError`` (job_rejected) when validation fails, and, unless ``allow_partial``, when it would skip
        part of the graph (that job is cancelled); ``WorkflowError`` for a graph that cannot be sent.
        """
        graph = submission.normalise(graph)
        if prompt_id is not None and self._jobs.state(submission.canonical(prompt_id)).phase != UNKNOWN:
            return self._job(prompt_id, graph, None, {})
        prompt_id = prompt_id or str(uuid.uuid4())
        channel = self._channels.take()
        content = submission.body(graph, prompt_id, channel.client_id, ui_workflow, previews, front)
        try:
            # Before the POST, or the first events are lost. Without it polling does.
            with contextlib.suppress(OSError, websocket.WebSocketException):
                channel.is_open or channel.open()
            answer = submission.post(self._transport, self._jobs, graph, content, prompt_id)
            prompt_id = answer.get("prompt_id") or prompt_id  # ComfyUI before 2025 chose its own
            node_errors = answer.get("node_errors") or {}
            if node_errors and not allow_partial:
                self._jobs.cancel(prompt_id)
                raise rejection(graph, {}, node_errors, partial=True)
        except BaseException:
            channel.close()
            raise
        return self._job(prompt_id, graph, channel, node_errors)

    def attach(self, prompt_id: str) -> Job:
        """A job that was submitted before, by this program or another; it is followed by polling alone.

        An unknown id gives a job whose ``events`` raise ``JobError`` (job_lost).
        """
        return self._job(submission.canonical(prompt_id), {}, None, {})

    def state(self, prompt_id: str) -> str:
        """Where a job is: ``pending``, ``running``, ``done`` (well or not), or ``unknown`` to the server."""
        return self._jobs.state(submission.canonical(prompt_id)).phase

    def fetch(self, output: OutputFile) -> bytes:
        """The content of a file. Raises ``JobError`` (output_missing) when the server no longer has it."""
        try:
            return self._transport.get("/view", params=_place(output)).content
        except Refused as error:
            if error.status != 404:
                raise
            raise _missing([output]) from error

    def free(self) -> None:
        """Ask the server to unload its models and forget kept results, once the running job has ended."""
        self._transport.send("POST", "/free", json={"unload_models": True, "free_memory": True})

    def _server_info(self, system: dict, devices) -> ServerInfo:
        names = tuple(str(device.get("name", "")) for device in devices)
        told = [str(system.get(key, "")) for key in ("comfyui_version", "os", "python_version", "pytorch_version")]
        return ServerInfo(self.url, *told, names)

    def _move(self, base: str) -> None:
        address = self._transport.address
        parts = urlsplit(base)
        base = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        if base != address.base:
            self._channels.close()
            self._transport.address = Address(base, address.auth)

    def _connect(self, client_id: str) -> websocket.WebSocket:
        transport = self._transport
        return connect(transport.address, client_id, min(transport.timeout, SOCKET_SECONDS), transport.headers)

    def _job(self, prompt_id: str, graph: dict, channel: Channel | None, node_errors: dict) -> Job:
        return Job(
            prompt_id,
            graph,
            self._jobs,
            channel,
            node_errors,
            verify=self._verify,
            give_back=self._channels.give_back,
            new_session=self._transport.new_session,
            grace=self._grace,
            stalled_after=self._stalled_after,
        )

    def _verify(self, result: JobResult, made: set[str]) -> None:
        """Raise ``JobError`` (output_missing) unless the job's files are there.

        Previews (type temp) count only where nothing else was made: they may be gone while the result is not. What the
        nodes ``made`` have just written need not be asked for.
        """
        files = [file for file in result.outputs if file.type == "output"] or result.outputs
        files = [file for file in files if file.node_id not in made]
        missing = []
        for file in files:
            try:
                self._transport.get("/view", method="HEAD", params=_place(file))
            except Refused as error:
                if error.status == 404:
                    missing.append(file)
        if missing:
            raise _missing(missing)


def _place(file: OutputFile) -> dict:
    return {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}


def _missing(files: list[OutputFile]) -> JobError:
    names = ", ".join(f"{file.subfolder}/{file.filename}".lstrip("/") for file in files)
    message = f"The job is done, but the server has no file {names}."
    return JobError("output_missing", message, CACHE_HINT, {"missing": [asdict(file) for file in files]})
