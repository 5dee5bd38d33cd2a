"""Finding and reading workflow files: which format they are in, and clear errors for what is no workflow."""

import copy
import difflib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import WorkflowError
from . import ui_format
from .naming import is_link, slug

SHIPPED = Path(__file__).parents[2] / "workflows"

_EXPORT_HINT = "Open it in ComfyUI and save it with Workflow > Export (API)."
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8")


@dataclass
class Parts:
    """What a workflow file holds."""

    graph: dict[str, dict] | None
    """The API-format graph, tidied; ``None`` in a UI-format file that has none beside it."""
    ui: dict | None = None
    """The UI-format workflow, where there is one."""
    notes: list[str] = field(default_factory=list)
    name: str = "workflow"


def load(source: str | Path) -> Parts:
    """Read the file at ``source``, or the shipped workflow of that name, with its twin in the other format.

    Raises ``WorkflowError`` with code ``workflow_missing``, ``workflow_not_json`` or ``workflow_format``.
    """
    path = _find(source)
    parts = _read(path)
    parts.name = path.stem.removesuffix(".app")
    if parts.graph is None:
        _add_api_twin(path, parts)
    elif parts.ui is None:
        _add_ui_twin(path, parts)
    return parts


def parse(data: Any, where: str = "The workflow") -> Parts:
    """The parts of parsed JSON. Raises ``WorkflowError`` ``workflow_format`` when it is no workflow."""
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else json.dumps(data)[:40]
        raise WorkflowError("workflow_format", f"{where} holds {kind}, not a workflow.", _EXPORT_HINT)
    if ui_format.is_ui_format(data):
        return Parts(None, data)
    ui = None
    if isinstance(data.get("prompt"), dict) and "class_type" not in data["prompt"]:
        ui = _riding_along(data)
        data = data["prompt"]
    nodes = {str(key): node for key, node in data.items() if isinstance(node, dict) and "class_type" in node}
    if not nodes:
        empty = "is empty" if not data else "has no node: no entry has a 'class_type'"
        raise WorkflowError("workflow_format", f"{where} {empty}.", _EXPORT_HINT)
    stray = [key for key in data if key not in nodes]
    notes = [f"Left out of the workflow, being no nodes: {', '.join(stray)}."] if stray else []
    return Parts({key: _tidy(node) for key, node in nodes.items()}, ui, notes)


def shipped() -> dict[str, Path]:
    """Name -> path of the workflows that come with Imageine."""
    paths = [*sorted((SHIPPED / "api").glob("*.json")), *sorted(SHIPPED.glob("*.json"))]
    return {path.stem.removesuffix(".app"): path for path in paths}


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    names = shipped()
    if path.suffix.lower() != ".json" and len(path.parts) == 1:
        for name, shipped_path in names.items():
            if slug(name) == slug(str(source)):
                return shipped_path
    nearby = [str(entry) for entry in path.parent.glob("*.json")] if path.parent.is_dir() else []
    close = difflib.get_close_matches(str(source), [*names, *nearby], n=3, cutoff=0.5)
    guess = f"Did you mean {' or '.join(repr(match) for match in close)}? " if close else ""
    what = "is a folder, not a workflow file" if path.is_dir() else "is no workflow file and no shipped workflow"
    known = ", ".join(f"'{name}'" for name in names) or "none"
    raise WorkflowError("workflow_missing", f"'{source}' {what}.", f"{guess}Shipped workflows: {known}.")


def _read(path: Path) -> Parts:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise WorkflowError("workflow_missing", f"Cannot read '{path}': {error.strerror}.") from error
    if raw.startswith(_PICTURES):
        hint = "If ComfyUI made it, drop it on the editor to get its workflow, then use Workflow > Export (API)."
        raise WorkflowError("workflow_not_json", f"'{path}' is a picture, not a workflow.", hint)
    try:
        return parse(json.loads(raw.decode("utf-8-sig")), f"'{path}'")
    except UnicodeDecodeError as error:
        raise WorkflowError("workflow_not_json", f"'{path}' is not text: {error}.", _EXPORT_HINT) from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise WorkflowError("workflow_not_json", f"'{path}' is not JSON: {error}.", _EXPORT_HINT) from error


def _riding_along(body: dict) -> dict | None:
    """The UI-format workflow in the body of a ``POST /prompt`` that was saved as a file."""
    extra = body.get("extra_data")
    info = extra.get("extra_pnginfo") if isinstance(extra, dict) else None
    ui = info.get("workflow") if isinstance(info, dict) else None
    return ui if isinstance(ui, dict) and ui_format.is_ui_format(ui) else None


def _tidy(node: dict) -> dict:
    """The node with what the server reads and no more; one without ``inputs`` would hang its worker."""
    inputs = node.get("inputs")
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return {
        "class_type": str(node["class_type"]),
        "inputs": copy.deepcopy(inputs) if isinstance(inputs, dict) else {},
        "_meta": {"title": str(title or node["class_type"])},
    }


def _add_api_twin(path: Path, parts: Parts) -> None:
    """Complete a UI-format file by its API-format twin, if it has one, with the values that the UI file shows."""
    twin = path.parent / "api" / f"{parts.name}.json"
    if not twin.is_file():
        return
    other = _read(twin)
    unlike = ["it is in the editor's format too"] if other.graph is None else []
    if unlike := unlike or ui_format.differences(parts.ui, other.graph):
        reason = "; ".join(unlike[:5])
        parts.notes.append(f"'{twin}' was not used, not being the same graph as '{path}': {reason}.")
        return
    for (node_id, widget), value in ui_format.saved_values(parts.ui).items():
        inputs = other.graph[node_id]["inputs"]
        if widget in inputs and not is_link(inputs[widget]):
            inputs[widget] = value
    parts.graph = other.graph
    parts.notes += other.notes


def _add_ui_twin(path: Path, parts: Parts) -> None:
    """Add the UI-format file that ``path``, in a folder ``api``, was exported from, if it still agrees."""
    if path.parent.name != "api":
        return
    for twin in (path.parent.parent / f"{parts.name}.json", path.parent.parent / f"{parts.name}.app.json"):
        if twin.is_file():
            ui = _read(twin).ui
            if ui is not None and not ui_format.differences(ui, parts.graph):
                parts.ui = ui
                return
