"""Run an API-format graph: every node at most once, and only those whose values are used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Lazy = Callable[[dict[str, Any]], list[str]]


@dataclass(frozen=True)
class NodeKind:
    """What a node class does.

    ``run`` takes the studio and the inputs by name and returns a tuple, one value per output socket. ``lazy`` names
    the inputs that are computed only when ``wanted``, given those known so far, asks for them; until then, and for
    good where it never does, one that is linked is None, as in ComfyUI.
    """

    run: Callable[..., tuple]
    lazy: frozenset[str] = frozenset()
    wanted: Lazy = lambda known: []
    is_output: bool = False


class Run:
    """One run of ``graph`` with ``kinds`` of nodes; ``around(node_id)`` is a context manager around every node."""

    def __init__(self, graph: Mapping[str, dict], kinds: Mapping[str, NodeKind], studio: Any, around: Callable):
        self._graph = graph
        self._kinds = kinds
        self._studio = studio
        self._around = around
        self._values: dict[str, tuple] = {}

    def finish(self) -> None:
        """Compute every node that saves something."""
        for node_id, node in self._graph.items():
            if self._kinds[node["class_type"]].is_output:
                self._compute(node_id)

    def _compute(self, node_id: str) -> tuple:
        if node_id not in self._values:
            node = self._graph[node_id]
            kind = self._kinds[node["class_type"]]
            known = self._inputs(node["inputs"], kind)
            with self._around(node_id):
                self._values[node_id] = kind.run(self._studio, **known)
        return self._values[node_id]

    def _inputs(self, inputs: dict[str, Any], kind: NodeKind) -> dict[str, Any]:
        links = {name: value for name, value in inputs.items() if _is_link(value)}
        known = {name: value for name, value in inputs.items() if name not in links}
        waiting = {name for name in links if name in kind.lazy}
        known |= {name: None if name in waiting else self._linked(link) for name, link in links.items()}
        while asked := waiting.intersection(kind.wanted(known)):
            known |= {name: self._linked(links[name]) for name in sorted(asked)}
            waiting -= asked
        return known

    def _linked(self, link: list) -> Any:
        return self._compute(str(link[0]))[link[1]]


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[1], int)
