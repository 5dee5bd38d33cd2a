"""A folder that looks like ComfyUI and starts like it, for tests of what finds and starts one."""

from pathlib import Path

MAIN = """
import http.server, json, os, subprocess, sys
print("\\x1b[32m[INFO]\\x1b[0m starting")
port = int(sys.argv[sys.argv.index("--port") + 1])
if "--fail" in sys.argv:
    sys.exit("something is missing")
if "--child" in sys.argv:
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    print("child", child.pid, flush=True)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"system": {"argv": sys.argv, "comfyui_version": "0.33.0"}, "devices": []}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

try:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
except OSError:
    sys.exit(f"Port {port} is already in use")
server.serve_forever()
"""


def make_comfyui(folder: Path) -> Path:
    for name in ("comfy", "custom_nodes", "models/checkpoints"):
        (folder / name).mkdir(parents=True)
    (folder / "folder_paths.py").touch()
    (folder / "main.py").write_text(MAIN, encoding="utf-8")
    return folder
