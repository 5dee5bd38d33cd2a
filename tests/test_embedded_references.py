"""Reference pictures in the embedded engine, as far as no ComfyUI is needed to see it."""

import pytest
from imageine.runner.engines import embedded
from imageine.runner.errors import WorkflowError

pytestmark = pytest.mark.skipif(bool(embedded.missing_packages()), reason="needs the extra [embedded]")


@pytest.fixture
def see():
    """Encode Reference with a tiny encoder; called with a picture and what else the node takes."""
    import types

    from imageine.runner.engines.embedded import own_nodes

    def see(image, encoder=None, **inputs):
        adapter = types.SimpleNamespace(layout=types.SimpleNamespace(pooled=True, embed_width=8))
        return own_nodes.encode_reference(None, adapter, encoder or clip, image, **inputs)[0]

    def make():
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        return CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes, projection_dim=8, image_size=16, patch_size=8))

    clip, see.make = make(), make
    return see


def test_a_chain_is_what_a_batch_is(see):
    import torch

    images = torch.rand(2, 24, 24, 3, generator=torch.Generator().manual_seed(0))
    chained = see(images[1:], embeds=see(images[:1]))
    batch = see(images)
    assert chained.pixels.shape == (2, 3, 16, 16)
    assert torch.equal(chained.pixels, batch.pixels)


def test_two_encoders_do_not_go_together(see):
    import torch

    image = torch.zeros(1, 24, 24, 3)
    with pytest.raises(ValueError, match="different image encoders"):
        see(image, embeds=see(image), encoder=see.make())


def test_what_is_not_there_is_said(see):
    import torch

    image = torch.zeros(1, 24, 24, 3)
    with pytest.raises(WorkflowError) as caught:
        see(image, negative_image=image)
    assert caught.value.code == "workflow_unfit" and "negative reference" in caught.value.message
