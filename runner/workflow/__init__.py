"""A workflow file: load it, set its inputs by name, check it against a server, and make the graph to send."""

import copy
import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import WorkflowError
from . import files, node_specs, precheck, ui_format, values
from .naming import ALIASES, MASK, Node, api_nodes, name_inputs, slug
from .precheck import Problem

if TYPE_CHECKING:
    from .conversion import Conversion, ShownWidget

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
    type: str = ""
    """ComfyUI's type, such as ``INT`` or ``COMBO``; this and what follows is known after ``Workflow.resolve``."""
    choices: list | None = None
    low: float | None = None
    high: float | None = None

    @property
    def is_seed(self) -> bool:
        widget = self.address.rsplit(".", 1)[-1]
        return self.kind == "number" and (self.name == "seed" or widget in ("seed", "noise_seed"))


class Workflow:
    """A graph with named inputs.

    >>> workflow = Workflow.load("Simple Edit")
    >>> workflow.set("prompt", "blue car")
    >>> workflow.graph(prefix="imageine/1")

    A UI-format file without an API-format twin needs the server's node definitions before anything else:

    >>> workflow = Workflow.load("downloaded.json")
    >>> workflow.resolve(client.object_info())
    """

    def __init__(self, graph: dict[str, dict] | None, *, name: str = "workflow", ui: dict | None = None):
        self.name = name
        self.ui = ui
        self.notes: list[str] = []
        self._info: dict | None = None
        self._shown: dict[str, ShownWidget] = {}
        self._graph: dict[str, dict] = {}
        self.needs_definitions = graph is None
        """Whether ``resolve`` has to come first."""
        if graph is not None:
            self._take(graph)

    def __deepcopy__(self, memo: dict) -> "Workflow":
        """A copy with values of its own; node definitions, which are large and only read, are shared."""
        memo[id(self._info)] = self._info
        copied = memo[id(self)] = object.__new__(type(self))
        copied.__dict__ = copy.deepcopy(self.__dict__, memo)
        return copied

    @classmethod
    def load(cls, source: str | Path | Mapping, object_info: dict | None = None) -> "Workflow":
        """Read a workflow file, API format or UI format.

        ``source`` is a path, the name of a shipped workflow ("Simple Edit", "simple-edit"), or parsed JSON. A UI-format
        file with its API-format twin in ``api/`` beside it runs as that; another one is converted by ``object_info``,
        now or later in ``resolve``.

        Raises ``WorkflowError`` with code ``workflow_missing``, ``workflow_not_json`` or ``workflow_format``, and those
        of ``resolve``.
        """
        parts = files.parse(dict(source)) if isinstance(source, Mapping) else files.load(source)
        workflow = cls(parts.graph, name=parts.name, ui=parts.ui)
        workflow.notes = parts.notes
        if object_info is not None:
            workflow.resolve(object_info)
        return workflow

    def resolve(self, object_info: dict) -> None:
        """Take the server's node definitions (``Client.object_info()``).

        From then on inputs tell type, range and choices, and ``set`` holds values to them. A workflow that
        ``needs_definitions`` is converted.

        Raises ``WorkflowError`` ``workflow_broken``, or ``workflow_unfit`` where the server lacks node classes.
        """
        if self.needs_definitions:
            from .conversion import convert

            conversion = convert(self.ui, object_info, name=self.name)
            self._take(conversion.graph, conversion)
            self.notes += conversion.notes
            self.needs_definitions = False
        self._info = object_info

    def _take(self, graph: dict[str, dict], conversion: "Conversion | None" = None) -> None:
        self._graph = graph
        self._original = copy.deepcopy(graph)
        self._shown = {f"{shown.node_id}.{shown.name}": shown for shown in conversion.shown} if conversion else {}
        self._names = name_inputs(_with_shown(api_nodes(graph), self._shown.values()))

    @property
    def inputs(self) -> dict[str, Input]:
        """Every input by name: those shown in App Mode first, then the well-known ones, then by node."""
        self._require_graph()
        shown = ui_format.shown_inputs(self.ui) if self.ui else []

        def order(item: tuple[int, Input]) -> tuple:
            place, entry = item
            node_id, widget = entry.address.split(".", 1)
            first = ui_format.shown_place(shown, node_id, "image" if entry.kind == MASK else widget)
            known = _FIRST.index(entry.name) if entry.name in _FIRST else len(_FIRST)
            return len(shown) if first is None else first, known, place

        entries = [self._input(name, node.id, widget, shown) for name, (node, widget) in self._names.items()]
        return {entry.name: entry for _, entry in sorted(enumerate(entries), key=order)}

    def _input(self, name: str, node_id: str, widget: str, shown: list[tuple[str, str]]) -> Input:
        node = self._names[name][0]
        target, field = self._targets(f"{node_id}.{widget}")[0]
        value = self._graph[target]["inputs"].get(field)
        is_image = self._graph[target]["class_type"] in precheck.IMAGE_LOADERS and field == "image"
        is_mask = widget == MASK and widget not in node.widgets
        spec = self._spec(target, field)
        return Input(
            name=name,
            address=f"{node_id}.{widget}",
            kind="image" if is_image else MASK if is_mask else values.kind_of(value, spec.type if spec else ""),
            value=value,
            node=node.title,
            shown=ui_format.shown_place(shown, node_id, widget) is not None,
            type=str(spec.type) if spec else "",
            choices=spec.choices if spec else None,
            low=spec.low if spec else None,
            high=spec.high if spec else None,
        )

    def _targets(self, address: str) -> list[tuple[str, str]]:
        """(node id, input) in the graph that the input at ``address`` sets: several, where a subgraph shares it."""
        if address in self._shown:
            return self._shown[address].targets
        node_id, field = address.split(".", 1)
        return [(node_id, field)]

    def _spec(self, node_id: str, field: str) -> node_specs.InputSpec | None:
        node = self._graph[node_id]
        info = (self._info or {}).get(node["class_type"])
        return node_specs.inputs(info, node["inputs"]).get(field) if info else None

    def _require_graph(self) -> None:
        if self.needs_definitions:
            message = f"'{self.name}' is in the editor's own format, which takes a server's node definitions to read."
            hint = "`imageine convert WORKFLOW -o FILE`, with --server or --object-info, writes one that does without."
            raise WorkflowError("workflow_format", message, hint)

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
        parsed = self.read(entry, value)
        for node_id, field in self._targets(entry.address):
            self._graph[node_id]["inputs"][field] = parsed

    def read(self, entry: Input, value: Any) -> Any:
        """``value`` as ``set`` would give it to this input, which keeps the one it has. Raises as ``set`` does."""
        if entry.kind == MASK:
            raise values.bad_value(entry.name, value, "A mask is a picture.", "Use --mask PATH, or edit(mask=...).")
        if entry.is_seed:
            parsed: Any = values.parse_seed(entry.name, value)
        else:
            parsed = values.parse(entry.name, entry.value, value, entry.type)
        for node_id, field in self._targets(entry.address):
            spec = self._spec(node_id, field)
            if spec is not None and entry.kind != "image" and (why := node_specs.misfit(spec, parsed)):
                raise values.bad_value(entry.name, value, why[0].upper() + why[1:])
        return parsed

    def set_seeds(self, value: int | str) -> None:
        """Give every seed of the workflow ``value``; ``-1`` or ``"random"`` draws one for all of them.

        Raises ``WorkflowError`` ``workflow_input_unknown`` when it has none, and ``workflow_input_value``.
        """
        seeds = [entry for entry in self.inputs.values() if entry.is_seed]
        if not seeds:
            raise WorkflowError("workflow_input_unknown", f"The workflow '{self.name}' has no seed.", _LIST_HINT)
        seed = values.parse_seed("seed", value)
        for entry in seeds:
            self.set(entry.name, seed)

    def check(self, object_info: dict, uploads: Collection[str] = ()) -> list[Problem]:
        """All reasons why the server described by ``object_info`` cannot run this, worst first; empty when it can.

        ``uploads`` names the image inputs whose pictures are still to be uploaded.
        """
        self._require_graph()
        addresses = {".".join(target) for name in uploads for target in self.targets(name)}
        return precheck.check(self._graph, object_info, uploads=addresses, ui=self.ui)

    def targets(self, name: str) -> list[tuple[str, str]]:
        """(node id, input) in the graph that the input ``name`` sets; raises as ``find`` does."""
        return self._targets(self.find(name).address)

    def image_of(self, mask: Input) -> str:
        """Name of the image input whose picture carries the painted ``mask``."""
        address = f"{mask.address.removesuffix(f'.{MASK}')}.image"
        loader = tuple(address.rsplit(".", 1))
        return next(name for name, entry in self.inputs.items() if loader in self._targets(entry.address))

    def graph(self, prefix: str | None = None) -> dict[str, dict]:
        """The API-format graph to send.

        With a ``prefix``, every node that saves files saves them as ``<prefix>_<node id>_...``: a prefix of its own
        per job keeps a server from answering with the files of an earlier, equal job.
        """
        self._require_graph()
        graph = copy.deepcopy(self._graph)
        for node_id, node in graph.items():
            if prefix is not None and isinstance(node["inputs"].get("filename_prefix"), str):
                node["inputs"]["filename_prefix"] = f"{prefix}_{slug(node_id)}"
        return graph

    def ui_graph(self) -> dict | None:
        """The UI-format workflow showing the values that were set, or ``None`` when there is no such file."""
        if self.ui is None:
            return None
        return ui_format.showing(self.ui, self._original, self._graph, self._shown.values())

    @property
    def models(self) -> list[str]:
        """The model files the workflow uses, as ``<folder>/<name>``, in the order of the nodes."""
        self._require_graph()
        return precheck.models(self._graph)


def _with_shown(nodes: list[Node], shown: "Iterable[ShownWidget]") -> list[Node]:
    """``nodes`` with the widgets that subgraphs' nodes show, in place of those inside that they set."""
    hosts: dict[str, Node] = {}
    hidden = set()
    for widget in shown:
        host = hosts.setdefault(widget.node_id, Node(widget.node_id, widget.type, widget.title, {}))
        host.widgets[widget.name] = widget.value
        host.labels[widget.name] = widget.label or ALIASES.get(widget.name, widget.name)
        hidden.update(widget.targets)
    for node in nodes:
        for field in [field for field in node.widgets if (node.id, field) in hidden]:
            del node.widgets[field]
    return [*hosts.values(), *nodes]
