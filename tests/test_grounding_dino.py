import json
import socket

import pytest
import torch
from support.detectors import detector, detector_folder, photo, template

pytest.importorskip("transformers")

from imageine.nodes.algorithms import grounding_dino  # noqa: E402
from imageine.nodes.algorithms.phrase_blocks import phrase_blocks  # noqa: E402
from imageine.nodes.algorithms.phrases import Pass, Span  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def detect(images, prompt="car . red door", box=0.3, text=0.25, **more):
    return grounding_dino.detect(detector(), images, prompt, box, text, **more)


def test_boxes_are_core_bounding_boxes():
    (frame,) = detect(photo())
    assert frame
    for box in frame:
        assert set(box) == {"x", "y", "width", "height", "label", "score"}
        assert all(type(box[side]) is float for side in ("x", "y", "width", "height", "score"))
        assert box["label"] in {"car", "red door", "red", "door"} and 0.3 < box["score"] <= 1
    scores = [box["score"] for box in frame]
    assert scores == sorted(scores, reverse=True)


def test_one_frame_per_image_whatever_the_rest_of_the_batch():
    images = torch.cat([photo(), 1 - photo(), torch.zeros_like(photo())])
    assert detect(images) == [detect(images[at : at + 1])[0] for at in range(3)]


def test_every_pattern_of_empty_frames(monkeypatch):
    images = torch.arange(3).view(3, 1, 1, 1).expand(3, 4, 4, 3) / 4
    for pattern in range(8):
        filled = [bool(pattern >> at & 1) for at in range(3)]
        runs = iter(filled)

        def run(model, pixels, text, device, runs=runs):
            score = 0.9 if next(runs) else 0.1
            return torch.full((2, len(text.token_ids)), score), torch.tensor([[0.5, 0.5, 0.2, 0.4]] * 2)

        monkeypatch.setattr(grounding_dino, "_run", run)
        frames = detect(images)
        assert [bool(frame) for frame in frames] == filled


def test_progress_is_told_after_every_image():
    ticks = []
    detect(photo().expand(3, -1, -1, -1)[:, :64, :64], on_image=lambda: ticks.append(1))
    assert len(ticks) == 3


def test_an_exception_from_the_callback_stops_at_that_image(monkeypatch):
    seen = []
    run = grounding_dino._run
    monkeypatch.setattr(grounding_dino, "_run", lambda *given: seen.append(1) or run(*given))

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        detect(photo().expand(5, -1, -1, -1)[:, :64, :64], on_image=stop)
    assert len(seen) == 1


def test_a_phrase_scores_the_same_in_any_company():
    # Phrases do not see each other in the text encoder; what is left is that the picture sees them all.
    model = detector().model.model.text_backbone
    features = []
    model_output = model.register_forward_hook(lambda module, given, output: features.append(output[0]))
    try:
        detect(photo()[:, :64, :64], "car")
        detect(photo()[:, :64, :64], "red door . car")
    finally:
        model_output.remove()
    alone, together = features
    assert torch.allclose(alone[0, 1], together[0, -3], atol=1e-5)


def test_blocks_end_with_their_delimiter_and_positions_start_anew():
    sees, positions = phrase_blocks(torch.tensor([[101, 7, 8, 1012, 9, 1012, 102]]))
    assert positions.tolist() == [[0, 0, 1, 2, 0, 1, 0]]
    blocks = [[0], [1, 2, 3], [4, 5], [6]]
    for block in blocks:
        for token in block:
            assert sees[0, token].nonzero()[:, 0].tolist() == block


def test_boxes_do_not_depend_on_the_attention_implementation():
    other = grounding_dino.load(template())
    if not hasattr(other.model, "set_attn_implementation"):
        pytest.skip("this transformers cannot switch")
    other.model.set_attn_implementation("eager")
    (eager,), (usual,) = (grounding_dino.detect(one, photo(), "red door . car") for one in (other, detector()))
    assert [one["label"] for one in eager] == [one["label"] for one in usual]
    assert all(abs(one["x"] - other["x"]) < 0.1 for one, other in zip(eager, usual, strict=True))


TEXT = Pass(
    (101, 1, 1012, 2, 3, 1012, 102),
    (Span("glass", (("glass", 1, 2),)), Span("old oil", (("old", 3, 4), ("oil", 4, 5)))),
)


def label(*scores, text_threshold=0.25):
    output = torch.tensor([[0.0, scores[0], 0.0, scores[1], scores[2], 0.0, 0.0]])
    (box,) = grounding_dino._boxes(output, torch.full((1, 4), 0.5), TEXT, (0.0, text_threshold), (100, 100))
    return box["label"]


def test_a_label_is_one_phrase_and_never_a_mixture():
    assert label(0.5, 0.4, 0.6) == "old oil"
    assert label(0.7, 0.4, 0.6) == "glass"


def test_the_text_threshold_picks_the_words_shown():
    assert label(0.1, 0.2, 0.6) == "oil"
    assert label(0.1, 0.6, 0.2) == "old"
    assert label(0.1, 0.1, 0.2) == "old oil"
    assert label(0.1, 0.2, 0.6, text_threshold=0.7) == "old oil"
    assert label(0.1, 0.2, 0.6, text_threshold=0.1) == "old oil"


def test_the_box_threshold_is_exclusive_and_boxes_are_scaled():
    scores = torch.tensor([[0.0, 0.5, 0, 0, 0, 0, 0], [0.0, 0.51, 0, 0, 0, 0, 0]])
    centred = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.5, 0.25, 0.5, 0.1]])
    (box,) = grounding_dino._boxes(scores, centred, TEXT, (0.5, 0.25), (200, 100))
    assert [box[side] for side in ("x", "y", "width", "height")] == pytest.approx([50, 20, 100, 10])


def many_phrases(count):
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [f"{letters[at % 26]}{letters[at // 26]} car" for at in range(count)]


def test_a_long_prompt_runs_in_passes_and_keeps_every_phrase(monkeypatch):
    wanted = many_phrases(200)
    texts = []
    run = grounding_dino._run

    def spy(model, pixels, text, device):
        texts.append(text)
        return run(model, pixels, text, device)

    monkeypatch.setattr(grounding_dino, "_run", spy)
    (frame,) = detect(photo()[:, :64, :64], " . ".join(wanted))
    assert [span.phrase for text in texts for span in text.spans] == wanted
    assert len(texts) > 2 and max(len(text.token_ids) for text in texts) <= 256
    assert frame and {box["label"] for box in frame} <= set(wanted) | {phrase.split()[0] for phrase in wanted} | {"car"}


def box(x, score, label="car"):
    return {"x": x, "y": 0.0, "width": 100.0, "height": 50.0, "label": label, "score": score}


def test_an_object_found_in_two_passes_is_kept_once():
    first, second = [box(0, 0.5), box(300, 0.9)], [box(2, 0.8, "vehicle"), box(299, 0.4, "vehicle"), box(600, 0.3)]
    merged = grounding_dino._merge([first, second])
    assert [(one["x"], one["label"]) for one in merged] == [(300, "car"), (2, "vehicle"), (600, "car")]


def test_boxes_of_one_pass_are_all_kept():
    assert len(grounding_dino._merge([[box(0, 0.5), box(0, 0.5), box(1, 0.4)]])) == 3


def test_boxes_without_area_are_compared_without_an_error():
    flat = {"x": 1.0, "y": 1.0, "width": 0.0, "height": 0.0, "label": "a", "score": 0.5}
    assert len(grounding_dino._merge([[flat], [dict(flat)]])) == 2


@pytest.mark.parametrize("prompt", ["", " ", ".,;", "?!"])
def test_an_empty_prompt_is_refused(prompt):
    with pytest.raises(ValueError, match="has no word in it"):
        detect(photo()[:, :8, :8], prompt)


def test_a_phrase_over_the_limit_is_refused_with_its_length():
    with pytest.raises(ValueError, match=r"is 303 tokens long and the model reads 256"):
        detect(photo()[:, :8, :8], "car " * 300)


@pytest.mark.parametrize("size", [(1, 1), (8, 6000), (6000, 8), (1, 6000), (3, 2), (4500, 4500)])
def test_pictures_of_any_size(size):
    frames = detect(torch.rand(1, *size, 3), box=0.0)
    assert len(frames) == 1
    height, width = size
    for one in frames[0]:
        assert one["x"] < width and one["y"] < height
        assert one["x"] + one["width"] > 0 and one["y"] + one["height"] > 0


def test_transparency_is_flattened_on_white():
    picture = photo()
    alpha = torch.zeros_like(picture[..., :1])
    alpha[:, 100:400, 100:400] = 1
    white = picture * alpha + (1 - alpha)
    assert detect(torch.cat([picture, alpha], -1)) == detect(white)


def test_a_folder_with_only_a_vocabulary_gives_the_same_boxes(tmp_path):
    folder = detector_folder(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    found = grounding_dino.detect(grounding_dino.load(folder), photo(), "red cars . doors")
    assert found == detect(photo(), "red cars . doors")


def test_half_precision_weights_give_full_precision_results(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = detector_folder(tmp_path / "model")
    weights = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16", "torch_dtype": "float16"}))
    loaded = grounding_dino.load(folder)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    assert grounding_dino.detect(loaded, photo(), "car")[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: [(folder / name).unlink() for name in ("tokenizer.json", "vocab.txt")],
            "tokenizer.json or vocab",
        ),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"12345678"), "not a safetensors"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer .* cannot be read"),
        (lambda folder: (folder / "preprocessor_config.json").write_text("[]"), "image processor"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "owlvit"}'), "a 'owlvit' model"),
    ],
)
def test_a_damaged_folder_is_refused_before_anything_loads(tmp_path, damage, message):
    folder = detector_folder(tmp_path / "model")
    damage(folder)
    with pytest.raises(ValueError, match=message):
        grounding_dino.load(folder)


def test_weights_of_another_model_are_refused(tmp_path):
    from safetensors.torch import save_file

    folder = detector_folder(tmp_path / "model")
    save_file({"encoder.weight": torch.zeros(3)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"not those of its config.json: \d+ tensors are missing"):
        grounding_dino.load(folder)


def test_nothing_but_the_folder_is_needed(monkeypatch):
    def blocked(*given, **named):
        raise AssertionError("the network was used")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    monkeypatch.setattr(socket, "create_connection", blocked)
    assert grounding_dino.detect(grounding_dino.load(template()), photo(), "car") == detect(photo(), "car")


def test_no_compiled_attention_can_run():
    attentions = [one for one in detector().model.modules() if type(one).__name__ == "MultiScaleDeformableAttention"]
    assert attentions
    assert {one.forward.__module__ for one in attentions} == {"imageine.nodes.algorithms.deformable_attention"}
