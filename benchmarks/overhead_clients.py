"""The clients that benchmarks/overhead.py and benchmarks/faults.py measure: each a program that runs one job a line.

Each reads API-format graphs from stdin, one a line, runs each and takes the bytes of every file that the client's
answer names, and answers ``{"seconds": ..., "files": [base64]}`` or ``{"seconds": ..., "error": ...}`` on a line of its
own. The other clients run in their own Python, which need not have this package: hence programs as text, written as
each client's README has it. ``URL`` is the server's address, ``WAIT`` the longest wait in seconds that a client is told
of where it can be told of one (None: its own default), ``MORE`` the addresses of further servers.
"""

import base64
import json
import os
import select
import signal
import subprocess
import tempfile
import textwrap
from contextlib import suppress
from pathlib import Path

BARE, OURS, POOL = "bare aiohttp", "imageine", "imageine, a pool"

OUR_PYTHON = {
    BARE: """
import asyncio, uuid
import aiohttp

loop = asyncio.new_event_loop()
client_id = uuid.uuid4().hex

async def connect():
    global session, socket
    session = aiohttp.ClientSession(URL)
    socket = await session.ws_connect("/ws?clientId=" + client_id)

async def job(graph):
    async with session.post("/prompt", json={"prompt": graph, "client_id": client_id}) as answer:
        prompt_id = (await answer.json())["prompt_id"]
    async for message in socket:
        if message.type == aiohttp.WSMsgType.TEXT:
            event = json.loads(message.data)
            if event["type"] == "executing" and event["data"]["node"] is None:
                if event["data"].get("prompt_id") == prompt_id:
                    break
    async with session.get("/history/" + prompt_id) as answer:
        entry = (await answer.json())[prompt_id]
    files = []
    for output in entry["outputs"].values():
        for file in output["images"]:
            async with session.get("/view", params=file) as answer:
                files.append(await answer.read())
    return files

loop.run_until_complete(connect())
run = lambda graph: loop.run_until_complete(job(graph))
""",
    OURS: """
from imageine.runner import Client

client = Client(URL, grace=WAIT or 30, stalled_after=WAIT or 900)
client.check()

def run(graph):
    return [client.fetch(output) for output in client.submit(graph).wait().outputs]
""",
}

# Further servers come when the job runs, so that it surely meets what happens to the first.
OUR_POOL = """
from imageine.runner import Pool
from imageine.runner.client.events import Started

pool = Pool([URL], grace=WAIT or 10, stalled_after=WAIT or 900, patience=WAIT or 120).__enter__()

def grow(event):
    if isinstance(event, Started):
        for url in MORE:
            pool.add(url)

def run(graph):
    return [output.data for output in pool.submit(graph).wait(None, grow).outputs]
"""

PEERS = {
    "comfy-toolkit": """
import asyncio
from comfy_toolkit.client import ComfyClient

client = ComfyClient(URL)

def run(graph):
    found = client.submit_and_track(graph, **({"overall_timeout": WAIT} if WAIT else {}))
    return [client.download(file) for file in found["images"]]
""",
    "comfy-api-simplified": """
from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper

client = ComfyApiWrapper(URL)

def run(graph):
    title = list(graph.values())[-1]["_meta"]["title"]  # it takes the name of one output node
    return list(client.queue_and_wait_images(ComfyWorkflowWrapper(graph), title).values())
""",
    "comfy-headless": """
from comfy_headless.client import ComfyClient

client = ComfyClient(URL)

def run(graph):
    prompt_id = client.queue_prompt(graph)
    if prompt_id is None:
        raise RuntimeError("queue_prompt gave None")
    entry = client.wait_for_completion(prompt_id, timeout=WAIT)
    if entry is None or entry["status"]["status_str"] == "error":
        raise RuntimeError("wait_for_completion gave " + ("None" if entry is None else "an error"))
    files = [file for output in entry["outputs"].values() for file in output["images"]]
    files = [client.get_image(file["filename"], file["subfolder"], file["type"]) for file in files]
    if None in files:
        raise RuntimeError("get_image gave None")
    return files
""",
    "comfy-sdk": """
import os, socket, subprocess, atexit, time
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
proxy = subprocess.Popen([os.path.join(os.path.dirname(sys.executable), "comfy-api-proxy"), "run", "--comfyui", URL,
                          "--port", str(port)], stdin=subprocess.DEVNULL, stdout=2, stderr=subprocess.DEVNULL)
atexit.register(proxy.kill)
while proxy.poll() is None:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        break
    except OSError:
        time.sleep(0.1)
os.environ["COMFY_BASE_URL"] = f"http://127.0.0.1:{port}"
from comfy_sdk import Comfy

client = Comfy()

def run(graph):
    return [output.to_bytes() for output in client.run(client.workflows.from_json(graph), timeout=WAIT).outputs]
""",
}

# A file that the command names and the server does not have is empty: by then the command has said that all is well.
COMFY_CLI = """
import os, subprocess, tempfile, urllib.error, urllib.request

comfy = os.path.join(os.path.dirname(sys.executable), "comfy")
host, _, port = URL.removeprefix("http://").partition(":")
options = ["--wait", "--json", "--host", host, "--port", port] + (["--timeout", str(WAIT)] if WAIT else [])

def fetch(url):
    try:
        return urllib.request.urlopen(url, timeout=10).read()
    except urllib.error.HTTPError:
        return b""

def run(graph):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "job.json")
        with open(path, "w") as file:
            json.dump(graph, file)
        command = [comfy, "--skip-prompt", "run", "--workflow", path, *options]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines() or [json.dumps({"error": done.stderr.strip()[-300:]})]
    said = json.loads(lines[-1])
    if done.returncode:
        raise RuntimeError(str(said.get("error")))
    return [fetch(url) for url in said["data"]["outputs"]]
"""

PROGRAM = """
import base64, contextlib, json, sys, time
URL, WAIT, MORE = json.loads(sys.argv[1])
answers = sys.stdout
with contextlib.redirect_stdout(sys.stderr):
{setup}
    answers.write("ready\\n")
    answers.flush()
    for line in sys.stdin:
        graph = json.loads(line)
        begin = time.perf_counter()
        try:
            files, error = run(graph), None
        except Exception as raised:
            files, error = [], repr(raised)
        answer = {{"seconds": time.perf_counter() - begin, "error": error}}
        answer["files"] = [base64.b64encode(file).decode() for file in files]
        answers.write(json.dumps(answer) + "\\n")
        answers.flush()
"""


class Worker:
    """A client in a process of its own; ``limit`` is the longest wait for an answer in seconds.

    Raises ``RuntimeError`` when it cannot be had.
    """

    def __init__(self, python: Path | str, setup: str, url: str, *, wait: float | None = None, more: tuple = ()):
        program = PROGRAM.format(setup=textwrap.indent(setup, "    "))
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed with the process
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log}
        command = [str(python), "-c", program, json.dumps([url, wait, more])]
        self._process = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
        if self._process.stdout.readline() != "ready\n":
            reason = self._last_line()
            self.close()
            raise RuntimeError(reason)

    def send(self, graph: dict) -> None:
        self._process.stdin.write(json.dumps(graph) + "\n")
        self._process.stdin.flush()

    def answer(self, limit: float | None = None) -> dict | None:
        """``seconds``, ``error`` and ``files`` (bytes); None when nothing came within ``limit`` seconds."""
        if not select.select([self._process.stdout], [], [], limit)[0]:
            return None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": self._last_line(), "files": [], "seconds": 0.0}
        answer["files"] = [base64.b64decode(file) for file in answer["files"]]
        return answer

    def close(self) -> None:
        """End the process with what it started, also one that hangs."""
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(3)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()
        self.log.close()

    def _last_line(self) -> str:
        self.log.seek(0)
        return (self.log.read().strip().splitlines() or ["no output"])[-1]
