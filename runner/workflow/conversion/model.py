"""The editor's graph while it is converted: nodes with sockets and widgets, links, and subgraph definitions.

ComfyUI's editor converts the graph that it holds in memory, not the file: it builds every node from the server's
definitions and then lays the file over it. So does this package. Ids of nodes are strings, as in the API format.
"""

from dataclasses import dataclass, field
from typing import Any

ALWAYS, MUTED, BYPASSED = 0, 2, 4
BOUNDARY_IN, BOUNDARY_OUT = "-10", "-20"
"""Ids of a subgraph's own input and output panels in its links."""

UNSET = object()
"""The value of a widget that has none: JavaScript's ``undefined``, which JSON leaves out."""


@dataclass
class Link:
    """An edge of one graph, from an output slot to an input slot."""

    id: Any
    source: str
    source_slot: int
    target: str
    target_slot: int


@dataclass
class Socket:
    """An input of a node: ``link`` is the id of the link that feeds it, ``widget`` the name of the widget it feeds."""

    name: str
    type: Any
    link: Any = None
    widget: str | None = None
    label: str = ""


@dataclass
class Output:
    """An output of a node."""

    type: Any
    links: list = field(default_factory=list)


class Widget:
    """A widget of a node.

    ``stored``: has a place in ``widgets_values``. ``sent``: is part of the prompt. ``wildcards``: ``{a|b}`` in its
    text is resolved when it is sent.
    """

    def __init__(self, name: str, kind: str, value: Any, *, stored: bool = True, sent: bool = True, **options: Any):
        self.name = name
        self.kind = kind
        self.value = value
        self.stored = stored
        self.sent = sent
        self.wildcards = False
        self.options = options

    def assign(self, value: Any) -> None:
        """Give it the value that a file holds for it."""
        self.value = value


class FixedWidget(Widget):
    """A widget whose value only a browser can change, such as a 3D view: what a file holds for it is not read."""

    def assign(self, value: Any) -> None:
        pass


@dataclass
class Node:
    """One node; ``known`` tells whether the server, or the editor itself, has its class."""

    id: str
    type: str
    title: str
    graph: "Graph"
    mode: int = ALWAYS
    inputs: list[Socket] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    widgets: list[Widget] = field(default_factory=list)
    properties: dict = field(default_factory=dict)
    saved_values: list = field(default_factory=list)
    lists: dict[str, dict] = field(default_factory=dict)
    """Rules of its growing lists of inputs."""
    match_types: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Input name -> (group, types allowed) of inputs that take one common type."""
    known: bool = True
    virtual: bool = False

    def widget(self, name: str | None) -> Widget | None:
        """The widget called ``name``."""
        return next((widget for widget in self.widgets if widget.name == name), None)

    def widget_of(self, socket: Socket) -> Widget | None:
        """The widget that ``socket`` feeds."""
        return self.widget(socket.widget) if socket.widget else None

    def socket_of(self, widget: Widget) -> Socket | None:
        """The input that feeds ``widget``."""
        return next((socket for socket in self.inputs if socket.widget == widget.name), None)

    @property
    def runs(self) -> bool:
        return self.mode not in (MUTED, BYPASSED)


@dataclass
class Boundary:
    """An input or output of a subgraph definition: the links inside that start or end there, in their order."""

    name: str
    type: Any
    links: list = field(default_factory=list)
    label: str = ""
    widget: Widget | None = None
    """The first widget that was connected to an input; further ones have to be like it."""


@dataclass
class Graph:
    """The top level of a workflow, or a subgraph definition."""

    nodes: list[Node] = field(default_factory=list)
    links: dict[Any, Link] = field(default_factory=dict)
    by_id: dict[str, Node] = field(default_factory=dict)
    id: str = ""
    name: str = ""
    inputs: list[Boundary] = field(default_factory=list)
    outputs: list[Boundary] = field(default_factory=list)
    instances: list["Instance"] = field(default_factory=list)
    last_link: int = 0

    def add(self, node: Node) -> None:
        self.nodes.append(node)
        self.by_id[node.id] = node

    def new_link(self, source: str, source_slot: int, target: Node, socket: Socket) -> Link:
        """Connect an output to ``socket`` of ``target``."""
        self.last_link += 1
        link = Link(f"new {self.last_link}", source, source_slot, target.id, target.inputs.index(socket))
        self.links[link.id] = link
        socket.link = link.id
        return link

    def cut(self, socket: Socket) -> None:
        """Disconnect an input."""
        link = self.links.pop(socket.link, None)
        socket.link = None
        if link is None:
            return
        for end in (*self.inputs, *(output for node in self.nodes for output in node.outputs)):
            if link.id in end.links:
                end.links.remove(link.id)


@dataclass
class Instance(Node):
    """A subgraph used as a node. ``hosts`` are the widgets it shows in place of those inside, by input name."""

    definition: Graph = field(default_factory=Graph)
    hosts: dict[str, Widget] = field(default_factory=dict)

    def host(self, socket: Socket) -> Widget | None:
        """The widget shown for ``socket``, with the value of this instance."""
        return self.hosts.get(socket.name)

    def widget_of(self, socket: Socket) -> Widget | None:
        return self.host(socket)
