"""Full-depth UNets, SD 1.5 and SDXL, narrow: every cross-attention is patched, and the output is diffusers'."""

import pytest
from support.unet_cases import CASES, COUNTS, UNETS

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

BOUND = 5e-4

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def by_diffusers(networks, from_comfyui):
    """``from_comfyui`` first: it needs the UNets as they are before adapters are loaded into them."""
    return {base: network.predict() for base, network in networks.items()}


@pytest.mark.parametrize("base", UNETS)
def test_every_cross_attention_is_patched(base, from_comfyui, figures):
    found = from_comfyui.report[base]["counts"]["linear 1"]
    figures(f"IP-Adapter on {base}: {found['patched']}/{COUNTS[base]} cross-attentions patched")
    assert found["patched"] == COUNTS[base] and "middle 0" in found["blocks"]


@pytest.mark.parametrize("name", ["plain", *CASES])
@pytest.mark.parametrize("base", UNETS)
def test_the_predicted_noise_agrees(base, name, from_comfyui, by_diffusers, table):
    ours = from_comfyui.predicted[base]
    difference = float((ours[name] - by_diffusers[base][name]).abs().max())
    effect = float((ours[name] - ours["plain"]).abs().max()) if name in CASES else None
    table(f"{base} UNet at full depth, one forward", f"IP-Adapter {name}" if effect else name, difference, effect)
    assert difference < BOUND
    assert effect is None or effect > 100 * difference


@pytest.mark.parametrize("base", UNETS)
def test_an_adapter_for_another_base_model_is_named(base, from_comfyui):
    other = next(one for one in UNETS if one != base)
    said = from_comfyui.report[base]["refused"]
    assert f"adapter is for {other} ({COUNTS[other]} cross-attentions)" in said
    assert f"model is {base} ({COUNTS[base]} cross-attentions)" in said
    assert f"Choose an adapter for {base} in Load IP-Adapter" in said
