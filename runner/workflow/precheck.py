"""Would a server run this graph? Every reason against it at once, from the server's own ``/object_info``.

The rules are those of ComfyUI's ``validate_prompt``, which stops at the first unknown node class, skips a broken
output in silence when another one is fine, and reports a missing model as one value among many.
"""

import difflib
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import WorkflowError
from . import node_specs, ui_format
from .naming import is_link
from .node_specs import InputSpec, model_folder

IMAGE_LOADERS = frozenset({"LoadImage", "LoadImageMask"})
_REPOSITORY = "https://github.com/imageine/imageine"


@dataclass(frozen=True)
class Problem:
    """One reason why the server cannot run the graph.

    ``kind``: ``missing_node``, ``missing_model``, ``missing_image``, ``bad_link``, ``missing_input``, ``bad_value``,
    ``cycle`` or ``no_output``.
    """

    kind: str
    message: str
    hint: str = ""
    node_id: str = ""
    class_type: str = ""
    input: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


_WORST_FIRST = (
    "missing_node",
    "missing_model",
    "missing_image",
    "no_output",
    "cycle",
    "bad_link",
    "missing_input",
    "bad_value",
)


def check(
    graph: dict[str, dict], object_info: dict, *, uploads: Collection[str] = (), ui: dict | None = None
) -> list[Problem]:
    """All problems of an API-format ``graph`` on the server described by ``object_info``, worst first.

    ``uploads`` are the addresses (``<node id>.<input>``) of pictures that are still to be uploaded; ``ui`` is the
    UI-format workflow, which may tell what pack a missing node comes from. Nodes that feed no output are not run by
    the server, so of those only the class has to exist; unless a missing node or link leaves open what they feed.
    """
    missing = [node_id for node_id, node in graph.items() if node["class_type"] not in object_info]
    problems = [missing_node(node_id, graph[node_id]["class_type"], object_info, ui) for node_id in missing]
    outputs = [node_id for node_id in graph if object_info.get(graph[node_id]["class_type"], {}).get("output_node")]
    if not outputs and not missing:
        problems.append(Problem("no_output", "No node of the workflow saves or shows anything.", "Add a Save Image."))
    reached, cycle = _reach(graph, outputs)
    if cycle:
        problems.append(Problem("cycle", f"The links run in a circle: {' -> '.join(cycle)}."))
    faults = {
        node_id: _Checker(graph, object_info, node_id, uploads).problems()
        for node_id in graph
        if node_id not in missing
    }
    is_whole = not missing and all(
        fault.kind not in ("bad_link", "missing_input") for node_id in reached for fault in faults[node_id]
    )
    for node_id in reached if is_whole else faults:
        problems += faults[node_id]
    return sorted(problems, key=lambda problem: _WORST_FIRST.index(problem.kind))


def require_fit(problems: list[Problem], workflow: str) -> None:
    """Raise ``WorkflowError`` ``workflow_unfit`` listing every problem, if there is any."""
    if not problems:
        return
    lines = "".join(f"\n  - {problem.message}" for problem in problems)
    hints = list(dict.fromkeys(problem.hint for problem in problems if problem.hint))
    raise WorkflowError(
        "workflow_unfit",
        f"The server cannot run '{workflow}':{lines}",
        "\n".join(hints),
        {"problems": [problem.as_dict() for problem in problems]},
    )


def models(graph: dict[str, dict]) -> list[str]:
    """The model files that ``graph`` names, as ``<ComfyUI folder>/<name>``, in the order of its nodes."""
    found = {
        f"{folder}/{value}": None
        for node in graph.values()
        for name, value in node["inputs"].items()
        if isinstance(value, str) and (folder := model_folder(node["class_type"], name))
    }
    return list(found)


def _reach(graph: dict[str, dict], outputs: list[str]) -> tuple[list[str], list[str]]:
    """(nodes that feed an output, in graph order; the first circle of links met, or an empty list)."""
    done: set[str] = set()
    cycle: list[str] = []
    for output in outputs:
        path: list[str] = []
        stack = [(output, iter(_sources(graph, output)))] if output not in done else []
        while stack:
            node_id, sources = stack[-1]
            path[len(stack) - 1 :] = [node_id]
            source = next(sources, None)
            if source is None:
                done.add(node_id)
                stack.pop()
            elif source in path[: len(stack)]:
                cycle = cycle or [*path[path.index(source) : len(stack)], source]
            elif source not in done:
                stack.append((source, iter(_sources(graph, source))))
    return [node_id for node_id in graph if node_id in done], cycle


def _sources(graph: dict[str, dict], node_id: str) -> list[str]:
    links = (value for value in graph[node_id]["inputs"].values() if is_link(value))
    return [str(link[0]) for link in links if str(link[0]) in graph]


def missing_node(node_id: str, kind: str, object_info: dict, ui: dict | None) -> Problem:
    """The problem that the server has no node class ``kind``."""
    pack = ui_format.pack_of(ui, node_id)
    close = difflib.get_close_matches(kind, object_info, n=1, cutoff=0.8)
    if kind.startswith("Imageine"):
        message = f"Node {node_id}: the server lacks the Imageine node '{kind}'."
        hint = (
            f"Clone {_REPOSITORY} into the server's custom_nodes folder and restart it. If it is there, the server's "
            f"log says why it was not loaded."
        )
    elif pack == "comfy-core":
        message = f"Node {node_id}: this ComfyUI is too old for its own node '{kind}'."
        hint = "Update ComfyUI."
    else:
        source = f" of the pack '{pack}'" if pack else ""
        message = f"Node {node_id}: the server has no node class '{kind}'{source}."
        hint = "In the server's editor, ComfyUI-Manager > Install Missing Custom Nodes installs node packs."
        if close:
            hint = f"It does have '{close[0]}'. {hint}"
    return Problem("missing_node", message, hint, node_id, kind)


class _Checker:
    """The checks of one node."""

    def __init__(self, graph: dict[str, dict], object_info: dict, node_id: str, uploads: Collection[str]):
        self._graph = graph
        self._info = object_info
        self._id = node_id
        self._uploads = uploads
        self._node = graph[node_id]
        self._specs = node_specs.inputs(object_info[self._node["class_type"]], self._node["inputs"])
        title = self._node.get("_meta", {}).get("title")
        kind = self._node["class_type"]
        self._where = f"Node {node_id} ({title})" if title in (None, kind) else f"Node {node_id} '{title}' ({kind})"

    def problems(self) -> list[Problem]:
        found = []
        for name, spec in self._specs.items():
            if name not in self._node["inputs"]:
                if spec.required:
                    found.append(self._problem("missing_input", name, f"its input '{name}' is not connected or set."))
            elif isinstance(value := self._node["inputs"][name], list):
                found.append(self._link(name, spec, value))
            elif f"{self._id}.{name}" not in self._uploads:
                found.append(self._value(name, spec, value))
        return [problem for problem in found if problem]

    def _problem(self, kind: str, name: str, message: str, hint: str = "") -> Problem:
        return Problem(kind, f"{self._where}: {message}", hint, self._id, self._node["class_type"], name)

    def _link(self, name: str, spec: InputSpec, link: list) -> Problem | None:
        if not is_link(link):
            text = f"'{name}' is {link!r}, which is no link [node id, output slot]."
            return self._problem("bad_link", name, text)
        source, slot = str(link[0]), link[1]
        if source not in self._graph:
            return self._problem("bad_link", name, f"'{name}' is linked to node {source}, which does not exist.")
        source_class = self._graph[source]["class_type"]
        if source_class not in self._info:
            return None  # reported as a missing node
        types = self._info[source_class].get("output", [])
        if not 0 <= slot < len(types):
            text = f"'{name}' is linked to output {slot} of node {source}, which has {len(types)}."
            return self._problem("bad_link", name, text)
        if not node_specs.types_meet(types[slot], spec.type):
            text = f"'{name}' takes {spec.type}, and output {slot} of node {source} ({source_class}) is {types[slot]}."
            return self._problem("bad_link", name, text)
        return None

    def _value(self, name: str, spec: InputSpec, value: Any) -> Problem | None:
        if spec.is_upload:
            return self._picture(name, spec, value)
        if why := node_specs.misfit(spec, value):
            folder = model_folder(self._node["class_type"], name)
            if folder and isinstance(value, str) and spec.choices is not None:
                return self._missing_model(name, spec, value, folder)
            return self._problem("bad_value", name, f"'{name}' is {value!r}; {why}")
        return None

    def _picture(self, name: str, spec: InputSpec, value: Any) -> Problem | None:
        # The list holds the top level of the input folder; the server also takes "folder/x.png" and "x.png [output]".
        listed = spec.choices is None or value in spec.choices
        if listed or (isinstance(value, str) and ("/" in value or "[" in value)):
            return None
        hint = "Give your own with --image NAME=PATH; `imageine inputs WORKFLOW` lists the names."
        return self._problem("missing_image", name, f"the server's input folder has no {value!r}.", hint)

    def _missing_model(self, name: str, spec: InputSpec, value: str, folder: str) -> Problem:
        close = difflib.get_close_matches(value, [str(choice) for choice in spec.choices], n=1, cutoff=0.6)
        pull = node_specs.pull_command(f"{folder}/{value}")
        hint = f"Put '{value}' into models/{folder} of the server."
        if pull:
            hint = f"`{pull}` puts what is missing into the server's models folder."
        if close:
            hint += f" To use one that is there: --set {self._id}.{name}={close[0]!r}."
        return self._problem("missing_model", name, f"no model '{value}' in models/{folder}.", hint)
