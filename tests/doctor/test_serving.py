"""The server: reached or not, which nodes it has and why not all, what a browser meets."""

from pathlib import Path

import pytest
from imageine.runner.doctor import serving
from imageine.runner.doctor import site as site_module
from imageine.runner.engines import comfyui as places
from support.told_server import ToldServer

NODES = sorted(path.stem for path in (Path(__file__).parents[2] / "web" / "docs").glob("*.md"))
FAILED = """\
2026-01-02T03:04:05.6 - Import times for custom nodes:
2026-01-02T03:04:05.7 - \x1b[31m[ERROR]\x1b[0m Imageine: its nodes could not be imported
Traceback (most recent call last):
  File "/comfy/custom_nodes/imageine/__init__.py", line 18, in comfy_entrypoint
    from .nodes.extension import ImageineExtension
{error}
2026-01-02T03:04:05.8 - [WARNING] Error while calling comfy_entrypoint in /comfy/custom_nodes/imageine: {reason}
"""


def failed(error: str) -> str:
    return FAILED.format(error=error, reason=error.partition(": ")[2])


@pytest.fixture
def server():
    with ToldServer(object_info={name: {} for name in NODES}) as running:
        yield running


def test_a_server_with_all_nodes(server, site):
    server.told["/system_stats"] = {
        "system": {"comfyui_version": "0.33.0", "os": "linux", "argv": ["main.py"]},
        "devices": [{"name": "cuda:0 Test GPU", "type": "cuda", "vram_total": 8e9, "vram_free": 6e9}],
    }
    server.told["/queue"] = {"queue_running": [[]], "queue_pending": [[], []]}
    check = serving.check_server(site(server.url))
    found = f"ComfyUI 0.33.0 at {server.url}; cuda:0 Test GPU: 6.0 GB of 8.0 GB free; 1 running, 2 waiting"
    assert (check.status, check.found) == ("ok", found)
    assert check.details["devices"][0]["vram_free"] == 6e9
    check = serving.check_nodes(site(server.url))
    assert (check.status, check.found) == ("ok", f"all {len(NODES)} loaded")
    assert check.details == {"loaded": NODES, "missing": []}


def test_the_usual_server_is_found(server, site, monkeypatch):
    monkeypatch.setattr(places, "DEFAULT_SERVER", server.url)
    assert serving.check_server(site()).status == "ok"


def test_an_old_server(server, site):
    server.told["/system_stats"] = {"system": {"comfyui_version": "0.27.0"}, "devices": []}
    check = serving.check_server(site(server.url))
    assert check.status == "problem" and "0.28.0" in check.next


def test_no_server(site, comfyui, monkeypatch):
    for check in (serving.check_server(site()), serving.check_nodes(site()), serving.check_browser(site())):
        assert check.status == "skipped"
    check = serving.check_server(site(places.DEFAULT_SERVER))
    assert check.status == "problem" and "Nothing answers" in check.found and check.next
    monkeypatch.setenv("IMAGEINE_SERVER", places.DEFAULT_SERVER)
    assert serving.check_server(site()).status == "problem"
    assert serving.check_server(site(comfyui=comfyui)).status == "skipped"
    check = serving.check_server(site("no address"))
    assert check.status == "problem" and "is not the address of a server" in check.found


def test_something_else_answers(server, site, monkeypatch):
    server.told |= {"/system_stats": {"hello": 1}, "/api/system_stats": {"hello": 1}}
    assert "not as ComfyUI does" in serving.check_server(site(server.url)).found
    monkeypatch.setattr(places, "DEFAULT_SERVER", server.url)
    assert serving.check_server(site()).status == "warning"


def test_a_server_that_hangs(server, site, monkeypatch):
    monkeypatch.setattr(site_module, "SERVER_SECONDS", 0.2)
    server.fail("GET", "/system_stats", "hang")
    check = serving.check_server(site(server.url))
    assert check.status == "problem" and "within 0.2 s" in check.found


# Nodes that are not there


def test_a_package_is_missing_there(server, site):
    server.told |= {"/object_info": {}, "/internal/logs": failed("ModuleNotFoundError: No module named 'safetensors'")}
    check = serving.check_nodes(site(server.url))
    assert check.status == "problem" and check.details["missing"] == NODES
    assert check.found == "none of ours is loaded: ModuleNotFoundError: No module named 'safetensors'"
    assert check.next == 'python -m pip install "safetensors>=0.4.2"   (then restart ComfyUI)'


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (failed("ImportError: cannot import name 'io'"), "ImportError: cannot import name 'io'"),
        ("Cannot import C:\\nodes\\comfyui-Imageine module for custom nodes: No module named 'PIL.Image'",
         "No module named 'PIL.Image'"),
        ("Error while calling comfy_entrypoint in /nodes/imageine: bad schema", "bad schema"),
        ("Cannot import /nodes/other module for custom nodes: No module named 'cv2'", "its log names no error"),
        (failed("KeyError: 'x'") + failed("OSError: later"), "OSError: later"),
        ("", "its log names no error"),
        ({"not": "text"}, "its log names no error"),
    ],
)  # fmt: skip
def test_why_they_are_missing(server, site, log, why):
    server.told |= {"/object_info": {}, "/internal/logs": log}
    check = serving.check_nodes(site(server.url))
    assert check.details["why"] == why and check.next


def test_a_server_without_logs(server, site):
    server.told["/object_info"] = {}
    assert serving.check_nodes(site(server.url)).details["why"] == "its log names no error"


def test_custom_nodes_are_off(server, site):
    stats = {"system": {"comfyui_version": "0.33.0", "argv": ["main.py", "--disable-all-custom-nodes"]}, "devices": []}
    server.told |= {"/object_info": {}, "/system_stats": stats}
    assert "--disable-all-custom-nodes" in serving.check_nodes(site(server.url)).found


def test_some_are_missing(server, site):
    server.told["/object_info"] = {name: {} for name in NODES[1:]}
    check = serving.check_nodes(site(server.url))
    assert check.found == f"not loaded: {NODES[0]}: it runs another version of this extension"
    server.told["/internal/logs"] = "Error while calling comfy_entrypoint in /nodes/imageine: bad schema"
    assert serving.check_nodes(site(server.url)).details["why"] == "bad schema"


def test_a_server_of_this_machine_says_where_its_nodes_lie(server, site, comfyui):
    nodes = comfyui / "custom_nodes"
    server.told |= {"/object_info": {}, "/internal/folder_paths": {"custom_nodes": [str(nodes)]}}
    check = serving.check_nodes(site(server.url))
    assert check.details["why"] == f"it is not in {nodes}" and str(nodes / "imageine") in check.next
    (nodes / "imageine").symlink_to(Path(__file__).parents[2], target_is_directory=True)
    check = serving.check_nodes(site(server.url))
    assert "is there, and the log names no error" in check.found and check.next == "Restart ComfyUI."


# A browser


def test_a_browser(server, site):
    check = serving.check_browser(site(server.url))
    assert (check.status, check.details["Origin"]) == ("ok", server.url)
    assert server.headers[-1]["Origin"] == server.url
    server.fail("GET", "/prompt", 403)
    check = serving.check_browser(site(server.url))
    assert check.status == "warning" and "403" in check.found and "Host" in check.next
