"""``imageine inputs`` and ``imageine convert``, and running UI-format files."""

import copy
import json

import pytest
from imageine.runner.cli import app
from PIL import Image
from support import ui_files
from support.edit_server import DATA, EditServer
from typer.testing import CliRunner

RECORDED = ui_files.recorded()
SMALL = DATA / "small_edit.json"


@pytest.fixture(scope="module")
def server():
    with EditServer() as running:
        running.object_info = copy.deepcopy(RECORDED["object_info"])
        running.object_info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] = ["a.safetensors"]
        yield running


@pytest.fixture
def definitions(tmp_path):
    path = tmp_path / "object_info.json"
    path.write_text(json.dumps(RECORDED["object_info"]), encoding="utf-8")
    return path


@pytest.fixture
def workflow(tmp_path):
    """Writes one of the tests' UI-format workflows."""

    def write(name: str):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(ui_files.workflows()[name]), encoding="utf-8")
        return path

    return write


def imageine(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error_in(result) -> str:
    assert "Traceback" not in result.output
    return result.stderr.splitlines()[-2 if result.stderr.splitlines()[-1].startswith("  ") else -1]


def test_convert_prints_the_graph(workflow, definitions):
    result = imageine("convert", workflow("nested"), "--object-info", definitions)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == RECORDED["prompts"]["nested"]


def test_convert_asks_the_server_and_writes_a_file(workflow, server, tmp_path):
    out = tmp_path / "made" / "api.json"
    result = imageine("convert", workflow("plain"), "--server", server.url, "-o", out)
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    assert json.loads(out.read_text(encoding="utf-8")) == RECORDED["prompts"]["plain"]
    assert imageine("convert", out).exit_code == 0


@pytest.mark.parametrize(
    ("name", "exit_code", "code"),
    [("circle", 3, "workflow_broken"), ("missing link", 3, "workflow_broken")],
)
def test_what_cannot_be_converted(workflow, definitions, name, exit_code, code):
    result = imageine("convert", workflow(name), "--object-info", definitions)
    assert result.exit_code == exit_code
    assert f"Error ({code}): " in error_in(result)
    assert result.stdout == ""


@pytest.mark.parametrize("content", ["", "[]", "{", '{"KSampler": 3}', '{"KSampler": {}}'])
def test_bad_definitions(workflow, tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_text(content)
    result = imageine("convert", workflow("plain"), "--object-info", path)
    assert (result.exit_code, "option_invalid" in result.stderr) == (2, True)


def test_one_source_of_definitions(workflow, definitions):
    result = imageine("inputs", workflow("plain"), "--object-info", definitions, "--server", "x", "--json")
    assert json.loads(result.stdout)["error"]["code"] == "option_invalid"


def test_inputs_table(workflow, definitions):
    result = imageine("inputs", workflow("plain"), "--object-info", definitions)
    assert result.exit_code == 0, result.stderr
    rows = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert rows["steps"].split(maxsplit=1)[1].split() == ["whole", "number", "11", "1", "to", "10000"]
    assert "choice" in rows["sampler"]
    assert "'euler'" in rows["sampler"]
    assert " | " in rows["sampler"]
    assert rows["load_image"].split()[1:] == ["image", "'example.png'"]
    assert len({line.index("number") for line in result.stdout.splitlines() if "whole number" in line}) == 1


def test_inputs_as_json(workflow, server):
    told = json.loads(imageine("inputs", workflow("nested"), "--server", server.url, "--json").stdout)
    say = next(entry for entry in told["inputs"] if entry["name"] == "say")
    assert (say["address"], say["type"], say["value"], say["choices"]) == ("1.words", "STRING", "outer words", None)


def test_inputs_of_an_api_file_need_no_server():
    assert imageine("inputs", SMALL).exit_code == 0


def test_run_a_ui_file(workflow, server, tmp_path):
    photo = tmp_path / "photo.png"
    Image.new("RGB", (20, 10), "white").save(photo)
    arguments = ["run", workflow("plain"), "--server", server.url, "-o", tmp_path / "out", "--image"]
    result = imageine(*arguments, f"load_image={photo}", "--set", "steps=3", "--seed", "5")
    assert result.exit_code == 0, result.stderr
    sent = server.jobs[-1].graph["5"]["inputs"]
    assert (sent["steps"], sent["seed"], sent["model"]) == (3, 5, ["1", 0])
    result = imageine(*arguments, f"load_image={photo}", "--set", "sampler=eular")
    assert result.exit_code == 3
    assert "'euler'" in result.stderr
