"""``edit`` and ``run`` against a scripted server: what is sent, what comes back, what is refused beforehand."""

import io
import json

import pytest
from imageine.runner import Client, Workflow, edit, run
from imageine.runner.client.events import Message
from imageine.runner.editing import Decided
from imageine.runner.errors import ImageineError
from imageine.runner.jobs import Submitted
from imageine.runner.pictures import metadata
from PIL import Image
from support.edit_server import BOX, DATA, OBJECT_INFO, EditServer, hang, keep

SMALL = DATA / "small_edit.json"
EVERYTHING = "make the car blue"


@pytest.fixture
def server():
    with EditServer() as running:
        yield running


@pytest.fixture
def client(server):
    with Client(server.url, timeout=10, grace=1) as client:
        yield client


def photo(mode="RGB", size=(20, 10)) -> Image.Image:
    return Image.linear_gradient("L").resize(size).convert(mode)


def error_of(call, *arguments, **options) -> ImageineError:
    with pytest.raises(ImageineError) as caught:
        call(*arguments, **options)
    return caught.value


def inputs_of(job, kind, name):
    return [node["inputs"][name] for node in job.graph.values() if node["class_type"] == kind]


def test_the_wish_reaches_the_graph(server, client):
    edit(photo(), "make the car blue", client=client, negative="ugly", steps=3, guidance=5, seed=9,
         settings={"feather": 4})  # fmt: skip
    job = server.jobs[0]
    assert inputs_of(job, "PrimitiveStringMultiline", "value") == ["blue car"]
    assert inputs_of(job, "ImageineMaskByText", "target") == ["car"]
    assert inputs_of(job, "ImageineMaskByText", "feather") == [4]
    assert "ugly" in inputs_of(job, "CLIPTextEncode", "text")
    assert [inputs_of(job, "KSampler", name) for name in ("steps", "cfg", "seed")] == [[3], [5], [9]]


def test_the_target_is_what_the_wish_names_or_what_is_given(server, client):
    edit(photo(), "blue car", client=client)
    assert inputs_of(server.jobs[0], "ImageineMaskByText", "target") == ["car"]
    edit(photo(), "blue car", client=client, target="van")
    assert inputs_of(server.jobs[1], "ImageineMaskByText", "target") == ["van"]


def test_auto_edit_does_every_edit_of_a_wish(server, client):
    """A graph with Route Edit between the prompt and what is painted."""
    inputs = {"prompt": ["STRING", {}], "edit": ["INT", {"default": 1, "min": 1, "max": 100}]}
    router = {"input": {"required": inputs}, "output": ["STRING"], "output_node": False, "name": "ImageineRouteEdit"}
    server.object_info = OBJECT_INFO | {"ImageineRouteEdit": router}
    graph = json.loads(SMALL.read_text(encoding="utf-8"))
    graph["4"]["inputs"]["text"] = ["10", 0]
    graph["10"] = {"class_type": "ImageineRouteEdit", "inputs": {"prompt": ["2", 0], "edit": 1}}
    wish = "make the car blue and remove the tree"
    result = edit(photo(), wish, client=client, workflow=graph)
    assert [inputs_of(job, "ImageineRouteEdit", "edit") for job in server.jobs] == [[1], [2]]
    assert all(wish in inputs_of(job, "PrimitiveStringMultiline", "value") for job in server.jobs)
    assert server.uploaded(1).getpixel((3, 3)) == (255, 0, 0), "the second starts from the result of the first"
    assert "in 2 edits" in " ".join(result.notes)


def test_several_edits_are_done_one_after_another(server, client):
    """Each on the result of the one before; here the same box is painted twice, so the second finds it red."""
    told = []
    result = edit(photo(), "make the car blue and remove the tree", client=client, seed=4, on_event=told.append)
    assert [inputs_of(job, "ImageineMaskByText", "target") for job in server.jobs] == [["car"], ["tree"]]
    assert server.uploaded(0).getpixel((3, 3)) == photo().getpixel((3, 3))
    assert server.uploaded(1).getpixel((3, 3)) == (255, 0, 0)
    assert (result.metadata["imageine"]["edit"], result.metadata["imageine"]["edits"]) == (2, 2)
    assert len(result.decision.edits) == 2 and "done in 2 edits" in result.notes[-1]
    said = [event.text for event in told if isinstance(event, Message)]
    assert any(text.startswith('1 of 2, Simple Edit: paint "blue car" where there is "car"') for text in said)
    assert isinstance(told[0], Decided)


def test_a_reference_that_cannot_help_is_said_to_be_left_out(server, client):
    told = []
    edit(photo(), "remove the car", client=client, reference=photo(), on_event=told.append)
    assert any("reference picture is not used" in event.text for event in told if isinstance(event, Message))
    assert sum(node["class_type"] == "LoadImage" for node in server.jobs[0].graph.values()) == 1


def test_missing_models_of_a_pipeline_that_was_not_asked_for(server, client):
    """The server has what Simple Edit needs and nothing more."""
    error = error_of(edit, photo(), "put her in a navy suit", client=client)
    assert error.code == "workflow_unfit" and "--pipeline simple" in error.hint
    error = error_of(edit, photo(), "put her in a navy suit", client=client, workflow="Complex Edit")
    assert error.code == "workflow_unfit" and "--pipeline" not in error.hint
    assert edit(photo(), "put her in a navy suit", client=client, pipeline="simple").decision.controls == ()


def test_a_workflow_without_a_target_is_fine_unless_one_is_asked_for(server, client):
    edit(photo(), "make the car blue", client=client, workflow=SMALL)
    assert inputs_of(server.jobs[0], "PrimitiveStringMultiline", "value") == ["blue car"]
    assert error_of(edit, photo(), "x", client=client, workflow=SMALL, target="y").code == "workflow_input_unknown"


def test_only_what_was_painted_differs(server, client):
    source = photo()
    result = edit(source, EVERYTHING, client=client)
    expected = source.copy()
    expected.paste((255, 0, 0), (BOX[0], BOX[1], BOX[2] + 1, BOX[3] + 1))
    assert result.image.tobytes() == expected.tobytes()
    assert result.seconds > 0


def test_the_mask_travels_in_the_alpha(server, client):
    mask = Image.new("L", (20, 10))
    mask.putpixel((3, 3), 255)
    edit(photo(), EVERYTHING, client=client, mask=mask)
    sent = server.uploaded()
    assert (sent.mode, sent.getpixel((3, 3))[3], sent.getpixel((4, 4))[3]) == ("RGBA", 0, 255)
    edit(photo(), EVERYTHING, client=client)
    assert server.uploaded().mode == "RGB"


def test_seeds_are_random_or_yours_and_always_told(client):
    seeds = {edit(photo(), "x", client=client).metadata["imageine"]["seed"] for _ in range(3)}
    assert len(seeds) == 3
    assert edit(photo(), "x", client=client, seed=7).metadata["imageine"]["seed"] == 7


def test_the_same_edit_gives_the_same_bytes(client):
    first, second = (edit(photo(), "x", client=client, seed=1).encode(".png") for _ in range(2))
    assert first == second


def test_metadata(server, client, tmp_path):
    result = edit(photo(), EVERYTHING, client=client, seed=5)
    made = metadata.read(result.save(tmp_path / "out.png"))
    assert made["imageine"] | {"inputs": None, "version": None} == {
        "version": None,
        "pipeline": "Simple Edit",
        "prompt": "blue car",
        "target": "car",
        "negative": "deformed, distorted, low quality, blurry",
        "seed": 5,
        "wish": EVERYTHING,
        "controls": [],
        "reasons": ["Only a colour changes."],
        "models": Workflow.load("Simple Edit").models,
        "inputs": None,
    }
    again = Workflow.load(made["prompt"])
    assert again.inputs["prompt"].value == "blue car"
    prompt = next(node for node in made["workflow"]["nodes"] if node["type"] == "PrimitiveStringMultiline")
    assert prompt["widgets_values"] == ["blue car"]
    assert server.bodies[0]["extra_data"]["extra_pnginfo"]["workflow"] == made["workflow"]


def test_each_job_has_its_own_prefix(server, client):
    for _ in range(2):
        edit(photo(), "x", client=client, seed=1)
    prefixes = [inputs_of(job, "SaveImage", "filename_prefix")[0] for job in server.jobs]
    assert len(set(prefixes)) == 2
    assert all(prefix.startswith("imageine/") for prefix in prefixes)


def test_a_transparent_photo_is_edited_on_white_and_stays_transparent(server, client):
    source = photo("RGBA")
    source.putalpha(0)
    result = edit(source, EVERYTHING, client=client)
    assert server.uploaded().getpixel((10, 5)) == (255, 255, 255)
    assert result.image.getpixel((10, 9)) == source.getpixel((10, 9))
    assert result.image.getpixel((3, 3)) == (255, 0, 0, 255)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_saving(client, tmp_path, suffix):
    path = edit(photo(), EVERYTHING, client=client).save(tmp_path / f"out{suffix}")
    assert Image.open(path).size == (20, 10)


def test_nothing_found_is_an_answer_with_advice(server, client):
    server.script = keep
    told = []
    result = edit(photo(), EVERYTHING, client=client, on_event=told.append)
    assert result.image.tobytes() == photo().tobytes()
    assert "Nothing was changed" in result.notes[-1]
    assert Message(result.notes[-1]) in told


def test_notes_tell_what_was_done_to_the_photo(client):
    buffer = io.BytesIO()
    photo().save(buffer, "GIF", save_all=True, append_images=[photo().rotate(180)])
    result = edit(buffer.getvalue(), EVERYTHING, client=client, mask=Image.new("L", (5, 5)))
    assert ["frames" in result.notes[0], "resized" in result.notes[1], "marks nothing" in result.notes[2]] == [True] * 3


@pytest.mark.parametrize("wish", ["", "  ", "?!...", "\u200b"])
def test_no_word(server, client, wish):
    assert error_of(edit, photo(), wish, client=client).code == "prompt_empty"
    assert error_of(edit, photo(), "x", target=wish, client=client).code == "prompt_empty"
    assert server.requests == []


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"steps": "many"}, "workflow_input_value"),
        ({"seed": "x"}, "workflow_input_value"),
        ({"settings": {"stepz": 3}}, "workflow_input_unknown"),
        ({"workflow": "None Such"}, "workflow_missing"),
        ({"mask": b"no picture"}, "image_unreadable"),
        ({"photo": b"no picture"}, "image_unreadable"),
        ({"photo": "none.jpg"}, "image_missing"),
    ],
)
def test_what_is_wrong_here_is_found_before_anything_is_sent(server, client, options, code):
    options = {"photo": photo(), "wish": "x"} | options
    assert error_of(edit, client=client, **options).code == code
    assert server.requests == []


def test_what_the_server_lacks_is_found_before_anything_is_uploaded(server, client):
    server.object_info = {name: info for name, info in OBJECT_INFO.items() if not name.startswith("Imageine")}
    error = error_of(edit, photo(), "x", client=client)
    assert error.code == "workflow_unfit"
    assert error.message.count("lacks the Imageine node") == 5
    assert server.count("POST", "/") == 0


def test_run_by_name(server, client):
    settings = {"prompt": "red hat", "guidance": "3.5"}
    result = run(SMALL, settings=settings, images={"image": photo()}, client=client)
    assert inputs_of(server.jobs[0], "PrimitiveStringMultiline", "value") == ["red hat"]
    assert inputs_of(server.jobs[0], "KSampler", "cfg") == [3.5]
    assert inputs_of(server.jobs[0], "KSampler", "seed") == [0]
    (output,) = result.outputs
    assert (output.node_id, output.title, output.kind) == ("9", "Result", "images")
    assert Image.open(io.BytesIO(output.data)).size == (20, 10)


def test_run_leaves_the_callers_workflow_alone(client):
    workflow = Workflow.load(SMALL)
    run(workflow, settings={"prompt": "red hat"}, images={"image": photo()}, client=client)
    assert workflow.inputs["prompt"].value == "blue car"


def test_a_picture_for_an_input_that_takes_none(client):
    assert error_of(run, SMALL, images={"prompt": photo()}, client=client).code == "workflow_input_value"
    assert error_of(run, SMALL, images={"photo": photo()}, client=client).code == "workflow_input_unknown"


def test_a_mask_without_a_photo_or_a_place_for_it(client):
    assert "--image image=PATH" in error_of(run, SMALL, mask=photo("L"), client=client).hint
    graph = json.loads(SMALL.read_text())
    graph["6"]["inputs"]["mask"] = ["1", 0]
    error = error_of(run, graph, images={"image": photo()}, mask=photo("L"), client=client)
    assert error.code == "workflow_input_unknown"


def test_a_mask_loader_gets_the_transparency(server, client):
    graph = json.loads(SMALL.read_text())
    graph["10"] = {"class_type": "LoadImageMask", "inputs": {"image": "example.png", "channel": "alpha"},
                   "_meta": {"title": "Painted"}}  # fmt: skip
    graph["6"]["inputs"]["mask"] = ["10", 0]
    source = photo("RGBA")
    source.putalpha(7)
    run(graph, images={"image": photo(), "painted": source}, client=client)
    folder, _, name = server.jobs[0].graph["10"]["inputs"]["image"].rpartition("/")
    assert Image.open(io.BytesIO(server.files["input", folder, name])).getpixel((0, 0))[3] == 7


def test_a_job_that_saves_nothing(server, client):
    async def nothing(server, job):
        server.finish(job, {})

    server.script = nothing
    assert error_of(edit, photo(), "x", client=client).code == "output_missing"


def test_a_result_that_is_no_picture(server, client):
    async def broken(server, job):
        outputs = server.save(job, photo())
        for place in [place for place in server.files if place[0] == "output"]:
            server.files[place] = b"\x89PNG broken"
        server.finish(job, outputs)

    server.script = broken
    assert error_of(edit, photo(), "x", client=client).code == "output_missing"


def test_a_timeout_cancels_the_job(server, client):
    server.script = hang
    error = error_of(edit, photo(), "x", client=client, timeout=0.2)
    assert error.code == "job_timeout"
    assert "was cancelled" in error.message
    assert server.asked_to_cancel.is_set()
    assert server.jobs[0].history["status"]["status_str"] == "error"


def test_ctrl_c_cancels_the_job_wherever_it_strikes(server, client):
    def strike(event):
        if isinstance(event, Submitted):
            raise KeyboardInterrupt

    server.script = hang
    with pytest.raises(KeyboardInterrupt):
        edit(photo(), "x", client=client, on_event=strike)
    assert server.asked_to_cancel.is_set()
    assert server.jobs[0].phase == "done"


def test_a_server_by_address(server):
    told = []
    run(SMALL, images={"image": photo()}, server=server.url, on_event=told.append)
    assert Message(f"Using the ComfyUI at {server.url}.") in told
