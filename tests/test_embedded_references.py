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


def test_negatives_stay_with_their_references(see):
    """Fewer negatives than images are repeated; in a chain each image keeps its own, or none."""
    import torch

    images = torch.rand(3, 24, 24, 3, generator=torch.Generator().manual_seed(0))
    avoided = images.flip(0)[:2]
    chained = see(images, negative_image=avoided, embeds=see(images[:1]))
    alone = see(avoided).pixels
    assert chained.avoided[0] is None
    assert torch.equal(torch.stack(chained.avoided[1:]), alone[[0, 1, 0]])


@pytest.mark.parametrize("pooled", [True, False])
def test_what_the_encoder_makes_of_a_negative(see, pooled):
    """The side to avoid is the negative as the encoder sees it, and without one what it was trained on."""
    import types

    import torch
    from diffusers import StableDiffusionInpaintPipeline
    from imageine.runner.engines.embedded import references

    images = torch.rand(2, 24, 24, 3, generator=torch.Generator().manual_seed(0))
    clip = see.make()
    seen = see(images[1:], clip, negative_image=images[:1], embeds=see(images[:1], clip))
    stand_in = types.SimpleNamespace(image_encoder=clip, _execution_device=torch.device("cpu"))
    stand_in.encode_image = types.MethodType(StableDiffusionInpaintPipeline.encode_image, stand_in)
    layout = types.SimpleNamespace(pooled=pooled)
    with torch.no_grad():
        avoided, shown = references.outputs(stand_in, layout, seen, guided=True)
        alone = references.outputs(stand_in, layout, seen, guided=False)
    assert torch.allclose(avoided[1], shown[0], atol=1e-5)
    assert not torch.allclose(avoided[0], shown[0], atol=1e-2)
    assert bool(avoided[0].any()) is not pooled
    assert torch.equal(alone[0], shown)


def test_what_is_not_there_is_said():
    import torch
    from imageine.runner.engines.embedded import own_nodes

    with pytest.raises(WorkflowError) as caught:
        own_nodes.apply_adapter(None, None, 1.0, mask=torch.ones(1, 24, 24))
    assert caught.value.code == "workflow_unfit" and "mask for a reference" in caught.value.message
