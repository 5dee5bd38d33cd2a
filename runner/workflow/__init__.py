"""A workflow file: load it, set its inputs by name, check it against a server, and make the graph to send."""

import copy
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import WorkflowError
from . import files, precheck, ui_format, values
from .naming import MASK, api_nodes, name_inputs, slug
from .precheck import Problem

_LIST_HINT = "`imageine inputs WORKFLOW` lists the names."
_FIRST = ("image", MASK, "prompt", "target", "negative", "seed", "steps", "guidance", "denoise", "checkpoint")


@dataclass(frozen=True)
class Input:
    """One named input of a workflow and its present value."""

    name: str
    address: str
    """``<node id>.<widget>``, accepted wherever the name is."""
    kind: str
    """``image`` and ``mask`` take a picture; ``text``, ``number``, ``switch`` and ``data`` a value."""
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
            parts = files.parse(dict(source))
            files.require_graph(parts, "The workflow")
        else:
            parts = files.load(source)
        workflow = cls(parts.graph, name=parts.name, ui=parts.ui)
        workflow.notes = parts.notes
        return workflow

    @property
    def inputs(self) -> dict[str, Input]:
        """Every input by name: those shown in App Mode first, then the well-known ones, then by node."""
        shown = ui_format.shown_inputs(self.ui) if self.ui else []

        def order(item: tuple[int, Input]) -> tuple:
            place, entry = item
            node_id, widget = entry.address.split(".", 1)
            key = (node_id, "image" if entry.kind == MASK else widget)
            first = shown.index(key) if key in shown else len(shown)
            return first, _FIRST.index(entry.name) if entry.name in _FIRST else len(_FIRST), place

        entries = [self._input(name, node.id, widget, shown) for name, (node, widget) in self._names.items()]
        return {entry.name: entry for _, entry in sorted(enumerate(entries), key=order)}

    def _input(self, name: str, node_id: str, widget: str, shown: list[tuple[str, str]]) -> Input:
        node = self._names[name][0]
        value = self._graph[node_id]["inputs"].get(widget)
        is_image = node.type in precheck.IMAGE_LOADERS and widget == "image"
        is_mask = widget == MASK and widget not in node.widgets
        return Input(
            name=name,
            address=f"{node_id}.{widget}",
            kind="image" if is_image else MASK if is_mask else values.kind_of(value),
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
            raise values.bad_value(entry.name, value, "A mask is a picture.", "Use --mask PATH, or edit(mask=...).")
        node_id, widget = entry.address.split(".", 1)
        is_seed = entry.kind == "number" and (entry.name == "seed" or widget in ("seed", "noise_seed"))
        present = self._graph[node_id]["inputs"][widget]
        parsed = values.parse_seed(entry.name, value) if is_seed else values.parse(entry.name, present, value)
        self._graph[node_id]["inputs"][widget] = parsed

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
