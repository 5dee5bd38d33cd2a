"""Segment Anything: boxes of any kind in, one mask per box and image out, from a folder that is checked first."""

import itertools
import json
import shutil
import socket

import pytest
import torch
from support import tiny_segment_anything as tiny

transformers = pytest.importorskip("transformers")

from imageine.nodes.algorithms import segment_anything  # noqa: E402

needs_sam2 = pytest.mark.skipif(not hasattr(transformers, "Sam2Model"), reason="transformers without SAM 2")
GENERATIONS = [pytest.param(1, id="sam"), pytest.param(2, id="sam2", marks=needs_sam2)]
HEIGHT, WIDTH = 60, 90
BOXES = [{"x": 10, "y": 5, "width": 40, "height": 30}, {"x": 50.5, "y": 20.25, "width": 30, "height": 35}]


pytestmark = pytest.mark.usefixtures("one_thread")


def pictures(batch=2, height=HEIGHT, width=WIDTH, channels=3):
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(3))


def folder_copy(tmp_path, generation):
    return shutil.copytree(tiny.template(generation), tmp_path / "model")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_one_mask_per_box_and_their_union(generation):
    sam, images = tiny.shared(generation), pictures()
    frames = [BOXES, BOXES[:1]]
    objects = segment_anything.object_masks(sam, images, frames)
    assert [one.shape for one in objects] == [(2, HEIGHT, WIDTH), (1, HEIGHT, WIDTH)]
    assert all(one.dtype == torch.bool and one.device.type == "cpu" for one in objects)
    union = segment_anything.union_masks(sam, images, frames)
    assert union.shape == (2, HEIGHT, WIDTH) and union.dtype == torch.bool and bool(union.any())
    assert torch.equal(union, torch.stack([one.any(0) for one in objects]))
    union.fill_(False)  # an ordinary tensor: inference mode does not leak out


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_mask_depends_on_its_own_box_and_image_only(generation, monkeypatch):
    sam, images = tiny.shared(generation), pictures()
    many = [{"x": 3 * index, "y": 2 * index, "width": 20, "height": 15} for index in range(20)]
    together = segment_anything.object_masks(sam, images, [many, BOXES])
    monkeypatch.setattr(segment_anything, "_BOXES_AT_ONCE", 7)
    chunked = segment_anything.object_masks(sam, images, [many, BOXES])
    assert [float((one != other).float().mean()) < 1e-3 for one, other in zip(together, chunked, strict=True)] == [
        True
    ] * 2
    alone = segment_anything.object_masks(sam, images[1:], [BOXES[1:]])[0]
    assert float((alone[0] != together[1][1]).float().mean()) < 1e-3


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_pattern_of_empty_frames(generation):
    images = pictures(batch=4)
    for pattern in itertools.product((False, True), repeat=4):
        frames = [BOXES[:1] if filled else [] for filled in pattern]
        union = segment_anything.union_masks(tiny.shared(generation), images, frames)
        assert union.shape == (4, HEIGHT, WIDTH)
        assert union.flatten(1).any(1).tolist() == list(pattern)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_boxes_are_clipped_and_those_without_area_give_nothing(generation):
    sam, images = tiny.shared(generation), pictures(batch=1)
    outside = {"x": -500, "y": -500, "width": 5000, "height": 5000}
    whole = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT}
    nothing = [
        {"x": 5, "y": 5, "width": 0, "height": 20},
        {"x": 5, "y": 5, "width": 10, "height": -3},
        {"x": WIDTH, "y": 0, "width": 9, "height": 9},
        {"x": -20, "y": -20, "width": 20, "height": 20},
        {"x": float("nan"), "y": 0, "width": 9, "height": 9},
        {"x": 0, "y": 0, "width": float("inf"), "height": 9},
    ]
    (masks,) = segment_anything.object_masks(sam, images, [[outside, *nothing, whole]])
    assert masks.shape[0] == 8 and torch.equal(masks[0], masks[7])
    assert not masks[1:7].any()


def test_the_encoder_runs_once_per_image_with_boxes(monkeypatch):
    sam, calls = tiny.shared(1), []
    embed = sam.model.get_image_embeddings
    monkeypatch.setattr(sam.model, "get_image_embeddings", lambda pixels: calls.append(pixels.shape) or embed(pixels))
    segment_anything.union_masks(sam, pictures(batch=3), [BOXES * 20, [], BOXES])
    assert calls == [(1, 3, 128, 128)] * 2


def test_any_form_of_boxes():
    sam, images = tiny.shared(1), pictures()
    for form in (BOXES[0], BOXES[:1], [BOXES[:1]], [BOXES[:1], BOXES[:1]]):
        assert [len(one) for one in segment_anything.object_masks(sam, images, form)] == [1, 1]
    assert [len(one) for one in segment_anything.object_masks(sam, images, [])] == [0, 0]
    with pytest.raises(ValueError, match="numbers x, y, width and height"):
        segment_anything.object_masks(sam, images, [[{"x": 1}]])


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("size", [(1, 1), (8, 6000), (301, 7)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_odd_pictures(generation, size, channels):
    images = pictures(1, *size, channels)
    box = {"x": 0, "y": 0, "width": size[1], "height": size[0]}
    union = segment_anything.union_masks(tiny.shared(generation), images, box)
    assert union.shape == (1, *size)


def test_progress_is_told_after_every_image():
    ticks = []
    segment_anything.union_masks(tiny.shared(1), pictures(3), [[], BOXES, []], on_image=lambda: ticks.append(1))
    assert len(ticks) == 3

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment_anything.union_masks(tiny.shared(1), pictures(3), BOXES, on_image=interrupt)


# ---- the model folder


@needs_sam2
def test_the_hubs_own_folders_call_themselves_sam2_video(tmp_path):
    folder = folder_copy(tmp_path, 2)
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "sam2_video"
    config["architectures"] = ["Sam2VideoModel"]
    config["num_maskmem"] = 7
    for part in ("prompt_encoder", "mask_decoder"):
        config[f"{part}_config"]["model_type"] = f"sam2_video_{part}"
    (folder / "config.json").write_text(json.dumps(config))
    again = segment_anything.load(folder)
    expected = segment_anything.object_masks(tiny.shared(2), pictures(), BOXES)
    for one, other in zip(segment_anything.object_masks(again, pictures(), BOXES), expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_table_that_the_file_holds_once_is_used_twice(tmp_path, generation):
    """Files written by transformers 4 lack the second name; transformers 5 alone would fill it at random."""
    folder = folder_copy(tmp_path, generation)
    rewrite(folder, lambda weights: weights.pop(segment_anything._TIED, None))
    expected = segment_anything.object_masks(tiny.shared(generation), pictures(), BOXES)
    found = segment_anything.object_masks(segment_anything.load(folder), pictures(), BOXES)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_missing_weights_are_refused(tmp_path, generation):
    folder = folder_copy(tmp_path, generation)
    rewrite(folder, lambda weights: weights.pop("mask_decoder.iou_token.weight"))
    with pytest.raises(ValueError, match=r"lacks 1 of the weights.*mask_decoder.iou_token.weight.*models pull"):
        segment_anything.load(folder)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_weights_of_another_size_are_refused(tmp_path, generation):
    folder = folder_copy(tmp_path, generation)
    rewrite(folder, lambda weights: weights.update({"mask_decoder.iou_token.weight": torch.zeros(1, 7)}))
    with pytest.raises(ValueError, match="could not be loaded|lacks"):
        segment_anything.load(folder)


def rewrite(folder, change):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_bad_folders_are_refused_before_transformers_is_asked(tmp_path):
    with pytest.raises(ValueError, match="not a folder"):
        segment_anything.load(tmp_path / "nowhere")
    folder = folder_copy(tmp_path, 1)
    (folder / "config.json").write_text(json.dumps({"model_type": "grounding-dino"}))
    with pytest.raises(ValueError, match="'grounding-dino' model; this node needs 'sam' or 'sam2' or 'sam2_video'"):
        segment_anything.load(folder)


def test_half_a_download_and_a_pickle_are_refused(tmp_path):
    folder = folder_copy(tmp_path, 1)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="truncated"):
        segment_anything.load(folder)
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="pickle"):
        segment_anything.load(folder)


def test_an_old_transformers_is_told_what_it_needs(tmp_path, monkeypatch):
    folder = folder_copy(tmp_path, 1)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "sam2_video"}))
    monkeypatch.setattr(segment_anything, "_has_sam2", lambda _: False)
    with pytest.raises(ValueError, match=r"needs transformers 4\.56 or newer; this Python has .*pip install -U"):
        segment_anything.load(folder)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_folder_without_an_image_processors_settings_works(tmp_path, generation):
    folder = folder_copy(tmp_path, generation)
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text('{"processor_class": "Sam2VideoProcessor", "target_size": 128}')
    found = segment_anything.object_masks(segment_anything.load(folder), pictures(), BOXES)
    expected = segment_anything.object_masks(tiny.shared(generation), pictures(), BOXES)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_half_precision_files_run_in_single(tmp_path, generation):
    folder = folder_copy(tmp_path, generation)
    rewrite(folder, lambda weights: weights.update({name: one.half() for name, one in weights.items()}))
    sam = segment_anything.load(folder)
    assert {parameter.dtype for parameter in sam.model.parameters()} == {torch.float32}
    assert segment_anything.union_masks(sam, pictures(), BOXES).shape == (2, HEIGHT, WIDTH)


def test_no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    segment_anything.load(tiny.template(1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_gpu_agrees(generation):
    expected = segment_anything.union_masks(tiny.shared(generation), pictures(), BOXES)
    sam = segment_anything.load(tiny.template(generation))
    sam.model.cuda()
    found = segment_anything.union_masks(sam, pictures(), BOXES, device="cuda")
    assert found.device.type == "cpu" and float((found != expected).float().mean()) < 0.01
