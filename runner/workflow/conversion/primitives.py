"""Primitive nodes: they put their value into the widgets they are linked to, then vanish."""

import math
from collections.abc import Callable
from typing import Any

from .model import Instance, Link, Node, Socket, Widget

_REPLACES = "Run widget replace on values"


def apply(node: Node, fill_in: Callable[[str], str]) -> None:
    """Set the widgets that the primitive ``node`` feeds. ``fill_in`` resolves ``%...%`` where the node asks for it."""
    links = node.outputs[0].links if node.outputs else []
    ends = [end for link_id in links if (end := _end(node, node.graph.links.get(link_id)))]
    first = _end(node, node.graph.links.get(links[0])) if links else None
    widget = first[0].widget_of(first[1]) if first else None
    if widget is None:
        return
    value = node.saved_values[0] if node.saved_values else widget.value
    value = _within(value, widget, [target.widget_of(socket) for target, socket in ends])
    if value and isinstance(value, str) and node.properties.get(_REPLACES):
        value = fill_in(value)
    for target, socket in ends:
        fed = target.widget_of(socket)
        if fed is not None:
            fed.assign(value if isinstance(target, Instance) else rounded(fed, value))


def _end(node: Node, link: Link | None) -> tuple[Node, Socket] | None:
    target = node.graph.by_id.get(link.target) if link else None
    if target is None:
        return None
    fed = next((socket for socket in target.inputs if socket.link == link.id), None)
    if fed is None and link.target_slot < len(target.inputs):
        fed = target.inputs[link.target_slot]
    return (target, fed) if fed else None


def _within(value: Any, widget: Widget, fed: list[Widget | None]) -> Any:
    """A number within the range that the widgets fed have in common, as far as they are alike."""
    if not _is_number(value) or "low" not in widget.options:
        return value
    for other in fed:
        if other is not None and other.name == widget.name and other.kind == widget.kind:
            value = max(value, other.options["low"])
            value = min(value, other.options["high"])
    return rounded(widget, value)


def rounded(widget: Widget, value: Any) -> Any:
    """``value`` as a number widget takes it when it is set: whole steps for integers, the widget's digits else."""
    if not _is_number(value) or "low" not in widget.options:
        return value
    if "precision" not in widget.options:
        step = widget.options["step"] or 1
        offset = 0 if step == 1 else math.fmod(widget.options["low"], step)
        return _whole((value - offset) / step) * step + offset if step != 1 else _whole(value)
    unit = widget.options["round"]
    if not unit:
        return value
    digits = widget.options["precision"]
    near = round(_whole(value / unit) * unit, digits)
    return min(max(near, widget.options["low"]), widget.options["high"])


def _whole(value: float) -> int:
    return value if isinstance(value, int) else math.floor(value + 0.5)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
