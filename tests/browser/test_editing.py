"""What an artist does and sees: run a template, read the nodes, open their help."""

import json
from pathlib import Path

import pytest
import requests

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]

_OUTPUTS = """() => Object.fromEntries(Object.entries(window.app.nodeOutputs ?? {}).map(([id, output]) =>
    [window.app.graph.getNodeById(id)?.type ?? id, output]))"""


def shorten(editor, steps: int) -> None:
    """A few sampling steps are enough to see a graph through."""
    editor.page.evaluate(
        "steps => { for (const n of window.app.graph.nodes) for (const w of n.widgets ?? [])"
        " if (n.type === 'KSampler' && w.name === 'steps') w.value = steps; }",
        steps,
    )


def run(editor) -> dict:
    """Press Run; returns the outputs by node type once the picture is saved."""
    editor.page.get_by_role("button", name="Run").first.click()
    editor.page.wait_for_function(
        "() => Object.values(window.app.nodeOutputs ?? {}).some(o => o.images?.some(i => i.type === 'output'))",
        timeout=120_000,
    )
    return editor.page.evaluate(_OUTPUTS)


def test_simple_edit_runs_from_the_run_button(editor):
    editor.open_template("Simple Edit")
    shorten(editor, 2)
    outputs = run(editor)
    saved = outputs["SaveImage"]["images"][0]
    assert requests.get(f"{editor.url}/view", params=saved, timeout=10).content[:4] == b"\x89PNG"
    assert outputs["ImageineMaskByText"]["images"], "the mask is shown on the node"
    assert editor.errors == []


def test_every_node_can_be_added_and_has_its_widgets(editor, comfyui):
    """Each of our nodes, dropped on an empty canvas, shows exactly the widgets its schema names."""
    info = requests.get(f"{comfyui.url}/object_info", timeout=30).json()
    ours = sorted(name for name in info if name.startswith("Imageine"))
    editor.open()
    editor.errors.clear()
    widgets = editor.page.evaluate(
        """types => { window.app.graph.clear(); return Object.fromEntries(types.map(type => {
            const node = window.LiteGraph.createNode(type); window.app.graph.add(node);
            return [type, (node.widgets ?? []).filter(w => w.serialize !== false).map(w => w.name)]; })); }""",
        ours,
    )
    kinds = ("BOOLEAN", "COMBO", "FLOAT", "INT", "STRING")  # all others are sockets
    for name in ours:
        inputs = {**info[name]["input"].get("required", {}), **info[name]["input"].get("optional", {})}
        expected = {i for i, spec in inputs.items() if isinstance(spec[0], list) or spec[0] in kinds}
        assert expected <= set(widgets[name]), name
    assert editor.errors == []


@pytest.mark.parametrize("page_file", sorted((ROOT / "web" / "docs").glob("*.md")), ids=lambda p: p.stem)
def test_help_page_is_served_where_the_frontend_asks(comfyui, page_file):
    info = requests.get(f"{comfyui.url}/object_info/{page_file.stem}", timeout=10).json()
    folder = info[page_file.stem]["python_module"].split(".")[-1]
    response = requests.get(f"{comfyui.url}/extensions/{folder}/docs/{page_file.name}", timeout=10)
    assert response.status_code == 200
    assert response.text.strip() == page_file.read_text(encoding="utf-8").strip()


def test_chinese_names(comfyui):
    """Every node, input and output has its Chinese name, and no translation names something that is gone."""
    info = requests.get(f"{comfyui.url}/object_info", timeout=30).json()
    translated = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
    ours = {name: spec for name, spec in info.items() if name.startswith("Imageine")}
    assert set(translated) == set(ours)
    for name, spec in ours.items():
        inputs = set(spec["input"].get("required", {})) | set(spec["input"].get("optional", {}))
        assert set(translated[name]["inputs"]) == inputs, name
        assert set(translated[name]["outputs"]) == {str(i) for i in range(len(spec["output"]))}, name
        assert translated[name]["display_name"] and translated[name]["description"]
    served = requests.get(f"{comfyui.url}/i18n", timeout=10).json()
    assert set(ours) <= set(served["zh"]["nodeDefs"])
