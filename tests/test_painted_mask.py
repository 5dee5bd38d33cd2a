"""The painted mask: any picture becomes the photo's alpha."""

import io

import pytest
from imageine.runner.errors import InputError
from imageine.runner.pictures.photos import load_mask, load_photo
from PIL import Image, ImageDraw


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def painted(size=(40, 30), mode="L") -> Image.Image:
    mask = Image.new(mode, size)
    ImageDraw.Draw(mask).rectangle((5, 5, 9, 9), fill=255 if mode == "L" else (255, 255, 255, 255))
    return mask


def test_the_mask_goes_into_the_alpha_inverted_and_leaves_the_pixels():
    source = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
    photo = load_photo(source)
    mask, notes = load_mask(encoded(painted()), photo.size)
    sent = Image.open(io.BytesIO(photo.upload(mask)))
    assert notes == []
    assert sent.mode == "RGBA"
    assert sent.getpixel((7, 7))[3] == 0
    assert sent.getpixel((20, 20))[3] == 255
    assert sent.convert("RGB").tobytes() == source.tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_a_mask_of_any_mode(mode):
    wide = painted().convert("I").point(lambda value: value * 257).convert("I;16")
    mask, notes = load_mask(wide if mode == "I;16" else painted().convert(mode), (40, 30))
    assert notes == []
    assert mask.tobytes() == painted().tobytes()


def test_a_mask_painted_on_transparency():
    mask, notes = load_mask(painted(mode="RGBA"), (40, 30))
    assert notes == []
    assert mask.tobytes() == painted().tobytes()


def test_a_mask_of_another_size_is_resized_with_a_note():
    mask, notes = load_mask(painted((80, 60)), (40, 30))
    assert mask.size == (40, 30)
    assert "80x60" in notes[0]
    assert "40x30" in notes[0]


@pytest.mark.parametrize("level", [0, 127])
def test_an_empty_mask_is_noted(level):
    _, notes = load_mask(Image.new("L", (40, 30), level), (40, 30))
    assert "marks nothing" in notes[0]


def test_a_mask_that_is_no_picture():
    with pytest.raises(InputError) as caught:
        load_mask(b"nothing", (4, 4))
    assert caught.value.code == "image_unreadable"
