"""Install a ComfyUI through comfy-cli, and this extension into it."""

import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, ServerError
from ..supported import required_packages, requirement
from . import comfyui as places
from .managed import ROOT, is_imageine, link_folder

GPUS = ("nvidia", "amd", "intel-arc", "m-series", "cpu")  # comfy-cli's names
LAST_LINES = 15

_NO_NETWORK = (
    "could not resolve", "name resolution", "name or service not known", "getaddrinfo", "failed to establish",
    "network is unreachable", "no matching distribution", "connection refused", "connection timed out", "proxyerror",
)  # fmt: skip


@dataclass
class Setup:
    """One run of ``imageine setup``.

    ``folder`` is where ComfyUI is, or goes; by default the one that ``find_comfyui`` finds, else comfy-cli's own place.
    ``gpu`` is one of ``GPUS``, or empty: what this machine seems to have. ``confirm`` is asked before comfy-cli is
    installed. With ``dry_run`` commands are passed to ``show`` and not run; otherwise ``tell`` gets what they print.
    """

    folder: Path | None = None
    gpu: str = ""
    dry_run: bool = False
    confirm: Callable[[str], bool] = lambda question: False
    show: Callable[[str], None] = print
    tell: Callable[[str], None] = print

    def run(self) -> Path:
        """Do what is not done yet, and return ComfyUI's folder.

        Raises ``ServerError`` (setup_failed) when a step fails, and ``InputError`` (option_invalid) for an unknown GPU.
        """
        if self.gpu and self.gpu not in GPUS:
            raise InputError("option_invalid", f"'{self.gpu}' is no GPU known here.", f"Choose of {', '.join(GPUS)}.")
        folder = self._find() or self._install()
        self._link(folder)
        self._install_requirements(folder)
        return folder

    def _find(self) -> Path | None:
        if self.folder is None:
            return places.find_comfyui()
        folder = self.folder.expanduser().absolute()
        return folder if places.is_comfyui(folder) else None

    def _install(self) -> Path:
        folder = (self.folder or _usual_place()).expanduser().absolute()
        if folder.is_dir() and any(folder.iterdir()):
            raise ServerError(
                "setup_failed",
                f"{folder} is not a ComfyUI and not empty.",
                "Name another folder with --comfyui: one that does not exist yet, or the one of a ComfyUI.",
                {"path": str(folder)},
            )
        flag = f"--{self.gpu or _own_gpu()}"
        comfy = self._comfy()
        command = [comfy, "--skip-prompt", "--workspace", str(folder), "install", "--version", "latest", flag]
        self._do(f"Installing ComfyUI in {folder}", command)
        if not self.dry_run and not places.is_comfyui(folder):
            message = f"comfy-cli ended without an error, but there is no ComfyUI in {folder}."
            raise ServerError("setup_failed", message, f"Look at what it says: {shlex.join(command)}")
        return folder

    def _comfy(self) -> str:
        """The command of comfy-cli, installed into this Python if there is none."""
        beside = Path(sys.executable).with_name("comfy.exe" if os.name == "nt" else "comfy")
        found = str(beside) if beside.is_file() else shutil.which("comfy")
        if found:
            return found
        command = [sys.executable, "-m", "pip", "install", "comfy-cli"]
        if not self.dry_run and not self.confirm(f"comfy-cli installs ComfyUI and is not here. {shlex.join(command)}?"):
            message = "comfy-cli is needed to install ComfyUI, and is not here."
            raise ServerError("setup_failed", message, f"Run {shlex.join(command)}, or give --yes to have it run.")
        self._do("Installing comfy-cli", command)
        return str(beside)

    def _link(self, folder: Path) -> None:
        """Put this extension into ``custom_nodes``, unless a copy or link of it is there."""
        custom_nodes = folder / "custom_nodes"
        entries = sorted(custom_nodes.iterdir()) if custom_nodes.is_dir() else []
        link = custom_nodes / "imageine"
        if any(entry.is_dir() and is_imageine(entry) for entry in entries):
            self.tell(f"This extension is in {custom_nodes}.")
            return
        if self.dry_run:
            self.show(f"link {shlex.quote(str(link))} to {shlex.quote(str(ROOT.resolve()))}")
            return
        try:
            custom_nodes.mkdir(parents=True, exist_ok=True)
            link_folder(ROOT.resolve(), link)
        except (OSError, subprocess.SubprocessError) as error:
            message = f"{link} cannot be made: {error}"
            raise ServerError(
                "setup_failed", message, f"Give your user the right to write in {custom_nodes}."
            ) from error
        self.tell(f"Linked this extension into {custom_nodes}.")

    def _install_requirements(self, folder: Path) -> None:
        """pip leaves alone what is there, and needs no network then."""
        python = places.choose_python(folder)
        wanted = [requirement(*entry) for entry in required_packages().items()]
        command = [str(python), "-m", "pip", "install", *wanted]
        self._do("Installing what the extension needs into ComfyUI's Python", command)

    def _do(self, what: str, command: list[str]) -> None:
        if self.dry_run:
            self.show(shlex.join(command))
            return
        self.tell(f"{what} ...")
        lines: list[str] = []
        environment = os.environ | {"DO_NOT_TRACK": "1"}  # whoever agrees to comfy-cli's telemetry does so there
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        try:
            with subprocess.Popen(
                command, **pipes, env=environment, text=True, encoding="utf-8", errors="replace"
            ) as process:
                for line in process.stdout:
                    lines.append(line.rstrip())
                    self.tell(line.rstrip())
        except OSError as error:
            raise self._failure(what, command, [str(error)]) from error
        if process.returncode:
            raise self._failure(what, command, lines, process.returncode)

    def _failure(self, what: str, command: list[str], lines: list[str], status: int | None = None) -> ServerError:
        ended = "" if status is None else f" (exit status {status})"
        hint = f"Run it yourself to see all that it says: {shlex.join(command)}"
        said = "\n".join(lines[-LAST_LINES:])
        # The cause is often far above a traceback.
        causes = [line for line in lines if any(mark in line.lower() for mark in _NO_NETWORK)]
        if causes:
            said = said if causes[0] in lines[-LAST_LINES:] else causes[0].strip()
            hint = f"It needs the network, or a mirror for pip and git. The command: {shlex.join(command)}"
        details = {"command": command, "status": status, "output": said}
        return ServerError("setup_failed", f"{what} failed{ended}:\n{said}\n", hint, details)


def _usual_place() -> Path:
    """comfy-cli's own default, where the runner looks for a ComfyUI as well."""
    return Path.home() / "comfy" / "ComfyUI"


def _own_gpu() -> str:
    """The GPU that this machine seems to have, as comfy-cli calls it."""
    if platform.system() == "Darwin":
        return "m-series" if platform.machine() == "arm64" else "cpu"
    if shutil.which("nvidia-smi"):
        return "nvidia"
    return "amd" if shutil.which("rocminfo") or shutil.which("amd-smi") else "cpu"
