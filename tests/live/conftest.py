"""Fixtures of the live tests."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from imageine.runner.engines.managed import ManagedComfyUI

_SLOW_NODE = Path(__file__).parents[1] / "support" / "slow_node"
_ONLY = ("--disable-all-custom-nodes", "--whitelist-custom-nodes", "slow_node")


@pytest.fixture(scope="session")
def slow_comfyui(comfyui_dir, tmp_path_factory) -> Callable[..., ManagedComfyUI]:
    """Call it, with further arguments of ComfyUI, for one that is not started yet: a context manager.

    Its only extension is a node, TestWait, that takes 0.05 s a step, so that jobs last as long as a test wants.
    """

    def make(*arguments: str) -> ManagedComfyUI:
        base = tmp_path_factory.mktemp("base")
        shutil.copytree(_SLOW_NODE, base / "custom_nodes" / "slow_node")
        return ManagedComfyUI(comfyui_dir, base_directory=base, extra_args=(*_ONLY, *arguments))

    return make
