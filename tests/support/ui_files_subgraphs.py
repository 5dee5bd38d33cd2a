"""UI-format workflows with subgraphs; see ``ui_files``."""

from support.ui_builder import Graph

TEXT = "11111111-1111-4111-8111-111111111111"
OUTER = "22222222-2222-4222-8222-222222222222"
SAMPLE = "33333333-3333-4333-8333-333333333333"


def workflows() -> dict[str, dict]:
    """Name -> UI-format workflow."""
    return {name: make() for name, make in _MAKERS.items()}


def _text(first: int = 10) -> dict:
    """Joins two texts, repeatedly fed by its first input; the second input goes to a number too."""
    graph = Graph()
    graph.entry("text", "STRING", "Words")
    graph.entry("number", "INT")
    graph.entry("picture", "IMAGE")
    graph.node(first, "StringConcatenate", ["inner a", "inner b", "-"], {"string_a": (-10, 0), "string_b": (-10, 0)})
    graph.node(first + 1, "EmptyImage", [8, 9, 1, 0], {"width": (-10, 1)})
    graph.node(first + 2, "ImageBatch", [], {"image1": (first + 1, 0), "image2": (-10, 2)})
    graph.exit("joined", "STRING", (first, 0))
    graph.exit("image", "IMAGE", (first + 2, 0))
    return graph.definition(TEXT, "Join")


_TEXT_SOCKETS = {"text": "STRING", "number": "INT", "picture": "IMAGE"}
_TEXT_OUTPUTS = ["STRING", "IMAGE"]


def _join(graph: Graph, node_id: int, values, links=None, **options) -> None:
    widgets = ("text", "number")
    options = {"sockets": _TEXT_SOCKETS, "outputs": list(_TEXT_OUTPUTS), "widgets": widgets} | options
    graph.node(node_id, TEXT, values, links, **options)


def _previews(graph: Graph, source: int, first: int) -> None:
    graph.node(first, "PreviewAny", [], {"source": (source, 0)})
    graph.node(first + 1, "PreviewImage", [], {"images": (source, 1)})


def _instances() -> dict:
    """Two instances with values of their own, one with a link in place of a value, one without values."""
    graph = Graph()
    _join(graph, 1, ["one", 100])
    _join(graph, 2, ["two", 200], {"text": (1, 0), "picture": (1, 1)}, title="Second")
    _join(graph, 3, None)
    _join(graph, 4, ["only one value"])
    for place, source in enumerate((1, 2, 3, 4)):
        _previews(graph, source, 50 + 2 * place)
    return graph.ui(_text())


def _same_ids() -> dict:
    """Nodes inside that share ids with nodes outside get new ones."""
    graph = Graph()
    _join(graph, 10, ["one", 100])
    _previews(graph, 10, 11)
    return graph.ui(_text())


def _not_run() -> dict:
    """Instances that are muted or bypassed, at the top and inside another."""
    outer = Graph()
    outer.entry("text", "STRING")
    _join(outer, 30, ["muted inside", 1], {"text": (-10, 0)}, mode=2)
    _join(outer, 31, ["bypassed inside", 2], {"text": (-10, 0)}, mode=4)
    outer.node(32, "StringConcatenate", ["x", "y", ""], {"string_a": (30, 0), "string_b": (31, 0)})
    outer.exit("out", "STRING", (32, 0))
    graph = Graph()
    _join(graph, 1, ["muted", 1], mode=2)
    _join(graph, 2, ["bypassed", 2], {"text": (3, 0)}, mode=4)
    graph.node(3, "StringConcatenate", ["a", "b", ""], {"string_a": (1, 0)})
    _previews(graph, 1, 50)
    _previews(graph, 2, 52)
    graph.node(4, OUTER, ["given"], sockets={"text": "STRING"}, widgets=("text",), outputs=["STRING"])
    graph.node(54, "PreviewAny", [], {"source": (4, 0)})
    return graph.ui(_text(), outer.definition(OUTER, "Outer"))


def _nested() -> dict:
    """A subgraph in a subgraph, its inputs passed through; both ways of the values."""
    outer = Graph()
    outer.entry("words", "STRING", "Say")
    outer.entry("size", "INT")
    _join(outer, 20, ["middle", 5], {"text": (-10, 0), "number": (-10, 1)})
    _join(outer, 21, ["own", 6], {"picture": (20, 1)})
    outer.node(22, "StringConcatenate", ["p", "q", "r"], {"string_a": (20, 0), "string_b": (-10, 0)})
    outer.exit("text", "STRING", (22, 0))
    outer.exit("image", "IMAGE", (21, 1))
    graph = Graph()
    options = {
        "sockets": {"words": "STRING", "size": "INT"},
        "widgets": ("words", "size"),
        "outputs": list(_TEXT_OUTPUTS),
    }
    graph.node(1, OUTER, ["outer words", 77], **options)
    graph.node(2, OUTER, ["not used", 88], {"words": (1, 0)}, **options)
    _previews(graph, 1, 50)
    _previews(graph, 2, 52)
    return graph.ui(_text(), outer.definition(OUTER, "Outer"))


def _inside() -> dict:
    """Reroutes, primitives, muted and bypassed nodes inside a subgraph; a primitive that feeds an instance."""
    inner = Graph()
    inner.entry("image", "IMAGE")
    inner.entry("amount", "INT")
    inner.node(30, "Reroute", [], {"": (-10, 0)}, outputs=["IMAGE"], sockets={"": "*"})
    inner.node(31, "RepeatImageBatch", [2], {"image": (30, 0), "amount": (-10, 1)}, widgets=("amount",), mode=4)
    inner.node(32, "ImageScale", ["bilinear", 1, 2, "center"], {"image": (31, 0), "width": (33, 0)})
    inner.node(33, "PrimitiveNode", [640, "fixed"], outputs=["INT"])
    inner.node(34, "EmptyImage", [8, 8, 1, 0], mode=2)
    inner.node(35, "ImageBatch", [], {"image1": (32, 0), "image2": (34, 0)})
    inner.exit("image", "IMAGE", (35, 0))
    inner.exit("muted", "IMAGE", (34, 0))
    graph = Graph()
    graph.node(1, "EmptyImage", [3, 3, 1, 0])
    graph.node(2, "PrimitiveNode", [9, "fixed"], outputs=["INT"])
    sockets = {"image": "IMAGE", "amount": "INT"}
    links = {"image": (1, 0), "amount": (2, 0)}
    graph.node(3, SAMPLE, [4], links, sockets=sockets, widgets=("amount",), outputs=["IMAGE", "IMAGE"])
    graph.node(4, "PreviewImage", [], {"images": (3, 0)})
    graph.node(5, "ImageBatch", [], {"image1": (3, 1), "image2": (3, 0)})
    graph.node(6, "PreviewImage", [], {"images": (5, 0)})
    return graph.ui(inner.definition(SAMPLE, "Inside"))


def _listed_widgets() -> dict:
    """``proxyWidgets``, as editors of 2025 saved them: linked, not linked, by a primitive, and of a nested instance."""
    inner = Graph()
    inner.entry("text", "STRING")
    inner.node(40, "StringConcatenate", ["a", "b", "c"], {"string_a": (-10, 0)})
    inner.node(41, "EmptyImage", [8, 9, 1, 0])
    inner.node(42, "PrimitiveNode", [5, "fixed"], outputs=["INT"], title="Batch")
    inner.node(43, "RepeatImageBatch", [1], {"image": (41, 0), "amount": (42, 0)}, widgets=("amount",))
    inner.node(44, "KSampler", [1, "fixed", 2, 3, "euler", "normal", 1])
    inner.exit("text", "STRING", (40, 0))
    inner.exit("image", "IMAGE", (43, 0))
    outer = Graph()
    proxies = [["40", "delimiter"], ["41", "width"]]
    options = {"sockets": {"text": "STRING"}, "widgets": ("text",), "outputs": list(_TEXT_OUTPUTS)}
    outer.node(60, SAMPLE, ["+", 111], properties={"proxyWidgets": proxies}, **options)
    outer.exit("text", "STRING", (60, 0))
    outer.exit("image", "IMAGE", (60, 1))
    graph = Graph()
    proxies = [["-1", "text"], ["41", "width"], ["41", "height"], ["42", "value"], ["44", "seed"],
               ["44", "control_after_generate"], ["99", "gone"], ["44", "$$canvas-image-preview"]]  # fmt: skip
    values = ["proxied", 31, 32, 6, 12345, "randomize", "x"]
    graph.node(1, SAMPLE, values, properties={"proxyWidgets": proxies}, **options)
    graph.node(2, SAMPLE, ["positional"], **options)
    graph.node(3, SAMPLE, [None, 44], properties={"proxyWidgets": [["40", "delimiter"], ["41", "width"]]}, **options)
    proxies = [["60", "width"], ["60", "41: height", "41"], ["60", "delimiter"]]
    graph.node(4, OUTER, [501, 502, "nested"], properties={"proxyWidgets": proxies}, outputs=list(_TEXT_OUTPUTS))
    for place, source in enumerate((1, 2, 3, 4)):
        _previews(graph, source, 70 + 2 * place)
    return graph.ui(inner.definition(SAMPLE, "Inner"), outer.definition(OUTER, "Outer"))


def _quarantined() -> dict:
    """A value that an editor set aside."""
    graph = Graph()
    entry = {
        "originalEntry": ["-1", "text"],
        "reason": "missingSourceNode",
        "hostValue": "aside",
        "attemptedAtVersion": 1,
    }
    _join(graph, 1, ["one", 100], properties={"proxyWidgetErrorQuarantine": [entry]})
    _previews(graph, 1, 50)
    return graph.ui(_text())


def _unused_output() -> dict:
    """An output of a subgraph that nothing inside feeds."""
    inner = Graph()
    inner.node(30, "EmptyImage", [8, 8, 1, 0])
    inner.outputs.append({"id": "out-none", "name": "none", "type": "IMAGE", "linkIds": []})
    graph = Graph()
    graph.node(1, SAMPLE, None, outputs=["IMAGE"])
    graph.node(2, "PreviewImage", [], {"images": (1, 0)})
    return graph.ui(inner.definition(SAMPLE, "Empty"))


_MAKERS = {
    "instances": _instances,
    "same ids": _same_ids,
    "not run": _not_run,
    "nested": _nested,
    "inside": _inside,
    "listed widgets": _listed_widgets,
    "quarantined": _quarantined,
    "unused output": _unused_output,
}
