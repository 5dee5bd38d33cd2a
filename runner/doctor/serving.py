"""Checks of the server: that it answers, that our nodes are loaded there and why not, that a browser is let in."""

import re
from urllib.parse import urlsplit

from ..client.transport import Refused
from ..supported import NODE_PACKAGES, OLDEST_COMFYUI, as_text, is_older, requirement
from .check import OK, PROBLEM, SKIPPED, WARNING, Check, gigabytes
from .machine import link_command
from .site import ROOT, Server, Site

_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_OUR_FAILURE = "Imageine: its nodes could not be imported"
# ComfyUI's own words when an extension does not load; the path may hold a colon (C:\), but none before a space.
_COMFYUI_FAILURE = re.compile(
    r"(?:Error while calling comfy_entrypoint in|Cannot import) (?P<path>.+?)(?: module for custom nodes)?: (?P<why>.+)"
)
_NO_MODULE = re.compile(r"No module named '([^'.]+)")
_MODULE_PACKAGES = {"PIL": "pillow"}


def check_server(site: Site) -> Check:
    """The server that commands would use: reached, recent enough, its devices and queue."""
    server = site.server
    if site.chose_embedded:
        return Check("server", SKIPPED, "none asked: edits are to run without ComfyUI")
    if server is None:
        return Check("server", SKIPPED, f"none asked: the ComfyUI in {site.given} is started when needed")
    details: dict = {"url": server.url}
    if server.error:
        details["error"] = server.error.as_dict()
        if server.named:
            return Check("server", PROBLEM, server.error.message, server.error.hint, details)
        if server.error.code == "server_unreachable":
            found = f"none answers at {server.url}"
            started = f"; the ComfyUI in {site.comfyui} is started when needed" if site.comfyui else ""
            return Check("server", SKIPPED, found + started, "", details)
        return Check("server", WARNING, server.error.message, "Name ComfyUI's address: --server URL", details)
    devices = server.stats.get("devices") or []
    queue = server.get_json("/queue", {})
    running, waiting = len(queue.get("queue_running", ())), len(queue.get("queue_pending", ()))
    info = server.info
    details |= {"version": info.version, "pytorch": info.pytorch, "os": info.os, "devices": devices}
    details |= {"running": running, "waiting": waiting}
    if is_older(info.version, OLDEST_COMFYUI):
        next_step = f"Update it: Imageine needs ComfyUI {as_text(OLDEST_COMFYUI)} or newer."
        return Check("server", PROBLEM, f"ComfyUI {info.version} at {server.url}", next_step, details)
    parts = [f"ComfyUI {info.version} at {server.url}", *map(_device, devices), f"{running} running, {waiting} waiting"]
    return Check("server", OK, "; ".join(parts), "", details)


def check_nodes(site: Site) -> Check:
    """Our nodes on the server, each by its name; when some are missing, why."""
    if not site.has_server:
        return Check("nodes", SKIPPED, "no server to ask")
    # Every node has a help page (a test holds that), and these are where the runner can read the names.
    wanted = sorted(path.stem for path in (ROOT / "web" / "docs").glob("Imageine*.md"))
    missing = [name for name in wanted if name not in site.server.object_info]
    details: dict = {"loaded": [name for name in wanted if name not in missing], "missing": missing}
    if not missing:
        return Check("nodes", OK, f"all {len(wanted)} loaded", "", details)
    why, next_step = _why_missing(site, all_of_them=len(missing) == len(wanted))
    details["why"] = why
    listed = "none of ours is loaded" if len(missing) == len(wanted) else f"not loaded: {', '.join(missing)}"
    return Check("nodes", PROBLEM, f"{listed}: {why}", next_step, details)


def check_browser(site: Site) -> Check:
    """Whether the page of this address may call it: ComfyUI answers 403 where a proxy changes the Host header."""
    if not site.has_server:
        return Check("browser", SKIPPED, "no server to ask")
    parts = urlsplit(site.server.url)
    headers = {"Origin": f"{parts.scheme}://{parts.netloc}", "Sec-Fetch-Site": "same-origin"}
    try:
        site.server.get("/prompt", headers=headers)
    except Refused as error:
        if error.status != 403:
            raise
        found = f"{site.server.url} refuses its own page (403): something in between changes the Host header"
        next_step = "Have the proxy pass it on (nginx: proxy_set_header Host $http_host;)"
        return Check("browser", WARNING, found, next_step, headers)
    return Check("browser", OK, f"a page of {headers['Origin']} is let in", "", headers)


def _device(device: dict) -> str:
    name = str(device.get("name", "unknown device"))
    if not device.get("vram_total"):
        return name
    return f"{name}: {gigabytes(device.get('vram_free', 0))} of {gigabytes(device['vram_total'])} free"


def _why_missing(site: Site, *, all_of_them: bool) -> tuple[str, str]:
    """(the reason in words, the next step)."""
    server = site.server
    # First the log: one bad node keeps those after it from being loaded, too.
    reason = import_error(server, {path.name for path in site.extensions})
    if reason:
        return reason, _next_for(site, reason)
    if not all_of_them:
        return "it runs another version of this extension", "Update it there, and restart ComfyUI."
    if server.folders and not site.extensions:
        folder = site.custom_nodes[0]
        return f"it is not in {folder}", f"{link_command(folder / 'imageine')}   (then restart ComfyUI)"
    allowed = {path.name for path in site.extensions} & set(server.argv)  # by --whitelist-custom-nodes
    if "--disable-all-custom-nodes" in server.argv and not allowed:
        return "it was started with --disable-all-custom-nodes", "Restart ComfyUI without that option."
    if not server.folders:
        return "its log names no error", "Put this extension in that server's custom_nodes, and restart ComfyUI."
    return f"{site.extensions[0]} is there, and the log names no error", "Restart ComfyUI."


def import_error(server: Server, folders: set[str]) -> str:
    """The last error in the server's log that kept this extension, in one of ``folders``, from loading, or "".

    The log is ComfyUI's ring of the last few hundred writes; a long-running server has forgotten its start.
    """
    text = server.get_json("/internal/logs", "")
    lines = _COLOURS.sub("", text).splitlines() if isinstance(text, str) else []
    reason = ""
    for number, line in enumerate(lines):
        if _OUR_FAILURE in line:
            reason = _end_of_traceback(lines[number + 1 :]) or reason
        elif (match := _COMFYUI_FAILURE.search(line)) and not reason.endswith(match["why"].strip()):
            name = re.split(r"[\\/]", match["path"])[-1]
            if name in folders or "imageine" in name.lower():
                reason = match["why"].strip()
    return reason


def _end_of_traceback(lines: list[str]) -> str:
    """``ModuleNotFoundError: No module named 'x'``: the first line after a traceback's header that is not indented."""
    for line in lines:
        if line and not line[0].isspace() and not line.startswith("Traceback"):
            return line.strip()
    return ""


def _next_for(site: Site, reason: str) -> str:
    module = _NO_MODULE.search(reason)
    if not module:
        return "Update ComfyUI and this extension, restart ComfyUI, and look at the start of its log."
    package = _MODULE_PACKAGES.get(module[1], module[1])
    if package not in NODE_PACKAGES:
        return f"Install {package} into that ComfyUI's Python, or update this extension; then restart ComfyUI."
    python = f'"{site.python}"' if site.comfyui and site.server.folders else "python"
    return f'{python} -m pip install "{requirement(package, NODE_PACKAGES[package])}"   (then restart ComfyUI)'
