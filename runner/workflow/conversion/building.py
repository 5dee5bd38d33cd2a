"""Builds the editor's graph from a file: every node from its class, then the file's links and values laid over it."""

from typing import Any

from . import dynamic, promotion, reading, specs
from .model import Boundary, Graph, Instance, Node, Output, Socket
from .reading import RawGraph, RawNode, broken

FRONTEND_NODES = frozenset({"Reroute", "PrimitiveNode", "Note", "MarkdownNote"})
"""Nodes that exist in the editor alone."""

# The same of widely used packs. They come from the packs' own scripts, so no server tells of them.
PACK_NODES = frozenset({
    "SetNode", "GetNode", "easy setNode", "easy getNode", "Reroute (rgthree)", "Label (rgthree)", "Bookmark (rgthree)",
    "Fast Muter (rgthree)", "Fast Bypasser (rgthree)", "Fast Groups Muter (rgthree)", "Fast Groups Bypasser (rgthree)",
    "Fast Actions Button (rgthree)", "Mute / Bypass Relay (rgthree)", "Mute / Bypass Repeater (rgthree)",
    "Node Collector (rgthree)", "Random Unmuter (rgthree)",
})  # fmt: skip


class Builder:
    """Builds the graphs of one file against one server's ``object_info``."""

    def __init__(self, object_info: dict):
        self._info = object_info
        self.graphs: dict[str, Graph] = {}
        """Subgraph definitions by id."""

    def build(self, ui: dict) -> Graph:
        """The top level of ``ui`` as the editor holds it once it has opened the file."""
        raw_top, raw_definitions = reading.read(ui)
        for raw in raw_definitions.values():
            self.graphs[raw.id] = Graph(id=raw.id, name=raw.name, inputs=raw.inputs, outputs=raw.outputs)
        for key in _leaves_first(raw_definitions):
            self._fill(self.graphs[key], raw_definitions[key])
        top = Graph()
        self._fill(top, raw_top)
        for graph in (top, *self.graphs.values()):
            for node in graph.nodes:
                _repair_values(node)
                _drop_orphaned_sockets(node)
        for graph in (*self.graphs.values(), top):
            _settle_types(graph, self._info)
        return top

    def _fill(self, graph: Graph, raw: RawGraph) -> None:
        graph.links = raw.links
        raw_nodes = list(raw.nodes)
        for raw_node in raw_nodes:
            graph.add(self._node(graph, raw_node))
        for raw_node in raw_nodes:
            node = graph.by_id[raw_node.id]
            if isinstance(node, Instance):
                _lay_over_instance(node, raw_node)
            else:
                self._lay_over(node, raw_node)
        for raw_node in raw_nodes:
            node = graph.by_id[raw_node.id]
            if isinstance(node, Instance):
                promotion.move_proxies(node, raw_node.values)

    def _node(self, graph: Graph, raw: RawNode) -> Node:
        definition = self.graphs.get(raw.type)
        if definition is not None:
            title = raw.title or definition.name
            node = Instance(raw.id, raw.type, title, graph, raw.mode, virtual=True, definition=definition)
            definition.instances.append(node)
            return node
        info = self._info.get(raw.type)
        virtual = info is None and raw.type in FRONTEND_NODES | PACK_NODES
        own_title = "Primitive" if raw.type == "PrimitiveNode" else raw.type
        title = raw.title or str((info or {}).get("display_name") or own_title)
        node = Node(raw.id, raw.type, title, graph, raw.mode, known=info is not None or virtual, virtual=virtual)
        if info is not None:
            dynamic.lay_out(node, info)
        return node

    def _lay_over(self, node: Node, raw: RawNode) -> None:
        node.properties = raw.properties
        info = self._info.get(node.type)
        if info is None or node.virtual:
            node.inputs, node.outputs = raw.inputs, raw.outputs
            node.saved_values = raw.values if isinstance(raw.values, list) else list(raw.values.values())
            return
        saved = {socket.name: socket for socket in raw.inputs}
        own = {socket.name for socket in node.inputs}
        for socket in node.inputs:
            socket.link = saved[socket.name].link if socket.name in saved else None
        node.inputs += [socket for socket in raw.inputs if socket.name not in own]
        node.outputs = _outputs(info, raw.outputs)
        dynamic.grow_lists(node)
        _set_values(node, raw.values, info)


def _leaves_first(definitions: dict[str, RawGraph]) -> list[str]:
    """The definitions in an order in which each comes after those it uses. Raises where one holds itself."""
    done: list[str] = []
    for start in definitions:
        path: list[str] = []
        stack = [(start, iter(definitions[start].nodes))] if start not in done else []
        while stack:
            key, nodes = stack[-1]
            path[len(stack) - 1 :] = [key]
            used = next((node.type for node in nodes if node.type in definitions and node.type not in done), None)
            if used is None:
                done.append(key)
                stack.pop()
            elif used in path[: len(stack)]:
                names = [definitions[item].name for item in [*path[path.index(used) : len(stack)], used]]
                raise broken(f"A subgraph holds itself: {' -> '.join(names)}.", subgraphs=names)
            else:
                stack.append((used, iter(definitions[used].nodes)))
    return done


def _outputs(info: dict, saved: list[Output]) -> list[Output]:
    """The outputs of a class, with the links of the file; further ones of the file, which scripts may have added."""
    kinds = info.get("output") if isinstance(info.get("output"), list) else []
    outputs = []
    for place in range(max(len(kinds), len(saved))):
        links = saved[place].links if place < len(saved) else []
        if place >= len(kinds):
            outputs.append(saved[place])
            continue
        kind = kinds[place]
        kind = "COMBO" if isinstance(kind, list) else "*" if kind == dynamic.MATCH_TYPE else str(kind)
        outputs.append(Output(kind, links))
    return outputs


def _set_values(node: Node, values: list | dict, info: dict) -> None:
    """Give the widgets the file's values; a value may bring further widgets, which then take the next ones."""
    if isinstance(values, dict):
        for widget in node.widgets:
            if widget.stored and widget.name in values:
                widget.assign(values[widget.name])
        return
    values = iter(_without_dummies(node, values, info))
    for widget in node.widgets:
        if not widget.stored:
            continue
        try:
            widget.assign(next(values))
        except StopIteration:
            return


def _without_dummies(node: Node, values: list, info: dict) -> list:
    """``values`` without those that old editors saved for inputs that are sockets only."""
    names = {widget.name for widget in node.widgets}
    is_dummy: list[bool] = []
    for spec in specs.of_class(node.type, info):
        if spec.name in names or spec.is_socket_only:
            is_dummy.append(spec.is_socket_only)
            if spec.options.get("control_after_generate"):
                is_dummy.append(False)
    if len(is_dummy) != len(values):
        return values
    return [value for value, dummy in zip(values, is_dummy, strict=True) if not dummy]


def _lay_over_instance(node: Instance, raw: RawNode) -> None:
    node.properties = raw.properties
    saved = {socket.name: socket for socket in raw.inputs}
    for slot in node.definition.inputs:
        own = saved.get(slot.name, Socket(slot.name, slot.type))
        node.inputs.append(Socket(slot.name, slot.type, own.link, label=own.label or slot.label))
    links = [output.links for output in raw.outputs]
    node.outputs = [
        Output(slot.type, links[place] if place < len(links) else [])
        for place, slot in enumerate(node.definition.outputs)
    ]
    for socket, slot in zip(node.inputs, node.definition.inputs, strict=True):
        promotion.show_widget(node, socket, slot)
    promotion.set_hosts(node, raw.values)


def _repair_values(node: Node) -> None:
    """What the editor does to the values of every file: old sampler names, and choices that were never made."""
    widgets = [*node.widgets, *(node.hosts.values() if isinstance(node, Instance) else ())]
    for widget in widgets:
        old_name = isinstance(widget.value, str) and widget.value.startswith("sample_")
        if node.type in ("KSampler", "KSamplerAdvanced") and widget.name == "sampler_name" and old_name:
            widget.value = widget.value[len("sample_") :]
        values = widget.options.get("values")
        if widget.kind == "combo" and values and widget.value is None:
            widget.value = values[0]


def _drop_orphaned_sockets(node: Node) -> None:
    """Disconnect inputs of widgets that the class no longer has."""
    if isinstance(node, Instance) or node.virtual or not node.known:
        return
    for socket in node.inputs:
        if socket.widget and node.widget(socket.widget) is None:
            node.graph.cut(socket)
            node.inputs.remove(socket)


def _settle_types(graph: Graph, object_info: dict) -> None:
    """Narrow the types of inputs and outputs that take any one type to what is connected."""
    for _ in graph.nodes:
        changed = False
        for node in graph.nodes:
            groups = object_info.get(node.type, {}).get("output_matchtypes") or []
            for group in {name for name, _ in node.match_types.values()}:
                changed |= _settle_group(node, group, groups)
        if not changed:
            return


def _settle_group(node: Node, group: str, output_groups: list) -> bool:
    sockets = [socket for socket in node.inputs if node.match_types.get(socket.name, ("",))[0] == group]
    given = [_source_type(node.graph, socket) for socket in sockets]
    changed = False
    for place, socket in enumerate(sockets):
        kind = _common([*given[:place], *given[place + 1 :], node.match_types[socket.name][1]])
        changed |= kind != socket.type
        socket.type = kind
    kind = _common(given)
    for output, output_group in zip(node.outputs, output_groups, strict=False):
        if output_group == group:
            changed |= kind != output.type
            output.type = kind
    return changed


def _source_type(graph: Graph, socket: Socket) -> str:
    link = graph.links.get(socket.link)
    source = graph.by_id.get(link.source) if link else None
    slots: list[Any] = source.outputs if source else graph.inputs if link else []
    slot: Output | Boundary | None = slots[link.source_slot] if link and link.source_slot < len(slots) else None
    return str(slot.type) if slot else "*"


def _common(kinds: list[str]) -> str:
    """The types that all of ``kinds`` (each one or several, joined by commas) have in common; ``*`` is all."""
    lists = [kind.split(",") for kind in kinds if kind != "*"]
    if not lists:
        return "*"
    common = [kind for kind in lists[0] if all(kind in other for other in lists)]
    return ",".join(common) or "*"
