"""A small server that speaks ComfyUI's API and misbehaves as a test tells it to.

Real sockets, in a thread: what the client meets is what a network would give it. By default a submitted job runs
and succeeds at once; a test replaces ``script`` with a coroutine of its own, ``async def script(server, job)``.
"""

import asyncio
import contextlib
import json
import threading
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

OUTPUT = {"filename": "result_00001_.png", "subfolder": "", "type": "output"}
PICTURE = b"\x89PNG picture"


@dataclass
class ServedJob:
    """A job as this server keeps it. ``phase`` is pending, running, done or gone (from queue and history)."""

    id: str
    graph: dict
    client_id: str
    extra_data: dict
    number: float
    phase: str = "pending"
    history: dict = field(default_factory=dict)

    def item(self) -> list:
        return [self.number, self.id, self.graph, self.extra_data, []]


class ScriptedServer:
    """``with ScriptedServer() as server: Client(server.url)``. ``prefix`` is put before every route."""

    def __init__(self, prefix: str = "", jobs_api: bool = True, sockets: bool = True, max_size: int = 2**26):
        self.prefix = prefix
        self.jobs_api = jobs_api
        self.sockets_on = sockets
        self.max_size = max_size
        self.jobs: list[ServedJob] = []
        self.files: dict[tuple[str, str, str], bytes] = {("output", "", OUTPUT["filename"]): PICTURE}
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[dict] = []
        self.headers: list[dict] = []
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.unwatched = threading.Event()  # no client has a socket open any more
        self.client_ids: list[str] = []
        self.flags: dict = {}
        self.script = succeed
        self.prompt_answer = None  # (status, JSON) instead of taking the job
        self.port = 0
        self._faults: list[tuple[str, str, object]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def __enter__(self) -> "ScriptedServer":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *exc_info) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self) -> None:
        """Listen; on the same port as before after ``stop``."""
        self._call(self._start())

    def stop(self) -> None:
        """Close every connection and stop to listen, as a killed process would. Jobs are kept until ``forget``."""
        self._call(self._stop())

    def forget(self) -> None:
        """Lose queue and history, as a restart does."""
        self.jobs.clear()

    def fail(self, method: str, path: str, *faults: object) -> None:
        """The next requests whose path starts with ``path`` fail: "reset" (unanswered), "lost" (done, then no
        answer), "hang" (no answer), an HTTP status, or ``(status, text)``."""
        self._faults += [(method, path, fault) for fault in faults]

    def count(self, method: str, path: str) -> int:
        return sum(1 for item in self.requests if item[0] == method and item[1].startswith(path))

    async def send(self, job: ServedJob, kind: str, **data) -> None:
        """A JSON message to the job's client, if it is connected."""
        await self.send_raw(job, json.dumps({"type": kind, "data": {"prompt_id": job.id, **data}}))

    async def send_raw(self, job: ServedJob, frame: str | bytes) -> None:
        socket = self.sockets.get(job.client_id)
        if socket is not None and not socket.closed:
            with contextlib.suppress(ConnectionError):  # a client that was just killed: the job goes on, as in ComfyUI
                await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_str(frame))

    def drop_sockets(self) -> None:
        """Cut the sockets without a closing handshake."""
        for socket in self.sockets.values():
            if socket._req.transport is not None:  # a client that has gone already
                socket._req.transport.abort()
        self.sockets.clear()

    def finish(self, job: ServedJob, outputs: dict | None = None, status: str = "success", messages=()) -> None:
        """Write the job's history, as the worker does after its last event."""
        outputs = {"9": {"images": [OUTPUT]}} if outputs is None else outputs
        state = {"status_str": status, "completed": status == "success", "messages": list(messages)}
        job.history = {"prompt": job.item(), "outputs": outputs, "status": state}
        job.phase = "done"

    def _call(self, coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _start(self) -> None:
        app = web.Application(middlewares=[self._middleware], client_max_size=self.max_size)
        app.add_routes(
            [
                web.get("/ws", self._ws),
                web.get("/system_stats", self._system_stats),
                web.get("/object_info", _answer(lambda: {"KSampler": {}})),
                web.get("/features", _answer(lambda: {"supports_preview_metadata": True, **self.flags})),
                web.get("/prompt", _answer(lambda: {"exec_info": {"queue_remaining": len(self._alive())}})),
                web.post("/prompt", self._prompt),
                web.get("/queue", self._queue),
                web.post("/queue", self._edit_queue),
                web.post("/interrupt", self._interrupt),
                web.post("/free", _answer(dict)),
                web.get("/history/{id}", self._history),
                web.post("/upload/image", self._upload),
                web.get("/view", self._view),
                *([web.get("/api/jobs/{id}", self._job)] if self.jobs_api else []),
                *([web.post("/api/jobs/{id}/cancel", self._cancel)] if self.jobs_api else []),
            ]
        )
        root = web.Application(client_max_size=self.max_size)
        root.add_subapp(self.prefix, app) if self.prefix else None
        self._runner = web.AppRunner(root if self.prefix else app, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self.drop_sockets()
        await self._runner.cleanup()

    @web.middleware
    async def _middleware(self, request: web.Request, handler):
        path = request.path.removeprefix(self.prefix)
        self.requests.append((request.method, path))
        self.headers.append(dict(request.headers))
        for fault in self._faults:
            if request.method == fault[0] and path.startswith(fault[1]):
                self._faults.remove(fault)
                return await self._fault(request, handler, fault[2])
        return await handler(request)

    async def _fault(self, request: web.Request, handler, fault) -> web.StreamResponse:
        if fault == "hang":
            await asyncio.Event().wait()
        if fault in ("reset", "lost"):
            await (handler(request) if fault == "lost" else request.read())
            request.transport.abort()
            return web.Response()
        status, text = fault if isinstance(fault, tuple) else (fault, "scripted")
        return web.Response(status=status, text=text)

    def _alive(self) -> list[ServedJob]:
        return [job for job in self.jobs if job.phase in ("pending", "running")]

    def _find(self, request: web.Request) -> ServedJob | None:
        return next((job for job in self.jobs if job.id == request.match_info["id"] and job.phase != "gone"), None)

    async def _system_stats(self, request: web.Request) -> web.Response:
        return web.json_response({"system": {"comfyui_version": "0.33.0", "os": "linux"}, "devices": [{"name": "cpu"}]})

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if not self.sockets_on:
            return web.Response(status=404)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client_id = request.query["clientId"]
        self.client_ids.append(client_id)
        self.unwatched.clear()
        self.sockets[client_id] = socket
        await socket.send_json({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}})
        async for message in socket:
            if message.type == WSMsgType.ERROR:
                break
        if self.sockets.get(client_id) is socket:
            del self.sockets[client_id]
        if not self.sockets:
            self.unwatched.set()
        return socket

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        if self.prompt_answer is not None and self.prompt_answer[0] != 200:
            return web.json_response(self.prompt_answer[1], status=self.prompt_answer[0])
        job = ServedJob(body["prompt_id"], body["prompt"], body["client_id"], body["extra_data"], len(self.jobs))
        self.jobs.append(job)
        self._task = asyncio.ensure_future(self.script(self, job))
        answer = self.prompt_answer[1] if self.prompt_answer else {"node_errors": {}}
        return web.json_response({"prompt_id": job.id, "number": job.number, **answer})

    async def _queue(self, request: web.Request) -> web.Response:
        def listed(phase):
            return [job.item() for job in self.jobs if job.phase == phase]

        return web.json_response({"queue_running": listed("running"), "queue_pending": listed("pending")})

    async def _edit_queue(self, request: web.Request) -> web.Response:
        for job in self.jobs:
            if job.phase == "pending" and job.id in (await request.json()).get("delete", ()):
                job.phase = "gone"
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        wanted = (await request.json()).get("prompt_id")
        for job in self.jobs:
            if job.phase == "running" and wanted in (None, job.id):
                self.interrupt(job)
        return web.Response()

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self._find(request)
        if job is not None and job.phase == "pending":
            job.phase = "gone"
        elif job is not None and job.phase == "running":
            self.interrupt(job)
        return web.json_response({"cancelled": job is not None})

    def interrupt(self, job: ServedJob) -> None:
        """Stop a running job."""
        self.finish(job, {}, "error", [["execution_interrupted", {"node_id": "3"}]])

    async def _history(self, request: web.Request) -> web.Response:
        job = self._find(request)
        return web.json_response({job.id: job.history} if job is not None and job.phase == "done" else {})

    async def _job(self, request: web.Request) -> web.Response:
        job = self._find(request)
        if job is None:
            return web.json_response({"error": "Job not found"}, status=404)
        ended = "completed" if (job.history.get("status") or {}).get("status_str") == "success" else "failed"
        status = {"pending": "pending", "running": "in_progress"}.get(job.phase, ended)
        return web.json_response({"id": job.id, "status": status})

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        name, data = form["image"].filename, form["image"].file.read()
        stem, dot, suffix = name.rpartition(".")
        taken = 0
        while self.files.get(("input", form["subfolder"], name), data) != data:
            taken += 1
            name = f"{stem} ({taken}){dot}{suffix}"
        self.files["input", form["subfolder"], name] = data
        return web.json_response({"name": name, "subfolder": form["subfolder"], "type": "input"})

    async def _view(self, request: web.Request) -> web.Response:
        place = (request.query["type"], request.query.get("subfolder", ""), request.query["filename"])
        return web.Response(body=self.files[place]) if place in self.files else web.Response(status=404)


def _answer(content):
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(content())

    return handler


async def succeed(server: ScriptedServer, job: ServedJob) -> None:
    """What a healthy server does, the history race included: the history is written after the last event."""
    job.phase = "running"
    await server.send(job, "execution_start")
    await server.send(job, "execution_cached", nodes=[])
    for node in job.graph:
        await server.send(job, "executing", node=node)
    await server.send(job, "executed", node="9", output={"images": [OUTPUT]})
    await server.send(job, "execution_success")
    server.finish(job)
    await server.send(job, "executing", node=None)
