"""The demo's trained weights in a real ComfyUI: what is asked for is what is painted."""

import pytest
from imageine.runner import demo
from support.meaning import Meaning


class TestComfyUI(Meaning):
    @pytest.fixture(scope="class")
    def client(self, comfyui_dir):
        with demo.working_client(comfyui_dir, demo.make_models(comfyui_dir, reference=True)) as client:
            yield client
