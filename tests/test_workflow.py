"""A workflow's inputs: their names, their values, and the graph that is sent."""

import copy
import json

import pytest
from imageine.runner.errors import WorkflowError
from imageine.runner.workflow import Workflow
from imageine.runner.workflow.naming import Node, is_link, name_inputs, slug
from imageine.runner.workflow.values import kind_of, parse, parse_seed
from support import ui_files
from support.edit_server import DATA

SMALL = DATA / "small_edit.json"


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


# With the server's node definitions


def resolved(name: str) -> Workflow:
    return Workflow.load(ui_files.workflows()[name], ui_files.recorded()["object_info"])


def test_types_ranges_and_choices():
    inputs = resolved("plain").inputs
    assert (inputs["steps"].type, inputs["steps"].low, inputs["steps"].high) == ("INT", 1, 10000)
    assert (inputs["guidance"].type, inputs["guidance"].value) == ("FLOAT", 6.5)
    assert "dpmpp_2m" in inputs["sampler"].choices
    assert inputs["load_image"].kind == "image"


def test_inputs_that_come_with_a_choice():
    workflow = resolved("dynamic combos")
    assert workflow.find("2.resize_type").choices[0] == "scale dimensions"
    height = workflow.find("2.resize_type.height")
    assert (height.type, height.value, height.high) == ("INT", 200, 16384)
    assert error_of(workflow.set, "2.resize_type.height", 20_000).code == "workflow_input_value"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("steps", 0, "The least is 1."),
        ("steps", "7.5", "It must be a whole number."),
        ("guidance", 101, "The most is 100"),
        ("sampler", "dpmp_2m", "'dpmpp_2m'"),
        ("scheduler", "karas", "The choices are 'karras'"),
    ],
)
def test_values_are_held_to_the_definitions(name, value, says):
    error = error_of(resolved("plain").set, name, value)
    assert error.code == "workflow_input_value"
    assert says in error.message


def test_choices_that_the_server_does_not_know():
    """Custom Combo's own options are the editor's."""
    workflow = resolved("rich values")
    workflow.set("choice", "anything")
    combo = ("5", "choice")
    problems = workflow.check(ui_files.recorded()["object_info"])
    assert combo not in [(problem.node_id, problem.input) for problem in problems]


def test_a_seed_for_all():
    workflow = resolved("plain")
    workflow.set_seeds("31")
    assert workflow.graph()["5"]["inputs"]["seed"] == 31
    several = Workflow.load({key: {"class_type": "KSampler", "inputs": {"seed": 1}} for key in "ab"})
    several.set_seeds("random")
    drawn = [node["inputs"]["seed"] for node in several.graph().values()]
    assert drawn[0] == drawn[1] != 1
    assert error_of(Workflow.load("Simple Edit").set_seeds, "x").code == "workflow_input_value"
    assert error_of(resolved("growing lists").set_seeds, 1).code == "workflow_input_unknown"


def test_widgets_of_a_subgraph_s_node():
    """They have the author's label for a name, and set every input inside that they feed."""
    workflow = resolved("nested")
    say, size = workflow.find("say"), workflow.find("1.size")
    assert (say.address, say.value, say.type, say.node) == ("1.words", "outer words", "STRING", "Outer")
    assert (size.type, size.low) == ("INT", 1)
    workflow.set("say", "hello")
    workflow.set("1.size", "12")
    graph = workflow.graph()
    assert graph["1:20:10"]["inputs"]["string_a"] == graph["1:22"]["inputs"]["string_b"] == "hello"
    assert graph["1:20:11"]["inputs"]["width"] == 12
    assert error_of(workflow.set, "1.size", 0).code == "workflow_input_value"
    ui = workflow.ui_graph()
    assert ui["nodes"][0]["widgets_values"] == ["hello", 12]
    assert Workflow.load(ui, ui_files.recorded()["object_info"]).graph() == graph
    workflow.set("1:21.text", "inside")
    assert workflow.ui_graph() is None


def test_app_mode_may_show_widgets_of_a_subgraph_s_node():
    ui = ui_files.workflows()["nested"]
    ui["extra"] = {"linearData": {"inputs": [[1, "size"], ["22", "delimiter"]], "outputs": []}}
    inputs = list(Workflow.load(ui, ui_files.recorded()["object_info"]).inputs.values())
    assert [(entry.address, entry.shown) for entry in inputs[:3]] == [
        ("1.size", True), ("1:22.delimiter", True), ("2:22.delimiter", True)
    ]  # fmt: skip


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
    assert Workflow.load("Simple Edit").models == [
        "grounding-dino/grounding-dino-tiny",
        "sams/sam2.1-hiera-tiny",
        "checkpoints/sd-v1-5-inpainting.safetensors",
    ]
