"""The scripted server as an edit meets it: it knows the nodes of a recorded ``/object_info`` and paints."""

import asyncio
import io
import json
import threading
from pathlib import Path

from aiohttp import web
from PIL import Image, ImageDraw
from support.scripted_server import ScriptedServer, ServedJob

DATA = Path(__file__).parent.parent / "data"
OBJECT_INFO = json.loads((DATA / "object_info.json").read_text(encoding="utf-8"))
BOX = (2, 2, 5, 5)  # what ``paint`` changes: left, top, right, bottom, inclusive


class EditServer(ScriptedServer):
    """``object_info`` is what the server says of its nodes; ``arrived`` is set when a job starts.

    With ``deaf``, requests to cancel are never answered.
    """

    def __init__(self):
        super().__init__()
        self.object_info = OBJECT_INFO
        self.script = paint
        self.deaf = False
        self.arrived = threading.Event()
        self.asked_to_cancel = threading.Event()
        self._stopping = asyncio.Event()

    @web.middleware
    async def _middleware(self, request: web.Request, handler):
        if request.path == "/object_info":
            self.requests.append((request.method, request.path))
            return web.json_response(self.object_info)
        if request.path.endswith("/cancel") or request.path == "/interrupt":
            self.asked_to_cancel.set()
            if self.deaf:
                await self._stopping.wait()
        return await super()._middleware(request, handler)

    async def _stop(self) -> None:
        self._stopping.set()
        await super()._stop()

    def uploaded(self, index: int = -1) -> Image.Image:
        """The picture that the Load Image node of a job was given."""
        return Image.open(io.BytesIO(self._picture(self.jobs[index])))

    def _picture(self, job: ServedJob) -> bytes:
        value = next(node["inputs"]["image"] for node in job.graph.values() if node["class_type"] == "LoadImage")
        folder, _, name = value.rpartition("/")
        return self.files["input", folder, name]

    def save(self, job: ServedJob, image: Image.Image) -> dict:
        """Put ``image`` where the job's Save Image would, and return the node's output."""
        saves = [(key, node) for key, node in job.graph.items() if node["class_type"] == "SaveImage"]
        outputs = {}
        for key, node in saves:
            folder, _, prefix = node["inputs"]["filename_prefix"].rpartition("/")
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            name = f"{prefix}_00001_.png"
            self.files["output", folder, name] = buffer.getvalue()
            outputs[key] = {"images": [{"filename": name, "subfolder": folder, "type": "output"}]}
        return outputs


async def paint(server: EditServer, job: ServedJob) -> None:
    """Paint ``BOX`` red in the uploaded photo and save it, with steps and a preview on the way."""
    job.phase = "running"
    server.arrived.set()
    image = Image.open(io.BytesIO(server._picture(job))).convert("RGB")
    await server.send(job, "execution_start")
    for node in job.graph:
        await server.send(job, "executing", node=node)
        steps = job.graph[node]["inputs"].get("steps", 0)
        for step in range(steps):
            await server.send(job, "progress", node=node, value=step + 1, max=steps)
    await server.send_raw(job, b"\0\0\0\1\0\0\0\1" + b"\xff\xd8 preview")
    ImageDraw.Draw(image).rectangle(BOX, fill=(255, 0, 0))
    outputs = server.save(job, image)
    server.finish(job, outputs)
    await server.send(job, "executing", node=None)


async def keep(server: EditServer, job: ServedJob) -> None:
    """Save the photo as it is: nothing was found in it."""
    job.phase = "running"
    server.finish(job, server.save(job, Image.open(io.BytesIO(server._picture(job))).convert("RGB")))


async def hang(server: EditServer, job: ServedJob) -> None:
    """Start the job and leave it running."""
    job.phase = "running"
    await server.send(job, "execution_start")
    server.arrived.set()
