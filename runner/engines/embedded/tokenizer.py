"""CLIP's tokenizer, which no checkpoint file brings along.

``clip_merges.txt.gz`` holds the byte-pair merges of OpenAI's CLIP (https://github.com/openai/CLIP, MIT licence,
Copyright (c) 2021 OpenAI), one a line, in order; everything else about the tokenizer follows from them.
"""

import gzip
import json
from pathlib import Path

_MERGES = Path(__file__).with_name("clip_merges.txt.gz")
_END_OF_WORD = "</w>"


def write(folder: Path) -> None:
    """Write the tokenizer into ``folder`` in the layout that transformers' ``CLIPTokenizer`` reads."""
    merges = gzip.decompress(_MERGES.read_bytes()).decode("utf-8").splitlines()
    letters = _letters()
    words = [*letters, *(letter + _END_OF_WORD for letter in letters), *("".join(merge.split()) for merge in merges)]
    vocabulary = {word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(_SETTINGS), encoding="utf-8")


def _letters() -> list[str]:
    """The 256 bytes as printable characters, in the order in which GPT-2's byte-level vocabulary numbers them."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) for byte in shown] + [chr(256 + place) for place in range(len(hidden))]


_SETTINGS = {
    "tokenizer_class": "CLIPTokenizer",
    "model_max_length": 77,
    "do_lower_case": True,
    "bos_token": "<|startoftext|>",
    "eos_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
    "errors": "replace",
}
