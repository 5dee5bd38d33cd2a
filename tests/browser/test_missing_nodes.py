"""A ComfyUI too old for core's own nodes in a template: the editor names them instead of failing on Run."""

import json
import re

import pytest

pytestmark = pytest.mark.browser

NODES = {
    "Complex Edit with SDPose": ["SDPoseKeypointExtractor"],
    "Complex Edit with Depth Anything 3": ["LoadDA3Model", "DA3Inference", "DA3Render"],
}


def leave_out(page, classes: list[str]) -> None:
    """Let the server's list of nodes arrive without ``classes``, as a ComfyUI that has none of them sends it."""

    def answer(route) -> None:
        response = route.fetch()
        nodes = {name: node for name, node in response.json().items() if name not in classes}
        route.fulfill(response=response, body=json.dumps(nodes))

    page.route("**/object_info", answer)


@pytest.mark.parametrize("title", list(NODES))
def test_the_editor_names_the_nodes_that_are_missing(title, editor):
    leave_out(editor.page, NODES[title])
    editor.open_template(title)
    editor.page.get_by_role("button", name=re.compile("details|missing", re.IGNORECASE)).first.click()
    editor.page.get_by_text("Missing Node", exact=False).first.wait_for()
    for name in NODES[title]:
        editor.page.get_by_text(name, exact=True).first.wait_for()
