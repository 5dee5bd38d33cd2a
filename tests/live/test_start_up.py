"""The extension as ComfyUI loads it, on every ComfyUI at hand."""

import pytest
from support import comfyui as comfyui_support

HEAVY = {"cv2", "diffusers", "scipy", "skimage", "transformers"}
NODES = {
    "ImageineLoadGroundingDINO",
    "ImageineDetectObjects",
    "ImageineLoadSegmentAnything",
    "ImageineSegmentBoxes",
    "ImageineMaskByText",
    "ImageineRefineMask",
    "ImageineCropForInpaint",
    "ImageineStitchInpaint",
    "ImageineLoadDepthAnything",
    "ImageineMapDepth",
    "ImageineLoadViTPose",
    "ImageineMapPose",
    "ImageineDrawPose",
    "ImageineLoadIPAdapter",
    "ImageineEncodeReference",
    "ImageineApplyIPAdapter",
    "ImageineApplyControls",
    "ImageineRouteEdit",
}


@pytest.fixture(scope="module", params=comfyui_support.comfyui_dirs() or ["none"])
def report(request, tmp_path_factory):
    """(version, what inside/start_up.py reports) for each ComfyUI."""
    folder = comfyui_support.comfyui_dirs()[request.param]
    base = tmp_path_factory.mktemp("start-up")
    # Twice: the first run of a fresh clone also compiles, once in its life.
    comfyui_support.run_inside(folder, "start_up", comfyui_support.ROOT, base=base)
    return request.param, comfyui_support.run_inside(folder, "start_up", comfyui_support.ROOT, base=base)


def test_loads_with_all_nodes(report):
    _, found = report
    assert found["loaded"]
    assert set(found["nodes"]) == NODES


def test_imports_nothing_heavy(report, figures):
    version, found = report
    figures(
        f"extension start-up on ComfyUI {version}: {found['milliseconds']:.0f} ms (to be below 100), "
        f"new packages: {', '.join(found['modules'])}"
    )
    assert not HEAVY & set(found["modules"])


def test_every_node_explains_itself(report):
    _, found = report
    lacking = []
    for name, node in found["nodes"].items():
        lacking += [f"{name}: {key}" for key in ("title", "description", "aliases") if not node[key]]
        if not node["category"].startswith("imageine/"):
            lacking.append(f"{name}: category {node['category']}")
        for key, item in node["inputs"].items():
            lacking += [f"{name}.{key}: {what}" for what in ("tooltip", "title") if not item[what]]
        lacking += [f"{name} -> {item['id']}: tooltip" for item in node["outputs"] if not item["tooltip"]]
    assert not lacking


def test_every_node_has_a_help_page(report):
    _, found = report
    pages = comfyui_support.ROOT / "web" / "docs"
    assert [name for name in found["nodes"] if not (pages / f"{name}.md").is_file()] == []
    assert any(path.endswith("web") for path in found["web"])


@pytest.mark.parametrize("version", list(comfyui_support.comfyui_dirs())[1:] or ["none"])
def test_server_of_another_version_registers_all_nodes(version, seeded_models):
    """The version of the other live tests aside, each ComfyUI also starts as a server and lists the nodes."""
    if version == "none":
        pytest.skip("only one ComfyUI here: no second version to start")
    server = comfyui_support.server(comfyui_support.comfyui_dirs()[version], seeded_models)
    with server, server.client() as client:
        info = client.object_info()
    assert set(info) >= NODES
    assert info["ImageineLoadGroundingDINO"]["input"]["required"]["model"]
