import contextlib
import shutil
from collections.abc import Iterator

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


@pytest.fixture(scope="session")
def start_editor(page, comfyui, example_photo):
    """A context manager that starts an editor in one of the frontend's two node renderers, as a new visitor."""

    @contextlib.contextmanager
    def start(renderer: str) -> Iterator[Editor]:
        set_renderer(comfyui.url, renderer)
        context = page.context.browser.new_context(viewport=page.viewport_size)
        try:
            yield Editor(context.new_page(), comfyui.url)
        finally:
            context.close()

    return start


@pytest.fixture(params=RENDERERS)
def editor(request, start_editor) -> Editor:
    """An editor to open, in each renderer."""
    with start_editor(request.param) as editor:
        yield editor
