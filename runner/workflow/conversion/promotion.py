"""The widgets that a subgraph's node shows in place of those inside: which, and with what values.

Each is tied to an input of the subgraph that leads to a widget inside, and has a value of its own per instance. Older
files list them in ``properties.proxyWidgets`` instead; ``move_proxies`` gives those inputs, as the editor does.
"""

import json
from typing import Any

from .model import BOUNDARY_IN, Boundary, Instance, Node, Socket, Widget

_DEEPEST = 100
_NAME_PREFIX = ":"


def show_widget(instance: Instance, socket: Socket, slot: Boundary) -> None:
    """Give ``instance`` a widget for its input ``socket`` if that leads to one inside."""
    for link_id in slot.links:
        target, inner = _end(instance, link_id)
        widget = target.widget_of(inner) if target and inner else None
        if widget is not None:
            _add_host(instance, socket, slot.name, widget)
            return


def _add_host(instance: Instance, socket: Socket, name: str, inner: Widget) -> None:
    present = instance.hosts.get(name)
    if present is None or present.kind != inner.kind:
        instance.hosts[name] = Widget(name, inner.kind, inner.value, **inner.options)
    socket.widget = name


def set_hosts(instance: Instance, values: list | dict) -> None:
    """Give the shown widgets the instance's values, by place or by name."""
    quarantined = _quarantined(instance)
    shown = [socket.name for socket in instance.inputs if socket.name in instance.hosts]
    for place, name in enumerate(shown):
        if name in quarantined:
            instance.hosts[name].assign(quarantined[name])
        elif isinstance(values, dict):
            instance.hosts[name].assign(values.get(name, instance.hosts[name].value))
        elif place < len(values):
            instance.hosts[name].assign(values[place])


def _quarantined(instance: Instance) -> dict[str, Any]:
    """Values that an editor kept aside for inputs it could not find at first."""
    entries = _parsed(instance.properties.get("proxyWidgetErrorQuarantine"))
    found: dict[str, Any] = {}
    for entry in reversed(entries):
        original = entry.get("originalEntry") if isinstance(entry, dict) else None
        value = entry.get("hostValue") if isinstance(entry, dict) else None
        if isinstance(original, list) and len(original) >= 2 and original[0] == "-1" and value is not None:
            found[str(original[1])] = value
    return found


def _parsed(value: Any) -> list:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    return value if isinstance(value, list) else []


def _end(instance: Instance, link_id: Any) -> tuple[Node | None, Socket | None]:
    """The node and input inside where a link from the subgraph's inputs ends."""
    link = instance.definition.links.get(link_id)
    node = instance.definition.by_id.get(link.target) if link else None
    return node, next((socket for socket in node.inputs if socket.link == link_id), None) if node else None


def _source(instance: Instance, slot: Boundary) -> tuple[str, str] | None:
    """(node id, widget or input name) inside that an input of the subgraph leads to."""
    for link_id in slot.links:
        target, inner = _end(instance, link_id)
        if target is None or inner is None:
            continue
        if isinstance(target, Instance):
            return target.id, inner.name
        widget = target.widget_of(inner)
        if widget is not None:
            return target.id, widget.name
    return None


def move_proxies(instance: Instance, values: list | dict) -> None:
    """Turn the instance's ``proxyWidgets`` into inputs of its subgraph, with the values it has for them."""
    entries = _parsed(instance.properties.get("proxyWidgets"))
    if not all(_is_proxy(entry) for entry in entries):
        return
    held = values if isinstance(values, list) else list(values.values())
    proxies = []
    for place, entry in enumerate(entries):
        name, tie = _plain_name(instance, entry)
        proxies.append(_Proxy(entry[0], name, tie, held[place] if place < len(held) else None))
    first_counts = {proxy.node_id: sum(other.node_id == proxy.node_id for other in proxies) for proxy in proxies}
    plans = [(proxy, _plan(instance, proxy, first_counts[proxy.node_id] > 1)) for proxy in proxies]
    primitives: dict[str, list[_Proxy]] = {}
    for proxy, plan in plans:
        if plan == "primitive":
            primitives.setdefault(proxy.node_id, []).append(proxy)
        elif plan == "input":
            _add_input_for(instance, proxy)
        elif plan:
            _assign(instance, plan.removeprefix("linked:"), proxy)
    for node_id, group in primitives.items():
        _replace_primitive(instance, instance.definition.by_id[node_id], group)
    for proxy in proxies:  # what names an input itself, and was not found as a widget
        if proxy.node_id == "-1":
            _assign(instance, proxy.name, proxy)


class _Proxy:
    """One entry of ``proxyWidgets``; ``value`` is ``None`` where the instance has none."""

    def __init__(self, node_id: str, name: str, tie: str | None, value: Any):
        self.node_id = node_id
        self.name = name
        self.tie = tie
        self.value = value


def _is_proxy(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) in (2, 3) and all(isinstance(part, str) for part in entry)


def _plain_name(instance: Instance, entry: list[str]) -> tuple[str, str | None]:
    """(widget name, id of the node it is of where several have it): some editors wrote ``12: seed`` for the name."""
    name, tie = entry[1], entry[2] if len(entry) == 3 else None
    if _reaches_widget(instance, entry[0], name):
        return name, tie
    while _NAME_PREFIX in name and name.split(_NAME_PREFIX, 1)[0].strip().isdecimal():
        head, rest = name.split(_NAME_PREFIX, 1)
        if not rest.strip():
            break
        tie, name = head.strip(), rest.strip()
    return name, tie


def _reaches_widget(instance: Instance, node_id: str, name: str) -> bool:
    for _ in range(_DEEPEST):
        node = instance.definition.by_id.get(node_id)
        if node is None:
            return False
        if not isinstance(node, Instance):
            return node.widget(name) is not None
        slot = next((slot for slot in node.definition.inputs if slot.name == name), None)
        source = _source(node, slot) if slot else None
        if source is None:
            return False
        instance, (node_id, name) = node, source
    return False


def _plan(instance: Instance, proxy: _Proxy, repeated: bool) -> str:
    """What to do about a proxy: ``linked:<input>``, ``primitive``, ``input`` for a new one, or nothing."""
    for socket, slot in zip(instance.inputs, instance.definition.inputs, strict=True):
        if _source(instance, slot) == (proxy.node_id, proxy.name):
            return f"linked:{socket.name}"
    node = instance.definition.by_id.get(proxy.node_id)
    if node is None or proxy.name.startswith("$$"):
        return ""
    if node.type == "PrimitiveNode":
        bypassed = node.properties.get("proxyBypassedToSubgraphInput")
        if isinstance(bypassed, str) and any(socket.name == bypassed for socket in instance.inputs):
            return f"linked:{bypassed}"
        links = node.outputs[0].links if node.outputs else []
        return "primitive" if repeated or any(link in node.graph.links for link in links) else ""
    widget = _inner_widget(node, proxy)
    return "input" if widget is not None and (widget.stored or widget.sent) else ""


def _inner_widget(node: Node, proxy: _Proxy) -> Widget | None:
    if not isinstance(node, Instance):
        return node.widget(proxy.name)
    for socket, slot in zip(node.inputs, node.definition.inputs, strict=True):
        source = _source(node, slot)
        if proxy.tie:
            fits = source == (proxy.tie, proxy.name)
        else:
            fits = socket.name == proxy.name or (source is not None and source[1] == proxy.name)
        if fits:
            return node.host(socket)
    return node.hosts.get(proxy.name)


def _assign(instance: Instance, name: str, proxy: _Proxy) -> None:
    hosts = [socket for socket in instance.inputs if socket.name == name]
    if len(hosts) == 1 and name in instance.hosts and proxy.value is not None:
        instance.hosts[name].assign(proxy.value)


def _new_input(instance: Instance, base: str, kind: Any) -> Boundary:
    """A further input of the subgraph, named ``base``, or ``base_1`` and so on; every instance of it gets it."""
    names = {slot.name for slot in instance.definition.inputs}
    name, number = base, 1
    while name in names:
        name, number = f"{base}_{number}", number + 1
    slot = Boundary(name, kind)
    instance.definition.inputs.append(slot)
    for other in instance.definition.instances:
        other.inputs.append(Socket(name, kind))
    return slot


def _connect(instance: Instance, slot: Boundary, node: Node, socket: Socket) -> bool:
    graph = instance.definition
    graph.cut(socket)
    widget = node.widget_of(socket)
    if widget is not None:
        if slot.widget is not None and not _alike(slot.widget, widget):
            return False
        slot.widget = widget
        for other in graph.instances:
            _add_host(other, next(item for item in other.inputs if item.name == slot.name), slot.name, widget)
    link = graph.new_link(BOUNDARY_IN, graph.inputs.index(slot), node, socket)
    slot.links.append(link.id)
    return True


def _alike(one: Widget, other: Widget) -> bool:
    keys = ("low", "high", "step", "precision")
    return one.kind == other.kind and all(one.options.get(key) == other.options.get(key) for key in keys)


def _add_input_for(instance: Instance, proxy: _Proxy) -> None:
    node = instance.definition.by_id[proxy.node_id]
    widget = _inner_widget(node, proxy)
    socket = node.socket_of(widget) if widget else None
    if socket is not None:
        slot = _new_input(instance, proxy.name, socket.type)
        _connect(instance, slot, node, socket)
        _assign(instance, slot.name, proxy)


def _replace_primitive(instance: Instance, primitive: Node, proxies: list[_Proxy]) -> None:
    """Feed what a primitive inside feeds from a new input of the subgraph instead, if every target allows it."""
    graph = instance.definition
    output = primitive.outputs[0] if primitive.outputs else None
    links = [graph.links.get(link) for link in output.links] if output else []
    if not links or None in links or any(proxy.name != proxies[0].name for proxy in proxies):
        return
    targets: list[tuple[Node, Socket]] = []
    for link in links:
        node = graph.by_id.get(link.target)
        if node is None or link.target_slot >= len(node.inputs):
            return
        socket = node.inputs[link.target_slot]
        if socket.type != output.type and "*" not in (socket.type, output.type):
            return
        targets.append((node, socket))
    widgets = [widget for node, socket in targets if (widget := node.widget_of(socket))]
    if any(not _alike(widgets[0], widget) for widget in widgets[1:]):
        return
    base = primitive.title if primitive.title != "PrimitiveNode" else proxies[0].name
    slot = _new_input(instance, base, output.type)
    for node, socket in targets:
        _connect(instance, slot, node, socket)
    given = next((proxy for proxy in proxies if proxy.value is not None), None)
    if given is not None:
        _assign(instance, slot.name, given)
    primitive.properties["proxyBypassedToSubgraphInput"] = slot.name
