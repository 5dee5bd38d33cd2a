"""What the runner adds to a job, and how long its command takes to start: ours, a bare client, and others.

    python benchmarks/overhead.py [--comfyui DIR] [--jobs 100] [--starts 10]

Starts the ComfyUI that is found, warm, and has each client run the same 3-node job of 64 px, with another colour each
time, so that nothing is kept from the last: from the graph to the bytes of the picture. The clients are processes that
stand ready and take turns, job by job, so that whatever else the machine does meets all alike. The bare client is what
aiohttp does at the least: one open socket, POST, the end event, the history, the file. It checks nothing, and its
median is 1. The starts of the command are measured in turns too, beside ``python -c pass``. To compare with others:

    python -m venv peers
    peers/bin/pip install comfy-api-simplified comfy-headless comfy-sdk comfy-api-proxy "comfy-toolkit[ws]" comfy-cli
    python benchmarks/overhead.py --peers peers/bin/python
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from imageine.runner.engines.comfyui import find_comfyui
from imageine.runner.engines.managed import ManagedComfyUI
from overhead_clients import BARE, OUR_PYTHON, OURS, PEERS, Worker

WARM_UP = 3

colours = itertools.count(1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comfyui", type=Path, help="the ComfyUI folder; else the one that is found")
    parser.add_argument("--jobs", type=int, default=100, help="jobs of each client")
    parser.add_argument("--starts", type=int, default=10, help="starts of each command")
    parser.add_argument("--peers", type=Path, help="the Python that the other clients are installed for")
    return parser.parse_args()


def graph() -> dict:
    size = {"width": 64, "height": 64, "batch_size": 1, "color": next(colours)}
    return {
        "1": {"class_type": "EmptyImage", "inputs": size, "_meta": {"title": "Colour"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}, "_meta": {"title": "Invert"}},
        "3": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": "overhead"},
            "_meta": {"title": "Save"},
        },
    }


def run(worker: Worker) -> float:
    """Seconds of one job. Raises ``RuntimeError`` when it gives no picture."""
    worker.send(graph())
    answer = worker.answer()
    if not any(answer["files"]):
        raise RuntimeError(answer["error"] or "no picture")
    return answer["seconds"]


def start_workers(url: str, peers: Path | None, stack: ExitStack) -> dict[str, Worker]:
    programs = [(sys.executable, name, setup) for name, setup in OUR_PYTHON.items()]
    programs += [(peers, name, setup) for name, setup in PEERS.items() if peers]
    workers = {}
    for python, name, setup in programs:
        try:
            workers[name] = Worker(python, setup, url)
            stack.callback(workers[name].close)
            for _ in range(WARM_UP):
                run(workers[name])
        except RuntimeError as error:
            print(f"{name:22}not run: {error}")
            workers.pop(name, None)
    return workers


def jobs_in_turns(workers: dict[str, Worker], count: int) -> tuple[dict[str, list[float]], dict[str, list[str]]]:
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    failed: dict[str, list[str]] = {name: [] for name in workers}
    order = list(workers)
    for _ in range(count):
        for name in order:
            try:
                seconds[name].append(run(workers[name]))
            except RuntimeError as error:
                failed[name].append(str(error))
        order = order[1:] + order[:1]  # nobody always comes after the same one
    return seconds, failed


def p90(values: list[float]) -> float:
    return statistics.quantiles(values, n=10)[-1] if len(values) > 1 else values[0]


def report(seconds: dict[str, list[float]], failed: dict[str, list[str]]) -> None:
    floor = statistics.median(seconds[BARE])
    for name, values in seconds.items():
        if values:
            median, high = statistics.median(values), p90(values)
            print(
                f"{name:22}median{median * 1000:8.1f} ms = {median / floor:6.2f} x bare,   "
                f"p90{high * 1000:8.1f} ms = {high / median:5.2f} x its median"
            )
        if failed[name]:
            print(f"{'':22}{len(failed[name])} failed, the first: {failed[name][0]}")


def commands(url: str, peers: Path | None, folder: Path) -> dict[str, list[str]]:
    """Commands by name; ``WORKFLOW`` stands for a file with a new graph."""
    ours = Path(sys.executable).with_name("imageine")
    found = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "imageine --help": [str(ours), "--help"],
        "imageine run --help": [str(ours), "run", "--help"],
        "imageine run": [str(ours), "run", "WORKFLOW", "-o", str(folder), "--server", url, "-q"],
    }
    comfy = peers.with_name("comfy") if peers else None
    if comfy and comfy.exists():
        host, _, port = url.removeprefix("http://").partition(":")
        run = [str(comfy), "--skip-prompt", "run", "--workflow", "WORKFLOW", "--wait", "--host", host, "--port", port]
        found |= {"comfy --help": [str(comfy), "--help"], "comfy run --wait": run}
    return found


def starts_in_turns(programs: dict[str, list[str]], count: int, folder: Path) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    path = folder / "job.json"
    for turn in range(count + 1):  # the first fills the disk's cache
        for name, command in programs.items():
            path.write_text(json.dumps(graph()), encoding="utf-8")
            command = [str(path) if word == "WORKFLOW" else word for word in command]
            begin = time.perf_counter()
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            took = time.perf_counter() - begin
            if done.returncode:
                sys.exit(f"{name} failed: {(done.stderr or done.stdout).strip()[-500:]}")
            if turn:
                seconds[name].append(took)
    return seconds


def main() -> None:
    options = arguments()
    extra = ("--disable-all-custom-nodes",)
    with (
        tempfile.TemporaryDirectory() as name,
        ManagedComfyUI(options.comfyui or find_comfyui(), extra_args=extra) as server,
        ExitStack() as stack,
    ):
        workers = start_workers(server.url, options.peers, stack)
        if not {BARE, OURS} <= workers.keys():
            sys.exit("Both the bare client and ours are needed.")
        report(*jobs_in_turns(workers, options.jobs))
        print()
        folder = Path(name)
        seconds = starts_in_turns(commands(server.url, options.peers, folder), options.starts, folder)
        floor = statistics.median(seconds["python -c pass"])
        for name, values in seconds.items():
            median = statistics.median(values)
            print(
                f"{name:22}median{median * 1000:7.0f} ms = {median / floor:5.1f} x python -c pass,   "
                f"least{min(values) * 1000:7.0f} ms"
            )


if __name__ == "__main__":
    main()
