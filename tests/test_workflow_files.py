"""Workflow files: which format they are in, what is no workflow, and the twin in the other format."""

import json
import shutil

import pytest
from imageine.runner.errors import WorkflowError
from imageine.runner.workflow import Workflow, files
from imageine.runner.workflow.naming import api_nodes, name_inputs
from imageine.runner.workflow.ui_format import shown_inputs, ui_nodes, with_values
from support import ui_files
from support.edit_server import DATA

SMALL = DATA / "small_edit.json"
UI = files.SHIPPED / "Simple Edit.json"
API = files.SHIPPED / "api" / "Simple Edit.json"


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
    assert "Did you mean 'Simple Edit'" in error_of(Workflow.load, "Simpel Edit").hint


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
    ],
)
def test_no_workflow(tmp_path, content, says):
    error = error_of(Workflow.load, saved(tmp_path, content))
    assert error.code == "workflow_format"
    assert says in error.message
    assert "Export (API)" in error.hint


def test_ui_format_waits_for_the_server_s_definitions():
    workflow = Workflow.load({"nodes": [], "links": []})
    assert workflow.needs_definitions
    for use in (lambda: workflow.inputs, workflow.graph, lambda: workflow.set("a", 1), lambda: workflow.models):
        error = error_of(use)
        assert error.code == "workflow_format"
        assert "--object-info" in error.hint
    workflow.resolve({})
    assert not workflow.needs_definitions
    assert workflow.graph() == {}


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


def test_a_ui_file_alone_is_converted(tmp_path):
    recorded, ui = ui_files.recorded(), ui_files.workflows()["plain"]
    path = saved(tmp_path, ui, "Alone.json")
    assert Workflow.load(path).needs_definitions
    workflow = Workflow.load(path, recorded["object_info"])
    assert workflow.graph() == recorded["prompts"]["plain"]
    assert (workflow.name, workflow.ui) == ("Alone", ui)


def test_a_twin_in_the_same_format_is_not_used(tmp_path):
    ui, api, _ = copied(tmp_path)
    shutil.copy(UI, api)
    workflow = Workflow.load(ui)
    assert workflow.needs_definitions
    assert str(api) in workflow.notes[0]


def test_a_twin_that_differs_is_not_used(tmp_path):
    path, _, ui = copied(tmp_path)
    node_of(ui, "VAEDecode")["type"] = "VAEDecodeTiled"
    path.write_text(json.dumps(ui))
    workflow = Workflow.load(path)
    assert workflow.needs_definitions
    assert "VAEDecodeTiled in the UI file, VAEDecode in the API file" in workflow.notes[0]


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
