"""The doctor before real ComfyUIs: a healthy one, one without this extension, one where it cannot be imported."""

import http.server
import shutil
import threading

import pytest
import requests
from imageine.runner import diagnose
from support import comfyui as comfyui_support


def checks(server, **options) -> dict:
    return {check.name: check for check in diagnose(server.url, **options).checks}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    monkeypatch.delenv("IMAGEINE_SERVER", raising=False)


def test_a_healthy_server(comfyui, comfyui_dir):
    found = checks(comfyui)
    for name in ("server", "comfyui", "node-packages", "nodes", "extension", "browser", "clock", "write-output"):
        assert found[name].status == "ok", found[name]
    assert comfyui_support.version(comfyui_dir) in found["server"].found
    assert found["server"].details["devices"]
    assert found["torch"].status in ("ok", "warning") and found["torch"].details["torch"]["version"]
    assert found["disk-output"].details["path"] == str(comfyui.output_dir)


def test_seeded_models_are_another_edition_and_whole(comfyui, seeded_models):
    """They have the names of the real ones and other sizes; the server's extra model paths lead to them."""
    found = checks(comfyui)["models-simple"]
    assert found.status == "warning" and "another edition" in found.found
    assert all(entry["path"].startswith(str(seeded_models)) for entry in found.details["models"])
    assert not any(entry["broken"] for entry in found.details["models"])


@pytest.fixture
def other_server(comfyui_dir, tmp_path):
    """``other_server(change)`` starts a ComfyUI whose custom_nodes holds what ``change(folder)`` puts there."""
    servers = []

    def start(change):
        class Server(type(comfyui_support.server(comfyui_dir))):
            def _prepare(self):
                super()._prepare()
                nodes = self.base_directory / "custom_nodes"
                (nodes / "imageine").unlink()
                change(nodes)

        servers.append(Server(comfyui_dir, base_directory=tmp_path / "base", extra_args=comfyui_support.ALONE))
        return servers[-1].__enter__()

    yield start
    for server in servers:
        server.stop()


def test_a_server_without_the_extension(other_server):
    server = other_server(lambda nodes: None)
    found = checks(server)
    folder = server.base_directory / "custom_nodes"
    assert found["nodes"].status == "problem" and not found["nodes"].details["loaded"]
    assert found["nodes"].details["why"] == f"it is not in {folder}"
    assert str(folder / "imageine") in found["nodes"].next
    assert found["server"].status == "ok" and found["extension"].status == "warning"


def test_a_server_where_the_extension_cannot_be_imported(other_server):
    def put_broken(nodes):
        ignored = shutil.ignore_patterns(".*", "__pycache__", "tests", "*.egg-info")
        clone = shutil.copytree(comfyui_support.ROOT, nodes / "imageine", ignore=ignored)
        (clone / "nodes" / "masking.py").write_text("import a_package_that_is_not_there\n")

    found = checks(other_server(put_broken))["nodes"]
    assert found.status == "problem"
    assert found.details["why"] == "ModuleNotFoundError: No module named 'a_package_that_is_not_there'"
    assert "a_package_that_is_not_there" in found.next


class ChangesHost(http.server.BaseHTTPRequestHandler):
    """A proxy that sends the Host of the server behind it, as nginx does unless told otherwise."""

    target = ""

    def do_GET(self):
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        answer = requests.get(self.target + self.path, headers=headers, timeout=30)
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_):
        pass


def test_a_proxy_that_changes_the_host(comfyui):
    handler = type("Handler", (ChangesHost,), {"target": comfyui.url})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        found = {c.name: c for c in diagnose(f"http://127.0.0.1:{proxy.server_port}").checks}
        proxy.shutdown()
    assert found["server"].status == found["nodes"].status == "ok"
    assert found["browser"].status == "warning" and "403" in found["browser"].found
