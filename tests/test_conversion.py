"""UI format to API format, held to what the real editor made of the same workflows (tests/data/conversion.json.gz)."""

import contextlib
import copy
import json
import random
import time
from datetime import datetime

import pytest
from imageine.runner.errors import CODES, WorkflowError
from imageine.runner.workflow.conversion import convert
from support import ui_files
from support.ui_builder import Graph
from support.ui_files_subgraphs import OUTER, TEXT

RECORDED = ui_files.recorded()
INFO = RECORDED["object_info"]
WORKFLOWS = ui_files.workflows()
REFUSED = [name for name, prompt in RECORDED["prompts"].items() if "error" in prompt]
MUTATIONS = 400


def graph_of(ui: dict, **options) -> dict:
    return convert(ui, INFO, **options).graph


def error_of(ui: dict) -> WorkflowError:
    with pytest.raises(WorkflowError) as caught:
        convert(ui, INFO)
    return caught.value


@pytest.mark.parametrize("name", sorted(set(WORKFLOWS) - set(REFUSED)))
def test_equal_to_the_editor(name):
    assert graph_of(WORKFLOWS[name]) == RECORDED["prompts"][name]


def test_every_workflow_is_recorded():
    assert set(RECORDED["prompts"]) == set(WORKFLOWS)


def test_the_file_is_left_as_it_is():
    for ui in WORKFLOWS.values():
        before = copy.deepcopy(ui)
        with contextlib.suppress(WorkflowError):
            convert(ui, INFO)
        assert ui == before


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing link", "Node 6 'VAE Decode': its input 'samples' has a link that does not exist."),
        ("missing source", "Node 6 'VAE Decode': its input 'samples' is linked to node 5, which does not exist."),
        ("circle", "its links run in a circle."),
    ],
)
def test_broken_links(name, says):
    error = error_of(WORKFLOWS[name])
    assert error.code == "workflow_broken"
    assert says in error.message
    assert name in REFUSED


def test_an_unknown_class_is_named_with_the_closest():
    ui = copy.deepcopy(WORKFLOWS["plain"])
    ui["nodes"][4]["type"] = "KSamplr"
    ui["nodes"][5]["type"] = "Nothing like it"
    error = error_of(ui)
    assert error.code == "workflow_unfit"
    assert "no node class 'KSamplr'" in error.message
    assert "no node class 'Nothing like it'" in error.message
    assert "It does have 'KSampler'" in error.hint


def test_a_group_node_says_what_to_do():
    graph = Graph()
    graph.node(1, "workflow>My group", [])
    error = error_of(graph.ui())
    assert error.code == "workflow_broken"
    assert "Node 1 is a group node" in error.message
    assert "save it again" in error.hint


def test_a_subgraph_that_holds_itself():
    inner, outer = Graph(), Graph()
    inner.node(1, OUTER, [])
    outer.node(2, TEXT, [])
    top = Graph()
    top.node(3, OUTER, [])
    ui = top.ui(inner.definition(TEXT, "Inner"), outer.definition(OUTER, "Outer"))
    error = error_of(ui)
    assert error.code == "workflow_broken"
    assert "A subgraph holds itself: Inner -> Outer -> Inner." in error.message


# What the editor does otherwise, on purpose


def test_values_by_name():
    """Some packs save a dict; the editor alone would read nothing of it."""
    ui = copy.deepcopy(WORKFLOWS["plain"])
    sampler = next(node for node in ui["nodes"] if node["type"] == "KSampler")
    expected = graph_of(ui)
    names = ("seed", "control_after_generate", "steps", "cfg", "sampler_name", "scheduler", "denoise")
    sampler["widgets_values"] = dict(reversed(list(zip(names, sampler["widgets_values"], strict=True))))
    assert graph_of(ui) == expected
    sampler["widgets_values_named"] = sampler.pop("widgets_values")
    assert graph_of(ui) == expected


def test_values_of_nested_instances_whatever_the_order_of_the_definitions():
    """The editor loses them where a definition stands before one that it uses twice."""
    ui = copy.deepcopy(WORKFLOWS["nested"])
    expected = graph_of(ui)
    ui["definitions"]["subgraphs"].reverse()
    assert graph_of(ui) == expected


def test_an_input_that_is_an_output_at_once():
    """The editor refuses a subgraph whose input leads straight to its output."""
    inner, top = Graph(), Graph()
    inner.entry("image", "IMAGE")
    inner.exit("image", "IMAGE", (-10, 0))
    top.node(1, "EmptyImage", [8, 8, 1, 0])
    top.node(2, TEXT, [], {"image": (1, 0)}, sockets={"image": "IMAGE"}, outputs=["IMAGE"])
    top.node(3, "PreviewImage", [], {"images": (2, 0)})
    ui = top.ui(inner.definition(TEXT, "Through"))
    assert graph_of(ui)["3"]["inputs"]["images"] == ["1", 0]


def test_set_and_get_nodes():
    """They come from packs' own scripts, which no server tells of."""
    graph = Graph()
    graph.node(1, "EmptyImage", [8, 8, 1, 0])
    graph.node(2, "SetNode", ["canvas"], {"IMAGE": (1, 0)}, sockets={"IMAGE": "IMAGE"}, outputs=["IMAGE"])
    graph.node(3, "GetNode", ["canvas"], outputs=["IMAGE"])
    graph.node(4, "PreviewImage", [], {"images": (3, 0)})
    graph.node(5, "GetNode", ["unknown"], outputs=["IMAGE"])
    graph.node(6, "ImageBatch", [], {"image1": (5, 0), "image2": (3, 0)})
    graph.node(7, "Label (rgthree)", ["x"])
    converted = graph_of(graph.ui())
    assert converted["4"]["inputs"] == {"images": ["1", 0]}
    assert converted["6"]["inputs"] == {"image2": ["1", 0]}
    assert set(converted) == {"1", "4", "6"}


def test_one_of_several_texts():
    ui = copy.deepcopy(WORKFLOWS["filled-in text"])
    ui["nodes"][1]["widgets_values"] = ["a {red|{light|dark} blue|green} {door|gate}"]
    assert graph_of(ui, choose=lambda texts: texts[-1])["2"]["inputs"]["text"] == "a green gate"
    assert graph_of(ui, choose=lambda texts: texts[len(texts) // 2])["2"]["inputs"]["text"] == "a dark blue gate"
    chosen = {graph_of(ui)["2"]["inputs"]["text"] for _ in range(100)}
    assert len(chosen) == 8


def test_dates():
    ui = copy.deepcopy(WORKFLOWS["filled-in text"])
    ui["nodes"][-1]["widgets_values"] = ["%date:yyyy-MM-dd%/%date:h-mm-ss-yy% %date%"]
    prefix = graph_of(ui, now=datetime(2031, 2, 3, 4, 5, 6))["9"]["inputs"]["filename_prefix"]
    assert prefix == "2031-02-03/4-05-06-31 %date%"


def test_what_needs_a_browser_is_told():
    info = {"Load3D": {"input": {"required": {"model_file": [["none"]], "image": ["LOAD_3D", {}]}}, "output": []}}
    graph = Graph()
    graph.node(1, "Load3D", ["none", "", "", "", ""])
    assert "only a browser can draw" in convert(graph.ui(), info).notes[0]


# Widgets that subgraphs' nodes show


def test_shown_widgets():
    shown = {(widget.node_id, widget.name): widget for widget in convert(WORKFLOWS["nested"], INFO).shown}
    words = shown["1", "words"]
    assert (words.label, words.value, words.title) == ("Say", "outer words", "Outer")
    assert sorted(words.targets) == [("1:20:10", "string_a"), ("1:20:10", "string_b"), ("1:22", "string_b")]
    assert shown["1:21", "text"].value == "own"
    assert ("2", "words") not in shown


# Anything may be in a file


def test_300_nodes(figures):
    started = time.perf_counter()
    graph = graph_of(WORKFLOWS["300 nodes"])
    figures(f"Conversion of a chain of 300 nodes: {(time.perf_counter() - started) * 1000:.0f} ms")
    assert len(graph) == 300 - 299 // 7


@pytest.mark.parametrize(
    "ui",
    [
        {"nodes": [], "links": []},
        {"nodes": [{"id": 1, "type": "Note"}], "links": None},
        {"nodes": [{"id": 1, "type": "PreviewAny", "inputs": None, "outputs": 7}], "links": [None, 3, [], {}]},
        {"nodes": [], "links": [], "definitions": []},
        {"nodes": [], "links": [], "definitions": {"subgraphs": None}, "extra": None},
    ],
)
def test_odd_files_that_are_fine(ui):
    assert set(graph_of(ui)) <= {"1"}


@pytest.mark.parametrize(
    "ui",
    [
        {"nodes": None},
        {"nodes": [None]},
        {"nodes": [{}]},
        {"nodes": [{"id": None, "type": "Note"}]},
        {"nodes": [{"id": 1, "type": 7}]},
        {"nodes": [{"id": 1, "type": "Note"}, {"id": "1", "type": "Note"}]},
        {"nodes": [], "definitions": {"subgraphs": [{}]}},
        {"nodes": [], "definitions": {"subgraphs": [{"id": "a", "nodes": [], "inputs": [{}]}]}},
    ],
)
def test_odd_files_that_are_not(ui):
    assert error_of(ui).code == "workflow_broken"


def test_definitions_without_end():
    ui: dict = {"nodes": [], "links": []}
    for number in range(200):
        ui = {"nodes": [], "links": [], "id": str(number), "definitions": {"subgraphs": [ui | {"id": f"i{number}"}]}}
    assert "nested deeper" in error_of(ui).message


def test_links_without_end():
    graph = Graph()
    graph.node(1, "EmptyImage", [8, 8, 1, 0])
    for node_id in range(2, 3000):
        graph.node(node_id, "Reroute", [], {"": (node_id - 1, 0)}, outputs=["*"], sockets={"": "*"})
    graph.node(3000, "PreviewImage", [], {"images": (2999, 0)})
    assert "go on for too long" in error_of(graph.ui()).message


def test_subgraphs_that_multiply():
    """Each of 40 holds the next one twice."""
    definitions = []
    for level in range(40):
        graph = Graph()
        for place in range(2):
            graph.node(1 + place, f"level {level + 1}" if level < 39 else "Note", [])
        definitions.append(graph.definition(f"level {level}", f"Level {level}"))
    top = Graph()
    top.node(1, "level 0", [])
    assert "more than 100000 nodes" in error_of(top.ui(*definitions)).message


def _places(value, path=()):
    """Every place in parsed JSON."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _mutate(ui: dict, rng: random.Random) -> dict:
    """``ui`` with one to four places taken out, or replaced by something else, maybe from elsewhere in the file."""
    ui = copy.deepcopy(ui)
    for _ in range(rng.randint(1, 4)):
        places = [place for place in _places(ui) if place]
        *path, key = rng.choice(places)
        holder = ui
        for step in path:
            holder = holder[step]
        donor = ui
        for step in rng.choice(places):
            donor = donor[step]
        odd = [
            None,
            True,
            -1,
            10**30,
            1.5,
            float("nan"),
            "",
            "\ud800",
            "x",
            [],
            {},
            [[]],
            {"a": []},
            copy.deepcopy(donor),
        ]
        if rng.random() < 0.3:
            del holder[key]
        else:
            holder[key] = rng.choice(odd)
    return ui


@pytest.mark.parametrize("name", WORKFLOWS)
def test_mutated_files_raise_registered_errors_alone(name):
    rng = random.Random(name)
    for _ in range(MUTATIONS // len(WORKFLOWS) + 1):
        ui = _mutate(WORKFLOWS[name], rng)
        if not isinstance(ui, dict):
            continue
        try:
            graph = graph_of(ui)
        except WorkflowError as error:
            assert error.code in CODES
        else:
            json.dumps(graph)
            for node in graph.values():
                links = [value for value in node["inputs"].values() if isinstance(value, list)]
                assert all(link[0] in graph for link in links)
