"""UI-format workflows for the tests of the conversion: one per feature of the editor's files, built in few lines.

``workflows()`` gives them by name. What the real editor makes of each is in tests/data/conversion.json.gz, which
``IMAGEINE_UPDATE=1 pytest tests/browser/test_conversion.py -k golden`` writes.
"""

import gzip
import json
import random
from pathlib import Path

from support import ui_files_subgraphs
from support.ui_builder import Graph

DATA = Path(__file__).parent.parent / "data" / "conversion.json.gz"


def recorded() -> dict:
    """What the editor made of ``workflows()``: ``frontend``, ``object_info`` and ``prompts``."""
    return json.loads(gzip.decompress(DATA.read_bytes()))


def record(frontend: str, object_info: dict, prompts: dict) -> None:
    """Write what ``recorded`` reads, always the same bytes for the same content."""
    # The order of keys is that of inputs and widgets.
    text = json.dumps({"frontend": frontend, "object_info": object_info, "prompts": prompts}, ensure_ascii=False)
    DATA.write_bytes(gzip.compress(text.encode(), mtime=0))


def workflows() -> dict[str, dict]:
    """Name -> UI-format workflow."""
    own = {name: make() for name, make in _MAKERS.items()}
    return {**own, **ui_files_subgraphs.workflows(), **_faulty(own["plain"])}


def _faulty(ui: dict) -> dict[str, dict]:
    """Workflows that the editor refuses to convert."""
    circle = Graph()
    circle.node(1, "Reroute", [], {"": (2, 0)}, outputs=["IMAGE"], sockets={"": "*"})
    circle.node(2, "ImageInvert", [], {"image": (1, 0)}, mode=4)
    circle.node(3, "PreviewImage", [], {"images": (2, 0)})
    return {
        "missing link": ui | {"links": [link for link in ui["links"] if link[3] != 6]},
        "missing source": ui | {"nodes": [node for node in ui["nodes"] if node["id"] != 5]},
        "circle": circle.ui(),
    }


def _pipeline(graph: Graph, **nodes) -> Graph:
    """Checkpoint, two texts, latent, sampler, decode, save: ids 1 to 7."""
    graph.node(1, "CheckpointLoaderSimple", ["a.safetensors"])
    graph.node(2, "CLIPTextEncode", ["a red door"], {"clip": (1, 1)}, title="Positive")
    graph.node(3, "CLIPTextEncode", [""], {"clip": (1, 1)}, title="Negative")
    graph.node(4, "EmptyLatentImage", [512, 640, 2])
    sampler = [7, "randomize", 11, 6.5, "euler", "karras", 0.9]
    links = {"model": (1, 0), "positive": (2, 0), "negative": (3, 0), "latent_image": (4, 0)}
    graph.node(5, "KSampler", sampler, links | nodes.get("sampler", {}))
    graph.node(6, "VAEDecode", [], {"samples": (5, 0), "vae": (1, 2)})
    graph.node(7, "SaveImage", ["door"], {"images": (6, 0)}, title="Result")
    return graph


def _plain() -> dict:
    graph = _pipeline(Graph())
    graph.node(8, "Note", ["remember"])
    graph.node(9, "MarkdownNote", ["# remember"])
    graph.node(10, "LoadImage", ["example.png", "image"])
    graph.node(11, "LoadAudio", ["voice.wav", "", ""])
    graph.node(12, "PreviewImage", [], {"images": (10, 0)})
    return graph.ui()


def _object_links() -> dict:
    """The newer schema: version 1, links as objects."""
    return _pipeline(Graph()).ui(version=1)


def _odd_values() -> dict:
    """Too few values, too many, null where there are choices, an old sampler's name, a flag for the seed's control."""
    graph = Graph()
    graph.node(1, "CheckpointLoaderSimple", [None])
    graph.node(2, "EmptyLatentImage", [256])
    graph.node(3, "CLIPTextEncode", ["x", "left over"], {"clip": (1, 1)})
    links = {"model": (1, 0), "positive": (3, 0), "negative": (3, 0), "latent_image": (2, 0)}
    graph.node(4, "KSampler", [5, True, 3, 2, "sample_euler", None, 1], links)
    graph.node(5, "KSampler", None, links)
    graph.node(6, "SaveText", ["old dummy", "prefix", "md"], {"text": (9, 0)})
    graph.node(9, "StringConcatenate", ["a", "b", "-"])
    return graph.ui()


def _muted_and_bypassed() -> dict:
    graph = Graph()
    graph.node(1, "CheckpointLoaderSimple", ["a.safetensors"])
    graph.node(2, "LoraLoader", ["b.safetensors", 1, 1], {"model": (1, 0), "clip": (1, 1)}, mode=4)
    graph.node(3, "CLIPTextEncode", ["x"], {"clip": (2, 1)})
    graph.node(4, "CLIPTextEncode", ["muted"], {"clip": (2, 1)}, mode=2)
    graph.node(5, "ConditioningCombine", [], {"conditioning_1": (3, 0), "conditioning_2": (4, 0)})
    graph.node(6, "ConditioningCombine", [], {"conditioning_1": (4, 0), "conditioning_2": (3, 0)}, mode=4)
    graph.node(7, "EmptyLatentImage", [64, 64, 1])
    links = {"model": (2, 0), "positive": (6, 0), "negative": (5, 0), "latent_image": (7, 0)}
    graph.node(8, "KSampler", [1, "fixed", 1, 1, "euler", "normal", 1], links)
    graph.node(9, "VAEDecode", [], {"samples": (8, 0), "vae": (1, 2)}, mode=4)
    graph.node(10, "PreviewImage", [], {"images": (9, 0)})
    graph.node(11, "PreviewAny", [], {"source": (9, 0)})
    graph.node(12, "EmptyImage", [8, 8, 1, 0])
    graph.node(13, "EmptyImage", [9, 9, 1, 0])
    graph.node(14, "ImageBlend", [0.5, "normal"], {"image1": (12, 0), "image2": (13, 0)}, mode=4)
    graph.node(15, "ImageScale", ["bilinear", 5, 6, "disabled"], {"image": (14, 0)}, mode=4)
    graph.node(16, "PreviewImage", [], {"images": (15, 0)})
    graph.node(17, "StringConcatenate", ["a", "b", ""], {"string_a": (18, 0)}, mode=2)
    graph.node(18, "StringConcatenate", ["c", "d", ""])
    graph.node(19, "StringConcatenate", ["own value", "e", ""], {"string_a": (17, 0), "string_b": (18, 0)})
    return graph.ui()


def _bypassed_without_a_match() -> dict:
    graph = Graph()
    graph.node(1, "CheckpointLoaderSimple", ["a.safetensors"])
    graph.node(2, "CLIPTextEncode", ["x"], {"clip": (1, 1)}, mode=4)
    graph.node(3, "ConditioningCombine", [], {"conditioning_1": (2, 0), "conditioning_2": (4, 0)})
    graph.node(4, "CLIPTextEncode", ["y"], {"clip": (1, 1)})
    graph.node(5, "UnknownToAll", [1], {"clip": (1, 1)}, outputs=["CLIP"], sockets={"clip": "CLIP"}, mode=4)
    graph.node(6, "CLIPTextEncode", ["z"], {"clip": (5, 0)})
    return graph.ui()


def _reroutes() -> dict:
    graph = _pipeline(Graph(), sampler={"model": (21, 0), "positive": (23, 0)})
    graph.node(20, "Reroute", [], {"": (1, 0)}, outputs=["MODEL"], sockets={"": "*"})
    graph.node(21, "Reroute", [], {"": (20, 0)}, outputs=["MODEL"], sockets={"": "*"})
    graph.node(22, "LoraLoader", ["b", 1, 1], {"model": (1, 0), "clip": (1, 1)}, mode=2)
    graph.node(23, "Reroute", [], {"": (24, 0)}, outputs=["CONDITIONING"], sockets={"": "*"})
    graph.node(24, "CLIPTextEncode", ["kept"], {"clip": (25, 0)})
    graph.node(25, "Reroute", [], {"": (22, 1)}, outputs=["CLIP"], sockets={"": "*"})
    graph.node(26, "Reroute", [], {}, outputs=["*"], sockets={"": "*"})
    graph.node(27, "PreviewAny", [], {"source": (26, 0)})
    ui = graph.ui()
    link = ui["links"][0][0]
    ui["extra"] = {
        "reroutes": [
            {"id": 1, "pos": [0, 0], "linkIds": [link]},
            {"id": 2, "parentId": 1, "pos": [9, 9], "linkIds": [link]},
        ],
        "linkExtensions": [{"id": link, "parentId": 2}],
    }
    return ui


def _primitives() -> dict:
    graph = _pipeline(Graph(), sampler={"seed": (20, 0), "steps": (21, 0), "cfg": (22, 0), "scheduler": (24, 0)})
    graph.node(20, "PrimitiveNode", [99, "increment"], outputs=["INT"])
    graph.node(21, "PrimitiveNode", [20_000, "fixed"], outputs=["INT"])
    graph.node(22, "PrimitiveNode", [4.4567, "fixed"], outputs=["FLOAT"])
    graph.node(24, "PrimitiveNode", ["simple", "fixed", ""], outputs=["COMBO"])
    graph.node(25, "PrimitiveNode", ["seed %KSampler.seed%"], outputs=["STRING"])
    graph.nodes[-1]["properties"] = {"Run widget replace on values": True}
    graph.node(26, "StringConcatenate", ["a", "b", "c"], {"string_a": (25, 0), "string_b": (25, 0)})
    graph.node(27, "PrimitiveNode", ["to a socket"], outputs=["STRING"])
    graph.node(28, "SaveText", ["p", "txt"], {"text": (27, 0)})
    graph.node(29, "PrimitiveNode", [], outputs=["*"])
    graph.node(30, "PrimitiveNode", [128, "fixed"], outputs=["INT"])
    graph.node(31, "EmptyImage", [8, 8, 1, 0], {"width": (30, 0), "height": (30, 0)})
    graph.node(32, "PrimitiveNode", [0.123456, "fixed"], outputs=["FLOAT"], mode=2)
    graph.node(33, "ImageBlend", [0.5, "normal"], {"image1": (31, 0), "image2": (31, 0), "blend_factor": (32, 0)})
    graph.node(34, "FluxGuidance", [3], {"conditioning": (2, 0), "guidance": (35, 0)})
    graph.node(35, "PrimitiveNode", [7.26, "fixed"], outputs=["FLOAT"])
    return graph.ui()


def _converted_widgets() -> dict:
    """As before widgets had sockets: only converted ones are listed, and nodes of old classes have lost some."""
    graph = _pipeline(Graph(), sampler={"steps": (20, 0)})
    graph.node(20, "PrimitiveInt", [31, "fixed"])
    graph.node(21, "StringConcatenate", ["a", "b", "c"])
    graph.node(22, "SaveText", ["p", "txt"], {"text": (21, 0), "gone": (21, 0)}, widgets=("text", "gone"))
    graph.node(23, "PreviewImage", [], {"images": (6, 0), "further": (21, 0)}, sockets={"further": "STRING"})
    for node in graph.nodes:
        linked = [entry for entry in node["inputs"] if entry["link"] is not None]
        node["inputs"] = [entry for entry in linked if "widget" not in entry] + [
            entry for entry in linked if "widget" in entry
        ]
    return graph.ui()


def _dynamic_combos() -> dict:
    graph = Graph()
    graph.node(1, "EmptyImage", [8, 8, 1, 0])
    graph.node(2, "ResizeImageMaskNode", ["scale dimensions", 100, 200, "center", "lanczos"], {"input": (1, 0)})
    graph.node(3, "ResizeImageMaskNode", ["scale by multiplier", 0.5, "area"], {"input": (2, 0)})
    links = {"input": (3, 0), "resize_type.match": (1, 0)}
    graph.node(4, "ResizeImageMaskNode", ["match size", "disabled", "area"], links)
    graph.node(5, "PrimitiveInt", [77, "fixed"])
    links = {"input": (4, 0), "resize_type.width": (5, 0)}
    graph.node(6, "ResizeImageMaskNode", ["scale width", 10, "area"], links)
    links = {"input": (6, 0), "resize_type.height": (5, 0)}
    graph.node(7, "ResizeImageMaskNode", ["scale width", 10, "area"], links)
    graph.node(8, "ResizeImageMaskNode", ["no such way", 1, "area"], {"input": (7, 0)})
    graph.node(9, "ResizeImageMaskNode", ["scale width", 3, "area"], {"input": (8, 0)}, mode=4)
    graph.node(10, "PreviewImage", [], {"images": (9, 0)})
    return graph.ui()


def _growing_lists() -> dict:
    graph = Graph()
    for node_id in (1, 2, 3):
        graph.node(node_id, "EmptyImage", [node_id, 8, 1, 0])
    graph.node(4, "BatchImagesNode", [], {f"images.image{place}": (place + 1, 0) for place in range(3)})
    graph.node(5, "BatchImagesNode", [], {"images.image0": (1, 0), "images.image2": (4, 0)})
    graph.node(6, "StringConcatenate", ["x", "y", ""])
    graph.node(7, "StringFormat", ["{a} {c}"], {"values.a": (6, 0), "values.c": (6, 0)})
    graph.node(8, "PreviewAny", [], {"source": (7, 0)})
    graph.node(9, "ComfyAndNode", [], {"values.value0": (10, 0), "values.value1": (10, 0)})
    graph.node(10, "PrimitiveBoolean", [True])
    graph.node(11, "BatchImagesNode", [], {"images.image0": (2, 0)}, mode=4)
    graph.node(12, "PreviewImage", [], {"images": (11, 0)})
    return graph.ui()


def _several_types() -> dict:
    """Slots of several types, and inputs that take one type all together."""
    graph = Graph()
    graph.node(1, "EmptyImage", [8, 8, 1, 0])
    graph.node(2, "SolidMask", [1, 8, 8])
    graph.node(3, "ComfySwitchNode", [True], {"on_false": (1, 0), "on_true": (1, 0)}, mode=4)
    graph.node(4, "PreviewImage", [], {"images": (3, 0)})
    graph.node(5, "ComfySwitchNode", [False], {"on_true": (2, 0), "switch": (6, 0)}, mode=4)
    graph.node(6, "PrimitiveBoolean", [False])
    graph.node(7, "MaskToImage", [], {"mask": (5, 0)})
    graph.node(
        8, "CreateBoundingBoxes", [64, 64, [{"x": 1, "y": 2, "width": 3, "height": 4}], []], {"background": (1, 0)}
    )
    graph.node(9, "PreviewAny", [], {"source": (8, 1)})
    graph.node(10, "LTXVEmptyLatentAudio", [97, 25, 1])
    graph.node(11, "Preview3D", ["x.glb", ""])
    return graph.ui()


def _rich_values() -> dict:
    graph = Graph()
    graph.node(1, "CurveEditor", [{"points": [[0, 0], [0.5, 0.2], [1, 1]], "interpolation": "linear"}])
    graph.node(2, "EmptyImage", [8, 8, 1, 0])
    graph.node(3, "ImageCompare", [], {"image_a": (2, 0), "image_b": (2, 0)})
    box = {"x": 1, "y": 2, "width": 30, "height": 40}
    graph.node(4, "ImageCropV2", [box, 1, 2, 30, 40], {"image": (2, 0)})
    graph.node(5, "CustomCombo", ["b", 1, "a", "b", "c", ""])
    graph.node(6, "PreviewAny", [], {"source": (5, 0)})
    graph.node(7, "CurveEditor", [[[0, 0], [1, 1]]])
    return graph.ui()


def _filled_in_text() -> dict:
    """Texts that the editor completes; with one choice each, or the result would differ from run to run."""
    graph = Graph()
    graph.node(1, "CheckpointLoaderSimple", ["a.safetensors"])
    texts = [
        "a {red} door",
        "a {{nested}} {} \\{kept\\} \\x",
        "a door // comment\nb /* and */ c",
        "open {brace",
        "50% | x",
    ]
    for place, text in enumerate(texts, 2):
        graph.node(place, "CLIPTextEncode", [text], {"clip": (1, 1)}, title="Text" if place == 2 else "")
    graph.node(8, "EmptyImage", [8, 8, 1, 0], title="Canvas")
    prefix = "%Canvas.width%_%EmptyImage.height%_%Text.text%_%None.x%_%width%_%Canvas.none%"
    graph.node(9, "SaveImage", [prefix], {"images": (8, 0)})
    return graph.ui()


def _many_nodes() -> dict:
    """300 nodes in one chain."""
    graph = Graph()
    graph.node(1, "EmptyImage", [8, 8, 1, 0])
    for node_id in range(2, 300):
        graph.node(node_id, "ImageInvert", [], {"image": (node_id - 1, 0)}, mode=4 if node_id % 7 == 0 else 0)
    graph.node(300, "PreviewImage", [], {"images": (299, 0)})
    random.Random(0).shuffle(graph.nodes)
    return graph.ui()


_MAKERS = {
    "plain": _plain,
    "object links": _object_links,
    "odd values": _odd_values,
    "muted and bypassed": _muted_and_bypassed,
    "bypassed without a match": _bypassed_without_a_match,
    "reroutes": _reroutes,
    "primitives": _primitives,
    "converted widgets": _converted_widgets,
    "dynamic combos": _dynamic_combos,
    "growing lists": _growing_lists,
    "several types": _several_types,
    "rich values": _rich_values,
    "filled-in text": _filled_in_text,
    "300 nodes": _many_nodes,
}
