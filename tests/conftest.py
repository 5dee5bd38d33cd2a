"""Fixtures of all tests, and the last word of a run: which tiers it could not run."""

import signal
from pathlib import Path

import pytest
from support import comfyui as comfyui_support

TESTS = Path(__file__).parent
PHOTOS = ("astronaut", "chelsea", "coffee")

_FIGURES = pytest.StashKey[list]()
_SKIPPED = pytest.StashKey[dict]()


def pytest_configure(config):
    # A shell starts what runs in its background with Ctrl-C ignored, and every child inherits that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_FIGURES] = []
    config.stash[_SKIPPED] = {}


def pytest_collection_modifyitems(config, items):
    """Mark what lies in tests/live and tests/browser; skip it, and what else needs a ComfyUI, where none can run."""
    for item in items:
        tier = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if tier in ("live", "browser"):
            item.add_marker(getattr(pytest.mark, tier))
        elif "comfyui_dir" not in getattr(item, "fixturenames", ()):
            continue
        if comfyui_support.obstacle():
            item.add_marker(pytest.mark.skip(reason=f"needs a ComfyUI: {comfyui_support.obstacle()}"))
            config.stash[_SKIPPED][tier] = config.stash[_SKIPPED].get(tier, 0) + 1


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    figures = config.stash[_FIGURES]
    if figures:
        terminalreporter.section("measured")
        for figure in figures:
            terminalreporter.write_line(figure)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """The very last lines, after pytest's own "N passed"."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.option.collectonly:
        return
    skipped = config.stash[_SKIPPED]
    if skipped:
        counts = " and ".join(f"{count} {tier}" for tier, count in sorted(skipped.items()))
        reporter.write_line(f"NOT RUN: {counts} tests. {comfyui_support.obstacle()}", red=True, bold=True)
        reporter.write_line(comfyui_support.HOW_TO_RUN, red=True, bold=True)
    elif comfyui_support.obstacle.cache_info().currsize:
        folders = comfyui_support.comfyui_dirs()
        found = ", ".join(f"{version} ({folder})" for version, folder in folders.items())
        reporter.write_line(f"Live tests ran on the first of: ComfyUI {found}", bold=True)


@pytest.fixture(scope="session")
def figures(request):
    """Call it with a line to print it at the end of the run: measurements that are to be seen, not judged."""
    return request.config.stash[_FIGURES].append


@pytest.fixture
def one_thread():
    """Torch on one thread: on small tensors several only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def seeded_models() -> Path:
    """A complete ComfyUI models folder of seeded random weights, under the names that Simple Edit uses."""
    for package in ("torch", "safetensors", "transformers"):
        pytest.importorskip(package)
    from imageine.runner.demo import seeded

    return seeded.models_folder()


@pytest.fixture(scope="session")
def comfyui_dir() -> Path:
    """The folder of the ComfyUI that tests run on."""
    if comfyui_support.obstacle():
        pytest.skip(f"needs a ComfyUI: {comfyui_support.obstacle()}")
    return next(iter(comfyui_support.comfyui_dirs().values()))


@pytest.fixture(scope="session")
def comfyui(comfyui_dir, seeded_models):
    """A running ComfyUI server (``runner.engines.managed.ManagedComfyUI``) with this extension and seeded models.

    One for the whole run: tests may queue prompts, upload and read, and must not stop it.
    """
    with comfyui_support.server(comfyui_dir, seeded_models) as server:
        yield server


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> dict[str, Path]:
    """Real photos as 8-bit RGB PNG files: "astronaut" (512x512), "chelsea" (451x300, a cat), "coffee" (600x400)."""
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    folder = tmp_path_factory.mktemp("photos")
    paths = {name: folder / f"{name}.png" for name in PHOTOS}
    for name, path in paths.items():
        Image.fromarray(getattr(data, name)()).save(path)
    return paths
