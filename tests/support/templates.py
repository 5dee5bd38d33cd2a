"""ComfyUI's own templates, and a running editor as the reference for their conversion."""

import importlib.util
import json
from pathlib import Path

from imageine.runner.workflow.conversion import FRONTEND_NODES, dynamic
from imageine.runner.workflow.conversion.model import UNSET, Graph, Node
from support.editor import Editor

# Two frames later the editor has settled the types of slots and the reroutes.
_PROMPT = """async ui => {
    await window.app.loadGraphData(ui, true, false);
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    return (await window.app.graphToPrompt()).output;
}"""

_FRESH = """async names => {
    await window.app.loadGraphData({nodes: [], links: [], version: 0.4, last_node_id: 0, last_link_id: 0});
    return Object.fromEntries(names.map(name => {
        const node = window.LiteGraph.createNode(name);
        window.app.graph.add(node);
        const made = {
            widgets: (node.widgets ?? []).map(w => ({
                name: w.name, value: w.value, stored: w.serialize !== false, sent: w.options?.serialize !== false})),
            sockets: (node.inputs ?? []).map(i => [i.name, i.type, i.widget?.name ?? null]),
        };
        window.app.graph.remove(node);
        return [name, made];
    }));
}"""

_TITLES = (
    """names => Object.fromEntries(names.map(name => [name, window.LiteGraph.registered_node_types[name]?.title]))"""
)

# What it sends, a camera's picture, is there only once there is one.
_WITHOUT_VALUE = frozenset({"waiting for camera..."})


def folder() -> Path | None:
    """Where the package comfyui-workflow-templates-json has its files, or ``None`` without it."""
    spec = importlib.util.find_spec("comfyui_workflow_templates_json")
    return Path(next(iter(spec.submodule_search_locations))) / "templates" if spec else None


def every() -> list[Path]:
    """All templates in UI format."""
    return [path for path in sorted(folder().glob("*.json")) if '"nodes"' in path.read_text(encoding="utf-8")]


def nodes(ui: dict) -> list[dict]:
    """The nodes of a workflow and of its subgraph definitions."""
    graphs = [ui, *((ui.get("definitions") or {}).get("subgraphs") or [])]
    return [node for graph in graphs for node in graph["nodes"]]


def covered(object_info: dict) -> list[Path]:
    """The templates that use the classes of ``object_info`` alone."""
    found = []
    for path in every():
        ui = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(ui, dict) or "nodes" not in ui:
            continue
        known = {subgraph["id"] for subgraph in (ui.get("definitions") or {}).get("subgraphs") or []}
        if all(node["type"] in object_info or node["type"] in known | FRONTEND_NODES for node in nodes(ui)):
            found.append(path)
    return found


def fresh_node(name: str, info: dict) -> tuple[list, list]:
    """(widgets, sockets) of a new node in the form of ``Reference.fresh_nodes``."""
    node = Node("1", name, name, Graph())
    dynamic.lay_out(node, info)
    widgets = [_widget(w.name, None if w.value is UNSET else w.value, w.stored, w.sent) for w in node.widgets]
    return [widget for widget in widgets if widget], [[s.name, s.type, s.widget] for s in node.inputs]


def _widget(name: str, value, stored: bool, sent: bool) -> list | None:
    """What of a widget matters: nothing when it is neither stored nor sent, its place when it is not sent."""
    if not sent:
        return ["stored"] if stored else None
    return [name, None if name in _WITHOUT_VALUE else value, stored]


class Reference:
    """The conversion of an open editor. ``object_info`` has the titles that the editor, translated, shows."""

    def __init__(self, editor: Editor, object_info: dict):
        self.editor = editor
        titles = editor.page.evaluate(_TITLES, list(object_info))
        self.object_info = {
            name: info | {"display_name": titles.get(name) or name} for name, info in object_info.items()
        }
        self.prompt({"nodes": [], "links": [], "version": 0.4})  # the first graph opens while the page still loads

    @property
    def frontend(self) -> str:
        """Version of the editor."""
        return self.editor.page.evaluate("() => window.__COMFYUI_FRONTEND_VERSION__")

    def prompt(self, ui: dict) -> dict:
        """The API-format graph that the editor makes of ``ui``."""
        return self.editor.page.evaluate(_PROMPT, ui)

    def prompt_or_error(self, ui: dict) -> dict:
        """The same, or ``{"error": its name}`` where it makes none."""
        script = f"async ui => {{ try {{ return await ({_PROMPT})(ui) }} catch (e) {{ return {{error: e.name}} }} }}"
        return self.editor.page.evaluate(script, ui)

    def fresh_nodes(self) -> dict[str, tuple[list, list]]:
        """Class -> (widgets, sockets) of a new node."""
        made = self.editor.page.evaluate(_FRESH, list(self.object_info))
        result = {}
        for name, node in made.items():
            widgets = [_widget(w["name"], w.get("value"), w["stored"], w["sent"]) for w in node["widgets"]]
            result[name] = ([widget for widget in widgets if widget], node["sockets"])
        return result
