"""The demo's trained weights in a real ComfyUI: what is asked for is what is painted."""

import pytest
from imageine.demo.depth_edits import with_pose_names
from imageine.runner import demo
from support.meaning import Meaning


class TestComfyUI(Meaning):
    @pytest.fixture(scope="class")
    def client(self, comfyui_dir):
        models = demo.make_models(comfyui_dir, ("reference", "depth"))
        with with_pose_names(models) as models, demo.working_client(comfyui_dir, models) as client:
            yield client
