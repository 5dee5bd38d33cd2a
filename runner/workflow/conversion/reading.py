"""A UI-format file as plain records, whatever version of the editor wrote it; clear errors for what is none."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ...errors import WorkflowError
from .model import BOUNDARY_IN, BOUNDARY_OUT, Boundary, Link, Output, Socket

_DEEPEST = 50
_BROKEN_HINT = "Open it in ComfyUI, look for what is missing there, and save it again."


@dataclass
class RawNode:
    """A node as the file has it."""

    id: str
    type: str
    title: str
    mode: int
    inputs: list[Socket]
    outputs: list[Output]
    values: list | dict
    """Widget values by place, or by name."""
    properties: dict


@dataclass
class RawGraph:
    """One graph of the file: its top level, or a subgraph definition."""

    id: str
    name: str
    nodes: list[RawNode]
    links: dict[Any, Link]
    inputs: list[Boundary] = field(default_factory=list)
    outputs: list[Boundary] = field(default_factory=list)


def broken(message: str, **details: Any) -> WorkflowError:
    """The error that a UI-format workflow cannot be converted."""
    return WorkflowError("workflow_broken", message, _BROKEN_HINT, details)


def read(ui: dict) -> tuple[RawGraph, dict[str, RawGraph]]:
    """(top level, subgraph definitions by id), no two nodes of them sharing an id.

    Raises ``WorkflowError`` ``workflow_broken``.
    """
    top = _graph(ui, "The workflow")
    definitions: dict[str, RawGraph] = {}
    _collect(ui, definitions, 0)
    ids = Counter(node.id for node in top.nodes)
    if twice := [key for key, count in ids.items() if count > 1]:
        raise broken(f"The workflow has several nodes with the id {twice[0]}.", nodes=twice)
    state = ui.get("state")
    last = state.get("lastNodeId") if isinstance(state, dict) else ui.get("last_node_id")
    _tell_apart(top, definitions, last if type(last) is int else 0)
    return top, definitions


def _collect(data: dict, found: dict[str, RawGraph], depth: int) -> None:
    if depth > _DEEPEST:
        raise broken(f"Its subgraph definitions are nested deeper than {_DEEPEST}.")
    definitions = data.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    for entry in subgraphs if isinstance(subgraphs, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
            raise broken("One of its subgraph definitions has no id.")
        name = str(entry.get("name") or entry["id"])
        graph = _graph(entry, f"Subgraph '{name}'")
        graph.id, graph.name = entry["id"], name
        graph.inputs = [_boundary(item, name) for item in _list(entry.get("inputs"))]
        graph.outputs = [_boundary(item, name) for item in _list(entry.get("outputs"))]
        found.setdefault(graph.id, graph)
        _collect(entry, found, depth + 1)


def _graph(data: dict, where: str) -> RawGraph:
    nodes = data.get("nodes")
    if not isinstance(nodes, list):
        raise broken(f"{where} has no list of nodes.")
    links = [link for entry in _list(data.get("links")) if (link := _link(entry)) is not None]
    return RawGraph("", "", [_node(entry, where) for entry in nodes], {link.id: link for link in links})


def _node(data: Any, where: str) -> RawNode:
    if not isinstance(data, dict) or not _is_id(data.get("id")) or not isinstance(data.get("type"), str):
        raise broken(f"{where} has a node without id or type: {str(data)[:80]}.")
    named = data.get("widgets_values_named")
    values = data.get("widgets_values")
    if not isinstance(values, (list, dict)):
        values = named if isinstance(named, dict) else []
    mode = data.get("mode")
    properties = data.get("properties")
    return RawNode(
        id=str(data["id"]),
        type=data["type"],
        title=str(data["title"]) if data.get("title") else "",
        mode=mode if isinstance(mode, int) else 0,
        inputs=[_socket(item) for item in _list(data.get("inputs")) if isinstance(item, dict)],
        outputs=[_output(item) for item in _list(data.get("outputs")) if isinstance(item, dict)],
        values=values,
        properties=dict(properties) if isinstance(properties, dict) else {},
    )


def _socket(data: dict) -> Socket:
    link, widget = data.get("link"), data.get("widget")
    return Socket(
        name=str(data.get("name")),
        type=_type(data.get("type")),
        link=link if _is_id(link) else None,
        widget=str(widget["name"]) if isinstance(widget, dict) and widget.get("name") else None,
        label=str(data.get("label") or ""),
    )


def _output(data: dict) -> Output:
    return Output(_type(data.get("type")), [link for link in _list(data.get("links")) if _is_id(link)])


def _boundary(data: Any, name: str) -> Boundary:
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise broken(f"Subgraph '{name}' has an input or output without a name.")
    links = [link for link in _list(data.get("linkIds")) if _is_id(link)]
    return Boundary(data["name"], _type(data.get("type")), links, str(data.get("label") or ""))


def _link(data: Any) -> Link | None:
    """A link of either notation; ``None`` for what is none, which old files hold as gaps."""
    if isinstance(data, list) and len(data) >= 5:
        link_id, source, source_slot, target, target_slot = data[:5]
    elif isinstance(data, dict):
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
        link_id, source, source_slot, target, target_slot = (data.get(key) for key in keys)
    else:
        return None
    slots_fit = all(type(slot) is int and slot >= 0 for slot in (source_slot, target_slot))
    if not slots_fit or not all(_is_id(value) for value in (link_id, source, target)):
        return None
    return Link(link_id, str(source), source_slot, str(target), target_slot)


def _type(kind: Any) -> str:
    """A slot's type; old files hold a combo's choices, and 0 or -1 for any."""
    if isinstance(kind, list):
        return "COMBO"
    return kind if isinstance(kind, str) else "*"


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or type(value) is int


def _tell_apart(top: RawGraph, definitions: dict[str, RawGraph], highest: int) -> None:
    """Give nodes of definitions a new id where another node has theirs, counting on from ``highest`` as the editor."""
    used = {node.id for node in top.nodes}
    renamed: dict[str, dict[str, str]] = {}
    for graph in definitions.values():
        changes = renamed[graph.id] = {}
        for node in graph.nodes:
            if node.id in used:
                while str(highest := highest + 1) in used:
                    pass
                changes[node.id] = node.id = str(highest)
            elif node.id.isascii() and node.id.isdecimal():
                highest = max(highest, int(node.id))
            used.add(node.id)
        for link in graph.links.values():
            link.source = link.source if link.source == BOUNDARY_IN else changes.get(link.source, link.source)
            link.target = link.target if link.target == BOUNDARY_OUT else changes.get(link.target, link.target)
    for graph in (top, *definitions.values()):
        for node in graph.nodes:
            _rename_proxies(node, renamed.get(node.type, {}))


def _rename_proxies(node: RawNode, changes: dict[str, str]) -> None:
    proxies = node.properties.get("proxyWidgets")
    if changes and isinstance(proxies, list):
        node.properties["proxyWidgets"] = [
            [changes.get(str(entry[0]), entry[0]), *entry[1:]] if isinstance(entry, list) and entry else entry
            for entry in proxies
        ]
