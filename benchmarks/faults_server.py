"""The ComfyUI that benchmarks/faults.py kills: a real one, with a node that writes every run down."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import requests
from imageine.runner.engines.managed import ManagedComfyUI

NODE = Path(__file__).with_name("faults_node")
ONLY = ("--disable-all-custom-nodes", "--whitelist-custom-nodes", NODE.name)


class Server:
    """A ComfyUI with the recording node; ``url`` stays the same over restarts."""

    def __init__(self, comfyui: Path, base: Path):
        shutil.copytree(NODE, base / "custom_nodes" / NODE.name, ignore=shutil.ignore_patterns("__pycache__"))
        self.managed = ManagedComfyUI(comfyui, base_directory=base, extra_args=ONLY)
        self.base = base

    @property
    def url(self) -> str:
        return self.managed.url

    def tell(self, word: str, on: bool = True) -> None:
        """Set or clear what the node looks for: hold, die, keep."""
        (self.base / word).touch() if on else (self.base / word).unlink(missing_ok=True)

    def kill(self) -> None:
        """kill -9."""
        self.managed.process.kill()
        self.managed.process.wait()

    def restart(self) -> None:
        """Start it anew, with an empty queue, where it was."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.managed.process = subprocess.Popen(
            self.managed.process.args, cwd=self.managed.comfyui_dir, start_new_session=True, **options
        )
        while True:
            with contextlib.suppress(requests.RequestException):
                requests.get(f"{self.url}/system_stats", timeout=5).raise_for_status()
                return
            if self.managed.process.poll() is not None:
                sys.exit("The ComfyUI did not start again.")
            time.sleep(0.1)

    def runs(self, what: str, number: int) -> int:
        """How often the job ``number`` was started, or ended, here."""
        try:
            lines = (self.base / "runs.log").read_text(encoding="utf-8").splitlines()
        except OSError:
            return 0
        return sum(json.loads(line) == [what, number] for line in lines)
