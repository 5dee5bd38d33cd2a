"""The demo's trained painter: built the same each time, widened without a change, and it paints what is asked for.

demo/painter_figures.py measures on 200 crops through ComfyUI; here a handful, and floors well below what it shows.
"""

import filecmp

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
pytest.importorskip("diffusers")
pytest.importorskip("skimage")

from imageine.demo import painter_net, painter_pairs, painter_sampling, world  # noqa: E402
from imageine.runner.demo import layouts, trained_painter  # noqa: E402
from imageine.runner.engines.embedded.checkpoints import load_checkpoint  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return trained_painter.save(tmp_path_factory.mktemp("painter") / "painter.safetensors")


@pytest.fixture(scope="module")
def checkpoint(path):
    return load_checkpoint(path, torch.float32)


@pytest.fixture(scope="module")
def painter():
    narrow = painter_net.Painter()
    narrow.load_state_dict(trained_painter.narrow())
    return narrow.eval()


def _embeds(checkpoint, prompt):
    tokens = checkpoint.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.inference_mode():
        return checkpoint.text_encoder(tokens)[0]


def test_weights_are_small():
    assert trained_painter.WEIGHTS.stat().st_size < 5e6


def test_the_same_each_time(path, tmp_path):
    assert filecmp.cmp(path, trained_painter.save(tmp_path / "again.safetensors"), shallow=False)


def test_layout_of_the_real_checkpoint(path):
    with safetensors.safe_open(path, "pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    expected = {f"model.diffusion_model.{name}": shape for name, shape in layouts.unet("lite").items()}
    expected |= {f"first_stage_model.{name}": shape for name, shape in layouts.taesd().items()}
    expected |= {f"cond_stage_model.transformer.{name}": shape for name, shape in layouts.clip_text().items()}
    assert shapes == expected


def test_every_word_is_a_token_of_clips(checkpoint):
    for concept, words in trained_painter.WORDS.items():
        assert concept in trained_painter.CONCEPTS
        for word, token in words.items():
            assert token in checkpoint.tokenizer(word).input_ids[1:-1], word


@pytest.mark.parametrize("height, width", [(32, 32), (24, 40)])
def test_widened_unet_computes_what_the_narrow_one_does(checkpoint, painter, height, width):
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(2, 9, height, width, generator=generator)
    timesteps = torch.tensor([900, 120])
    embeds = torch.cat([_embeds(checkpoint, "striped red square"), _embeds(checkpoint, "")])
    words = painter_pairs.one_hot([("striped", "red", "square"), ()])
    with torch.inference_mode():
        wide = checkpoint.unet(inputs, timesteps, embeds).sample
        narrow = painter(inputs, timesteps, words)
    assert float((wide - narrow).abs().max()) < 2e-4
    assert float(narrow.std()) > 0.1


def test_word_order_and_unknown_words_say_nothing(checkpoint):
    def heard(prompt):
        embeds = _embeds(checkpoint, prompt)[0]
        return sorted(tuple(row.nonzero().flatten().tolist()) for row in embeds if row.any())

    assert heard("orange circle") == heard("a photo of the shiny circle, in orange, please")
    assert heard("striped red square") == heard("a red square with stripes")
    assert heard("orange circle") != heard("orange square")
    assert heard("deformed, distorted, low quality, blurry") == heard("") == []


def test_autoencoder_keeps_flat_colours_to_the_edge(checkpoint):
    for colour in world.COLOURS.values():
        level = torch.tensor(colour).view(1, 3, 1, 1) / 255
        picture = level.expand(1, 3, 64, 48) * 2 - 1
        with torch.inference_mode():
            latents = checkpoint.vae.encode(picture).latents
            found = checkpoint.vae.decode(latents).sample / 2 + 0.5
        assert float((found - level).abs().max()) < 0.5 / 255, colour
        scaled = latents[:, :3] * checkpoint.vae.config.scaling_factor
        assert torch.allclose(scaled, ((level - 0.5) * painter_pairs.SCALE).expand_as(scaled), atol=1e-2), colour


def test_paints_the_colour_that_was_asked_for(painter):
    photos = world.load_photos(world.HELD_OUT_PHOTOS)
    figures = painter_sampling.evaluate(painter, photos, 10, steps=12, guidance=1.5)
    assert figures["colour"] >= 0.9
    assert figures["chance"] <= 0.1
    assert figures["removed"] >= 0.7
