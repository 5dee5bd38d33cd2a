"""What becomes of a job when something goes wrong: our client, our pool, a bare client, and others, fault by fault.

    python benchmarks/faults.py [--comfyui DIR] [--wait 20] [--limit 40] [--clients NAME ...] [--faults NAME ...]

Starts a real ComfyUI whose only extension is a node that writes every run down (benchmarks/faults_node), has each
client, in a process of its own, run one job through each fault, and compares what the client says with what the server
wrote. ``--wait`` is the longest wait in seconds that a client is told of where its API has a setting for one;
``--limit`` is when it counts as hung. The pool has one server like all others; a second one is added when its job runs.
Outcomes:

    right    the pictures, of the right colours; "again" when the server truly lost the job and it was run once more
    error    an error, where there is nothing else to say: the server lost the job, or it cannot be done
    lost     an error, though the server went on to make every picture
    twice    the job was run a second time, though the server had not lost the first
    false    finished, says the client, without every picture of the job
    hung     no answer within the limit

To compare with others:

    python -m venv peers
    peers/bin/pip install comfy-api-simplified comfy-headless comfy-sdk comfy-api-proxy "comfy-toolkit[ws]" comfy-cli
    python benchmarks/faults.py --peers peers/bin/python
"""

import argparse
import io
import itertools
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from faults_server import Server
from imageine.runner import Client
from imageine.runner.engines.comfyui import find_comfyui
from overhead_clients import COMFY_CLI, OUR_POOL, OUR_PYTHON, PEERS, POOL, Worker
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from support.cutting_proxy import CuttingProxy

PACKAGES = ("comfy-api-simplified", "comfy-headless", "comfy-sdk", "comfy-api-proxy", "comfy-toolkit", "comfy-cli")
START_SECONDS = 20.0  # for a job to begin after its submission
QUIET_SECONDS = 2.0  # from a job's start to its fault, from the cut to its end, from the answer to the count of runs

numbers = itertools.count(1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comfyui", type=Path, help="the ComfyUI folder; else the one that is found")
    parser.add_argument("--wait", type=int, default=20, help="the longest wait that clients are told of, in seconds")
    parser.add_argument("--limit", type=float, default=40, help="a client without an answer for so long has hung")
    parser.add_argument("--clients", nargs="+", help="only these")
    parser.add_argument("--faults", nargs="+", help="only these")
    parser.add_argument("--peers", type=Path, help="the Python that the other clients are installed for")
    return parser.parse_args()


@dataclass
class Case:
    """One job of one client: the server it meets, the proxy in front of it, its number and its graph."""

    server: Server
    proxy: CuttingProxy
    number: int
    graph: dict

    def wait_for_start(self) -> None:
        """Until the job runs, and its client has surely heard so; one that never sends it keeps nobody waiting."""
        until = time.monotonic() + START_SECONDS
        while not self.server.runs("start", self.number) and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(QUIET_SECONDS)


@dataclass(frozen=True)
class Fault:
    """``before`` and ``during`` the job happens what they do. ``spared`` is whether the server makes every picture all
    the same, ``loses`` whether it loses the job, ``kills`` whether it has to be started again for the next."""

    name: str
    before: Callable[[Case], None] = lambda case: None
    during: Callable[[Case], None] = lambda case: None
    spared: bool = False
    loses: bool = False
    kills: bool = False


def hold(case: Case) -> None:
    case.server.tell("hold")


def cut(case: Case) -> None:
    case.wait_for_start()
    case.proxy.cut()
    time.sleep(QUIET_SECONDS)
    case.server.tell("hold", on=False)


def kill(case: Case) -> None:
    case.wait_for_start()
    case.server.kill()
    case.server.tell("hold", on=False)


def kill_and_restart(case: Case) -> None:
    kill(case)
    case.server.restart()


def delete_the_kept_file(case: Case) -> None:
    """Run the job, so that the server keeps its result, and delete the file."""
    case.server.tell("keep")
    with Client(case.server.url) as client:
        for output in client.submit(case.graph).wait(60).outputs:
            (case.server.managed.output_dir / output.filename).unlink()


def ask_for_a_second_picture(case: Case) -> None:
    """... whose source the server's validation refuses."""
    size = {"width": 0, "height": 64, "batch_size": 1, "color": 0}
    save = {"images": ["4", 0], "filename_prefix": "fault"}
    case.graph["4"] = {"class_type": "EmptyImage", "inputs": size, "_meta": {"title": "Nothing"}}
    case.graph["5"] = {"class_type": "SaveImage", "inputs": save, "_meta": {"title": "Save Nothing"}}


def lose_the_answer(case: Case) -> None:
    case.proxy.lose_answer(b"POST /prompt", b"POST /api/prompt")


FAULTS = (
    Fault("socket cut", hold, cut, spared=True),
    Fault("POST's answer lost", lose_the_answer, spared=True),
    Fault("kept file deleted", delete_the_kept_file),
    Fault("partly refused", ask_for_a_second_picture),
    Fault("killed, restarted", hold, kill_and_restart, loses=True),
    Fault("worker dead", lambda case: case.server.tell("die"), Case.wait_for_start, loses=True, kills=True),
    Fault("killed for good", hold, kill, loses=True, kills=True),
)


def colour_of(number: int) -> tuple[int, int, int]:
    return (number * 4 % 256, 255 - number * 4 % 256, 128)


def graph(number: int) -> dict:
    red, green, blue = colour_of(number)
    size = {"width": 64, "height": 64, "batch_size": 1, "color": red << 16 | green << 8 | blue}
    save = {"images": ["2", 0], "filename_prefix": "fault"}
    return {
        "1": {"class_type": "EmptyImage", "inputs": size, "_meta": {"title": "Colour"}},
        "2": {"class_type": "RecordedJob", "inputs": {"images": ["1", 0], "number": number}, "_meta": {"title": "Job"}},
        "3": {"class_type": "SaveImage", "inputs": save, "_meta": {"title": "Save"}},
    }


def is_right(picture: bytes, number: int) -> bool:
    try:
        with Image.open(io.BytesIO(picture)) as opened:
            pixel = opened.convert("RGB").getpixel((0, 0))
    except OSError:
        return False
    return all(abs(one - other) <= 1 for one, other in zip(pixel, colour_of(number), strict=True))


def judge(fault: Fault, case: Case, answer: dict | None, starts: int, ends: int) -> str:
    """The outcome, from the client's ``answer`` and how often the job was started and ended since it was sent."""
    wanted = sum(node["class_type"] == "SaveImage" for node in case.graph.values())
    if starts > 1 + fault.loses:
        return "twice"
    if answer is None:
        return "hung"
    if answer["error"]:
        return "lost" if fault.spared and ends else "error"
    if len(answer["files"]) < wanted or not all(is_right(file, case.number) for file in answer["files"]):
        return "false"
    return "right, again" if fault.loses else "right"


def run_case(fault: Fault, program: tuple[Path | str, str], servers: list[Server], options) -> tuple[str, str]:
    """The outcome and what the client said. Raises ``RuntimeError`` when the client cannot be had."""
    server, number = servers[0], next(numbers)
    with ExitStack() as stack:
        proxy = stack.enter_context(CuttingProxy(int(server.url.rpartition(":")[2])))
        case = Case(server, proxy, number, graph(number))
        url = proxy.url if fault.spared else server.url
        worker = Worker(*program, url, wait=options.wait, more=[other.url for other in servers[1:]])
        stack.callback(worker.close)
        fault.before(case)
        before = [sum(server.runs(what, number) for server in servers) for what in ("start", "end")]
        worker.send(case.graph)
        fault.during(case)
        answer = worker.answer(options.limit)
        time.sleep(QUIET_SECONDS)
        after = [sum(server.runs(what, number) for server in servers) for what in ("start", "end")]
        outcome = judge(fault, case, answer, *(late - early for late, early in zip(after, before, strict=True)))
    for word in ("die", "keep"):
        server.tell(word, on=False)
    if fault.kills:
        server.kill()
        server.restart()
    return outcome, (answer or {}).get("error") or ""


def programs(peers: Path | None) -> dict[str, tuple[Path | str, str]]:
    ours = {**OUR_PYTHON, POOL: OUR_POOL}
    theirs = {**PEERS, "comfy run --wait": COMFY_CLI}
    found = {name: (sys.executable, setup) for name, setup in ours.items()}
    return found | ({name: (peers, setup) for name, setup in theirs.items()} if peers else {})


def chosen_faults(options) -> list[Fault]:
    return [fault for fault in FAULTS if not options.faults or fault.name in options.faults]


def run_client(name: str, program: tuple[Path | str, str], servers: list[Server], options) -> dict[str, str]:
    """The outcome of each fault; what was said goes to stderr as it comes."""
    outcomes = {}
    for fault in chosen_faults(options):
        try:
            outcomes[fault.name], said = run_case(fault, program, servers, options)
        except RuntimeError as error:
            print(f"{name}: not run: {error}")
            return {}
        print(f"{name}, {fault.name}: {outcomes[fault.name]}. {said[:300]}", file=sys.stderr, flush=True)
    return outcomes


def report(rows: dict[str, dict[str, str]]) -> None:
    """The table, as Markdown."""
    sums = {"lost": "lost", "twice": "run twice", "false": "falsely finished", "hung": "hung"}
    names = next(iter(rows.values()), {})
    print(f"| | {' | '.join(names)} | {' | '.join(sums.values())} |")
    print("|---" * (1 + len(names) + len(sums)) + "|")
    for name, outcomes in rows.items():
        counts = Counter(outcomes.values())
        print(f"| {name} | {' | '.join(outcomes.values())} | {' | '.join(str(counts[key]) for key in sums)} |")


def versions(peers: Path) -> str:
    code = f"from importlib.metadata import version\nfor name in {PACKAGES}: print(name, version(name))"
    done = subprocess.run([str(peers), "-c", code], capture_output=True, text=True, check=False)
    return ", ".join(done.stdout.splitlines())


def main() -> None:
    options = arguments()
    comfyui = options.comfyui or find_comfyui()
    if comfyui is None:
        sys.exit("No ComfyUI found: set COMFYUI_DIR, or clone it to ~/comfy/ComfyUI.")
    chosen = {n: p for n, p in programs(options.peers).items() if not options.clients or n in options.clients}
    rows = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = [Server(comfyui, folder / f"server{n}") for n in range(2 if POOL in chosen else 1)]
        for server in servers:
            stack.enter_context(server.managed)
        with servers[0].managed.client() as client:
            print(f"ComfyUI {client.check().version}; {versions(options.peers) if options.peers else 'no others'}")
        for name, program in chosen.items():
            rows[name] = run_client(name, program, servers if name == POOL else servers[:1], options)
    report({name: outcomes for name, outcomes in rows.items() if outcomes})


if __name__ == "__main__":
    main()
