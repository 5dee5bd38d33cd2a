"""The demo's trained weights in the embedded engine: what is asked for is what is painted."""

import pytest
from imageine.runner import demo
from support.meaning import Meaning


@pytest.fixture(scope="module")
def models():
    for package in ("diffusers", "safetensors", "skimage", "torch", "transformers"):
        pytest.importorskip(package)
    from imageine.demo.depth_edits import with_pose_names

    with with_pose_names(demo.make_models(None, ("reference", "depth"))) as folder:
        yield folder


class TestEmbedded(Meaning):
    @pytest.fixture(scope="class")
    def client(self, models):
        with demo.working_client(None, models) as client:
            yield client
