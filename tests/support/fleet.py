"""A fleet of ``fleet_server`` processes, to be killed and started again, and the counts of what they ran."""

import contextlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import requests

TESTS = Path(__file__).parents[1]


def graph(value: int = 0, mode: str = "plain", model: str = "a.safetensors") -> dict:
    """A workflow of one job for a ``fleet_server``; ``value`` tells jobs apart."""
    return {
        "1": {"class_type": "Work", "inputs": {"value": value, "mode": mode, "ckpt_name": model}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }


class Served:
    """One server process; ``url`` stays the same over restarts."""

    def __init__(self, folder: Path, name: str, *options: str):
        self.log = folder / f"{name}.log"
        self.options = options
        self.url = ""
        self.process: subprocess.Popen | None = None

    def spawn(self) -> None:
        port = ["--port", self.url.rpartition(":")[2]] if self.url else []
        command = [sys.executable, "-m", "support.fleet_server", str(self.log), *self.options, *port]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TESTS)

    def ready(self) -> "Served":
        self.url = self.process.stdout.readline().strip()
        assert self.url, "the server did not start"
        return self

    def start(self) -> "Served":
        self.spawn()
        return self.ready()

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def wait_until_dead(self) -> None:
        """Wait for a server that ends by itself."""
        self.process.wait(30)
        self.kill()

    def release(self) -> None:
        """Let the jobs of the mode hold go on."""
        requests.post(f"{self.url}/release", timeout=30).raise_for_status()

    def fail(self, method: str, path: str, *faults: object) -> None:
        """``ScriptedServer.fail`` in the process."""
        requests.post(f"{self.url}/fail", json=[method, path, *faults], timeout=30).raise_for_status()

    def told(self) -> dict:
        return requests.get(f"{self.url}/served", timeout=30).json()

    def runs(self, what: str = "start") -> list[int]:
        """The values of the jobs whose run started, or ended, here, in order."""
        if not self.log.exists():
            return []
        lines = [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]
        return [line["value"] for line in lines if line["what"] == what]


class Fleet:
    """``with Fleet(folder, 3) as fleet: fleet.urls``; ``options`` go to every server."""

    def __init__(self, folder: Path, size: int, *options: str, each: tuple[tuple[str, ...], ...] = ()):
        extra = each or ((),) * size
        self.servers = [Served(folder, f"server{n}", *options, *extra[n]) for n in range(size)]

    def __enter__(self) -> "Fleet":
        with contextlib.ExitStack() as stack:
            stack.callback(self.stop)
            for server in self.servers:
                server.spawn()
            for server in self.servers:
                server.ready()
            stack.pop_all()
        return self

    def __exit__(self, *exc_info) -> None:
        self.stop()

    def __getitem__(self, index: int) -> Served:
        return self.servers[index]

    def __iter__(self):
        return iter(self.servers)

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    def stop(self) -> None:
        for server in self.servers:
            server.kill()

    def at(self, url: str) -> Served:
        return next(server for server in self.servers if server.url == url)

    def counts(self, what: str = "start") -> Counter:
        """How often each job's run started, or ended, on all servers together, by value."""
        return Counter(value for server in self.servers for value in server.runs(what))
