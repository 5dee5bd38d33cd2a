"""The embedded engine without any ComfyUI: when it is chosen, what it refuses, and how its jobs behave."""

import json
from contextlib import contextmanager

import pytest
from imageine.runner import edit
from imageine.runner.client.events import Message, NodeProgress, NodeStarted
from imageine.runner.engines import comfyui, connection, embedded
from imageine.runner.engines.embedded.graph import NodeKind, Run
from imageine.runner.errors import ImageineError, JobError, ModelError, ServerError, WorkflowError
from PIL import Image, ImageChops

needs_torch = pytest.mark.skipif(bool(embedded.missing_packages()), reason="needs the extra [embedded]")
QUICK = {"width": 64, "height": 64, "blend": 0, "feather": 0, "grow": 0}


@pytest.fixture
def alone(monkeypatch):
    """A machine without ComfyUI."""
    monkeypatch.setattr(comfyui, "find_server", lambda explicit: None)
    monkeypatch.setattr(comfyui, "find_comfyui", lambda explicit=None: None)
    monkeypatch.delenv("IMAGEINE_SERVER", raising=False)


@pytest.fixture(scope="module")
def client(seeded_models):
    pytest.importorskip("diffusers")
    with embedded.EmbeddedClient(seeded_models, device="cpu") as client:
        yield client


def photo() -> Image.Image:
    return Image.linear_gradient("L").resize((96, 64)).convert("RGB")


def mask() -> Image.Image:
    painted = Image.new("L", (96, 64))
    painted.paste(255, (20, 20, 60, 50))
    return painted


def painted(client, **options):
    settings = QUICK | options.pop("settings", {})
    return edit(photo(), "blue car", client=client, mask=mask(), seed=1, steps=2, settings=settings, **options)


# --- when it is chosen ---


@needs_torch
def test_it_is_what_remains_without_a_comfyui(alone, seeded_models, monkeypatch):
    monkeypatch.setenv("IMAGEINE_MODELS", str(seeded_models))
    told = []
    result = edit(photo(), "blue car", mask=mask(), seed=1, steps=1, settings=QUICK, on_event=told.append)
    assert any(
        "No ComfyUI was found: working without one" in event.text for event in told if isinstance(event, Message)
    )
    assert ImageChops.difference(result.image, photo()).getbbox()


@needs_torch
def test_it_can_be_asked_for(seeded_models, monkeypatch):
    monkeypatch.setenv("IMAGEINE_MODELS", str(seeded_models))
    with connection.connect("embedded") as client:
        assert isinstance(client, embedded.EmbeddedClient)


def test_without_its_packages_it_says_how_to_get_either(alone, monkeypatch):
    monkeypatch.setattr(embedded, "missing_packages", lambda: ["torch"])
    with pytest.raises(ServerError) as caught, connection.connect():
        pass
    assert caught.value.code == "comfyui_missing" and "imageine[embedded]" in caught.value.hint
    with pytest.raises(ModelError) as caught:
        embedded.EmbeddedClient()
    assert caught.value.code == "engine_missing" and caught.value.details == {"packages": ["torch"]}


def test_missing_models_come_with_the_command(alone, tmp_path, monkeypatch):
    pytest.importorskip("diffusers")
    monkeypatch.setenv("IMAGEINE_MODELS", str(tmp_path / "models"))
    with pytest.raises(WorkflowError) as caught:
        edit(photo(), "make the car blue", mask=mask())
    assert caught.value.code == "workflow_unfit" and "imageine models pull simple" in str(caught.value)


# --- what it does ---


@needs_torch
def test_an_edit(client):
    result = painted(client)
    box = ImageChops.difference(result.image, photo()).getbbox()
    assert box and box[0] >= 20 and box[1] >= 20 and box[2] <= 60 and box[3] <= 50
    assert painted(client).image.tobytes() == result.image.tobytes()
    assert painted(client, settings={"seed": 2}).image.tobytes() != result.image.tobytes()
    assert result.metadata["prompt"] and result.metadata["imageine"]["pipeline"] == "Simple Edit"


@needs_torch
def test_progress(client):
    events = []
    painted(client, on_event=events.append)
    steps = [(event.value, event.maximum) for event in events if isinstance(event, NodeProgress)]
    assert steps == [(1, 2), (2, 2)]
    assert len({event.node_id for event in events if isinstance(event, NodeStarted)}) > 5


@needs_torch
def test_a_timeout_ends_it_between_steps(client):
    with pytest.raises(JobError) as caught:
        painted(client, timeout=0.001)
    assert caught.value.code == "job_timeout"


@needs_torch
def test_a_cancelled_job_stops_at_the_next_step(client):
    def stop(event):
        if isinstance(event, NodeProgress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        painted(client, on_event=stop)
    assert painted(client).image  # and the engine goes on


@needs_torch
def test_what_it_lacks_is_said_beforehand(client):
    with pytest.raises(ImageineError) as caught:
        painted(client, settings={"sampler": "uni_pc"})
    assert caught.value.code == "workflow_unfit" and "dpmpp_2m" in str(caught.value)
    with pytest.raises(ImageineError) as caught:
        painted(client, workflow="Complex Edit with Depth Anything 3")
    assert caught.value.code == "workflow_unfit" and "DA3" in str(caught.value)


@needs_torch
def test_other_checkpoints_are_refused_by_name(tmp_path, seeded_models):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "checkpoints" / "sd-v1-5-inpainting.safetensors"
    path.parent.mkdir()
    tensors = load_file(seeded_models / "checkpoints" / path.name)
    name = "model.diffusion_model.input_blocks.0.0.weight"
    save_file({name: tensors[name][:, :4].contiguous()}, path)
    with embedded.EmbeddedClient(tmp_path, device="cpu") as client, pytest.raises(ModelError) as caught:
        client._studio.checkpoint(path.name)
    assert caught.value.code == "model_corrupt" and "SD 1.5 inpainting" in caught.value.message
    path.write_bytes(b"no tensors")
    with embedded.EmbeddedClient(tmp_path, device="cpu") as client, pytest.raises(ModelError, match="cannot be read"):
        client._studio.checkpoint(path.name)


# --- the graph ---


def test_every_node_runs_once_and_only_when_wanted():
    ran = []

    def make(name, **options):
        def run(studio, **inputs):
            ran.append(name)
            return (inputs.get("value", name),)

        return NodeKind(run, **options)

    kinds = {
        "Value": make("Value"),
        "Switch": NodeKind(
            lambda studio, switch, a=None, b=None: (a if switch else b,),
            lazy=frozenset("ab"),
            wanted=lambda known: ["a" if known["switch"] else "b"],
        ),
        "Save": make("Save", is_output=True),
        "Unused": make("Unused"),
    }
    graph = {
        "1": {"class_type": "Value", "inputs": {"value": 1}},
        "2": {"class_type": "Unused", "inputs": {}},
        "3": {"class_type": "Switch", "inputs": {"switch": True, "a": ["1", 0], "b": ["2", 0]}},
        "4": {"class_type": "Save", "inputs": {"x": ["3", 0], "y": ["1", 0]}},
    }

    @contextmanager
    def around(node_id):
        yield

    Run(graph, kinds, None, around).finish()
    assert ran == ["Value", "Save"]


def test_node_info_covers_what_the_nodes_do():
    from imageine.runner.engines.embedded.core_nodes import CORE_NODES
    from imageine.runner.engines.embedded.own_nodes import OWN_NODES
    from imageine.runner.engines.embedded.router import ROUTER_NODES

    kinds = CORE_NODES | OWN_NODES | ROUTER_NODES
    info = json.loads(embedded._INFO.read_text(encoding="utf-8"))
    assert set(info) == set(kinds)
    for kind, node in kinds.items():
        assert node.is_output == info[kind]["output_node"]
        inputs = {name for group in info[kind]["input"].values() for name in group}
        assert node.lazy <= inputs
