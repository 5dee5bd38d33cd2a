"""The shipped templates in the real frontend: they open without an error and convert to the shipped API files.

``IMAGEINE_UPDATE=1`` rewrites the API files from the frontend's conversion instead of comparing.
"""

import json
import os
from pathlib import Path

import pytest
import requests

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / "workflows"
TEMPLATES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pack(comfyui) -> str:
    """The folder name under which the server lists our templates."""
    listing = requests.get(f"{comfyui.url}/api/workflow_templates", timeout=10).json()
    return next(name for name, titles in listing.items() if set(TEMPLATES) <= set(titles))


@pytest.mark.parametrize("title", TEMPLATES)
def test_template_opens_and_equals_its_api_file(editor, title):
    editor.open_template(title)
    assert editor.errors == []
    assert not [text for text in editor.dialogs() if "issing" in text]

    prompt = editor.prompt()
    path = WORKFLOWS / "api" / f"{title}.json"
    if os.environ.get("IMAGEINE_UPDATE"):
        path.write_text(json.dumps(prompt, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert prompt == read(path)


@pytest.mark.parametrize("title", TEMPLATES)
def test_saving_an_opened_template_changes_nothing_that_runs(editor, title):
    """What File > Save writes opens to the same prompt: widget values keep their places."""
    editor.open_template(title)
    before = editor.prompt()
    editor.load(editor.serialize())
    assert editor.prompt() == before


@pytest.mark.parametrize("title", TEMPLATES)
def test_app_mode_lists_widgets_that_it_shows(editor, title):
    """A name in linearData that no widget has would vanish from the app with a mere console warning, and an advanced
    one would show its label without a control."""
    editor.open_template(title)
    widgets = editor.page.evaluate(
        "() => window.app.graph.nodes.flatMap("
        "n => (n.widgets ?? []).filter(w => !w.advanced && !w.options?.advanced).map(w => `${n.id}.${w.name}`))"
    )
    linear = read(WORKFLOWS / f"{title}.json")["extra"]["linearData"]
    assert linear["inputs"]
    assert {f"{node}.{widget}" for node, widget, *_ in linear["inputs"]} <= set(widgets)
    nodes = editor.page.evaluate("() => window.app.graph.nodes.map(n => String(n.id))")
    assert {str(node) for node in linear["outputs"]} <= set(nodes)


@pytest.mark.parametrize("title", TEMPLATES)
def test_thumbnail_is_served(comfyui, pack, title):
    response = requests.get(f"{comfyui.url}/api/workflow_templates/{pack}/{title}.jpg", timeout=10)
    assert response.status_code == 200
    assert response.content[:2] == b"\xff\xd8"
