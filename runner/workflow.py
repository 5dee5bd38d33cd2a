"""A workflow file: load it, set its inputs by name, check it against a server, and make the graph to send."""

import copy
import difflib
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import precheck, ui_format
from .errors import WorkflowError
from .naming import MASK, api_nodes, is_link, name_inputs, slug
from .precheck import Problem

SHIPPED = Path(__file__).parent.parent / "workflows"

_EXPORT_HINT = "Open it in ComfyUI and save it with Workflow > Export (API)."
_LIST_HINT = "`imageine inputs WORKFLOW` lists the names."
# JavaScript, and so ComfyUI's editor, holds integers exactly only up to here: a larger random seed would come
# back changed when the finished picture is opened there.
_SEED_BITS = 53
_MAX_SEED = 2**64 - 1
_FIRST = ("image", MASK, "prompt", "target", "negative", "seed", "steps", "guidance", "denoise", "checkpoint")


@dataclass(frozen=True)
class Input:
    """One named input of a workflow and its present value."""

    name: str
    address: str
    """``<node id>.<widget>``, accepted wherever the name is."""
    kind: str
    """``image`` and ``mask`` take a picture; ``text``, ``number`` and ``switch`` take a value."""
    value: Any
    node: str
    """Title of the node."""
    shown: bool
    """Whether the workflow's author put it in App Mode."""


class Workflow:
    """An API-format graph with named inputs.

    >>> workflow = Workflow.load("Simple Edit")
    >>> workflow.set("prompt", "blue car")
    >>> workflow.graph(prefix="imageine/1")
    """

    def __init__(self, graph: dict[str, dict], *, name: str = "workflow", ui: dict | None = None):
        self.name = name
        self.ui = ui
        self.notes: list[str] = []
        self._graph = graph
        self._original = copy.deepcopy(graph)
        self._names = name_inputs(api_nodes(graph))

    @classmethod
    def load(cls, source: str | Path | Mapping) -> "Workflow":
        """Read a workflow file, API format or UI format with its API twin in ``api/`` beside it.

        ``source`` is a path, the name of a shipped workflow ("Simple Edit", "simple-edit"), or parsed JSON.

        Raises ``WorkflowError`` with code ``workflow_missing``, ``workflow_not_json`` or ``workflow_format``.
        """
        if isinstance(source, Mapping):
            graph, ui, notes = _as_graph(dict(source), "the workflow")
            if graph is None:
                raise WorkflowError("workflow_format", "The workflow is in the editor's own format.", _EXPORT_HINT)
            return cls._with_notes(notes, graph, ui=ui)
        path = _find(source)
        graph, ui, notes = _as_graph(_read(path), f"'{path}'")
        name = path.stem.removesuffix(".app")
        if graph is None:
            graph, api_notes = _twin(path, name, ui)
            notes += api_notes
        elif ui is None:
            ui = _ui_twin(path)
        return cls._with_notes(notes, graph, name=name, ui=ui)

    @classmethod
    def _with_notes(cls, notes: list[str], *args: Any, **kwargs: Any) -> "Workflow":
        workflow = cls(*args, **kwargs)
        workflow.notes = notes
        return workflow

    @property
    def inputs(self) -> dict[str, Input]:
        """Every input by name: those shown in App Mode first, then the well-known ones, then by node."""
        shown = ui_format.shown_inputs(self.ui) if self.ui else []

        def order(item: tuple[int, Input]) -> tuple:
            place, entry = item
            key = tuple(entry.address.rsplit(".", 1))
            first = shown.index(key) if key in shown else len(shown)
            return first, _FIRST.index(entry.name) if entry.name in _FIRST else len(_FIRST), place

        entries = [self._input(name, node.id, widget, shown) for name, (node, widget) in self._names.items()]
        return {entry.name: entry for _, entry in sorted(enumerate(entries), key=order)}

    def _input(self, name: str, node_id: str, widget: str, shown: list[tuple[str, str]]) -> Input:
        node = self._names[name][0]
        value = self._graph[node_id]["inputs"].get(widget)
        is_image = node.type in precheck.IMAGE_LOADERS and widget == "image"
        return Input(
            name=name,
            address=f"{node_id}.{widget}",
            kind="image" if is_image else MASK if widget == MASK and value is None else _kind(value),
            value=value,
            node=node.title,
            shown=(node_id, widget) in shown,
        )

    def find(self, name: str) -> Input:
        """The input called ``name``; its address, other case, and ``-`` for ``_`` do too.

        Raises ``WorkflowError`` ``workflow_input_unknown``, naming the closest matches.
        """
        inputs = self.inputs
        wanted = name.strip().casefold().replace("-", "_")
        for entry in inputs.values():
            if name == entry.name or name.strip() == entry.address or wanted == entry.name.casefold():
                return entry
        close = difflib.get_close_matches(wanted, inputs, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(repr(match) for match in close)}? " if close else ""
        raise WorkflowError(
            "workflow_input_unknown",
            f"The workflow '{self.name}' has no input '{name}'.",
            hint + _LIST_HINT,
            {"name": name, "close": close, "inputs": list(inputs)},
        )

    def set(self, name: str, value: Any) -> None:
        """Give the input ``name`` a value; text is read as the kind of value the input has.

        An image input takes the name of a picture on the server (``Client.upload_image`` returns one). A seed may
        be ``-1`` or ``"random"``.

        Raises ``WorkflowError`` ``workflow_input_unknown`` or ``workflow_input_value``.
        """
        entry = self.find(name)
        if entry.kind == MASK:
            raise _bad_value(entry, value, "A mask is a picture.", "Give it with --mask PATH, or edit(mask=...).")
        node_id, widget = entry.address.rsplit(".", 1)
        node_type = self._graph[node_id]["class_type"]
        self._graph[node_id]["inputs"][widget] = _typed(entry, value, is_seed=_is_seed(widget, node_type))

    def check(self, object_info: dict, uploads: Collection[str] = ()) -> list[Problem]:
        """All reasons why the server described by ``object_info`` cannot run this, worst first; empty when it can.

        ``uploads`` names the image inputs whose pictures are still to be uploaded.
        """
        addresses = {self.find(name).address for name in uploads}
        return precheck.check(self._graph, object_info, uploads=addresses, ui=self.ui)

    def graph(self, prefix: str | None = None) -> dict[str, dict]:
        """The API-format graph to send.

        With a ``prefix``, every node that saves files saves them as ``<prefix>_<node id>_...``: a prefix of its own
        per job keeps a server from answering with the files of an earlier, equal job.
        """
        graph = copy.deepcopy(self._graph)
        for node_id, node in graph.items():
            if prefix is not None and isinstance(node["inputs"].get("filename_prefix"), str):
                node["inputs"]["filename_prefix"] = f"{prefix}_{slug(node_id)}"
        return graph

    def ui_graph(self) -> dict | None:
        """The UI-format workflow showing the values that were set, or ``None`` when there is no such file."""
        if self.ui is None:
            return None
        changes = {
            (node_id, widget): value
            for node_id, node in self._graph.items()
            for widget, value in node["inputs"].items()
            if value != self._original[node_id]["inputs"].get(widget)
        }
        return ui_format.with_values(self.ui, changes)

    @property
    def models(self) -> list[str]:
        """The model files the workflow uses, as ``<folder>/<name>``, in the order of the nodes."""
        return precheck.models(self._graph)


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
    hint = f"Did you mean {' or '.join(repr(match) for match in close)}? " if close else ""
    what = "is a folder, not a workflow file" if path.is_dir() else "is no workflow file and no shipped workflow"
    known = ", ".join(f"'{name}'" for name in names) or "none"
    raise WorkflowError("workflow_missing", f"'{source}' {what}.", f"{hint}Shipped: {known}.")


def _read(path: Path) -> Any:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise WorkflowError("workflow_missing", f"Cannot read '{path}': {error.strerror}.") from error
    if raw.startswith((b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8")):
        hint = f"If it was made by ComfyUI, drop it on the editor to get its workflow. {_EXPORT_HINT}"
        raise WorkflowError("workflow_not_json", f"'{path}' is a picture, not a workflow.", hint)
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise WorkflowError("workflow_not_json", f"'{path}' is not text: {error}.", _EXPORT_HINT) from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise WorkflowError("workflow_not_json", f"'{path}' is not JSON: {error}.", _EXPORT_HINT) from error


def _as_graph(data: Any, where: str) -> tuple[dict | None, dict | None, list[str]]:
    """(API graph or None, UI workflow or None, notes) of parsed JSON."""
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else f"{json.dumps(data)[:40]}"
        raise WorkflowError("workflow_format", f"{where} holds {kind}, not a workflow.", _EXPORT_HINT)
    if ui_format.is_ui_format(data):
        return None, data, []
    ui = None
    if isinstance(data.get("prompt"), dict) and "class_type" not in data["prompt"]:
        # The body of a POST /prompt, saved as a file; the editor's format may ride along.
        extra = data.get("extra_data")
        info = extra.get("extra_pnginfo") if isinstance(extra, dict) else None
        ui = info.get("workflow") if isinstance(info, dict) else None
        data = data["prompt"]
    nodes = {str(key): node for key, node in data.items() if isinstance(node, dict) and "class_type" in node}
    if not nodes:
        empty = "is empty" if not data else "has no node: no entry has a 'class_type'"
        raise WorkflowError("workflow_format", f"{where} {empty}.", _EXPORT_HINT)
    stray = [key for key in data if key not in nodes]
    notes = [f"Left out what is not a node: {', '.join(stray)}."] if stray else []
    return {key: _tidy(node) for key, node in nodes.items()}, ui if _is_ui(ui) else None, notes


def _is_ui(data: Any) -> bool:
    return isinstance(data, dict) and ui_format.is_ui_format(data)


def _tidy(node: dict) -> dict:
    """The node with nothing but what the server reads; one without ``inputs`` would hang its worker."""
    inputs = node.get("inputs")
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return {
        "class_type": str(node["class_type"]),
        "inputs": copy.deepcopy(inputs) if isinstance(inputs, dict) else {},
        "_meta": {"title": str(title or node["class_type"])},
    }


def _twin(path: Path, name: str, ui: dict) -> tuple[dict, list[str]]:
    """The API-format graph of a UI-format file, with the values the UI file shows."""
    twin = path.parent / "api" / f"{name}.json"
    if not twin.is_file():
        message = f"'{path}' is in the editor's own format, and '{twin}' does not exist."
        raise WorkflowError("workflow_format", message, _EXPORT_HINT)
    graph, _, notes = _as_graph(_read(twin), f"'{twin}'")
    if graph is None:
        raise WorkflowError("workflow_format", f"'{twin}' is in the editor's own format too.", _EXPORT_HINT)
    if unlike := ui_format.differences(ui, graph):
        message = f"'{path}' and '{twin}' are not the same graph: {'; '.join(unlike[:5])}."
        raise WorkflowError("workflow_format", message, f"{_EXPORT_HINT} Save over '{twin}'.", {"differences": unlike})
    for (node_id, widget), value in ui_format.saved_values(ui).items():
        inputs = graph[node_id]["inputs"]
        if widget in inputs and not is_link(inputs[widget]):
            inputs[widget] = value
    return graph, notes


def _ui_twin(path: Path) -> dict | None:
    """The UI-format file that ``path`` in a folder ``api`` was exported from, if it is there and agrees."""
    if path.parent.name != "api":
        return None
    for candidate in (f"{path.stem}.json", f"{path.stem}.app.json"):
        twin = path.parent.parent / candidate
        if twin.is_file():
            graph, ui, _ = _as_graph(_read(twin), f"'{twin}'")
            own, _, _ = _as_graph(_read(path), f"'{path}'")
            return ui if graph is None and not ui_format.differences(ui, own) else None
    return None


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "switch"
    return "number" if isinstance(value, (int, float)) else "text"


def _is_seed(widget: str, node_type: str) -> bool:
    return widget in ("seed", "noise_seed") or (widget == "value" and node_type.endswith("Seed"))


def _bad_value(entry: Input, value: Any, why: str, hint: str = "") -> WorkflowError:
    message = f"'{entry.name}' ({entry.address}) cannot be {value!r}. {why}"
    return WorkflowError("workflow_input_value", message, hint, {"name": entry.name, "value": repr(value)})


def _typed(entry: Input, value: Any, *, is_seed: bool) -> Any:
    """``value`` as the kind that ``entry`` holds; ``WorkflowError`` when it cannot be read so."""
    if is_seed:
        return _seed(entry, value)
    if value is None:
        raise _bad_value(entry, value, "It needs a value.")
    if entry.kind == "switch":
        words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
        answer = words.get(str(value).strip().casefold())
        if answer is None:
            raise _bad_value(entry, value, "It is a switch.", "Use true or false.")
        return answer
    if entry.kind == "number":
        if not isinstance(value, bool) and isinstance(value, (int, float)):
            return value
        return _number(entry, value)
    return value if isinstance(value, (dict, list)) else str(value)


def _number(entry: Input, value: Any) -> int | float:
    for read in (int, float):
        try:
            number = read(str(value).strip())
        except ValueError:
            continue
        if number - number == 0:  # neither infinite nor NaN
            return number
    raise _bad_value(entry, value, "It is a number.", f"At present it is {entry.value}.")


def _seed(entry: Input, value: Any) -> int:
    if str(value).strip().casefold() in ("-1", "random"):
        return secrets.randbits(_SEED_BITS)
    try:
        seed = int(str(value).strip())
    except ValueError:
        seed = -1
    if not 0 <= seed <= _MAX_SEED:
        raise _bad_value(entry, value, "A seed is a whole number from 0 to 2^64 - 1.", "Use -1 for a random one.")
    return seed
