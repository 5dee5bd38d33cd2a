"""Workflow files: formats, named inputs, values, the graph to send, and the twin in the other format."""

import copy
import json
import shutil

import pytest
from imageine.runner import workflow_files
from imageine.runner.errors import WorkflowError
from imageine.runner.naming import Node, api_nodes, is_link, name_inputs, slug
from imageine.runner.ui_format import shown_inputs, ui_nodes, with_values
from imageine.runner.values import kind_of, parse, parse_seed
from imageine.runner.workflow import Workflow
from support.edit_server import DATA

SMALL = DATA / "small_edit.json"
UI = workflow_files.SHIPPED / "Simple Edit.json"
API = workflow_files.SHIPPED / "api" / "Simple Edit.json"


def small(**changes) -> Workflow:
    """The small graph with inputs changed by ``<node id>_<input>``."""
    graph = json.loads(SMALL.read_text())
    for key, value in changes.items():
        _, node, name = key.split("_", 2)
        graph[node]["inputs"][name] = value
    return Workflow.load(graph)


def error_of(call, *arguments, **options) -> WorkflowError:
    with pytest.raises(WorkflowError) as caught:
        call(*arguments, **options)
    return caught.value


def saved(tmp_path, content, name="some.json"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


# Finding and reading


@pytest.mark.parametrize("name", ["Simple Edit", "simple-edit", "simple_edit", "SIMPLE EDIT"])
def test_a_shipped_workflow_by_name(name):
    assert Workflow.load(name).name == "Simple Edit"


@pytest.mark.parametrize("path", [UI, API, str(API)])
def test_a_shipped_workflow_by_path(path):
    assert "prompt" in Workflow.load(path).inputs


@pytest.mark.parametrize("name", ["Simpel Edit", "none.json", "no/where.json"])
def test_a_missing_workflow_names_what_there_is(name):
    error = error_of(Workflow.load, name)
    assert error.code == "workflow_missing"
    assert "'Simple Edit'" in error.hint


def test_a_misspelt_name_is_guessed():
    assert "Did you mean 'Simple Edit'?" in error_of(Workflow.load, "Simpel Edit").hint


def test_a_folder_is_no_workflow(tmp_path):
    assert "is a folder" in error_of(Workflow.load, tmp_path).message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"prompt: blue", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe\x00", "not text"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "is a picture"),
    ],
)
def test_not_json(tmp_path, content, says):
    error = error_of(Workflow.load, saved(tmp_path, content))
    assert error.code == "workflow_not_json"
    assert says in error.message
    assert "Export (API)" in error.hint


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "a list"),
        (["1"], "a list"),
        (3, "holds 3"),
        (None, "holds null"),
        ({}, "is empty"),
        ({"prompt": {}}, "is empty"),
        ({"a": 1}, "no node"),
        ({"1": {"inputs": {}}}, "no node"),
        ({"nodes": [], "links": []}, "editor's own format"),
    ],
)
def test_no_workflow(tmp_path, content, says):
    error = error_of(Workflow.load, saved(tmp_path, content))
    assert error.code == "workflow_format"
    assert says in error.message
    assert "Export (API)" in error.hint


def test_parsed_ui_format_is_refused():
    assert error_of(Workflow.load, {"nodes": [], "links": []}).code == "workflow_format"


def test_a_saved_request_is_unwrapped(tmp_path):
    graph = json.loads(SMALL.read_text())
    ui = json.loads(UI.read_text(encoding="utf-8"))
    body = {"prompt": graph, "client_id": "x", "extra_data": {"extra_pnginfo": {"workflow": ui}}}
    workflow = Workflow.load(saved(tmp_path, body))
    assert workflow.graph() == graph
    assert workflow.ui == ui


def test_a_byte_order_mark_is_skipped(tmp_path):
    assert Workflow.load(saved(tmp_path, b"\xef\xbb\xbf" + SMALL.read_bytes())).inputs


def test_stray_keys_go_and_nodes_are_completed(tmp_path):
    content = {"1": {"class_type": "A"}, "2": {"class_type": "B", "inputs": None, "_meta": None, "is_changed": [1]}}
    workflow = Workflow.load(saved(tmp_path, content | {"version": 1, "extra": {"x": 1}}))
    assert workflow.graph() == {
        "1": {"class_type": "A", "inputs": {}, "_meta": {"title": "A"}},
        "2": {"class_type": "B", "inputs": {}, "_meta": {"title": "B"}},
    }
    assert "version, extra" in workflow.notes[0]


# The two formats of one workflow


def copied(tmp_path):
    """A copy of the shipped pair: (UI path, API path, the UI workflow)."""
    (tmp_path / "api").mkdir()
    ui, api = tmp_path / "My Edit.json", tmp_path / "api" / "My Edit.json"
    shutil.copy(UI, ui)
    shutil.copy(API, api)
    return ui, api, json.loads(ui.read_text(encoding="utf-8"))


def node_of(ui, kind):
    return next(node for node in ui["nodes"] if node["type"] == kind)


def test_both_formats_give_the_same_inputs(tmp_path):
    ui, api, _ = copied(tmp_path)
    assert Workflow.load(ui).inputs == Workflow.load(api).inputs
    assert Workflow.load(ui).graph() == Workflow.load(api).graph()


def test_the_names_read_from_either_format_are_the_same():
    ui = json.loads(UI.read_text(encoding="utf-8"))
    graph = json.loads(API.read_text(encoding="utf-8"))
    by_ui = {name: (node.id, widget) for name, (node, widget) in name_inputs(ui_nodes(ui)).items()}
    by_api = {name: (node.id, widget) for name, (node, widget) in name_inputs(api_nodes(graph)).items()}
    untitled = {"load_grounding_dino.model", "load_segment_anything.model"}  # a UI file has no display names
    assert {name: place for name, place in by_api.items() if name not in untitled}.items() <= by_ui.items()


def test_the_shown_inputs_come_first_in_their_order():
    ui = json.loads(UI.read_text(encoding="utf-8"))
    inputs = list(Workflow.load(UI).inputs.values())
    places = [tuple(entry.address.split(".")) for entry in inputs if entry.shown]
    assert places == shown_inputs(ui)
    assert [entry.name for entry in inputs[:7]] == [
        "image", "mask", "prompt", "target", "negative", "seed", "steps"
    ]  # fmt: skip


def test_the_values_an_artist_saved_are_used(tmp_path):
    path, _, ui = copied(tmp_path)
    node_of(ui, "KSampler")["widgets_values"][2] = 11
    node_of(ui, "KSampler")["widgets_values_named"]["steps"] = 11
    node_of(ui, "PrimitiveStringMultiline")["widgets_values"] = ["red hat"]
    del node_of(ui, "PrimitiveStringMultiline")["widgets_values_named"]
    path.write_text(json.dumps(ui))
    inputs = Workflow.load(path).inputs
    assert (inputs["steps"].value, inputs["prompt"].value) == (11, "red hat")


def test_a_ui_file_alone_says_what_to_do(tmp_path):
    error = error_of(Workflow.load, shutil.copy(UI, tmp_path / "Alone.json"))
    assert error.code == "workflow_format"
    assert "api" in error.message
    assert "Export (API)" in error.hint


def test_a_twin_in_the_same_format_says_so(tmp_path):
    ui, api, _ = copied(tmp_path)
    shutil.copy(UI, api)
    assert str(api) in error_of(Workflow.load, ui).message


def test_twins_that_differ_are_refused(tmp_path):
    path, _, ui = copied(tmp_path)
    node_of(ui, "VAEDecode")["type"] = "VAEDecodeTiled"
    path.write_text(json.dumps(ui))
    error = error_of(Workflow.load, path)
    assert error.code == "workflow_format"
    assert "VAEDecodeTiled in the UI file, VAEDecode in the API file" in error.message


def test_an_api_file_runs_without_a_ui_twin_that_differs(tmp_path):
    path, api, ui = copied(tmp_path)
    ui["nodes"].remove(node_of(ui, "VAEDecode"))
    path.write_text(json.dumps(ui))
    assert Workflow.load(api).ui is None


def test_the_picture_carries_a_ui_graph_with_the_values_that_made_it():
    workflow = Workflow.load(UI)
    workflow.set("prompt", "red hat")
    workflow.set("steps", 7)
    ui = workflow.ui_graph()
    assert node_of(ui, "PrimitiveStringMultiline")["widgets_values"] == ["red hat"]
    sampler = node_of(ui, "KSampler")
    assert sampler["widgets_values"][:4] == [0, "randomize", 7, 7.5]
    assert sampler["widgets_values_named"]["steps"] == 7
    assert node_of(workflow.ui, "PrimitiveStringMultiline")["widgets_values"] != ["red hat"]


def test_no_ui_graph_rather_than_one_with_other_values():
    ui = json.loads(UI.read_text(encoding="utf-8"))
    assert with_values(ui, {("999", "steps"): 3}) is None
    sampler = node_of(ui, "KSampler")
    del sampler["widgets_values_named"]
    assert with_values(ui, {(str(sampler["id"]), "steps"): 3}) is not None
    sampler["widgets_values"].append("from a newer version")
    assert with_values(ui, {(str(sampler["id"]), "steps"): 3}) is None


# Names


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Prompt", "prompt"),
        ("Mask by Text", "mask_by_text"),
        ("LoadImage", "load_image"),
        ("KSampler", "ksampler"),
        ("  Prompt (what to see) ", "prompt_what_to_see"),
        ("提示词", "提示词"),
        ("Größe", "größe"),
        ("***", ""),
    ],
)
def test_slug(title, name):
    assert slug(title) == name


def names_of(*nodes) -> list[str]:
    return list(name_inputs(nodes))


def test_widgets_are_named_by_title_or_by_alias():
    assert list(small().inputs) == [
        "image", "mask", "prompt", "negative", "seed", "steps", "guidance", "denoise", "checkpoint",
        "noise_mask", "sampler", "scheduler",
    ]  # fmt: skip


def test_shared_names_are_told_apart():
    load = [Node(str(n), "Load", title, {"model": "x"}) for n, title in ((1, "Detector"), (2, "Sam"))]
    assert names_of(*load) == ["detector.model", "sam.model"]
    same = [Node(str(n), "Sampler", "Sampler", {"cfg": 1, "steps": 2}) for n in (1, 2)]
    assert names_of(*same) == ["1.cfg", "1.steps", "2.cfg", "2.steps"]


def test_a_title_beats_a_widget_name():
    prompt, mask = Node("1", "P", "Prompt", {"value": ""}), Node("2", "M", "Mask by Text", {"prompt": ""})
    assert names_of(prompt, mask) == ["prompt", "mask_by_text.prompt"]


def test_a_mask_input_where_the_mask_output_is_used():
    use = Node("3", "Use", "Use", {}, {"mask": ("1", 1)})
    loads = [Node(str(n), "LoadImage", title, {"image": "x"}) for n, title in ((1, "Photo"), (2, "Style"))]
    assert names_of(*loads, use) == ["photo", "mask", "style"]
    both = Node("4", "Use", "Use", {}, {"mask": ("2", 1)})
    assert names_of(*loads, use, both) == ["photo", "photo.mask", "style", "style.mask"]


@pytest.mark.parametrize("value", [["1", 0], ["a:1", 3], [1, 0]])
def test_links(value):
    assert is_link(value)


@pytest.mark.parametrize(
    "value", [[], ["1"], ["1", "0"], ["1", 0, 0], ["1", True], [None, 0], "1", {"__value__": [1, 2]}]
)
def test_no_links(value):
    assert not is_link(value)


@pytest.mark.parametrize("name", ["guidance", "GUIDANCE", "7.cfg", " guidance "])
def test_an_input_is_found(name):
    assert small().find(name).address == "7.cfg"


def test_a_dashed_name_and_an_address_with_dots():
    workflow = Workflow.load({"12:3": {"class_type": "A", "inputs": {"model.max_width": 5, "value": 1}}})
    workflow.set("12:3.model.max_width", 6)
    workflow.set("model.max-width", "7")
    assert workflow.graph()["12:3"]["inputs"]["model.max_width"] == 7


def test_an_unknown_input_names_the_close_ones():
    error = error_of(small().set, "step", 3)
    assert error.code == "workflow_input_unknown"
    assert "'steps'" in error.hint
    assert "imageine inputs" in error.hint
    assert error.details["close"][0] == "steps"


# Values


@pytest.mark.parametrize(
    ("present", "kind"),
    [(True, "switch"), (3, "number"), (3.5, "number"), ("x", "text"), ([], "data"), ({}, "data"), (None, "data")],
)
def test_kinds(present, kind):
    assert kind_of(present) == kind


@pytest.mark.parametrize(
    ("present", "given", "parsed"),
    [
        (25, "30", 30),
        (7, "7.5", 7.5),
        (7.5, 8, 8),
        (1, " 1e3 ", 1000.0),
        (1, "-4", -4),
        (True, "off", False),
        (False, "YES", True),
        (True, False, False),
        (False, 1, True),
        ("a", "b c", "b c"),
        ("a", "", ""),
        ("a", 3, "3"),
        ([], "[1, 2]", [1, 2]),
        ({}, {"a": 1}, {"a": 1}),
    ],
)
def test_values_are_read_as_their_kind(present, given, parsed):
    value = parse("x", present, given)
    assert value == parsed
    assert type(value) is type(parsed)


@pytest.mark.parametrize(
    ("present", "given"),
    [(25, "many"), (25, ""), (25, "nan"), (25, "inf"), (25, float("nan")), (25, True), (25, "1,5"), (25, [1]),
     (True, "maybe"), (True, 2), ("a", None), (25, None), ([], "[")],
)  # fmt: skip
def test_values_that_do_not_fit(present, given):
    error = error_of(parse, "x", present, given)
    assert error.code == "workflow_input_value"
    assert repr(given) in error.message


def test_a_random_seed_is_one_the_editor_can_hold():
    seeds = {parse_seed("seed", value) for value in (-1, "-1", "random", "RANDOM") for _ in range(8)}
    assert len(seeds) > 30
    assert all(0 <= seed < 2**53 for seed in seeds)


@pytest.mark.parametrize("seed", [0, "12", 2**64 - 1, str(2**64 - 1)])
def test_a_seed(seed):
    assert parse_seed("seed", seed) == int(seed)


@pytest.mark.parametrize("seed", [-2, 2**64, "1.5", "x", "", None, True])
def test_no_seed(seed):
    assert error_of(parse_seed, "seed", seed).code == "workflow_input_value"


def test_set_reads_a_seed():
    workflow = small()
    workflow.set("seed", "random")
    assert workflow.inputs["seed"].value > 0


def test_a_mask_is_set_with_a_picture():
    assert "--mask" in error_of(small().set, "mask", "x.png").hint


# The graph to send


def test_every_job_saves_under_its_own_prefix():
    workflow = small()
    graph = workflow.graph(prefix="imageine/1")
    assert graph["9"]["inputs"]["filename_prefix"] == "imageine/1_9"
    assert workflow.graph()["9"]["inputs"]["filename_prefix"] == "Small"


def test_a_linked_prefix_is_left_alone():
    graph = small(n_9_filename_prefix=["2", 0]).graph(prefix="p")
    assert graph["9"]["inputs"]["filename_prefix"] == ["2", 0]


def test_the_graph_is_a_copy():
    workflow = small()
    workflow.graph()["9"]["inputs"]["filename_prefix"] = "changed"
    assert workflow.graph()["9"]["inputs"]["filename_prefix"] == "Small"


def test_a_copy_is_set_on_its_own():
    workflow = small()
    other = copy.deepcopy(workflow)
    other.set("prompt", "other")
    assert workflow.inputs["prompt"].value == "blue car"


def test_the_models_it_uses():
    assert Workflow.load(UI).models == [
        "grounding-dino/grounding-dino-tiny",
        "sams/sam2.1-hiera-tiny",
        "checkpoints/sd-v1-5-inpainting.safetensors",
    ]
