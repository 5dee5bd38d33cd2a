"""Inputs that grow: dynamic combos, whose choice decides which inputs follow, lists that add a socket when the last one
is used, and Custom Combo's options. ``lay_out`` gives a new node all its inputs and widgets.
"""

import re
from typing import Any

from . import specs, widgets
from .model import Node, Socket, Widget
from .specs import Spec

AUTOGROW = "COMFY_AUTOGROW_V3"
MATCH_TYPE = "COMFY_MATCHTYPE_V3"


def lay_out(node: Node, info: dict) -> None:
    """Give ``node`` the sockets and widgets of its class: sockets without a widget first, as the editor does."""
    ordered = specs.ordered(specs.of_class(node.type, info), info)
    for spec in ordered:
        _add_socket(node, spec)
    for spec in ordered:
        _add_widget(node, spec)
    if node.type == "CustomCombo" and node.widgets:
        node.widgets[0].value = ""
        node.widgets += [_OptionIndex(node), _Option(node, 1)]
    node.widgets += widgets.extras(node)


def add_input(node: Node, spec: Spec) -> None:
    """Add one input at the end of ``node``'s inputs, and its widgets at the end of its widgets."""
    _add_socket(node, spec)
    _add_widget(node, spec)


def _add_socket(node: Node, spec: Spec) -> None:
    if widgets.is_widget_type(spec.widget_type) and not spec.is_socket_only:
        return
    if spec.type == AUTOGROW:
        _add_list(node, spec)
    elif spec.type == MATCH_TYPE:
        template = spec.options.get("template") or {}
        allowed, group = str(template.get("allowed_types", "*")), str(template.get("template_id", ""))
        add_input(node, Spec(spec.name, allowed, spec.optional, spec.options))
        node.match_types[spec.name] = (group, allowed)
    else:
        node.inputs.append(Socket(spec.name, spec.type))


def _add_widget(node: Node, spec: Spec) -> None:
    if not widgets.is_widget_type(spec.widget_type) or spec.is_socket_only:
        return
    if spec.widget_type == widgets.DYNAMIC_COMBO:
        combo = _DynamicCombo(node, spec)
        node.widgets.append(combo)
        combo.assign(combo.value)
    else:
        node.widgets += widgets.make(spec, node)
    node.inputs.append(Socket(spec.name, spec.type, widget=spec.name))


class _DynamicCombo(Widget):
    """Its value decides which inputs follow it, named ``<its name>.<theirs>``."""

    def __init__(self, node: Node, spec: Spec):
        listed = spec.options.get("options")
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        self._node = node
        self._groups = {str(entry.get("key")): entry.get("inputs") for entry in entries}
        keys = list(self._groups)
        made = widgets.combo(Spec(spec.name, "COMBO", spec.optional, {"options": keys}))[0]
        super().__init__(spec.name, made.kind, made.value, values=keys)

    def assign(self, value: Any) -> None:
        """Choose, and put the inputs of that choice in place of those before; links of the same name stay."""
        self.value = value
        node, prefix = self._node, f"{self.name}."
        gone = {socket.name: socket for socket in node.inputs if socket.name.startswith(prefix)}
        node.inputs[:] = [socket for socket in node.inputs if socket.name not in gone]
        node.widgets[:] = [widget for widget in node.widgets if not widget.name.startswith(prefix)]
        first_widget, first_socket = len(node.widgets), len(node.inputs)
        group = self._groups.get(value) if isinstance(value, str) else None
        for spec in specs.read_group(group, prefix):
            add_input(node, spec)
        _move(node.widgets, first_widget, node.widgets.index(self) + 1)
        own = next((place for place, socket in enumerate(node.inputs) if socket.name == self.name), None)
        if own is not None:
            _move(node.inputs, first_socket, own + 1)
            _renumber(node, own + 1)
        for old in gone.values():
            socket = next((socket for socket in node.inputs if socket.name == old.name), None)
            if socket is None:
                node.graph.cut(old)
            else:
                socket.link = old.link
                _renumber(node, node.inputs.index(socket))
                _grow(node, socket)


def _move(items: list, start: int, to: int) -> None:
    """Move the end of ``items`` from ``start`` on to place ``to``."""
    moved = items[start:]
    del items[start:]
    items[to:to] = moved


def _renumber(node: Node, start: int) -> None:
    """Have the links to the inputs from place ``start`` on say where these are now."""
    for place in range(start, len(node.inputs)):
        link = node.graph.links.get(node.inputs[place].link)
        if link is not None:
            link.target_slot = place


def _add_list(node: Node, spec: Spec) -> None:
    template = spec.options.get("template") or {}
    names = template.get("names")
    low = template.get("min", 1)
    node.lists[spec.name] = {
        "names": names if isinstance(names, list) else None,
        "min": low if isinstance(low, int) else 1,
        "max": len(names) if isinstance(names, list) else template.get("max", 100),
        "prefix": str(template.get("prefix") or ""),
        "specs": specs.read_group(template.get("input")),
    }
    for place in range(max(1, node.lists[spec.name]["min"] + 1)):
        _add_list_entry(node, spec.name, place)


def _add_list_entry(node: Node, group: str, place: int) -> None:
    rules = node.lists[group]
    if place >= rules["max"] or not rules["specs"]:
        return
    added = []
    for spec in rules["specs"]:
        before = len(node.inputs)
        optional = place >= rules["min"] or spec.optional
        add_input(node, spec.renamed(_entry_name(rules, group, spec.name, place), optional=optional))
        added += node.inputs[before:]
        del node.inputs[before:]
    for socket in added:
        for present in [other for other in node.inputs if other.name == socket.name]:
            socket.link = present.link if socket.link is None else socket.link
            node.inputs.remove(present)
    previous = _entry_name(rules, group, rules["specs"][-1].name, place - 1)
    last = max((at for at, socket in enumerate(node.inputs) if socket.name.startswith(previous)), default=None)
    at = len(node.inputs) if last is None else last + 1
    node.inputs[at:at] = added
    _renumber(node, at)


def _entry_name(rules: dict, group: str, key: str, place: int) -> str:
    if rules["names"] is not None:
        return f"{group}.{rules['names'][place] if 0 <= place < len(rules['names']) else None}"
    return f"{group}.{rules['prefix'] if len(rules['specs']) == 1 else key}{place}"


def grow_lists(node: Node) -> None:
    """Add the sockets that follow the used ones, for every list of inputs that ``node`` has."""
    for socket in node.inputs:  # also over those that this loop adds
        _grow(node, socket)


def _grow(node: Node, socket: Socket) -> None:
    group, _, name = socket.name.rpartition(".")
    rules = node.lists.get(group)
    if rules is None:
        return
    if socket.widget and node.widget(socket.widget) is None:
        node.widgets.append(Widget(socket.name, "shim", None, stored=False, sent=False))
    if socket.link is not None and socket.link in node.graph.links:
        place = _place(rules, name)
        if place is not None:
            _add_list_entry(node, group, place + 1)


def _place(rules: dict, name: str) -> int | None:
    if rules["names"] is not None:
        return rules["names"].index(name) if name in rules["names"] else None
    digits = re.search(r"\d+$", name)
    return int(digits[0]) if digits else None


class _OptionIndex(Widget):
    """Custom Combo's hidden widget: the place of the choice among the options."""

    def __init__(self, node: Node):
        self._node = node
        super().__init__(name="index", kind="hidden", value=None)

    @property
    def value(self) -> int:
        options = [widget.value for widget in self._node.widgets[2:]]
        chosen = self._node.widgets[0].value
        return options.index(chosen) if chosen in options else -1

    @value.setter
    def value(self, _: Any) -> None:
        """It follows from the others."""


class _Option(Widget):
    """One of Custom Combo's options: a further one appears when the last is filled in."""

    def __init__(self, node: Node, number: int):
        self._node = node
        super().__init__(name=f"option{number}", kind="string", value="")

    def assign(self, value: Any) -> None:
        self.value = value
        rest = self._node.widgets
        if rest[-1] is self:
            if value:
                rest.append(_Option(self._node, len(rest) - 1))
        elif not value and rest[-2] is self and not rest[-1].value:
            rest.pop()
