"""Metadata and result files: written, read back, whole or not at all."""

import io
import json
import os
import re
import sys

import pytest
from imageine.runner.errors import InputError
from imageine.runner.pictures import metadata, output_files
from PIL import Image, ImageCms

MADE = {"imageine": {"prompt": "blaues Auto 車", "seed": 2**64 - 1}, "prompt": {"1": {"class_type": "A"}},
        "workflow": {"nodes": [], "links": []}}  # fmt: skip
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def picture(mode="RGB") -> Image.Image:
    return Image.linear_gradient("L").resize((32, 24)).convert(mode)


def error_of(call, *arguments) -> InputError:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return caught.value


def camera() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8769)[0x9003] = "2024:01:01 00:00:00"
    return exif


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".PNG"])
def test_metadata_profile_and_exif_come_back(tmp_path, suffix):
    data, notes = output_files.encode(picture(), suffix, MADE, icc_profile=PROFILE, exif=camera())
    path = tmp_path / f"out{suffix}"
    output_files.write(path, data)
    assert notes == []
    assert metadata.read(path) == MADE
    with Image.open(path) as image:
        assert image.info["icc_profile"] == PROFILE
        assert image.getexif()[0x010F] == "Camera"
        assert image.getexif().get_ifd(0x8769)[0x9003] == "2024:01:01 00:00:00"


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_lossless_formats_keep_pixels_and_transparency(suffix):
    image = picture("RGBA")
    image.putalpha(Image.radial_gradient("L").resize(image.size).point(lambda value: max(1, value)))
    data, _ = output_files.encode(image, suffix, {})
    assert Image.open(io.BytesIO(data)).tobytes() == image.tobytes()


def test_a_jpeg_is_flattened_with_a_note():
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    data, notes = output_files.encode(image, ".jpg", {})
    assert Image.open(io.BytesIO(data)).getpixel((4, 4)) == (255, 255, 255)
    assert "transparency" in notes[0]


def test_a_jpeg_keeps_full_colour_resolution():
    data, _ = output_files.encode(picture(), ".jpg", {})
    assert [layer[1:3] for layer in Image.open(io.BytesIO(data)).layer] == [(1, 1)] * 3


@pytest.mark.parametrize(("size", "kept"), [(70_000, ["imageine", "prompt"]), (None, ["imageine"])])
def test_a_jpegs_64_kb_drop_the_workflow_first(tmp_path, size, kept):
    big = {"x": "y" * (size or 70_000)}
    made = MADE | {"workflow": big} | ({"prompt": big} if size is None else {})
    data, notes = output_files.encode(picture(), ".jpg", made, exif=camera())
    (tmp_path / "out.jpg").write_bytes(data)
    assert list(metadata.read(tmp_path / "out.jpg")) == kept
    assert "no room" in notes[0]
    data, notes = output_files.encode(picture(), ".webp", made)
    (tmp_path / "out.webp").write_bytes(data)
    assert (metadata.read(tmp_path / "out.webp"), notes) == (made, [])


def test_a_camera_block_too_large_for_a_jpeg_is_left_out():
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    data, notes = output_files.encode(picture(), ".jpg", MADE, exif=exif)
    assert Image.open(io.BytesIO(data)).size == (32, 24)
    assert "camera" in notes[0]


def test_a_png_of_comfyui_is_read(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("prompt", json.dumps(MADE["prompt"]))
    info.add_text("workflow", "not JSON")
    info.add_text("Comment", "hello")
    picture().save(tmp_path / "comfy.png", pnginfo=info)
    assert metadata.read(tmp_path / "comfy.png") == {"prompt": MADE["prompt"]}


def test_the_editor_finds_the_texts_of_a_webp_by_their_first_colon():
    block, _ = metadata.exif_bytes(MADE, Image.Exif(), limited=False)
    for key in metadata.KEYS:
        assert re.search(rb"[\0]" + key.encode() + rb":\{", block)


def test_reading_what_is_no_picture(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    assert error_of(metadata.read, tmp_path / "text.png").code == "image_unreadable"
    assert error_of(metadata.read, tmp_path / "none.png").code == "image_missing"
    picture().save(tmp_path / "plain.jpg")
    assert metadata.read(tmp_path / "plain.jpg") == {}


def test_a_result_too_large_for_its_format():
    error = error_of(output_files.encode, Image.new("RGB", (17_000, 1)), ".webp", {})
    assert error.code == "output_unwritable"
    assert ".png" in error.hint


# Where results go


@pytest.mark.parametrize("name", ["out.png", "out.JPG", "a b.webp"])
def test_a_good_place_is_left_untouched(tmp_path, name):
    assert output_files.check_output(tmp_path / name) == tmp_path / name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("out.gif", "'.gif' is not a format"),
        ("out", "no extension"),
        ("none/out.png", "does not exist"),
        ("folder.png", "it is a folder"),
        ("file.txt/out.png", "does not exist"),
    ],
)
def test_a_bad_place(tmp_path, name, says):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file.txt").touch()
    error = error_of(output_files.check_output, tmp_path / name)
    assert error.code == "output_unwritable"
    assert says in error.message
    assert error.hint


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_read_only_place(tmp_path):
    (tmp_path / "out.png").touch(0o400)
    assert error_of(output_files.check_output, tmp_path / "out.png").code == "output_unwritable"
    tmp_path.chmod(0o500)
    assert error_of(output_files.check_output, tmp_path / "new.png").code == "output_unwritable"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder where nobody can make files")  # noqa: PTH112
def test_a_folder_that_takes_no_file():
    for check, path in ((output_files.check_output, "/proc/out.png"), (output_files.check_output_folder, "/proc/new")):
        error = error_of(check, path)
        assert error.code == "output_unwritable"
        assert "no file can be made in '/proc'" in error.message


def test_a_folder_for_results(tmp_path):
    assert output_files.check_output_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        assert "is a file" in error_of(output_files.check_output_folder, path).message


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    assert "No space left" in error_of(output_files.write, path, b"new").message
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.png"]
    assert path.read_bytes() == b"old"


def test_a_write_creates_the_folder_and_a_readable_file(tmp_path):
    path = tmp_path / "a" / "out.png"
    output_files.write(path, b"new")
    assert path.read_bytes() == b"new"
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o400
        assert not path.stat().st_mode & 0o111


def test_free_names(tmp_path):
    names = []
    for _ in range(3):
        path = output_files.free_name(tmp_path, "result", ".png")
        path.touch()
        names.append(path.name)
    assert names == ["result.png", "result-2.png", "result-3.png"]
