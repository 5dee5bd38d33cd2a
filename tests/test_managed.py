"""Starting a ComfyUI, played by a small main.py that serves what the start waits for."""

import concurrent.futures
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from imageine.runner.engines import comfyui as engine
from imageine.runner.engines import managed
from imageine.runner.engines.managed import ManagedComfyUI, link_custom_nodes, model_paths
from imageine.runner.errors import ServerError
from support.scripted_server import ScriptedServer
from support.toy_comfyui import make_comfyui

ROOT = Path(__file__).parents[1]


@pytest.fixture
def comfyui_dir(tmp_path):
    return make_comfyui(tmp_path / "ComfyUI")


@pytest.fixture(autouse=True)
def any_python(monkeypatch):
    """This interpreter will do, whatever it has installed."""
    monkeypatch.setattr(engine, "_probe", lambda python: ((), ""))
    for name in ("COMFYUI_DIR", "IMAGEINE_SERVER"):
        monkeypatch.delenv(name, raising=False)


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(OSError):
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def arguments(server: ManagedComfyUI) -> list[str]:
    import requests

    return requests.get(f"{server.url}/system_stats", timeout=5).json()["system"]["argv"]


def test_start_and_stop(comfyui_dir):
    with ManagedComfyUI(comfyui_dir) as server:
        base, process = server.base_directory, server.process
        argv = arguments(server)
        assert argv[argv.index("--base-directory") + 1] == str(base)
        assert argv[argv.index("--models-directory") + 1] == str(comfyui_dir / "models")
        assert argv[argv.index("--database-url") + 1] == "sqlite:///:memory:"
        assert {"--cpu", "--disable-api-nodes"} <= set(argv)
        assert server.input_dir.is_dir() and server.output_dir.is_dir()
        assert (base / "custom_nodes" / "imageine" / "pyproject.toml").samefile(ROOT / "pyproject.toml")
        assert "starting" in server.log()
        with server.client() as client:
            assert client.check().version == "0.33.0"
    assert process.returncode is not None
    assert not base.exists()


def test_an_accelerator_is_used(comfyui_dir, monkeypatch):
    monkeypatch.setattr(engine, "_probe", lambda python: ((), "cuda"))
    with ManagedComfyUI(comfyui_dir, api_nodes=True, extra_args=("--lowvram",)) as server:
        argv = arguments(server)
    assert "--cpu" not in argv
    assert "--disable-api-nodes" not in argv
    assert argv[-1] == "--lowvram"


def test_a_base_directory_of_ones_own_is_kept(comfyui_dir, tmp_path):
    for _ in range(2):
        with ManagedComfyUI(
            comfyui_dir, base_directory=tmp_path / "base", log_path=tmp_path / "log" / "x.log"
        ) as server:
            (server.output_dir / "result.png").touch()
    assert (tmp_path / "base" / "output" / "result.png").exists()
    assert "starting" in (tmp_path / "log" / "x.log").read_text()


def test_several_at_once(comfyui_dir):
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor() as pool:
        servers = [ManagedComfyUI(comfyui_dir) for _ in range(3)]
        for server in servers:
            stack.callback(server.stop)
        list(pool.map(ManagedComfyUI.__enter__, servers))
        assert len({server.url for server in servers}) == 3


def test_a_failing_start_shows_the_log(comfyui_dir):
    server = ManagedComfyUI(comfyui_dir, extra_args=("--fail",))
    with pytest.raises(ServerError) as caught:
        server.__enter__()
    assert caught.value.code == "server_start"
    assert "something is missing" in caught.value.message
    assert "\x1b" not in caught.value.message
    assert server.process is None


def test_a_start_that_takes_too_long(comfyui_dir):
    (comfyui_dir / "main.py").write_text("import threading; threading.Event().wait()")
    server = ManagedComfyUI(comfyui_dir, start_timeout=0.5)
    with pytest.raises(ServerError, match="did not answer within"):
        server.__enter__()
    assert server.process is None


def test_a_port_taken_in_between(comfyui_dir, monkeypatch):
    with socket.socket() as taken, ScriptedServer() as another:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([another.port, taken.getsockname()[1], managed.free_port()])
        monkeypatch.setattr(managed, "free_port", lambda: next(ports))
        monkeypatch.setattr(managed, "ANSWER_SECONDS", 0.2)
        with ManagedComfyUI(comfyui_dir) as server:
            assert server.url not in (another.url, f"http://127.0.0.1:{taken.getsockname()[1]}")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_what_it_started_ends_with_it(comfyui_dir):
    with ManagedComfyUI(comfyui_dir, extra_args=("--child",)) as server:
        child = next(int(line.split()[1]) for line in server.log().splitlines() if line.startswith("child "))
        assert is_alive(child)
    assert not is_alive(child)


PARENT = """
import os, signal, sys
from imageine.runner.engines import comfyui
comfyui._probe = lambda python: ((), "")
from imageine.runner.engines.managed import ManagedComfyUI
with ManagedComfyUI({folder!r}) as server:
    print(server.process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is not its child")
@pytest.mark.parametrize("signum", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_it_ends_however_its_parent_ends(comfyui_dir, tmp_path, signum):
    code = PARENT.format(folder=str(comfyui_dir))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, **pipes) as parent:
        pid = int(parent.stdout.readline())
        parent.send_signal(getattr(signal, signum))
        parent.wait(20)
        with contextlib.suppress(ProcessLookupError):  # gone already
            select.select([os.pidfd_open(pid)], [], [], 20)
    assert not is_alive(pid)


# Folders


def test_models_as_extra_paths(tmp_path):
    for name in ("checkpoints", "sams", "t2i_adapter", "controlnet", "unet"):
        (tmp_path / name).mkdir()
    (tmp_path / "put_models_here").touch()
    paths = model_paths(tmp_path)
    assert paths == {
        "is_default": True,
        "checkpoints": str(tmp_path / "checkpoints"),
        "controlnet": f"{tmp_path / 'controlnet'}\n{tmp_path / 't2i_adapter'}",
        "sams": str(tmp_path / "sams"),
        "diffusion_models": str(tmp_path / "unet"),
    }


def test_the_paths_file_is_yaml(comfyui_dir, tmp_path):
    yaml = pytest.importorskip("yaml")
    models = tmp_path / "modèles $HOME ~"
    (models / "checkpoints").mkdir(parents=True)
    with ManagedComfyUI(comfyui_dir, models=models) as server:
        text = (server.base_directory / "extra_model_paths.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == json.loads(text) == {"imageine": model_paths(models)}


def test_other_custom_nodes_are_linked_but_no_second_imageine(tmp_path):
    others, target = tmp_path / "others", tmp_path / "target"
    for name in ("pack", "clone", "off.disabled", "__pycache__", ".git"):
        (others / name).mkdir(parents=True)
    (others / "single.py").touch()
    (others / "example_node.py.example").touch()
    (others / "clone" / "pyproject.toml").write_text('[project]\nname = "imageine"\n')
    (others / "linked").symlink_to(ROOT, target_is_directory=True)
    target.mkdir()
    for _ in range(2):
        link_custom_nodes(target, others)
        assert sorted(path.name for path in target.iterdir()) == ["imageine", "pack", "single.py"]
