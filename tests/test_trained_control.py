"""The demo's depth ControlNet: built the same each time, widened without a change, and it keeps a thing's outline."""

import filecmp

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("skimage")

from imageine.demo import control, painter_net  # noqa: E402
from imageine.runner.demo import layouts, trained_control, trained_painter  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return trained_control.save(tmp_path_factory.mktemp("controlnet") / "depth.safetensors")


@pytest.fixture(scope="module")
def narrow():
    net = painter_net.Control()
    net.load_state_dict(trained_control.narrow())
    return net.eval()


def test_the_same_each_time(path, tmp_path):
    assert filecmp.cmp(path, trained_control.save(tmp_path / "again.safetensors"), shallow=False)
    assert trained_control.WEIGHTS.stat().st_size < 2e6


def test_layout_of_a_control_net(path):
    from safetensors.torch import load_file

    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(path).items()}
    assert shapes == layouts.control_net("lite")


def test_hint_is_the_mean_of_every_8x8_pixels():
    picture = torch.rand(2, 1, 64, 48, generator=torch.Generator().manual_seed(1)).expand(2, 3, 64, 48)
    found, stack = picture, trained_control.hint_stack()
    for place, (_, stride) in enumerate(zip(layouts.HINT_WIDTHS, (1, 1, 2, 1, 2, 1, 2), strict=True)):
        weight, bias = (stack[f"input_hint_block.{2 * place}.{kind}"] for kind in ("weight", "bias"))
        found = torch.nn.functional.silu(torch.nn.functional.conv2d(found, weight, bias, stride, padding=1))
    means = torch.nn.functional.avg_pool2d(picture[:, :1], 8)
    assert torch.allclose(found[:, :1] - found[:, 1:2], means, atol=1e-6)
    assert not found[:, 2:].any()


def test_diffusers_wide_net_adds_what_the_narrow_one_does(path, narrow):
    from imageine.runner.engines.embedded.checkpoints import load_control_net

    generator = torch.Generator().manual_seed(5)
    latents, near = torch.randn(2, 4, 16, 16, generator=generator), torch.rand(2, 1, 16, 16, generator=generator)
    timesteps = torch.tensor([20, 700])
    tokens = trained_painter.text_encoder()["text_model.embeddings.token_embedding.weight"]
    prompts = torch.zeros(2, layouts.CLIP_LENGTH, layouts.CONTEXT)
    words = torch.zeros(2, 4, len(trained_painter.CONCEPTS))
    for row, concept in enumerate(("orange", "star")):
        prompts[row, 3] = tokens[trained_painter.WORDS[concept][concept]]
        words[row, 0, trained_painter.CONCEPTS.index(concept)] = 1
    hint = near.expand(2, 3, 16, 16).repeat_interleave(8, 2).repeat_interleave(8, 3)
    with torch.inference_mode():
        *down, middle = narrow(latents, near, timesteps, words)
        wide = load_control_net(path, torch.float32)(latents, timesteps, prompts, hint, return_dict=False)
    for ours, theirs in zip((*down, middle), (*wide[0], wide[1]), strict=True):
        copies = theirs[:, :: layouts.CHANNELS // trained_painter.WIDTH]
        assert float((copies - ours).abs().max()) < 0.01 * float(ours.abs().max()) + 1e-3


def test_outline_is_kept_under_a_loose_mask(narrow, figures):
    kept, alone, _ = control.held_out(control.trained_narrow_painter(), narrow, 24)
    figures(f"Trained depth ControlNet: outlines overlap by {np.mean(kept):.3f}, without by {np.mean(alone):.3f}")
    assert np.mean(kept) > np.mean(alone) + 0.15
    assert np.mean(kept) > 0.7
