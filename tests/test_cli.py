"""The command line: output, progress, errors and exit codes, Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from imageine import __version__
from imageine.runner.cli import app
from imageine.runner.client.events import Message
from imageine.runner.pictures import metadata
from PIL import Image
from support.edit_server import DATA, EditServer, hang
from typer.testing import CliRunner

SMALL = str(DATA / "small_edit.json")


@pytest.fixture(scope="module")
def shared():
    with EditServer() as running:
        yield running


@pytest.fixture
def server(shared):
    shared.jobs.clear()
    shared.requests.clear()
    return shared


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.linear_gradient("L").resize((20, 10)).convert("RGB").save(path)
    return path


def imageine(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error_in(result) -> dict:
    return json.loads(result.stdout)["error"]


def test_help_starts_without_what_it_does_not_need():
    """What makes the difference between a tenth of a second and half of one (benchmarks/overhead.py)."""
    code = "import sys; from imageine.runner.cli import app; app(standalone_mode=False); print('loaded', *sys.modules)"
    for command in (["--help"], ["run", "--help"], ["models", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
        loaded = done.stdout.split("loaded ")[1].split()
        assert not {"rich", "requests", "urllib3", "websocket", "PIL", "yaml", "huggingface_hub"} & set(loaded)


def test_help_names_every_command():
    result = imageine("--help")
    assert result.exit_code == 0
    assert all(
        name in result.stdout for name in ("edit", "run", "inputs", "models", "demo", "doctor", "batch", "Exit codes")
    )


@pytest.mark.parametrize(
    "command",
    [["edit"], ["run"], ["batch"], ["inputs"], ["convert"], ["demo"], ["doctor"], ["models"], ["models", "pull"]],
)
def test_every_command_has_help(command):
    assert imageine(*command, "--help").exit_code == 0


def test_version():
    assert imageine("--version").stdout == f"imageine {__version__}\n"


def test_help_needs_nothing_heavy():
    code = "import sys; from imageine.runner.cli import app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "PIL", "requests", "websocket", "huggingface_hub"} & set(loaded)


def test_edit(server, photo, tmp_path):
    out = tmp_path / "out.png"
    result = imageine("edit", photo, "make the car blue", "-o", out, "--server", server.url, "--seed", 5)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out}\n"
    assert metadata.read(out)["imageine"]["prompt"] == "blue car"
    lines = result.stderr.splitlines()
    assert lines[0] == f"Using the ComfyUI at {server.url}."
    assert any(re.fullmatch(r" *\d+% KSampler, step 25 of 25.*", line) for line in lines)
    assert lines[-1].startswith("Seed 5, ")


def test_edit_options_reach_the_server(server, photo, tmp_path):
    mask = tmp_path / "mask.png"
    Image.new("L", (20, 10), 255).save(mask)
    result = imageine("edit", photo, "blue car", "-o", tmp_path / "o.jpg", "--server", server.url, "--workflow", SMALL,
                      "--steps", 2, "--guidance", 3, "--negative", "ugly", "--set", "sampler=euler", "--mask", mask,
                      "--set", "prompt=a=b")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    inputs = server.jobs[0].graph["7"]["inputs"]
    assert (inputs["steps"], inputs["cfg"], inputs["sampler_name"]) == (2, 3, "euler")
    assert server.jobs[0].graph["5"]["inputs"]["text"] == "ugly"
    assert server.jobs[0].graph["2"]["inputs"]["value"] == "a=b"
    assert server.uploaded().mode == "RGBA"


def test_json_is_all_there_is_on_stdout(server, photo, tmp_path):
    out = tmp_path / "out.png"
    result = imageine("edit", photo, "blue car", "-o", out, "--server", server.url, "--json")
    told = json.loads(result.stdout)
    assert (told["output"], told["prompt"], told["pipeline"]) == (str(out), "blue car", "Simple Edit")
    assert isinstance(told["seed"], int)
    assert "KSampler" in result.stderr


def test_quiet(server, photo, tmp_path):
    result = imageine("edit", photo, "blue car", "-o", tmp_path / "out.png", "--server", server.url, "-q")
    assert (result.exit_code, result.output) == (0, "")


def test_previews(server, photo, tmp_path):
    folder = tmp_path / "new" / "previews"
    options = ["--server", server.url, "--previews", folder]
    assert imageine("edit", photo, "x", "-o", tmp_path / "out.png", *options).exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["preview-0001.jpg"]


def test_run(server, photo, tmp_path):
    folder = tmp_path / "results"
    arguments = ["run", SMALL, "--set", "prompt=red hat", "--image", photo, "-o", folder, "--server", server.url]
    for name in ("result.png", "result-2.png"):
        result = imageine(*arguments)
        assert result.exit_code == 0, result.stderr
        assert result.stdout == f"{folder / name}\n"
    assert server.jobs[0].graph["2"]["inputs"]["value"] == "red hat"
    told = json.loads(imageine(*arguments, "--json").stdout)
    assert told["outputs"] == [str(folder / "result-3.png")]
    assert told["inputs"]["prompt"] == "red hat"


def test_run_with_the_server_of_the_environment(server, photo, tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEINE_SERVER", server.url)
    assert imageine("run", SMALL, "--image", f"image={photo}", "-o", tmp_path / "r").exit_code == 0


def test_inputs():
    result = imageine("inputs", "simple-edit")
    assert [line.split()[0] for line in result.stdout.splitlines()][:3] == ["image", "mask", "prompt"]
    told = json.loads(imageine("inputs", SMALL, "--json").stdout)
    assert told["inputs"][0] == {"name": "image", "address": "1.image", "kind": "image", "value": "example.png",
                                 "node": "Image", "shown": False, "type": "", "choices": None, "low": None,
                                 "high": None}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (["edit", "none.jpg", "x", "-o", "out.png"], 2, "image_missing"),
        (["edit", SMALL, "x", "-o", "out.png"], 2, "image_unreadable"),
        (["edit", "PHOTO", "...", "-o", "out.png"], 2, "prompt_empty"),
        (["edit", "PHOTO", "x", "-o", "none/out.png"], 2, "output_unwritable"),
        (["edit", "PHOTO", "x", "-o", "PHOTO"], 2, "option_invalid"),
        (["edit", "PHOTO", "x", "-o", "out.png", "--set", "steps"], 2, "option_invalid"),
        (["edit", "PHOTO", "x", "-o", "out.png", "--set", "a=1", "--set", "a=2"], 2, "option_invalid"),
        (["edit", "PHOTO", "x", "-o", "out.png", "--server", "x", "--comfyui", "y"], 2, "option_invalid"),
        (["edit", "PHOTO", "x", "-o", "out.png", "--set", "stepz=1"], 3, "workflow_input_unknown"),
        (["edit", "PHOTO", "x", "-o", "out.png", "--seed", "y"], 3, "workflow_input_value"),
        (["edit", "PHOTO", "x", "-o", "out.png", "--workflow", "PHOTO"], 3, "workflow_not_json"),
        (["run", "none.json", "-o", "r"], 3, "workflow_missing"),
        (["run", SMALL, "-o", SMALL], 2, "output_unwritable"),
        (["inputs", "none"], 3, "workflow_missing"),
        (["edit", "PHOTO", "x", "-o", "out.png", "--server", "127.0.0.1:1"], 4, "server_unreachable"),
        (["edit", "PHOTO", "x", "-o", "out.png", "--comfyui", "."], 4, "comfyui_missing"),
    ],
)
def test_errors(photo, tmp_path, monkeypatch, arguments, exit_code, code):
    monkeypatch.chdir(tmp_path)
    result = imageine(*[photo if argument == "PHOTO" else argument for argument in arguments], "--json")
    assert error_in(result)["code"] == code
    assert result.exit_code == exit_code
    assert f"Error ({code}): " in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out.png").exists()


def test_a_missing_comfyui_says_where_it_was_looked_for(photo, tmp_path, monkeypatch):
    from imageine.runner.engines import comfyui, embedded

    monkeypatch.setattr(embedded, "missing_packages", lambda: ["torch"])
    monkeypatch.setattr(comfyui, "find_server", lambda explicit: None)
    monkeypatch.setattr(comfyui, "find_comfyui", lambda explicit: None)
    result = imageine("edit", photo, "x", "-o", tmp_path / "out.png", "--json")
    assert (result.exit_code, error_in(result)["code"]) == (4, "comfyui_missing")
    assert all(place in result.stderr for place in ("127.0.0.1:8188", "IMAGEINE_SERVER", "COMFYUI_DIR", "--comfyui"))


def test_demo(tmp_path, monkeypatch):
    from imageine.runner import demo

    def run_demo(output, *, comfyui, on_event):
        on_event(Message(f"With {comfyui}."))
        return SimpleNamespace(path=output)

    monkeypatch.setattr(demo, "run_demo", run_demo)
    result = imageine("demo", "-o", tmp_path / "demo.png", "--comfyui", "here")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{tmp_path / 'demo.png'}\n", "With here.\n")
    assert imageine("demo", "-o", tmp_path / "demo.png", "-q").output == ""


def test_a_failed_job(server, photo, tmp_path):
    async def fail(server, job):
        problem = {"node_id": "7", "exception_type": "ValueError", "exception_message": "no", "traceback": []}
        server.finish(job, {}, "error", [["execution_error", problem]])

    server.script, script = fail, server.script
    try:
        result = imageine("edit", photo, "x", "-o", tmp_path / "out.png", "--server", server.url, "--json")
    finally:
        server.script = script
    assert (result.exit_code, error_in(result)["code"]) == (5, "job_failed")
    assert not (tmp_path / "out.png").exists()


def test_debug_prints_the_traceback(tmp_path):
    result = imageine("edit", "none.jpg", "x", "-o", tmp_path / "out.png", "--debug")
    assert "Traceback" in result.stderr


def test_missing_arguments_are_usage_errors():
    result = imageine("edit")
    assert result.exit_code == 2
    assert "Usage" in result.stderr


def finish(process) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=30)
    return process.returncode, stdout, stderr


def start(server, photo, *options):
    code = "from imageine.runner.cli import main; main()"
    command = [sys.executable, "-c", code, "edit", photo, "x", "-o", photo.with_name("out.png"), "--server", server.url]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.arrived.wait(30)
    return process


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no Ctrl-C to one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_cancels_this_job_and_no_other(photo, number):
    with EditServer() as server:
        server.script = hang
        others = [start(server, photo)]
        server.arrived.clear()
        process = start(server, photo, "--json")
        process.send_signal(number)
        returncode, stdout, stderr = finish(process)
        assert (returncode, json.loads(stdout)["error"]["code"]) == (130, "job_cancelled")
        assert "Traceback" not in stderr
        assert [job.phase for job in server.jobs] == ["running", "done"]
        for other in others:
            other.send_signal(number)
            assert finish(other)[0] == 130
    assert not photo.with_name("out.png").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no Ctrl-C to one process")
def test_a_second_ctrl_c_does_not_wait_for_the_server(photo):
    with EditServer() as server:
        server.script, server.deaf = hang, True
        process = start(server, photo)
        process.send_signal(signal.SIGINT)
        assert server.asked_to_cancel.wait(30)
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert finish(process)[0] == 130
        assert time.monotonic() - asked < 20
