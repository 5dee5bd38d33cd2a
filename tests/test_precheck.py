"""Checking a graph against what a server says of its nodes."""

import copy
import json

import pytest
from imageine.runner.errors import WorkflowError
from imageine.runner.workflow import Workflow
from imageine.runner.workflow.node_specs import inputs, misfit, types_meet
from imageine.runner.workflow.precheck import require_fit
from support.edit_server import DATA, OBJECT_INFO

GRAPH = json.loads((DATA / "small_edit.json").read_text())


def problems(changes=None, info=OBJECT_INFO, uploads=("image",), **nodes):
    """The problems of the small graph with inputs changed (``None`` removes one) and whole nodes replaced."""
    graph = copy.deepcopy(GRAPH) | {key.lstrip("n"): node for key, node in nodes.items()}
    for (node, name), value in (changes or {}).items():
        graph[node]["inputs"][name] = value
        if value is None:
            del graph[node]["inputs"][name]
    return Workflow.load(graph).check(info, uploads=uploads)


def only(*arguments, **options):
    found = problems(*arguments, **options)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("name", ["Simple Edit", str(DATA / "small_edit.json")])
def test_a_good_workflow_has_no_problem(name):
    assert Workflow.load(name).check(OBJECT_INFO, uploads=["image"]) == []


def test_everything_at_once_worst_first():
    changes = {
        ("7", "steps"): 0,
        ("7", "sampler_name"): "dpmp_2m",
        ("3", "ckpt_name"): "other.safetensors",
        ("8", "samples"): ["77", 0],
        ("6", "vae"): None,
    }
    found = problems(changes, n10={"class_type": "ImageineMakeTea"})
    kinds = ["missing_node", "missing_model", "bad_link", "missing_input", "bad_value", "bad_value"]
    assert [problem.kind for problem in found] == kinds


def test_a_missing_imageine_node_says_where_to_clone():
    problem = only(n10={"class_type": "ImageineMakeTea", "inputs": {}})
    assert "lacks the Imageine node 'ImageineMakeTea'" in problem.message
    assert "custom_nodes" in problem.hint


def test_a_missing_node_names_a_close_one_and_its_pack():
    problem = problems(n10={"class_type": "KSamplr"})[0]
    assert (problem.kind, problem.node_id) == ("missing_node", "10")
    assert "It does have 'KSampler'" in problem.hint
    assert "Install Missing Custom Nodes" in problem.hint


@pytest.mark.parametrize(("properties", "says"), [
    ({"cnr_id": "comfy-core"}, "too old"),
    ({"cnr_id": "some-pack"}, "of the pack 'some-pack'"),
    ({"aux_id": "me/pack"}, "of the pack 'me/pack'"),
    ({}, "no node class 'New'"),
])  # fmt: skip
def test_the_editor_tells_the_pack(properties, says):
    ui = {"nodes": [{"id": 10, "type": "New", "properties": properties}], "links": []}
    workflow = Workflow(copy.deepcopy(GRAPH) | {"10": {"class_type": "New", "inputs": {}}}, ui=ui)
    assert says in workflow.check(OBJECT_INFO, uploads=["image"])[0].message


def test_a_missing_model_says_the_folder_and_the_command():
    info = copy.deepcopy(OBJECT_INFO)
    info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] = []
    problem = only(info=info)
    assert problem.kind == "missing_model"
    assert "'sd-v1-5-inpainting.safetensors' in models/checkpoints" in problem.message
    assert "imageine models pull simple" in problem.hint


def test_a_missing_model_of_the_newer_node_api():
    graph = {"1": {"class_type": "ImageineLoadGroundingDINO", "inputs": {"model": "grounding-dino-base"}},
             "2": {"class_type": "ImageineMaskByText", "inputs": {"detector": ["1", 0]}},
             "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}}  # fmt: skip
    found = [problem for problem in Workflow.load(graph).check(OBJECT_INFO) if problem.kind == "missing_model"]
    assert "models/grounding-dino" in found[0].message
    assert "imageine models pull grounding-dino-base" in found[0].hint
    assert "--set 1.model='grounding-dino-tiny'" in found[0].hint


def test_a_missing_model_of_somebody_else_suggests_no_command():
    hint = only({("3", "ckpt_name"): "other.safetensors"}).hint
    assert "imageine models pull" not in hint
    assert "models/checkpoints" in hint


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("7", "steps"), 0, "the least is 1"),
        (("7", "steps"), 10_001, "the most is 10000"),
        (("7", "steps"), 7.5, "a whole number"),
        (("7", "steps"), "many", "a whole number"),
        (("7", "cfg"), 100.5, "the most is 100"),
        (("7", "cfg"), {"a": 1}, "a number"),
        (("7", "seed"), 2**64, "the most is 18446744073709551615"),
        (("7", "sampler_name"), "dpmp_2m", "'dpmpp_2m'"),
        (("7", "scheduler"), "", "the choices are"),
        (("6", "noise_mask"), "perhaps", "true or false"),
    ],
)
def test_bad_values(place, value, says):
    problem = only({place: value})
    assert (problem.kind, problem.node_id, problem.input) == ("bad_value", *place)
    assert says in problem.message


@pytest.mark.parametrize(("place", "value"), [(("7", "seed"), 2**64 - 1), (("7", "steps"), 8.0), (("7", "cfg"), "7.5")])
def test_values_the_server_takes(place, value):
    assert problems({place: value}) == []


@pytest.mark.parametrize(
    ("link", "says"),
    [
        (["77", 0], "node 77, which does not exist"),
        (["3", 9], "output 9 of node 3, which has 3"),
        (["3", -1], "output -1"),
        (["3", 0], "takes LATENT, and output 0 of node 3 (CheckpointLoaderSimple) is MODEL"),
        (["3"], "no link"),
        ([], "no link"),
    ],
)
def test_bad_links(link, says):
    problem = only({("8", "samples"): link})
    assert problem.kind == "bad_link"
    assert says in problem.message


def test_an_input_that_nothing_feeds():
    problem = only({("8", "vae"): None})
    assert (problem.kind, problem.input) == ("missing_input", "vae")


def test_an_optional_input_may_stay_open():
    workflow = Workflow.load("Simple Edit")
    graph = workflow.graph()
    mask_node = next(key for key, node in graph.items() if node["class_type"] == "ImageineMaskByText")
    del graph[mask_node]["inputs"]["mask"]
    assert Workflow.load(graph).check(OBJECT_INFO, uploads=["image"]) == []


def test_a_circle_of_links():
    problem = only({("2", "value"): ["2", 0]})
    assert (problem.kind, problem.message) == ("cycle", "The links run in a circle: 2 -> 2.")
    found = problems({("5", "text"): ["11", 0]}, n11={"class_type": "PrimitiveStringMultiline",
                     "inputs": {"value": ["12", 0]}}, n12={"class_type": "PrimitiveStringMultiline",
                     "inputs": {"value": ["11", 0]}})  # fmt: skip
    assert [problem.message for problem in found] == ["The links run in a circle: 11 -> 12 -> 11."]


def test_no_output():
    graph = {"2": GRAPH["2"]}
    assert [problem.kind for problem in Workflow.load(graph).check(OBJECT_INFO)] == ["no_output"]


def test_nodes_that_feed_nothing_are_not_judged():
    assert problems(n10={"class_type": "KSampler", "inputs": {"steps": -5}}) == []


def test_a_picture_that_nobody_gave():
    problem = only({("1", "image"): "holiday.png"}, uploads=())
    assert problem.kind == "missing_image"
    assert "--image" in problem.hint
    assert problems({("1", "image"): "holiday.png"}) == []
    assert problems({("1", "image"): "clips/holiday.png [output]"}, uploads=()) == []


def test_a_long_chain_is_no_problem():
    graph = {str(n): {"class_type": "InvertMask", "inputs": {"mask": [str(n - 1), 0]}} for n in range(1, 3000)}
    graph["0"] = {"class_type": "LoadImageMask", "inputs": {"image": "example.png", "channel": "red"}}
    graph["x"] = {"class_type": "PreviewImage", "inputs": {"images": ["2999", 0]}}
    assert [problem.kind for problem in Workflow.load(graph).check(OBJECT_INFO)] == ["bad_link"]


def test_require_fit_lists_all():
    require_fit([], "x")
    with pytest.raises(WorkflowError) as caught:
        require_fit(problems({("7", "steps"): 0, ("7", "cfg"): -1}), "Small")
    error = caught.value
    assert error.code == "workflow_unfit"
    assert error.message.count("\n  - ") == len(error.details["problems"]) == 2
    json.dumps(error.as_dict())


@pytest.mark.parametrize(
    ("given", "wanted", "meet"),
    [
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "MASK", False),
        ("*", "MASK", True),
        ("MASK", "*", True),
        ("MASK", "IMAGE,MASK", True),
        ("IMAGE,MASK", "MASK, LATENT", True),
        ("COMFY_MATCHTYPE_V3", "LATENT", True),
        (["a", "b"], "COMBO", True),
        (["a", "b"], "STRING", False),
    ],
)
def test_types(given, wanted, meet):
    assert types_meet(given, wanted) is meet


def spec(*entry):
    return inputs({"input": {"required": {"x": list(entry)}}})["x"]


def test_specs_of_both_node_apis():
    assert spec(["a", "b"]).choices == spec("COMBO", {"options": ["a", "b"]}).choices == ["a", "b"]
    assert spec(["a"], {}).type == spec("COMBO", {"options": ["a"]}).type == "COMBO"
    assert spec("COMBO", {"remote": {"route": "/x"}}).choices is None
    assert spec(["a"], {"image_upload": True}).is_upload
    assert inputs({"input": {"required": {"x": ["COMFY_AUTOGROW_V3", {}]}}}) == {}
    assert inputs({}) == {}


def test_several_choices_and_wrapped_lists():
    combo = spec("COMBO", {"options": ["a", "b"], "multiselect": True})
    assert misfit(combo, {"__value__": ["a", "b"]}) == ""
    assert "'a', 'b'" in misfit(combo, {"__value__": ["a", "zzz"]})
    assert "nothing to choose from" in misfit(spec([]), "a")
