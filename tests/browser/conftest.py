import shutil

import pytest
from support.editor import RENDERERS, Editor, browser_page, chromium_path, set_renderer


@pytest.fixture(scope="session")
def page():
    if chromium_path() is None:
        pytest.skip("no Chromium: install your system's package, or set CHROMIUM_PATH")
    with browser_page() as page:
        yield page


@pytest.fixture(scope="session")
def example_photo(comfyui, comfyui_dir) -> None:
    """The picture that every installation of ComfyUI starts with, and that the templates name."""
    shutil.copy(comfyui_dir / "input" / "example.png", comfyui.input_dir)


@pytest.fixture(params=RENDERERS)
def editor(request, page, comfyui, example_photo) -> Editor:
    """The open editor, in each of the frontend's two node renderers."""
    set_renderer(comfyui.url, request.param)
    context = page.context.browser.new_context(viewport=page.viewport_size)
    editor = Editor(context.new_page(), comfyui.url)
    yield editor
    context.close()
