"""A ComfyUI-like server as a process of its own: one job at a time, and a log that outlives a kill -9.

    python -m support.fleet_server LOG [--port N] [--seconds S] [--models a,b] [--lacks NODE] [--keep FILE]

It prints its address, then serves until it is killed. Every run's start and end is a line of LOG. The graph's Work node
says how its run goes (``mode``): plain takes ``--seconds``; hold waits for POST /release; die ends the process; stick
kills the worker, which a ComfyUI survives without a word; full_disk fails for want of space. With ``--keep`` the
finished jobs are still known after a restart; ``--max-size`` is the largest request that is taken.
"""

import argparse
import asyncio
import json
import os
import threading
from pathlib import Path

from aiohttp import web

from .scripted_server import ScriptedServer, ServedJob

MODES = ["plain", "hold", "die", "stick", "full_disk"]
NO_SPACE = {"node_id": "1", "node_type": "Work", "exception_type": "OSError",
            "exception_message": "[Errno 28] No space left on device", "traceback": []}  # fmt: skip


class FleetServer(ScriptedServer):
    def __init__(self, options: argparse.Namespace):
        super().__init__(max_size=options.max_size)
        self.options = options
        self.port = options.port
        self.script = queue_up
        self.released = asyncio.Event()
        self.turns: asyncio.Queue = asyncio.Queue()
        if options.keep and Path(options.keep).exists():
            for entry in json.loads(Path(options.keep).read_text(encoding="utf-8")):
                number, prompt_id, graph, extra, _ = entry["prompt"]
                self.jobs.append(ServedJob(prompt_id, graph, "", extra, number, "done", entry))

    def log(self, what: str, job: ServedJob) -> None:
        line = {"what": what, "id": job.id, "value": job.graph["1"]["inputs"]["value"]}
        with Path(self.options.log).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def object_info(self) -> dict:
        models = self.options.models.split(",")
        work = {"value": ["INT", {}], "mode": [MODES, {}], "ckpt_name": [models, {}]}
        info = {
            "Work": {"input": {"required": work}, "output": ["IMAGE"], "output_node": False},
            "LoadImage": {
                "input": {"required": {"image": [[], {"image_upload": True}]}},
                "output": ["IMAGE", "MASK"],
                "output_node": False,
            },
            "SaveImage": {
                "input": {"required": {"images": ["IMAGE", {}], "filename_prefix": ["STRING", {}]}},
                "output": [],
                "output_node": True,
            },
        }
        info.pop(self.options.lacks, None)
        return info

    @web.middleware
    async def _middleware(self, request: web.Request, handler):
        if request.path == "/object_info":
            return web.json_response(self.object_info())
        if request.path == "/release":
            self.released.set()
            return web.Response()
        if request.path == "/fail":
            self.fail(*await request.json())
            return web.Response()
        if request.path == "/served":
            return web.json_response({"files": ["/".join(place) for place in self.files], "taken": len(self.bodies)})
        return await super()._middleware(request, handler)

    async def _start(self) -> None:
        await super()._start()
        self._worker = asyncio.ensure_future(self.work())

    async def work(self) -> None:
        while True:
            job = await self.turns.get()
            if job.phase == "pending":
                await self.run(job)

    async def run(self, job: ServedJob) -> None:
        mode = job.graph["1"]["inputs"]["mode"]
        job.phase = "running"
        self.log("start", job)
        await self.send(job, "execution_start")
        await self.send(job, "executing", node="1")
        if mode == "die":
            os._exit(1)
        if mode == "stick":
            await asyncio.Event().wait()
        if mode == "hold":
            while not self.released.is_set() and job.phase == "running":
                await asyncio.sleep(0.01)
        else:
            await asyncio.sleep(self.options.seconds)
        if job.phase != "running":  # interrupted
            return
        if mode == "full_disk":
            self.finish(job, {}, "error", [["execution_error", NO_SPACE]])
        else:
            self.finish(job)
            self.keep()
            self.log("end", job)
        await self.send(job, "executing", node=None)

    def interrupt(self, job: ServedJob) -> None:
        if job.graph["1"]["inputs"]["mode"] != "stick":  # no worker, nobody to look whether it shall stop
            super().interrupt(job)

    def keep(self) -> None:
        if self.options.keep:
            done = [job.history for job in self.jobs if job.phase == "done"]
            Path(self.options.keep).write_text(json.dumps(done), encoding="utf-8")


async def queue_up(server: FleetServer, job: ServedJob) -> None:
    server.turns.put_nowait(job)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--models", default="a.safetensors,b.safetensors")
    parser.add_argument("--lacks", default="")
    parser.add_argument("--keep", default="")
    parser.add_argument("--max-size", type=int, default=2**26)
    server = FleetServer(parser.parse_args())
    with server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
