"""Photos in and out: every kind of file Pillow reads, broken ones, masks, transparency."""

import io
import random

import pytest
from imageine.runner.errors import InputError
from imageine.runner.pictures import photos
from imageine.runner.pictures.photos import load_photo
from PIL import Image, ImageCms, ImageDraw

ORIENTATION, MAKE, DATE, WIDTH = 0x0112, 0x010F, 0x9003, 0xA002


def picture(size=(40, 30), mode="RGB") -> Image.Image:
    """Smooth colours with a red top left corner."""
    width, height = size
    image = Image.merge(
        "RGB",
        [
            Image.linear_gradient("L").resize(size),
            Image.linear_gradient("L").rotate(90).resize(size),
            Image.new("L", size, 90),
        ],
    )
    ImageDraw.Draw(image).rectangle((0, 0, width // 4, height // 4), fill=(255, 0, 0))
    return image.convert(mode)


def noise(size) -> Image.Image:
    return Image.frombytes("RGB", size, random.Random(1).randbytes(size[0] * size[1] * 3))


def encoded(image: Image.Image, kind="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def code_of(call, *arguments) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return caught.value.code


def reopened(photo, **options) -> Image.Image:
    return Image.open(io.BytesIO(photo.upload(**options)))


@pytest.mark.parametrize("size", [(1, 1), (8, 6000), (6000, 8), (37, 53), (5000, 4000)])
def test_any_size_is_uploaded_bit_for_bit(size):
    image = picture(size)
    photo = load_photo(encoded(image))
    assert photo.size == size
    assert reopened(photo).mode == "RGB"
    assert reopened(photo).tobytes() == image.tobytes()
    assert photo.notes == []


def test_noise_survives():
    image = noise((64, 48))
    assert reopened(load_photo(encoded(image))).tobytes() == image.tobytes()


def test_a_jpeg_is_decoded_here_and_never_by_the_server():
    data = encoded(noise((64, 48)), "JPEG", quality=80)
    photo = load_photo(data)
    upload = photo.upload()
    assert upload.startswith(b"\x89PNG")
    assert Image.open(io.BytesIO(upload)).tobytes() == Image.open(io.BytesIO(data)).tobytes()


def lab(image: Image.Image) -> Image.Image:
    profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    return ImageCms.profileToProfile(image, *profiles, outputMode="LAB")


def mean_colour(image: Image.Image) -> tuple[int, int, int]:
    return image.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))


def differ(one: Image.Image, other: Image.Image) -> int:
    return max(abs(a - b) for a, b in zip(mean_colour(one), mean_colour(other), strict=True))


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "CMYK", "YCbCr", "LAB", "HSV"])
def test_any_colour_mode_becomes_rgb(mode):
    source = picture()
    photo = load_photo(lab(source) if mode == "LAB" else source.convert(mode))
    assert (photo.rgb.mode, photo.alpha) == ("RGB", None)
    assert differ(photo.rgb, source.convert("L") if mode == "1" else source) <= 8


@pytest.mark.parametrize("mode", ["L", "I;16", "I", "F"])
def test_any_grey_mode_becomes_rgb(mode):
    grey = picture(mode="L")
    wide = grey.convert("I").point(lambda value: value * 257).convert("I;16")
    photo = load_photo(wide if mode == "I;16" else grey.convert(mode))
    assert (photo.rgb.mode, photo.alpha) == ("RGB", None)
    assert photo.rgb.tobytes() == grey.convert("RGB").tobytes()


def test_sixteen_bits_are_scaled_not_clipped():
    image = Image.new("I;16", (3, 1))
    for x, value in enumerate((0, 32896, 65535)):
        image.putpixel((x, 0), value)
    photo = load_photo(encoded(image))
    assert [photo.rgb.getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]
    assert "more than 8 bits" in photo.notes[0]


@pytest.mark.parametrize("high", [1.0, 255.0, 65535.0])
def test_floating_point_by_its_range(high):
    image = Image.new("F", (2, 1))
    image.putpixel((1, 0), high)
    photo = load_photo(encoded(image, "TIFF"))
    assert [photo.rgb.getpixel((x, 0))[0] for x in range(2)] == [0, 255]


def test_sixteen_bit_colour_png():
    # Pillow cannot write one: three 16-bit samples per pixel, by hand.
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"\0" + struct.pack(">6H", 65535, 0, 0, 0, 32896, 65535)
    head = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    photo = load_photo(data)
    assert photo.rgb.getpixel((0, 0)) == (255, 0, 0)
    assert photo.rgb.getpixel((1, 0)) == (0, 128, 255)


def test_palette_with_transparency():
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 255, 255, 255, 0])
    image.putpixel((0, 0), 1)
    photo = load_photo(encoded(image, transparency=1))
    assert photo.rgb.getpixel((0, 0)) == (255, 255, 255)
    assert photo.rgb.getpixel((1, 1)) == (0, 0, 255)
    assert photo.alpha.getpixel((0, 0)) == 0


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_flattened_on_white(mode):
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    photo = load_photo(image.convert(mode))
    assert reopened(photo).mode == "RGB"
    assert photo.rgb.getpixel((0, 0)) == (255, 255, 255)


def test_opaque_alpha_is_no_transparency():
    photo = load_photo(picture().convert("RGBA"))
    assert photo.alpha is None
    assert photo.restore(photo.rgb).mode == "RGB"


def test_transparency_comes_back_where_nothing_changed():
    image = picture().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    photo = load_photo(encoded(image))
    result = photo.rgb.copy()
    ImageDraw.Draw(result).rectangle((20, 2, 24, 4), fill=(1, 2, 3))
    restored = photo.restore(result)
    assert restored.getpixel((22, 3)) == (1, 2, 3, 255)
    ImageDraw.Draw(image).rectangle((20, 2, 24, 4), fill=(1, 2, 3, 255))
    assert restored.tobytes() == image.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation):
    upright = picture()
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    photo = load_photo(encoded(stored, exif=exif))
    assert photo.rgb.tobytes() == upright.tobytes()
    assert ORIENTATION not in photo.exif


def test_the_camera_data_is_kept_and_the_stale_part_is_not():
    exif = Image.Exif()
    exif[MAKE] = "Camera"
    exif[ORIENTATION] = 6
    exif.get_ifd(0x8769)[DATE] = "2024:01:01 00:00:00"
    exif.get_ifd(0x8769)[WIDTH] = 9999
    kept = load_photo(encoded(picture(), "JPEG", exif=exif)).exif
    assert kept[MAKE] == "Camera"
    assert kept.get_ifd(0x8769)[DATE] == "2024:01:01 00:00:00"
    assert WIDTH not in kept.get_ifd(0x8769)
    assert ORIENTATION not in kept


def test_damaged_exif_does_not_stop_an_edit(recwarn):
    photo = load_photo(encoded(picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage"))
    assert photo.size == (40, 30)
    assert not recwarn.list


def test_an_rgb_profile_is_kept_and_the_pixels_untouched():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = load_photo(encoded(picture(), icc_profile=profile))
    assert photo.icc_profile == profile
    assert photo.rgb.tobytes() == picture().tobytes()


def test_cmyk_without_a_profile_is_said_to_be_approximate():
    photo = load_photo(encoded(picture(mode="CMYK"), "JPEG", quality=95))
    assert photo.icc_profile is None
    assert "CMYK" in photo.notes[0]
    red = photo.rgb.getpixel((2, 2))
    assert red[0] > 200
    assert max(red[1:]) < 60


def test_a_broken_profile_is_not_handed_on():
    assert load_photo(encoded(picture(), icc_profile=b"no profile")).icc_profile is None


def test_a_profile_of_another_colour_space_is_applied():
    # A Lab profile stands for CMYK ones, which cannot be made here: both go the same way.
    image = lab(picture())
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    photo = load_photo(image)
    assert photo.icc_profile is None
    assert photo.notes == []
    assert differ(photo.rgb, picture()) <= 4


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animated_gives_the_first_frame_and_says_so(kind):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "green", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    photo = load_photo(data)
    assert photo.rgb.getpixel((3, 3))[0] > 200
    assert "3 frames" in photo.notes[0]


def test_a_phone_photo_with_a_preview_is_one_photo():
    data = encoded(picture(), "MPO", save_all=True, append_images=[picture((10, 8))])
    photo = load_photo(data)
    assert (photo.size, photo.notes) == ((40, 30), [])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_truncated(kind):
    data = encoded(noise((200, 200)), kind)
    assert code_of(load_photo, data[: len(data) // 2]) == "image_unreadable"


@pytest.mark.parametrize(
    "data", [b"", b"not an image", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG\r\n\x1a\n"]
)
def test_not_an_image(data):
    assert code_of(load_photo, data) == "image_unreadable"


def test_no_file(tmp_path):
    assert code_of(load_photo, tmp_path / "none.jpg") == "image_missing"
    assert code_of(load_photo, tmp_path) == "image_missing"


def test_a_bomb_is_refused_by_its_header_and_pillows_own_limit_comes_back(monkeypatch):
    monkeypatch.setattr(photos, "MAX_PIXELS", 1000)
    before = Image.MAX_IMAGE_PIXELS
    for size in ((40, 30), (400, 300)):  # Pillow warns of the one and refuses the other
        assert code_of(load_photo, encoded(picture(size))) == "image_unreadable"
        assert code_of(load_photo, picture(size)) == "image_unreadable"
    assert before == Image.MAX_IMAGE_PIXELS


def test_more_pixels_than_pillow_likes_pass_without_a_warning(recwarn, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert load_photo(encoded(picture())).size == (40, 30)
    assert not recwarn.list
