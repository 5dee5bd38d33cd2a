"""From the editor's graph to the API format: which nodes run, what each input is, links followed to real nodes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import primitives, wildcards
from .model import BOUNDARY_IN, BYPASSED, MUTED, UNSET, Graph, Instance, Node, Widget
from .reading import broken

_MOST_NODES = 100_000
_SETTERS = {"GetNode": "SetNode", "easy getNode": "easy setNode"}


@dataclass(frozen=True)
class Place:
    """A node in one use of the graph it stands in: ``parent`` is the subgraph's node that it is used through."""

    id: str
    node: Node
    parent: "Place | None"

    def sibling(self, node_id: str) -> str:
        """Id of another node's place in the same graph."""
        return f"{self.parent.id}:{node_id}" if self.parent else node_id


@dataclass(frozen=True)
class Value:
    """What feeds an input that no node feeds: the value of the widget ``name`` of the subgraph's node ``host``."""

    value: Any
    host: str
    name: str


Source = tuple[str, int] | Value | None


class Prompt:
    """The API-format graph of the top level ``top``."""

    def __init__(self, top: Graph, choose: wildcards.Choose, now: datetime):
        self._choose = choose
        self._now = now
        self.places: dict[str, Place] = {}
        self.shown: dict[tuple[str, str], list[tuple[str, str]]] = {}
        """(subgraph's node, its widget) -> the inputs inside that get the widget's value."""
        for node in top.nodes:
            self._visit(node, None)
        for place in self.places.values():
            if place.node.type == "PrimitiveNode":
                primitives.apply(place.node, self._fill_in)

    def _visit(self, node: Node, parent: Place | None) -> None:
        if len(self.places) >= _MOST_NODES:
            raise broken(f"With its subgraphs written out it has more than {_MOST_NODES} nodes.")
        place = Place(f"{parent.id}:{node.id}" if parent else node.id, node, parent)
        self.places[place.id] = place
        # The editor leaves out what is in a muted or bypassed subgraph at the top level only.
        if isinstance(node, Instance) and (node.runs or parent):
            for inner in node.definition.nodes:
                self._visit(inner, place)

    def unknown(self) -> list[Place]:
        """The nodes that would run and have no class."""
        return [place for place in self.places.values() if not place.node.known and place.node.runs]

    def graph(self) -> dict[str, dict]:
        """The nodes that run, links to others left out."""
        graph = {
            place.id: self._entry(place) for place in self.places.values() if place.node.runs and not place.node.virtual
        }
        for entry in graph.values():
            inputs = entry["inputs"]
            for name in [name for name, value in inputs.items() if isinstance(value, list) and value[0] not in graph]:
                del inputs[name]
        return graph

    def _entry(self, place: Place) -> dict:
        node = place.node
        inputs: dict[str, Any] = {}
        for widget in node.widgets:
            if widget.sent and widget.name:
                inputs[widget.name] = _wrapped(self._sent(node, widget), widget.kind)
        for slot, socket in enumerate(node.inputs):
            source = self._input(place, slot, set())
            if isinstance(source, Value):
                inputs[socket.name] = _wrapped(source.value)
                self.shown.setdefault((source.host, source.name), []).append((place.id, socket.name))
            elif source is not None:
                inputs[socket.name] = list(source)
        inputs = {name: value for name, value in inputs.items() if value is not UNSET}
        return {"inputs": inputs, "class_type": node.type, "_meta": {"title": node.title}}

    def _sent(self, node: Node, widget: Widget) -> Any:
        value = widget.value
        if not isinstance(value, str):
            return value
        if widget.wildcards:
            return wildcards.choose_words(value, self._choose)
        if widget.name == "filename_prefix" and node.type in wildcards.SAVE_NODES:
            return self._fill_in(value)
        return value

    def _fill_in(self, text: str) -> str:
        return wildcards.fill_in(text, (place.node for place in self.places.values()), self._now)

    def _input(self, place: Place, slot: int, seen: set, kind: str | None = None) -> Source:
        """What feeds input ``slot`` of the node at ``place``."""
        _mark(seen, place, "input", slot)
        node = place.node
        socket = node.inputs[slot]
        if socket.link is None:
            return None
        link = node.graph.links.get(socket.link)
        if link is None:
            raise broken(
                f"{place_name(place)}: its input '{socket.name}' has a link that does not exist.", node=place.id
            )
        if place.parent and link.source == BOUNDARY_IN:
            return self._from_outside(place.parent, link.source_slot, seen)
        source = self.places.get(place.sibling(link.source))
        if source is None:
            message = (
                f"{place_name(place)}: its input '{socket.name}' is linked to node {link.source}, which does not exist."
            )
            raise broken(message, node=place.id)
        return self._output(source, link.source_slot, kind or socket.type, seen)

    def _from_outside(self, host: Place, slot: int, seen: set) -> Source:
        if slot >= len(host.node.inputs):
            raise broken(
                f"{place_name(host)}: a link inside comes from input {slot}, which it does not have.", node=host.id
            )
        socket = host.node.inputs[slot]
        if socket.link is not None:
            return self._input(host, slot, seen)
        widget = host.node.host(socket)
        return Value(widget.value, host.id, socket.name) if widget else None

    def _output(self, place: Place, slot: int, kind: str, seen: set) -> Source:
        """The real node and output behind output ``slot`` of the node at ``place``, for an input of type ``kind``."""
        _mark(seen, place, "output", slot)
        node = place.node
        if node.mode == MUTED:
            return None
        if node.mode == BYPASSED:
            through = _bypass(node, slot, kind)
            return None if through is None else self._input(place, through, seen)
        if isinstance(node, Instance):
            return self._from_inside(place, slot, kind, seen)
        if node.virtual:
            return self._through(place, slot, kind, seen)
        return place.id, slot

    def _from_inside(self, place: Place, slot: int, kind: str, seen: set) -> Source:
        definition = place.node.definition
        if slot >= len(definition.outputs):
            raise broken(f"{place_name(place)}: it is used for output {slot}, which it does not have.", node=place.id)
        links = [definition.links[link] for link in definition.outputs[slot].links if link in definition.links]
        if not links:
            return None
        if links[0].source == BOUNDARY_IN:
            return self._from_outside(place, links[0].source_slot, seen)
        inner = self.places.get(f"{place.id}:{links[0].source}")
        if inner is None:
            message = f"{place_name(place)}: its output {slot} comes from node {links[0].source}, which does not exist."
            raise broken(message, node=place.id)
        return self._output(inner, links[0].source_slot, kind, seen)

    def _through(self, place: Place, slot: int, kind: str, seen: set) -> Source:
        """Past a node that exists in the editor alone."""
        node = place.node
        if node.type in _SETTERS:
            name = node.saved_values[0] if node.saved_values else None
            setters = [other for other in node.graph.nodes if other.type == _SETTERS[node.type] and other.saved_values]
            setter = next((other for other in setters if other.saved_values[0] == name), None)
            place, slot = (self.places[place.sibling(setter.id)], 0) if setter else (place, slot)
        if slot >= len(place.node.inputs) or place.node.inputs[slot].link not in place.node.graph.links:
            return None
        return self._input(place, slot, seen, kind)


def _mark(seen: set, place: Place, side: str, slot: int) -> None:
    if (place.id, side, slot) in seen:
        raise broken(f"{place_name(place)}: its links run in a circle.", node=place.id)
    seen.add((place.id, side, slot))


def place_name(place: Place) -> str:
    """``Node 12:3 'Title'``, as error messages call it."""
    title = place.node.title
    return f"Node {place.id}" if title == place.node.type else f"Node {place.id} '{title}'"


def _wrapped(value: Any, kind: str = "") -> Any:
    """A list in the form that tells it from a link."""
    if not isinstance(value, list):
        return value
    return {"__type__": "CURVE", "__value__": value} if kind == "curve" else {"__value__": value}


def _bypass(node: Node, slot: int, kind: str) -> int | None:
    """The input that stands in for output ``slot`` of a bypassed node, or ``None``."""
    inputs = node.inputs
    if kind in ("*", ""):
        through = slot if slot < len(inputs) else 0
        return through if inputs else None
    given = node.outputs[slot].type if slot < len(node.outputs) else "*"
    fits = [_compatible(socket.type, given) and _compatible(socket.type, kind) for socket in inputs]
    if slot < len(inputs) and fits[slot]:
        return slot
    same = next((place for place, socket in enumerate(inputs) if socket.type == kind), None)
    return same if same is not None else next((place for place, fit in enumerate(fits) if fit), None)


def _compatible(one: str, other: str) -> bool:
    """Whether the editor lets slots of these types be connected; several types are joined by commas."""
    if one in ("", "*") or other in ("", "*"):
        return True
    others = other.lower().split(",")
    return any(part in ("", "*") or part in others for part in one.lower().split(",")) or "*" in others
