"""What the runner reads and writes in a UI-format workflow (the editor's own save file).

A UI-format file is run through the API-format file of the same name in the folder ``api`` beside it. From the UI
file come the choice and order of the inputs, the widget values an artist saved, and the picture of the graph that
goes into the result's metadata.
"""

import copy
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .naming import Node

if TYPE_CHECKING:
    from .conversion import ShownWidget

_VIRTUAL = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode"})
_NOT_RUN = frozenset({2, 4})  # muted, bypassed
_SUBGRAPH = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SEED_CONTROLS = frozenset({"fixed", "increment", "decrement", "randomize"})


def is_ui_format(data: dict) -> bool:
    """Whether parsed JSON is an editor's save file."""
    return isinstance(data.get("nodes"), list) and "links" in data


def ui_nodes(ui: dict) -> list[Node]:
    """The nodes of the top level that run; widget values are ``None`` where the file does not tell them."""
    links = {link[0]: (str(link[1]), link[2]) for link in ui["links"] if isinstance(link, list) and len(link) >= 5}
    return [_ui_node(node, links) for node in ui["nodes"] if _runs(node)]


def _runs(node: Any) -> bool:
    if not isinstance(node, dict) or "id" not in node or node.get("mode") in _NOT_RUN:
        return False
    kind = str(node.get("type"))
    return kind not in _VIRTUAL and not _SUBGRAPH.fullmatch(kind)


def _ui_node(node: dict, links: dict) -> Node:
    inputs = [entry for entry in node.get("inputs") or [] if isinstance(entry, dict)]
    linked = {entry["name"]: links[entry["link"]] for entry in inputs if entry.get("link") in links}
    positions = _positions(node)
    values = node.get("widgets_values")
    names = [entry["widget"]["name"] for entry in inputs if entry.get("widget")]
    return Node(
        id=str(node["id"]),
        type=str(node["type"]),
        title=str(node.get("title") or node["type"]),
        widgets={name: values[positions[name]] if name in positions else None for name in names if name not in linked},
        links=linked,
    )


def _positions(node: dict) -> dict[str, int]:
    """Widget name -> its place in ``widgets_values``; empty when the file leaves that open."""
    values = node.get("widgets_values")
    if not isinstance(values, list):
        return {}
    named = node.get("widgets_values_named")
    if isinstance(named, dict) and list(named.values()) == values:
        return {name: index for index, name in enumerate(named)}
    positions, index = {}, 0
    for entry in node.get("inputs") or []:
        if not entry.get("widget"):
            continue
        name = entry["widget"]["name"]
        positions[name] = index
        index += 1
        if name in ("seed", "noise_seed") and index < len(values) and values[index] in _SEED_CONTROLS:
            index += 1  # the widget "control after generate" has a value and no socket
    return positions if index == len(values) else {}


def shown_inputs(ui: dict) -> list[tuple[str, str]]:
    """(node id, widget) of the inputs that App Mode shows, in its order."""
    extra = ui.get("extra")
    linear = extra.get("linearData") if isinstance(extra, dict) else None
    entries = linear.get("inputs") if isinstance(linear, dict) else None
    return [(str(entry[0]), str(entry[1])) for entry in entries or [] if isinstance(entry, list) and len(entry) >= 2]


def shown_place(shown: list[tuple[str, str]], node_id: str, widget: str) -> int | None:
    """Where an input stands in ``shown_inputs``, which names nodes inside subgraphs by their own id alone."""
    keys = [(node_id, widget), (node_id.rpartition(":")[2], widget)]
    return next((shown.index(key) for key in keys if key in shown), None)


def differences(ui: dict, graph: dict[str, dict]) -> list[str]:
    """Why ``ui`` and the API-format ``graph`` cannot be the same workflow, one line per node."""
    ui_types = {node.id: node.type for node in ui_nodes(ui)}
    # Nodes inside subgraphs have ids such as "12:3" and stand in the UI file's definitions.
    api_types = {node_id: node["class_type"] for node_id, node in graph.items() if ":" not in node_id}
    found = []
    for node_id in sorted(ui_types.keys() | api_types.keys()):
        here, there = ui_types.get(node_id, "nothing"), api_types.get(node_id, "nothing")
        if here != there:
            found.append(f"node {node_id}: {here} in the UI file, {there} in the API file")
    return found


def saved_values(ui: dict) -> dict[tuple[str, str], Any]:
    """(node id, widget) -> value, for the widgets whose value the file tells."""
    return {
        (node.id, name): value
        for node in ui_nodes(ui)
        for name, value in node.widgets.items()
        if value is not None and not isinstance(value, (list, dict))
    }


def showing(ui: dict, before: dict, after: dict, shown: "Iterable[ShownWidget]" = ()) -> dict | None:
    """A copy of ``ui`` showing the values in which the API-format graph ``after`` differs from ``before``.

    ``shown`` are the widgets of subgraphs' nodes that stand for inputs inside. ``None`` as in ``with_values``.
    """
    hosts = {target: widget for widget in shown for target in widget.targets}
    changes: dict[tuple[str, str], Any] = {}
    places: dict[tuple[str, str], int] = {}
    for node_id, node in after.items():
        for name, value in node["inputs"].items():
            if value == before[node_id]["inputs"].get(name):
                continue
            host = hosts.get((node_id, name))
            key = (host.node_id, host.name) if host else (node_id, name)
            changes[key] = value
            if host and host.place is not None:
                places[key] = host.place
    return with_values(ui, changes, places)


def with_values(
    ui: dict, changes: dict[tuple[str, str], Any], places: dict[tuple[str, str], int] | None = None
) -> dict | None:
    """A copy of ``ui`` showing the values of ``changes``; ``places`` in ``widgets_values`` where they are known.

    ``None`` when one of them has no certain place in the file: a graph that shows other values than those that
    made a picture is worse than none.
    """
    ui = copy.deepcopy(ui)
    by_id = {str(node["id"]): node for node in ui["nodes"] if isinstance(node, dict) and "id" in node}
    for (node_id, widget), value in changes.items():
        node = by_id.get(node_id, {})
        known = (places or {}).get((node_id, widget))
        position = _positions(node).get(widget) if known is None else known
        values = node.get("widgets_values")
        if position is None or not isinstance(values, list) or position > len(values):
            return None
        values[position : position + 1] = [value]
        if isinstance(node.get("widgets_values_named"), dict):
            node["widgets_values_named"][widget] = value
    return ui


def pack_of(ui: dict | None, node_id: str) -> str:
    """The node pack that the editor noted for a node (``comfy-core`` for ComfyUI's own), or an empty string."""
    for node in (ui or {}).get("nodes", []):
        if isinstance(node, dict) and str(node.get("id")) == node_id:
            properties = node.get("properties")
            if isinstance(properties, dict):
                return str(properties.get("cnr_id") or properties.get("aux_id") or "")
    return ""
