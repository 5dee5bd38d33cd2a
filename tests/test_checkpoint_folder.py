import json
import struct

import pytest
from imageine.nodes.algorithms.checkpoint_folder import check_folder

REQUIRED = [["preprocessor_config.json", "processor_config.json"], ["tokenizer.json", "vocab.txt"]]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 689359096\n"


def safetensors(size: int = 64) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "grounding-dino" / "model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "grounding-dino"}')
    (folder / "model.safetensors").write_bytes(safetensors())
    (folder / "preprocessor_config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def check(folder):
    check_folder(folder, "grounding-dino", REQUIRED)


def test_a_complete_folder_passes(folder):
    check(folder)
    check_folder(folder, {"sam2", "grounding-dino"}, [])


def test_alternatives_are_enough(folder):
    (folder / "tokenizer.json").rename(folder / "vocab.txt")
    check(folder)


def test_a_left_over_partial_file_beside_complete_weights_is_no_error(folder):
    (folder / "other.incomplete").write_bytes(b"")
    check(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "no config.json"),
        ("model.safetensors", "no model.safetensors"),
        ("preprocessor_config.json", "no preprocessor_config.json or processor_config.json"),
        ("tokenizer.json", "no tokenizer.json or vocab.txt"),
    ],
)
def test_a_missing_file_is_named_with_the_next_step(folder, name, message):
    (folder / name).unlink()
    with pytest.raises(ValueError, match=message) as caught:
        check(folder)
    assert str(folder) in str(caught.value)
    assert "imageine models pull" in str(caught.value)


def test_a_missing_folder(tmp_path):
    with pytest.raises(ValueError, match="is not a folder"):
        check(tmp_path / "none")


@pytest.mark.parametrize("kept", [0, 5, 40, len(safetensors()) - 1])
def test_truncated_weights(folder, kept):
    (folder / "model.safetensors").write_bytes(safetensors()[:kept])
    with pytest.raises(ValueError, match="truncated|not a safetensors"):
        check(folder)


def test_weights_longer_than_their_header_says(folder):
    (folder / "model.safetensors").write_bytes(safetensors() + b"x")
    with pytest.raises(ValueError, match="damaged"):
        check(folder)


@pytest.mark.parametrize("content", [b"<html>not found</html>" * 10, struct.pack("<Q", 4) + b"nope", b"\0" * 100])
def test_weights_that_are_something_else(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="not a safetensors file"):
        check(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_git_lfs_pointer(folder, name):
    (folder / name).write_bytes(POINTER)
    with pytest.raises(ValueError, match="git lfs pull"):
        check(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_an_empty_file(folder, name):
    (folder / name).write_bytes(b"")
    with pytest.raises(ValueError, match="is empty"):
        check(folder)


def test_a_download_that_stopped(folder):
    (folder / "model.safetensors").unlink()
    cache = folder / ".cache" / "huggingface" / "download"
    cache.mkdir(parents=True)
    (cache / "model.safetensors.abc.incomplete").write_bytes(b"half")
    with pytest.raises(ValueError, match="stopped half-way"):
        check(folder)


def test_a_pickle_is_refused(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ValueError, match=r"pickle \(pytorch_model.bin\).*refused.*model.safetensors"):
        check(folder)


def test_weights_under_another_name_are_shown(folder):
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
    with pytest.raises(ValueError, match="model.fp16.safetensors"):
        check(folder)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"model_type": "sam2"}', "a 'sam2' model; this node needs 'grounding-dino'"),
        ("{}", "not a transformers model"),
        ("[]", "not a transformers model"),
        ("{", "is not JSON"),
    ],
)
def test_the_wrong_kind_is_named(folder, config, message):
    (folder / "config.json").write_text(config)
    with pytest.raises(ValueError, match=message):
        check(folder)


def shards(folder, names):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def test_shards(folder):
    shards(folder, {"a": "model-1.safetensors", "b": "model-2.safetensors"})
    (folder / "model-1.safetensors").write_bytes(safetensors())
    with pytest.raises(ValueError, match="lacks model-2.safetensors"):
        check(folder)
    (folder / "model-2.safetensors").write_bytes(safetensors())
    check(folder)


@pytest.mark.parametrize("names", [{}, [], None, {"a": "../../secret.safetensors"}])
def test_a_bad_index(folder, names):
    shards(folder, names)
    with pytest.raises(ValueError, match=r"lists no weight files|lacks ../../secret"):
        check(folder)
