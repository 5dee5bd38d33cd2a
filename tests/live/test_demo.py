"""`imageine demo`, as the README shows it: one command, nothing downloaded."""

import json

import pytest
from imageine.runner import demo
from imageine.runner.client.events import Message
from imageine.runner.errors import InputError, ModelError, ServerError
from PIL import Image


def test_demo_makes_three_edits(tmp_path, comfyui_dir, figures):
    said = []
    result = demo.run_demo(
        tmp_path / "demo.png",
        comfyui=comfyui_dir,
        on_event=lambda event: said.append(event.text) if isinstance(event, Message) else None,
    )
    assert [edit.wish for edit in result.edits] == [wish for _, wish in demo.EDITS]
    for number, (edit, (picture, _)) in enumerate(zip(result.edits, demo.EDITS, strict=True), 1):
        assert edit.path == tmp_path / f"demo {number}.png"
        with Image.open(edit.path) as after, Image.open(picture) as before:
            assert after.size == before.size
            assert json.loads(after.text["imageine"])["seed"] == demo.SEED
        assert edit.outside == 0
        assert 0.02 < edit.changed <= edit.inside < 0.25
    with Image.open(result.path) as sheet:
        assert sheet.width > 2 * 512 and sheet.height > 3 * 384
    assert "toy models" in said[-1]
    changed = ", ".join(f"{edit.changed:.0%}" for edit in result.edits)
    figures(f"imageine demo: {changed} of the pictures changed, largest difference elsewhere 0")


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
