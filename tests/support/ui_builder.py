"""Writes UI-format workflows: nodes with links, as the editor saves them."""

from typing import Any

# Inputs that stand before the sockets of these classes in the file because they are widgets; the editor asks the
# server, the tests say it here.
_WIDGETS = {
    "KSampler": ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "StringConcatenate": ("string_a", "string_b", "delimiter"),
    "CLIPTextEncode": ("text",),
    "EmptyImage": ("width", "height", "batch_size", "color"),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "ImageBlend": ("blend_factor", "blend_mode"),
    "ImageScale": ("upscale_method", "width", "height", "crop"),
    "FluxGuidance": ("guidance",),
    "ResizeImageMaskNode": ("resize_type.width", "resize_type.height"),
    "ComfySwitchNode": ("switch",),
    "SaveImage": ("filename_prefix",),
    "PrimitiveInt": ("value",),
}


class Graph:
    """A graph under construction: the top level of a workflow, or a subgraph definition."""

    def __init__(self):
        self.nodes: list[dict] = []
        self.links: list[list] = []
        self.inputs: list[dict] = []
        self.outputs: list[dict] = []

    def node(
        self,
        node_id: int,
        kind: str,
        values: Any = None,
        links: dict[str, tuple[int, int]] | None = None,
        *,
        outputs: list[str] | None = None,
        sockets: dict[str, str] | None = None,
        widgets: tuple[str, ...] = (),
        mode: int = 0,
        title: str = "",
        properties: dict | None = None,
    ) -> None:
        """Add a node; ``links`` feed its inputs from (node id, slot), ``(-10, n)`` being input n of the subgraph."""
        node: dict[str, Any] = {"id": node_id, "type": kind, "mode": mode, "properties": properties or {}}
        node |= {"pos": [0, 0], "size": [200, 100], "flags": {}, "order": len(self.nodes)}
        if title:
            node["title"] = title
        if values is not None:
            node["widgets_values"] = values
        node["inputs"] = []
        for name in dict.fromkeys([*(sockets or {}), *(links or {})]):
            entry: dict[str, Any] = {"name": name, "type": (sockets or {}).get(name, "*"), "link": None}
            if name in _WIDGETS.get(kind, ()) or name in widgets:
                entry["widget"] = {"name": name}
            node["inputs"].append(entry)
            if name in (links or {}):
                entry["link"] = self._link(*links[name], node_id, len(node["inputs"]) - 1, entry["type"])
        node["outputs"] = [{"name": kind, "type": kind, "links": []} for kind in outputs or []]
        self.nodes.append(node)

    def _link(self, source: int, slot: int, target: int, target_slot: int, kind: str) -> int:
        self.links.append([len(self.links) + 1, source, slot, target, target_slot, kind])
        return len(self.links)

    def entry(self, name: str, kind: str = "*", label: str = "") -> None:
        """Add an input of the subgraph."""
        self.inputs.append({"id": f"in-{name}", "name": name, "type": kind, "linkIds": []})
        if label:
            self.inputs[-1]["label"] = label

    def exit(self, name: str, kind: str, source: tuple[int, int]) -> None:
        """Add an output of the subgraph, fed by (node id, slot)."""
        link = self._link(*source, -20, len(self.outputs), kind)
        self.outputs.append({"id": f"out-{name}", "name": name, "type": kind, "linkIds": [link]})

    def _finish(self) -> None:
        by_id = {node["id"]: node for node in self.nodes}
        for link, source, slot, *_ in self.links:
            if source == -10:
                if link not in self.inputs[slot]["linkIds"]:
                    self.inputs[slot]["linkIds"].append(link)
            elif source in by_id:
                outputs = by_id[source]["outputs"]
                while len(outputs) <= slot:
                    outputs.append({"name": "*", "type": "*", "links": []})
                if link not in outputs[slot]["links"]:
                    outputs[slot]["links"].append(link)

    def _object_links(self) -> list[dict]:
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        return [dict(zip(keys, link, strict=True)) for link in self.links]

    def ui(self, *subgraphs: dict, version: float = 0.4) -> dict:
        """The file, with the definitions of its subgraphs."""
        self._finish()
        last = max([node["id"] for node in self.nodes] + [0])
        ui: dict[str, Any] = {"id": "00000000-0000-0000-0000-00000000abcd", "revision": 0, "version": version}
        ui |= {"nodes": self.nodes, "groups": [], "config": {}, "extra": {}}
        if version == 1:
            state = {"lastNodeId": last, "lastLinkId": len(self.links), "lastGroupId": 0, "lastRerouteId": 0}
            ui |= {"state": state, "links": self._object_links()}
        else:
            ui |= {"last_node_id": last, "last_link_id": len(self.links), "links": self.links}
        if subgraphs:
            ui["definitions"] = {"subgraphs": list(subgraphs)}
        return ui

    def definition(self, key: str, name: str) -> dict:
        """The graph as a subgraph definition."""
        self._finish()
        panel = {"bounding": [0, 0, 100, 100]}
        return {
            "id": key, "name": name, "version": 1, "revision": 0, "config": {}, "groups": [], "widgets": [],
            "state": {"lastNodeId": 0, "lastLinkId": 0, "lastGroupId": 0, "lastRerouteId": 0},
            "inputNode": {"id": -10} | panel, "outputNode": {"id": -20} | panel,
            "inputs": self.inputs, "outputs": self.outputs, "nodes": self.nodes, "links": self._object_links(),
            "extra": {},
        }  # fmt: skip
