"""UI format to API format, as ComfyUI's own editor does it.

The editor's conversion (its ``graphToPrompt``) is the reference: the tests convert the same files in a real one. What
needs a browser is left as it is saved: pictures of 3D views, webcam pictures, sound recordings.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .. import precheck
from .building import FRONTEND_NODES, Builder
from .prompt import Place, Prompt, place_name
from .reading import broken
from .wildcards import Choose

__all__ = ["FRONTEND_NODES", "Conversion", "ShownWidget", "convert"]


_GROUP_NODES = ("workflow>", "workflow/")

_FROM_A_BROWSER = {
    "Load3D": "its picture, which only a browser can draw",
    "Load3DAdvanced": "its view, which only a browser has",
    "RecordAudio": "a recording, which only a browser can make",
    "WebcamCapture": "its picture, which only a browser can take",
}


@dataclass(frozen=True)
class ShownWidget:
    """A widget that a subgraph's node shows in place of those of nodes inside."""

    node_id: str
    title: str
    type: str
    """Name of the subgraph."""
    name: str
    label: str
    """What the author calls it; empty when nothing but its name."""
    value: Any
    targets: list[tuple[str, str]]
    """(node id, input) in the API-format graph that have its value."""
    place: int | None
    """Its place in the node's ``widgets_values``; ``None`` where the file keeps it elsewhere."""


@dataclass(frozen=True)
class Conversion:
    """An API-format graph, and the widgets of subgraphs' nodes that it was made from."""

    graph: dict[str, dict]
    shown: list[ShownWidget] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def convert(
    ui: dict, object_info: dict, *, choose: Choose = random.choice, now: datetime | None = None, name: str = "workflow"
) -> Conversion:
    """The API-format graph of the UI-format workflow ``ui`` for the server described by ``object_info``.

    ``choose`` picks one of the texts in ``{a|b}``; ``now`` is the time for ``%date:...%`` in file names; ``name`` is
    the workflow's in error messages. ``ui`` is not changed.

    Raises ``WorkflowError``: ``workflow_broken`` where its links or subgraphs cannot be followed, ``workflow_unfit``
    naming every node class that the server lacks.
    """
    try:
        return _convert(ui, object_info, choose, now or datetime.now(), name)
    except RecursionError as error:
        raise broken("Its links or subgraphs go on for too long, one behind the other.") from error


def _convert(ui: dict, object_info: dict, choose: Choose, now: datetime, name: str) -> Conversion:
    prompt = Prompt(Builder(object_info).build(ui), choose, now)
    unknown = prompt.unknown()
    if group := next((place for place in unknown if place.node.type.startswith(_GROUP_NODES)), None):
        title = place_name(group)
        raise broken(f"{title} is a group node, which the editor has since turned into subgraphs.", node=group.id)
    missing = [precheck.missing_node(place.id, place.node.type, object_info, ui) for place in unknown]
    precheck.require_fit(missing, name)
    graph = prompt.graph()
    shown = [_shown(prompt.places[host], widget, targets) for (host, widget), targets in prompt.shown.items()]
    needing = [(key, node["class_type"]) for key, node in graph.items() if node["class_type"] in _FROM_A_BROWSER]
    notes = [f"Node {key} ({kind}) is sent without {_FROM_A_BROWSER[kind]}." for key, kind in needing]
    return Conversion(graph, shown, notes)


def _shown(host: Place, name: str, targets: list[tuple[str, str]]) -> ShownWidget:
    node = host.node
    label = next((socket.label for socket in node.inputs if socket.name == name), "")
    value = node.hosts[name].value
    names = [socket.name for socket in node.inputs if socket.name in node.hosts]
    is_plain = host.parent is None and "proxyWidgets" not in node.properties
    place = names.index(name) if is_plain else None
    return ShownWidget(host.id, node.title, node.definition.name, name, label, value, targets, place)
