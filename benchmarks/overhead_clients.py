"""The clients that benchmarks/overhead.py measures: each a program that runs one job a line.

Each reads API-format graphs from stdin, one a line, runs each and takes its one file's bytes, and answers
``{"seconds": ..., "bytes": ...}`` on a line of its own. The other clients run in their own Python, which need not have
this package: hence programs as text. ``sys.argv[1]`` is the server's address.
"""

OUR_PYTHON = {
    "bare aiohttp": """
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
    file = entry["outputs"]["3"]["images"][0]
    async with session.get("/view", params=file) as answer:
        return await answer.read()

loop.run_until_complete(connect())
run = lambda graph: loop.run_until_complete(job(graph))
""",
    "imageine": """
from imageine.runner import Client

client = Client(URL)
client.check()

def run(graph):
    return client.fetch(client.submit(graph).wait(60).outputs[0])
""",
}

PEERS = {
    "comfy-toolkit": """
import asyncio
from comfy_toolkit.client import ComfyClient

client = ComfyClient(URL)

def run(graph):
    found = client.submit_and_track(graph)
    return client.download(found["images"][0])
""",
    "comfy-api-simplified": """
from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper

client = ComfyApiWrapper(URL)

def run(graph):
    return next(iter(client.queue_and_wait_images(ComfyWorkflowWrapper(graph), "Save").values()))
""",
    "comfy-headless": """
from comfy_headless.client import ComfyClient

client = ComfyClient(URL)

def run(graph):
    entry = client.wait_for_completion(client.queue_prompt(graph))
    file = entry["outputs"]["3"]["images"][0]
    return client.get_image(file["filename"], file["subfolder"], file["type"])
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
    return client.run(client.workflows.from_json(graph)).get_outputs("3")[0].to_bytes()
""",
}

PROGRAM = """
import contextlib, json, sys, time
URL = sys.argv[1]
answers = sys.stdout
with contextlib.redirect_stdout(sys.stderr):
{setup}
    answers.write("ready\\n")
    answers.flush()
    for line in sys.stdin:
        graph = json.loads(line)
        begin = time.perf_counter()
        try:
            answer = {{"bytes": len(run(graph))}}
        except Exception as error:
            answer = {{"error": repr(error)}}
        answer["seconds"] = time.perf_counter() - begin
        answers.write(json.dumps(answer) + "\\n")
        answers.flush()
"""
