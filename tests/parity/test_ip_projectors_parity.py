"""The projectors of every layout against diffusers' modules, built from the same tensors."""

import pytest
from support import seeded_ip_adapter

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

BASES = {"SD 1.5": 768, "SDXL": 2048}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("kind", ["standard", "plus", "full"])
def test_projectors_agree(kind, base, table):
    from diffusers.loaders.unet import UNet2DConditionLoadersMixin
    from imageine.nodes.algorithms import ip_adapter

    parts = seeded_ip_adapter.nested([320], kind, BASES[base])
    ours = ip_adapter.from_state(parts)
    convert = UNet2DConditionLoadersMixin._convert_ip_adapter_image_proj_to_diffusers
    theirs = convert(None, parts["image_proj"], low_cpu_mem_usage=False)
    shape = (2, seeded_ip_adapter.POOLED) if kind == "standard" else (2, 257, seeded_ip_adapter.HIDDEN)
    embeds = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        mine, yours = ours.tokens(embeds), theirs(embeds)
    difference = float((mine - yours).abs().max())
    table("IP-Adapter projector", f"{kind}, {base}, {tuple(mine.shape)}", difference)
    assert mine.shape == yours.shape and difference < 1e-5
