"""A ComfyUI that this program starts, keeps private and stops."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

from ..client import Client
from ..errors import ServerError
from .comfyui import find_python

ROOT = Path(__file__).absolute().parents[2]
LOG_LINES = 30
PORT_TRIES = 3
STOP_SECONDS = 10
ANSWER_SECONDS = 5

# A Ctrl-C in the terminal is for us alone; we stop the server in order.
_OWN_GROUP = {"creationflags": 0x200} if os.name == "nt" else {"start_new_session": True}
_COLOURS = re.compile("\x1b\\[[0-9;]*m")

# Folder names under models/ that ComfyUI files under another key.
_MODEL_KEYS = {"unet": "diffusion_models", "clip": "text_encoders", "t2i_adapter": "controlnet"}


class ManagedComfyUI:
    """Start the ComfyUI in ``comfyui_dir`` on a free port; a context manager, ready when entered.

    Its base directory (input, output, user, temp) is private: ``base_directory``, kept afterwards, or a temporary
    one, removed afterwards. This extension and the ComfyUI's other custom nodes are linked into it. Models are
    found in ``models`` first, when given, then in the ComfyUI's own folders. Partner (API) nodes are left out
    unless ``api_nodes``: they need the network and an account. ``--cpu`` is added where torch has no accelerator.

    Several can start at once. The server ends with this program, however that ends. Raises ``ServerError``
    (server_start) with the log's last lines when it does not come up within ``start_timeout`` seconds.
    """

    def __init__(
        self,
        comfyui_dir: Path,
        python: Path | None = None,
        models: Path | None = None,
        base_directory: Path | None = None,
        extra_args: tuple[str, ...] = (),
        log_path: Path | None = None,
        *,
        api_nodes: bool = False,
        start_timeout: float = 300.0,
    ):
        self.comfyui_dir = Path(comfyui_dir).expanduser().absolute()
        self.python = python
        self.models = Path(models).expanduser().absolute() if models else None
        self.extra_args = tuple(extra_args)
        self.api_nodes = api_nodes
        self.start_timeout = start_timeout
        self.url = ""
        self.process: subprocess.Popen | None = None
        self._watchdog: subprocess.Popen | None = None
        self._keep_base = base_directory is not None
        self._base = Path(base_directory).expanduser().absolute() if base_directory else None
        self._log_path = Path(log_path).expanduser().absolute() if log_path else None

    @property
    def base_directory(self) -> Path:
        """Where this server's input, output and user folders are; exists while it runs."""
        if self._base is None:
            raise RuntimeError("ManagedComfyUI has no base directory before it is entered")
        return self._base

    @property
    def input_dir(self) -> Path:
        return self.base_directory / "input"

    @property
    def output_dir(self) -> Path:
        return self.base_directory / "output"

    @property
    def log_path(self) -> Path:
        return self._log_path or self.base_directory / "comfyui.log"

    def log(self) -> str:
        """Everything the server printed so far."""
        try:
            return self.log_path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def client(self, **options) -> Client:
        """A new client of this server."""
        return Client(self.url, **options)

    def __enter__(self) -> "ManagedComfyUI":
        try:
            self._prepare()
            self._start()
        except BaseException:  # Ctrl-C while it starts, too
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server with everything it started, and remove its temporary base directory. Idempotent."""
        if self.process is not None:
            _stop(self.process)
            self.process = None
        self._end_watchdog()
        if self._base is not None and not self._keep_base:
            shutil.rmtree(self._base, ignore_errors=True)
            self._base = None

    def _end_watchdog(self) -> None:
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.communicate(b"!")

    def _prepare(self) -> None:
        if self._base is None:
            self._base = Path(tempfile.mkdtemp(prefix="imageine-comfyui-"))
        for name in ("custom_nodes", "input", "output", "user"):
            (self._base / name).mkdir(parents=True, exist_ok=True)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        link_custom_nodes(self._base / "custom_nodes", self.comfyui_dir / "custom_nodes")
        # JSON is YAML; writing it so needs no YAML library.
        paths = {"imageine": model_paths(self.models)} if self.models else {}
        (self._base / "extra_model_paths.yaml").write_text(json.dumps(paths, ensure_ascii=False), encoding="utf-8")

    def _start(self) -> None:
        interpreter = find_python(self.comfyui_dir, self.python)
        deadline = time.monotonic() + self.start_timeout
        for attempt in range(1, PORT_TRIES + 1):
            port = free_port()
            self.url = f"http://127.0.0.1:{port}"
            self._spawn([str(interpreter.path), *self._arguments(port, bool(interpreter.accelerator))])
            if self._wait_until_ready(deadline):
                return
            # Another program may take the port between our look and ComfyUI's bind.
            self._end_watchdog()
            if "already in use" not in self._last_lines() or attempt == PORT_TRIES:
                raise self._failure(f"ended with exit code {self.process.returncode} while starting")

    def _arguments(self, port: int, accelerated: bool) -> list[str]:
        base, models = self.base_directory, self.comfyui_dir / "models"
        arguments = [str(self.comfyui_dir / "main.py"), "--disable-auto-launch"]
        arguments += ["--listen", "127.0.0.1", "--port", str(port)]
        arguments += ["--base-directory", str(base), "--extra-model-paths-config", str(base / "extra_model_paths.yaml")]
        # A private base directory has no place for the default database: "unable to open database file".
        arguments += ["--database-url", "sqlite:///:memory:"]
        if models.is_dir():
            arguments += ["--models-directory", str(models)]
        if not self.api_nodes:
            arguments.append("--disable-api-nodes")
        if not accelerated and "--cpu" not in self.extra_args:
            arguments.append("--cpu")
        return [*arguments, *self.extra_args]

    def _spawn(self, command: list[str]) -> None:
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.comfyui_dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **_OWN_GROUP,
            )
        watch = [sys.executable, "-I", "-S", str(Path(__file__).with_name("watchdog.py")), str(self.process.pid)]
        self._watchdog = subprocess.Popen(watch, stdin=subprocess.PIPE, **_OWN_GROUP)

    def _wait_until_ready(self, deadline: float) -> bool:
        """True once the server answers, False if its process ended."""
        with requests.Session() as session:
            session.trust_env = False  # a proxy has no business with the loopback address
            while self.process.poll() is None:
                with contextlib.suppress(requests.RequestException, ValueError, KeyError):
                    argv = session.get(f"{self.url}/system_stats", timeout=ANSWER_SECONDS).json()["system"]["argv"]
                    if str(self.base_directory) in argv:  # ours, not another that took the port first
                        return True
                if time.monotonic() > deadline:
                    raise self._failure(f"did not answer within {self.start_timeout:g} s")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.1)
        return False

    def _last_lines(self) -> str:
        return "\n".join(_COLOURS.sub("", self.log()).splitlines()[-LOG_LINES:])

    def _failure(self, what: str) -> ServerError:
        lines = self._last_lines()
        return ServerError(
            "server_start",
            f"The ComfyUI in {self.comfyui_dir} {what}. Its log ends:\n{lines}\n",
            f'If a module is missing: pip install -r "{self.comfyui_dir / "requirements.txt"}"',
            {"log": lines},
        )


def model_paths(models: Path) -> dict[str, str | bool]:
    """``models`` as a section of extra_model_paths.yaml that ComfyUI searches before its own folders.

    The paths are absolute, without a base_path: ComfyUI would expand ``$`` and ``~`` in that.
    """
    folders: dict[str, list[str]] = {}
    for folder in sorted(path for path in models.iterdir() if path.is_dir()):
        folders.setdefault(_MODEL_KEYS.get(folder.name, folder.name), []).append(str(folder))
    return {"is_default": True, **{key: "\n".join(paths) for key, paths in folders.items()}}


def link_custom_nodes(target: Path, others: Path) -> None:
    """Link this extension and what lies in ``others`` into the custom_nodes folder ``target``.

    One by one, where extra_model_paths would add the folder whole: a clone of this extension among the others
    would then register every node twice.
    """
    link_folder(ROOT.resolve(), target / "imageine")
    for folder in sorted(others.iterdir()) if others.is_dir() else ():
        skipped = folder.name.startswith((".", "__")) or folder.name.endswith((".disabled", ".example"))
        if not skipped and not is_imageine(folder):
            link_folder(folder.resolve(), target / folder.name)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_imageine(folder: Path) -> bool:
    """Whether ``folder`` is this extension: this very copy of it, a link to it, or a clone."""
    if folder.resolve() == ROOT.resolve():
        return True
    try:
        return 'name = "imageine"' in (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def link_folder(source: Path, link: Path) -> None:
    """Have ``link`` lead to ``source``, unless something is there. Raises ``OSError`` or ``SubprocessError``."""
    if link.is_symlink() or link.exists():
        return
    try:
        link.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:  # Windows without the privilege: a junction needs none, but takes folders only
        if os.name == "nt" and source.is_dir():
            subprocess.run(["cmd", "/c", "mklink", "/J", str(link), str(source)], check=True, capture_output=True)
        else:
            shutil.copy2(source, link)


def _stop(process: subprocess.Popen) -> None:
    """End the process with its group: asked first, killed after ``STOP_SECONDS``."""
    if os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
        process.wait(STOP_SECONDS)
        return
    # The second round is for what is left of the group: a leader that hangs, children that outlived it.
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
