"""The demo's reference pictures: built the same each time, widened without a change, loaded as real files are.

`python -m demo.evaluate --part reference` measures what is painted; here what the encoder tells, and what the adapter
makes of it.
"""

import filecmp
import random

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("skimage")

from imageine.demo import reference, world  # noqa: E402
from imageine.nodes.algorithms import ip_adapter  # noqa: E402
from imageine.runner.demo import trained_painter, trained_reference  # noqa: E402
from imageine.runner.demo.trained_reference import COLOURS  # noqa: E402
from imageine.runner.engines.embedded import references  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def encoder_path(tmp_path_factory):
    return trained_reference.save_encoder(tmp_path_factory.mktemp("clip_vision") / "encoder.safetensors")


@pytest.fixture(scope="module")
def adapter_path(tmp_path_factory):
    return trained_reference.save_adapter(tmp_path_factory.mktemp("ipadapter") / "adapter.safetensors")


@pytest.fixture(scope="module")
def narrow():
    encoder = reference.narrow_encoder()
    missing, unexpected = encoder.load_state_dict(trained_reference.narrow(), strict=False)
    assert not unexpected and all(name.endswith("position_ids") for name in missing)
    return encoder.eval()


@pytest.fixture(scope="module")
def seen(encoder_path):
    """Pictures, their colours, and what the wide encoder sees, by the embedded engine's loader."""
    generator, photos = random.Random(3), world.load_photos(world.HELD_OUT_PHOTOS)
    pictures, colours = zip(*(reference.make_reference(generator, photos) for _ in range(3)), strict=True)
    encoder = references.load_encoder(encoder_path, torch.float32)
    pixels = transformers.CLIPImageProcessor()(list(pictures), return_tensors="pt").pixel_values
    with torch.inference_mode():
        return pictures, colours, encoder(pixel_values=pixels).image_embeds


def test_weights_are_small():
    assert trained_reference.WEIGHTS.stat().st_size < 0.5e6


def test_the_same_each_time(encoder_path, adapter_path, tmp_path):
    again = trained_reference.save_encoder(tmp_path / "encoder.safetensors")
    assert filecmp.cmp(encoder_path, again, shallow=False)
    assert filecmp.cmp(adapter_path, trained_reference.save_adapter(tmp_path / "adapter.safetensors"), shallow=False)


def test_layout_of_the_real_encoder(encoder_path):
    config = transformers.CLIPVisionConfig(**trained_reference.WIDE)
    with torch.device("meta"):
        model = transformers.CLIPVisionModelWithProjection(config)
    with safetensors.safe_open(encoder_path, "pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    assert shapes == {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}


def test_widened_encoder_sees_what_the_narrow_one_does(narrow, seen):
    pictures, _, embeds = seen
    with torch.inference_mode():
        told = narrow(pixel_values=reference.cells(pictures)).image_embeds
    assert float((embeds[:, : len(COLOURS)] - told).abs().max()) < 0.01 * float(told.abs().max())
    assert not embeds[:, len(COLOURS) :].any()


def test_tells_the_colour_of_held_out_references(narrow, figures):
    right, certain = reference.held_out(narrow, 100)
    figures(f"Trained reference encoder: {right:.0%} of 100 held-out pictures right, mean answer {certain:.3f}")
    assert right >= 0.95
    assert certain >= 0.9


def test_adapter_says_the_painters_own_word(adapter_path, seen):
    _, colours, embeds = seen
    adapter = ip_adapter.from_state(safetensors.load_file(adapter_path))
    assert adapter.layout.kind == ip_adapter.STANDARD and adapter.layout.base == "SD 1.5"
    words = trained_painter.text_encoder()["text_model.embeddings.token_embedding.weight"]
    tokens = adapter.tokens(embeds)
    assert tokens.shape == (3, trained_reference.TOKENS, 768)
    for colour, (spoken, *others) in zip(colours, tokens, strict=True):
        word = words[trained_painter.WORDS[colour][colour]]
        assert torch.nn.functional.cosine_similarity(spoken, word, dim=0) > 0.9, colour
        assert abs(float(spoken.norm() / word.norm()) - 1) < 0.01
        assert not any(other.any() for other in others)
    assert not adapter.tokens(torch.zeros(1, 768)).any()  # what stands for no reference says nothing


def test_adapter_hears_as_the_painter_does(adapter_path):
    state = safetensors.load_file(adapter_path)
    unet = trained_painter.unet(trained_painter.narrow())
    places = [name for name in unet if name.endswith("attn2.to_k.weight")]
    numbers = sorted({int(name.split(".")[1]) for name in state if name.startswith("ip_adapter.")})
    assert numbers == list(range(1, 2 * len(places), 2))
    order = sorted(places, key=lambda name: ("input", "output", "middle").index(name.split("_")[0]))
    for number, place in zip(numbers, order, strict=True):
        assert torch.equal(state[f"ip_adapter.{number}.to_k_ip.weight"], unet[place].half())
        louder = trained_reference.LOUDNESS * unet[place.replace("to_k", "to_v")]
        assert torch.allclose(state[f"ip_adapter.{number}.to_v_ip.weight"].float(), louder, rtol=1e-3, atol=1e-6)
