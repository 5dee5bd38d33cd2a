"""The runner's conversion from UI to API format against the editor's own, in the editor.

By default every 5th of ComfyUI's own templates that the server's nodes cover; ``IMAGEINE_TEMPLATES=all`` for each of
them (minutes), ``IMAGEINE_UPDATE=1`` to record what the editor makes of the tests' own workflows.
"""

import importlib.util
import json
import os
from pathlib import Path

import pytest
import requests
from imageine.runner.errors import WorkflowError
from imageine.runner.workflow.conversion import convert
from support import templates, ui_files
from support.editor import Editor

pytestmark = pytest.mark.browser

EVERY = 1 if os.environ.get("IMAGEINE_TEMPLATES") == "all" else 5


@pytest.fixture(scope="module")
def converter(page, comfyui, example_photo):
    """An open editor that converts, and the server's node definitions under the titles that it shows."""
    context = page.context.browser.new_context(viewport=page.viewport_size)
    editor = Editor(context.new_page(), comfyui.url)
    editor.open()
    object_info = requests.get(f"{comfyui.url}/object_info", timeout=60).json()
    yield templates.Reference(editor, object_info)
    context.close()


@pytest.mark.skipif(importlib.util.find_spec("comfyui_workflow_templates_json") is None, reason="no templates package")
def test_comfyui_s_own_templates(converter, figures):
    """Whole prompts, ids, values, links and titles."""
    covered = templates.covered(converter.object_info)
    chosen = covered[::EVERY]
    unlike = []
    for path in chosen:
        ui = json.loads(path.read_text(encoding="utf-8"))
        prompt = converter.prompt(ui)
        if convert(ui, converter.object_info).graph != prompt:
            unlike.append(path.stem)
    figures(
        f"Conversion equal to the editor's on {len(chosen) - len(unlike)} of {len(chosen)} templates "
        f"({len(covered)} of ComfyUI's templates use this server's nodes alone)"
    )
    assert chosen
    assert unlike == []


@pytest.mark.parametrize("name", ui_files.workflows())
def test_golden(converter, name, request):
    """What is recorded in tests/data is what the editor of that version does."""
    recording_anew = bool(os.environ.get("IMAGEINE_UPDATE"))
    if not recording_anew and converter.frontend != ui_files.recorded()["frontend"]:
        pytest.skip(f"recorded with editor {ui_files.recorded()['frontend']}, this is {converter.frontend}")
    prompt = converter.prompt_or_error(ui_files.workflows()[name])
    recording = request.config.stash.setdefault(_RECORDING, {})
    recording[name] = prompt
    if not recording_anew:
        assert prompt == ui_files.recorded()["prompts"][name]
    elif len(recording) == len(ui_files.workflows()):
        used = {node["class_type"] for graph in recording.values() for node in graph.values() if "class_type" in node}
        used |= {node["type"] for ui in ui_files.workflows().values() for node in templates.nodes(ui)}
        info = {name: entry for name, entry in sorted(converter.object_info.items()) if name in used}
        ui_files.record(converter.frontend, info, recording)


_RECORDING = pytest.StashKey[dict]()


def test_every_class_has_the_editor_s_widgets(converter):
    """A fresh node of every class of the server: widgets, their places in files, what they send, sockets."""
    for name, (widgets, sockets) in converter.fresh_nodes().items():
        ours = templates.fresh_node(name, converter.object_info[name])
        assert ours == (widgets, sockets), name


@pytest.mark.parametrize(
    "title", sorted(path.stem for path in (Path(__file__).parents[2] / "workflows").glob("*.json"))
)
def test_shipped_templates(converter, title):
    """Our own, which run as their API twins elsewhere."""
    folder = Path(__file__).parents[2] / "workflows"
    ui = json.loads((folder / f"{title}.json").read_text(encoding="utf-8"))
    twin = json.loads((folder / "api" / f"{title}.json").read_text(encoding="utf-8"))
    assert convert(ui, converter.object_info).graph == twin


def test_what_the_editor_refuses_is_refused(converter):
    for name in ("missing link", "missing source", "circle"):
        ui = ui_files.workflows()[name]
        assert "error" in converter.prompt_or_error(ui)
        with pytest.raises(WorkflowError):
            convert(ui, converter.object_info)
