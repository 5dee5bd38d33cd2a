"""Which category a wish reads like: ridge regression from what an encoder and the words say to the categories.

Trained on ``examples.json`` when an encoder is first used, so that any encoder serves: its vector of the wish, the
wish's words and their classes (``wording``), each weighed once and for all by what served best on wishes that are not
among the examples. The softmax's temperature is that under which each example is best predicted from all others
(leave-one-out in closed form: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, section 7.10), so
that what it calls 90 % likely is so nine times in ten.

Chosen over nearest neighbours, centroids, Gaussian and quadratic kernels, which are as often right or less.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from .decision import CATEGORIES, TextEncoder
from .training import Counts
from .word_model import digest
from .wording import word_classes, words

_EXAMPLES = Path(__file__).with_name("examples.json")
_WORDS, _CLASSES = 0.7, 1.0  # beside the encoder's 1
_PENALTY = 0.6  # in units of a wish's mean squared length
_TEMPERATURES = np.geomspace(0.01, 100.0, 81)
_STRANGE = 0.02  # so many of the examples are themselves less alike their nearest than what still counts as a wish

_trained: WeakKeyDictionary[TextEncoder, "Classifier"] = WeakKeyDictionary()


@dataclass(frozen=True)
class Reading:
    """``probabilities`` by category, adding up to 1, and the likeliest one's written example most alike the text.

    ``strange``: the text is alike no example, so that the probabilities are guesses: nonsense, another language.
    """

    probabilities: dict[str, float]
    example: str
    strange: bool


@cache
def examples() -> dict[str, list[str]]:
    """The written examples of every category."""
    return json.loads(_EXAMPLES.read_text(encoding="utf-8"))


def read(text: str, encoder: TextEncoder) -> Reading:
    """What ``text`` reads like to ``encoder``. The first call with an encoder trains on all examples."""
    if encoder not in _trained:
        _trained[encoder] = Classifier(encoder)
    return _trained[encoder].read(text, encoder.encode([text])[0])


class Classifier:
    """The regression for one encoder; ``loss`` is its leave-one-out log loss (knowing nothing: 2.30).

    ``written``: other examples than ``examples()``, for cross-validation.
    """

    def __init__(self, encoder: TextEncoder, written: dict[str, list[str]] | None = None):
        written = written or examples()
        self._texts = [text for texts in written.values() for text in texts]
        self._labels = np.array([list(CATEGORIES).index(label) for label, texts in written.items() for _ in texts])
        self._vectors = stored_vectors(encoder, self._texts)
        if self._vectors is None:
            self._vectors = encoder.encode(self._texts)
        alike = self._vectors @ self._vectors.T
        np.fill_diagonal(alike, -1)
        self._strange = np.quantile(alike.max(1), _STRANGE)
        self._counts = ((_WORDS, Counts(words, self._texts)), (_CLASSES, Counts(word_classes, self._texts)))
        self._fit(np.hstack([self._vectors, *(weight * counts.rows for weight, counts in self._counts)]))

    def _fit(self, rows: np.ndarray) -> None:
        self._mean = rows.mean(0)
        centred = rows - self._mean
        alike = centred @ centred.T
        scale = alike.trace() / len(alike) or 1.0
        wanted = np.eye(len(CATEGORIES), dtype=np.float32)[self._labels]
        self._prior = wanted.mean(0)
        inverse = np.linalg.inv(alike / scale + _PENALTY * np.eye(len(alike), dtype=np.float32))
        duals = inverse @ (wanted - self._prior)
        left_out = wanted - self._prior - duals / inverse.diagonal()[:, None]
        self._weights = centred.T @ duals / scale
        losses = [self._loss(left_out / temperature) for temperature in _TEMPERATURES]
        self.loss, self._temperature = min(losses), _TEMPERATURES[int(np.argmin(losses))]

    def _loss(self, scores: np.ndarray) -> float:
        return float(-np.log(_softmax(scores)[np.arange(len(scores)), self._labels]).mean())

    def read(self, text: str, vector: np.ndarray) -> Reading:
        """The probability of every category for ``text``, whose ``vector`` is [D], and the nearest example.

        Every category counts as equally likely before the text is read, however many examples it has.
        """
        row = np.hstack([vector, *(weight * counts.of(text) for weight, counts in self._counts)])
        chances = _softmax((row - self._mean) @ self._weights / self._temperature)
        probabilities = dict(zip(CATEGORIES, chances.tolist(), strict=True))
        alike = self._vectors @ vector
        nearest = np.where(self._labels == chances.argmax(), alike, -np.inf).argmax()
        return Reading(probabilities, self._texts[int(nearest)], bool(alike.max() < self._strange))


def stored_vectors(encoder: TextEncoder, texts: list[str]) -> np.ndarray | None:
    """The vectors of ``texts`` that ship with ``encoder`` (``MiniLM.stored``); None where there are none for them."""
    path = getattr(encoder, "stored", None)
    if path is None or not path.is_file():
        return None
    with np.load(path) as stored:
        if str(stored["digest"]) != digest(texts):
            return None
        vectors = stored["vectors"].astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def store_vectors(encoder: TextEncoder, texts: list[str], path: Path) -> None:
    """Write what ``stored_vectors`` reads: each vector in steps of 1/127 of its largest number, as int8."""
    vectors = encoder.encode(texts)
    steps = np.rint(vectors * (127 / np.abs(vectors).max(1, keepdims=True))).astype(np.int8)
    np.savez_compressed(path, vectors=steps, digest=digest(texts))


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
