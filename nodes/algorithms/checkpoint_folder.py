"""Checks on a model folder in transformers' layout, made before transformers touches it.

transformers reports a half-downloaded or foreign folder with errors that name tensors and classes, fetches what
is missing from the network, and loads a detector without its tokenizer in silence. These checks read file names,
file sizes and headers only: the standard library suffices and a 1 GB checkpoint costs a millisecond.
"""

import json
from pathlib import Path

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"

# ComfyUI's folders of the models that the complex pipeline adds; the others are the simple pipeline's.
_COMPLEX = frozenset({"pose", "depth-anything"})

_PICKLES = ("pytorch_model*.bin", "*.pth", "*.pt", "*.ckpt")
_LFS_POINTER = b"version https://git-lfs"
_MAX_HEADER = 100_000_000  # the safetensors format's own limit, in bytes


def check_folder(folder: Path, model_type: str | set[str], required: list[list[str]]) -> None:
    """Make sure that ``folder`` holds a complete safetensors model of type ``model_type``.

    ``model_type`` is the value, or the values, that ``config.json`` may give. ``required`` lists further files:
    of each inner list at least one must be there, e.g. ``[["tokenizer.json", "vocab.txt"]]``. Raises
    ``ValueError`` with the folder, what is wrong with it and the next step.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder. {_pull_again(folder)}")
    accepted = {model_type} if isinstance(model_type, str) else set(model_type)
    _check_config(folder, accepted)
    _check_weights(folder)
    for names in required:
        present = [name for name in names if (folder / name).is_file()]
        if not present:
            raise ValueError(f"{folder} has no {' or '.join(names)}, which this model needs. {_pull_again(folder)}")
        for name in present:
            _check_small_file(folder / name)


def _check_config(folder: Path, accepted: set[str]) -> None:
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} has no config.json. {_pull_again(folder)}")
    _check_small_file(path)
    config = _read_json(path)
    found = config.get("model_type") if isinstance(config, dict) else None
    if found not in accepted:
        kind = f"a '{found}' model" if found else "not a transformers model (its config.json names no model_type)"
        raise ValueError(
            f"{folder} is {kind}; this node needs {' or '.join(repr(name) for name in sorted(accepted))}. "
            "Choose another folder, or move this one to where models of its kind belong."
        )


def _check_weights(folder: Path) -> None:
    index = folder / WEIGHTS_INDEX
    if (folder / WEIGHTS).is_file():
        _check_safetensors(folder / WEIGHTS)
    elif index.is_file():
        _check_small_file(index)
        content = _read_json(index)
        shards = content.get("weight_map") if isinstance(content, dict) else None
        if not isinstance(shards, dict) or not shards:
            raise ValueError(f"{index} lists no weight files. {_pull_again(folder)}")
        for name in sorted({str(shard) for shard in shards.values()}):
            # The name comes from a file: only a file of this very folder is taken.
            if Path(name).name != name or not (folder / name).is_file():
                raise ValueError(f"{folder} lacks {name}, which {WEIGHTS_INDEX} lists. {_pull_again(folder)}")
            _check_safetensors(folder / name)
    else:
        _refuse_without_weights(folder)


def _refuse_without_weights(folder: Path) -> None:
    partial = sorted(path for pattern in ("*.incomplete", "*.part", "*.aria2") for path in folder.rglob(pattern))
    if partial:
        raise ValueError(
            f"{folder} has no {WEIGHTS}: its download stopped half-way ({partial[0].name}). {_pull_again(folder)}"
        )
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise ValueError(
            f"{folder} holds its weights only as a pickle ({pickles[0]}), which can run code when it is loaded and is "
            f"refused. Get the same model's {WEIGHTS}. {_pull_again(folder)}"
        )
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    seen = f" (it has {', '.join(others)}, which is not the name that is loaded)" if others else ""
    raise ValueError(f"{folder} has no {WEIGHTS}{seen}. {_pull_again(folder)}")


def _check_safetensors(path: Path) -> None:
    """Compare the file's size with the size its header promises."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if (start + file.read(len(_LFS_POINTER) - 8)).startswith(_LFS_POINTER):
            raise ValueError(f"{path} is a git-lfs pointer, not the weights. Run `git lfs pull` in its folder.")
        file.seek(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= _MAX_HEADER:
            raise ValueError(f"{path} ({size} bytes) is not a safetensors file. {_pull_again(path.parent)}")
        header = file.read(length)
    if len(header) < length:
        raise ValueError(f"{path} is truncated inside its header ({size} bytes). {_pull_again(path.parent)}")
    expected = 8 + length + _data_size(path, header)
    if size != expected:
        state = "truncated" if size < expected else "damaged"
        raise ValueError(f"{path} is {state}: {size} bytes, its header says {expected}. {_pull_again(path.parent)}")


def _data_size(path: Path, header: bytes) -> int:
    try:
        tensors = json.loads(header)
        return max((entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{path} is not a safetensors file ({error}). {_pull_again(path.parent)}") from error


def _check_small_file(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(len(_LFS_POINTER))
    if not start:
        raise ValueError(f"{path} is empty. {_pull_again(path.parent)}")
    if start == _LFS_POINTER:
        raise ValueError(f"{path} is a git-lfs pointer, not the file. Run `git lfs pull` in its folder.")


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}). {_pull_again(path.parent)}") from error


def next_step(name: str) -> str:
    """How to get a model for ComfyUI's folder ``name``, as a clause that "or copy ... there" may follow."""
    if name == "imageine-router":  # not in the manifest: MiniLM comes with the extra imageine[router]
        return "Download the files of openai/clip-vit-base-patch32"
    return f"Run `imageine models pull {'complex' if name in _COMPLEX else 'simple'}`"


def _pull_again(folder: Path) -> str:
    return f"Download the model again into {folder.parent}. {next_step(folder.parent.name)}."
