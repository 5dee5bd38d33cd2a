"""The shipped templates in the real frontend: they open without an error and convert to the shipped API files.

Each is opened once in each renderer, and what was seen then is checked. ``IMAGEINE_UPDATE=1`` rewrites the API files
from the frontend's conversion instead of comparing.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from support.editor import RENDERERS, Editor

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / "workflows"
TEMPLATES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))

SHOWN_WIDGETS = """() => window.app.graph.nodes.flatMap(
    n => (n.widgets ?? []).filter(w => !w.advanced && !w.options?.advanced).map(w => `${n.id}.${w.name}`))"""
NODES = "() => window.app.graph.nodes.map(n => String(n.id))"


@dataclass(frozen=True)
class Opened:
    """What an editor showed of a template that was opened from the browser of templates."""

    title: str
    errors: list[str]
    dialogs: list[str]
    prompt: dict
    reopened: dict
    """The prompt after saving the graph and loading what was saved."""
    shown_widgets: set[str]
    """``<node>.<widget>`` of all that are not advanced."""
    nodes: set[str]

    @classmethod
    def look(cls, editor: Editor, title: str) -> "Opened":
        editor.open_template(title)
        prompt = editor.prompt()
        errors, dialogs = list(editor.errors), editor.dialogs()
        shown, nodes = editor.page.evaluate(SHOWN_WIDGETS), editor.page.evaluate(NODES)
        editor.load(editor.serialize())
        return cls(title, errors, dialogs, prompt, editor.prompt(), set(shown), set(nodes))


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pack(comfyui) -> str:
    """The folder name under which the server lists our templates."""
    listing = requests.get(f"{comfyui.url}/api/workflow_templates", timeout=10).json()
    return next(name for name, titles in listing.items() if set(TEMPLATES) <= set(titles))


@pytest.fixture(
    scope="module", params=[(renderer, title) for renderer in RENDERERS for title in TEMPLATES], ids="-".join
)
def opened(request, start_editor) -> Opened:
    renderer, title = request.param
    with start_editor(renderer) as editor:
        return Opened.look(editor, title)


def test_template_opens_without_an_error(opened):
    assert opened.errors == []
    assert not [text for text in opened.dialogs if "issing" in text]


def test_template_equals_its_api_file(opened):
    path = WORKFLOWS / "api" / f"{opened.title}.json"
    if os.environ.get("IMAGEINE_UPDATE"):
        path.write_text(json.dumps(opened.prompt, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert opened.prompt == read(path)


def test_saving_an_opened_template_changes_nothing_that_runs(opened):
    """What File > Save writes opens to the same prompt: widget values keep their places."""
    assert opened.reopened == opened.prompt


def test_app_mode_lists_widgets_that_it_shows(opened):
    """A name in linearData that no widget has would vanish from the app with a mere console warning, and an advanced
    one would show its label without a control."""
    linear = read(WORKFLOWS / f"{opened.title}.json")["extra"]["linearData"]
    assert linear["inputs"]
    assert {f"{node}.{widget}" for node, widget, *_ in linear["inputs"]} <= opened.shown_widgets
    assert {str(node) for node in linear["outputs"]} <= opened.nodes


@pytest.mark.parametrize("title", TEMPLATES)
def test_thumbnail_is_served(comfyui, pack, title):
    response = requests.get(f"{comfyui.url}/api/workflow_templates/{pack}/{title}.jpg", timeout=10)
    assert response.status_code == 200
    assert response.content[:2] == b"\xff\xd8"
