"""The real ComfyUI frontend in Chromium, driven as an artist would, for browser tests."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator

import requests
from playwright.sync_api import Page, sync_playwright

RENDERERS = {"classic": False, "vue": True}

# Known noise of the frontend itself on a machine without internet.
_IGNORED = ("Failed to load resource", "net::ERR_", "ResizeObserver", "[DEPRECATED]", "favicon", "Sentry", "WebGL")


def chromium_path() -> str | None:
    """The system's Chromium or Chrome, or None; no browser is ever downloaded."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return os.environ.get("CHROMIUM_PATH") or next(filter(None, map(shutil.which, names)), None)


class Editor:
    """One browser page on a running ComfyUI. ``errors`` gathers what the page logged or threw."""

    def __init__(self, page: Page, url: str):
        self.page = page
        self.url = url
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(f"thrown: {error}"))
        page.on("console", self._on_console)

    def _on_console(self, message) -> None:
        if message.type == "error" and not any(part in message.text for part in _IGNORED):
            self.errors.append(message.text)

    def open(self, query: str = "") -> None:
        """Load the editor and wait until its graph and the server's node definitions are there."""
        self.page.goto(self.url + query, wait_until="domcontentloaded")
        self.page.wait_for_function(
            "() => window.app?.extensionManager && window.app.graph && window.LiteGraph?.registered_node_types"
            " && Object.keys(window.LiteGraph.registered_node_types).some(k => k.startsWith('Imageine'))",
            timeout=60_000,
        )

    def open_template(self, title: str) -> None:
        """Open a template as an artist does: Templates, search, click. Forgets earlier errors."""
        self.open()
        self.page.get_by_role("button", name="Templates").first.click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_placeholder("Search").fill(title)
        self.errors.clear()
        dialog.get_by_role("heading", name=title, exact=True).click(timeout=120_000)
        self.wait_for_our_nodes()

    def wait_for_our_nodes(self) -> None:
        self.page.wait_for_function(
            "() => window.app.graph.nodes.some(n => n.type.startsWith('Imageine'))", timeout=30_000
        )

    def load(self, workflow: dict) -> None:
        self.page.evaluate("w => window.app.loadGraphData(w)", workflow)

    def prompt(self) -> dict:
        """The frontend's own conversion of the open graph to API format."""
        return self.page.evaluate("async () => (await window.app.graphToPrompt()).output")

    def serialize(self) -> dict:
        """The open graph as File > Save writes it."""
        text = self.page.evaluate("() => JSON.stringify(window.app.graph.serialize())")
        return json.loads(text)

    def dialogs(self) -> list[str]:
        """Texts of the dialogs that are open (missing nodes, missing models, errors)."""
        return [d.inner_text() for d in self.page.locator("[role=dialog]:visible").all()]


def set_renderer(url: str, renderer: str) -> None:
    """Choose the node renderer and silence first-run dialogs through the server's settings."""
    settings = {
        "Comfy.VueNodes.Enabled": RENDERERS[renderer],
        "Comfy.TutorialCompleted": True,
        "Comfy.Workflow.ShowMissingModelsWarning": True,
        "Comfy.InstalledVersion": "1.49.6",
        "Comfy.Locale": "en",
    }
    requests.post(f"{url}/settings", json=settings, timeout=10).raise_for_status()


@contextlib.contextmanager
def browser_page(width: int = 1600, height: int = 1000) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page(viewport={"width": width, "height": height})
        try:
            yield page
        finally:
            browser.close()
