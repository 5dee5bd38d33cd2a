"""`imageine demo`, as the README shows it: one command, nothing downloaded."""

import json

import pytest
from imageine.runner import demo
from imageine.runner.client.events import Message
from imageine.runner.errors import InputError, ModelError, ServerError
from PIL import Image


def test_demo_edits_the_bundled_photo(tmp_path, comfyui_dir, seeded_models, monkeypatch, figures):
    monkeypatch.setattr(demo, "STEPS", 1)
    said = []
    result = demo.run_demo(
        tmp_path / "demo.png",
        comfyui=comfyui_dir,
        on_event=lambda event: said.append(event.text) if isinstance(event, Message) else None,
    )
    with Image.open(result.path) as picture, Image.open(demo.PHOTO) as photo:
        assert picture.size == photo.size
        assert json.loads(picture.text["imageine"])["seed"] == demo.SEED
    with Image.open(result.comparison) as both:
        assert both.width > 2 * photo.width
    assert result.outside == 0
    assert 0 < result.changed <= result.inside < 1
    assert "random numbers" in said[-1]
    figures(f"imageine demo: {result.changed:.0%} of the photo changed, largest difference elsewhere {result.outside}")


def test_unwritable_output_is_known_before_the_start(tmp_path):
    with pytest.raises(InputError) as caught:
        demo.run_demo(tmp_path / "demo.txt")
    assert caught.value.code == "output_unwritable"


def test_folder_that_is_no_comfyui(tmp_path):
    with pytest.raises(ServerError) as caught:
        demo.run_demo(tmp_path / "demo.png", comfyui=tmp_path)
    assert caught.value.code == "comfyui_missing"


def test_cache_that_cannot_be_written(tmp_path, comfyui_dir, monkeypatch):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("IMAGEINE_CACHE", str(blocked))
    with pytest.raises(ModelError) as caught:
        demo.make_models(comfyui_dir)
    assert caught.value.code == "model_unwritable"
    assert "IMAGEINE_CACHE" in caught.value.hint
