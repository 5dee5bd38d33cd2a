"""How a workflow's inputs are named: one rule, whatever file format the workflow came in.

Every widget of every node has the address ``<node id>.<widget>``. Its name is

- the slug of the label that the author gave it, for widgets that a subgraph's node shows;
- the slug of the node's title, for widgets whose own name says nothing (``value``, ``text``, ``image``, ...);
- else the widget's own name, through ``ALIASES``.

Where two widgets would share a name, one named by its node's title keeps it; the others become
``<title slug>.<name>``, or stay with their address when that is shared too. A Load Image node whose mask output is
used also has an input ``mask``.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

ALIASES = {
    "cfg": "guidance",
    "noise_seed": "seed",
    "ckpt_name": "checkpoint",
    "unet_name": "diffusion_model",
    "vae_name": "vae",
    "clip_name": "clip",
    "lora_name": "lora",
    "control_net_name": "controlnet",
    "sampler_name": "sampler",
}
GENERIC = frozenset({"value", "text", "string", "image", "file", "audio", "video"})
MASK = "mask"

# Written into files beside the inputs, but no inputs: buttons of the editor, and the prefix that the runner sets.
_NOT_INPUTS = frozenset({"upload", "control_after_generate", "control_before_generate", "filename_prefix"})
_MASK_SLOT = 1


@dataclass(frozen=True)
class Node:
    """One node as both file formats can tell it."""

    id: str
    type: str
    title: str
    widgets: dict[str, Any]
    """Values of the inputs that no link feeds; ``None`` where the file does not tell."""
    links: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Input name -> (node id, output slot) it is linked to."""
    labels: dict[str, str] = field(default_factory=dict)
    """Widget -> what its author calls it, where that is told."""


def slug(title: str) -> str:
    """``Mask by Text`` -> ``mask_by_text``; letters of any script are kept."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", title)
    return re.sub(r"\W+", "_", spaced.lower()).strip("_")


def api_nodes(graph: dict[str, dict]) -> list[Node]:
    """The nodes of an API-format graph."""
    return [_api_node(node_id, node) for node_id, node in graph.items()]


def _api_node(node_id: str, node: dict) -> Node:
    inputs = node["inputs"]
    links = {name: (str(value[0]), value[1]) for name, value in inputs.items() if is_link(value)}
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return Node(
        id=node_id,
        type=node["class_type"],
        title=str(title or node["class_type"]),
        widgets={name: value for name, value in inputs.items() if name not in links},
        links=links,
    )


def is_link(value: Any) -> bool:
    """Whether an API-format input is a link ``[node id, output slot]`` rather than a value."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], (str, int)) and type(value[1]) is int


def name_inputs(nodes: Iterable[Node]) -> dict[str, tuple[Node, str]]:
    """Name -> (node, widget) for every input, in the order of the nodes."""
    nodes = list(nodes)
    used_masks = {source for node in nodes for source, slot in node.links.values() if slot == _MASK_SLOT}
    fields = [
        (node, widget)
        for node in nodes
        for widget in [*node.widgets, *([MASK] if node.type == "LoadImage" and node.id in used_masks else [])]
        if widget not in _NOT_INPUTS
    ]
    plain = Counter(_plain_name(*field) for field in fields)
    titled = Counter(_plain_name(*field) for field in fields if _is_given(*field))
    qualified = Counter(_qualified_name(*field) for field in fields)
    names = {}
    for node, widget in fields:
        name = _plain_name(node, widget)
        if plain[name] > 1 and not (_is_given(node, widget) and titled[name] == 1):
            name = _qualified_name(node, widget)
            if qualified[name] > 1:
                name = f"{node.id}.{widget}"
        names[name] = (node, widget)
    return names


def _is_given(node: Node, widget: str) -> bool:
    """Whether an author chose the name, by a title or a label."""
    return widget in GENERIC or widget in node.labels


def _plain_name(node: Node, widget: str) -> str:
    if label := slug(node.labels.get(widget, "")):
        return label
    if widget in GENERIC:
        return slug(node.title) or widget
    return ALIASES.get(widget, widget)


def _qualified_name(node: Node, widget: str) -> str:
    return f"{slug(node.title) or node.id}.{ALIASES.get(widget, widget)}"
