"""Seeded weights: complete, loadable by their own libraries, repeatable, and useful to look at."""

import json
import threading

import pytest
from imageine.runner.demo import layouts, seeded, vocabulary

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")


@pytest.fixture(scope="module")
def photo(photos):
    from PIL import Image

    return Image.open(photos["coffee"])


def test_checkpoint_has_the_layout(seeded_models):
    with safetensors.safe_open(seeded_models / seeded.CHECKPOINT, "pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    expected = {f"model.diffusion_model.{name}": shape for name, shape in layouts.unet("lite").items()}
    expected |= {f"first_stage_model.{name}": shape for name, shape in layouts.taesd().items()}
    expected |= {f"cond_stage_model.transformer.{name}": shape for name, shape in layouts.clip_text().items()}
    assert shapes == expected


def test_folder_is_small(seeded_models):
    assert sum(path.stat().st_size for path in seeded_models.rglob("*") if path.is_file()) < 350e6


def test_unknown_variant_is_named(tmp_path):
    with pytest.raises(ValueError, match="'huge'.*lite, one, full"):
        seeded.checkpoint(tmp_path / "x.safetensors", variant="huge")


def test_vocabulary_keeps_berts_numbers():
    words = vocabulary.tokens()
    assert [words[number] for number in (0, 100, 101, 102, 1012, 1029)] == [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        ".",
        "?",
    ]
    assert len(words) == len(set(words))


def test_tokenizer_spells_every_word(seeded_models):
    tokenizer = transformers.AutoTokenizer.from_pretrained(seeded_models / seeded.GROUNDING_DINO)
    assert tokenizer("A blue CAR.")["input_ids"] == [
        101,
        *tokenizer.convert_tokens_to_ids(["a", "blue", "car", "."]),
        102,
    ]
    assert tokenizer.unk_token_id not in tokenizer("zyzzyva42 xylophone's q")["input_ids"]


@pytest.mark.parametrize("prompt", ["cup.", "red door. window.", "the astronaut's helmet."])
def test_detector_finds_a_handful(seeded_models, photo, prompt):
    folder = seeded_models / seeded.GROUNDING_DINO
    model = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(folder)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    inputs = processor(images=photo, text=prompt, return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    best = outputs.logits.sigmoid().amax(-1)[0]
    kept = outputs.pred_boxes[0][best > 0.3]
    assert 1 <= len(kept) <= 6
    assert (kept[:, 2:] > 0.05).all() and (kept[:, 2:] < 0.95).all()


def test_segmenter_fills_the_box(seeded_models, photo):
    folder = seeded_models / seeded.SEGMENT_ANYTHING
    model = transformers.Sam2Model.from_pretrained(folder)
    processor = transformers.Sam2Processor.from_pretrained(folder)
    box = [300.0, 200.0, 560.0, 360.0]
    inputs = processor(images=photo, input_boxes=[[box]], return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs, multimask_output=False)
    mask = processor.post_process_masks(outputs.pred_masks, inputs["original_sizes"])[0][0, 0]
    inside = torch.zeros_like(mask)
    inside[200:360, 300:560] = True
    overlap = (mask & inside).sum() / (mask | inside).sum()
    assert overlap > 0.7


def test_made_once_even_when_two_race(tmp_path, monkeypatch):
    def quick(path, **options):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps("weights"))

    for name in ("checkpoint", "grounding_dino", "segment_anything"):
        monkeypatch.setattr(seeded, name, quick)
    results = []
    threads = [threading.Thread(target=lambda: results.append(seeded.models_folder(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [seeded.target(tmp_path)] * 4
    assert [path.name for path in tmp_path.iterdir()] == [seeded.target(tmp_path).name]
    assert (results[0] / seeded.CHECKPOINT).is_file()


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    def broken(path, **options):
        raise OSError("disk full")

    monkeypatch.setattr(seeded, "checkpoint", broken)
    with pytest.raises(OSError, match="disk full"):
        seeded.models_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
