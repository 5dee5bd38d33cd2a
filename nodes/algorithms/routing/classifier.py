"""Which category a wish reads like: ridge regression from a text encoder's vectors to the categories.

Trained on ``examples.json`` when an encoder is first used, so that any encoder serves. Both its settings, the penalty
and the softmax's temperature, are those under which each example is best predicted from all others (leave-one-out
in closed form: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, section 7.10). So the probabilities
follow from what the encoder can tell apart: one that tells nothing apart gives every category the same.

Chosen on the develop wishes over nearest neighbours and centroids, which are as often right or less and whose
similarities are no probabilities.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from .decision import CATEGORIES, TextEncoder

_EXAMPLES = Path(__file__).with_name("examples.json")
_PENALTIES = np.geomspace(0.03, 100.0, 22)
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
    """What ``text`` reads like to ``encoder``. The first call with an encoder encodes all examples."""
    if encoder not in _trained:
        _trained[encoder] = Classifier(encoder)
    return _trained[encoder].read(encoder.encode([text])[0])


class Classifier:
    """The regression on one encoder's vectors; ``loss`` is its leave-one-out log loss (knowing nothing: 2.30).

    ``written``: other examples than ``examples()``, for cross-validation.
    """

    def __init__(self, encoder: TextEncoder, written: dict[str, list[str]] | None = None):
        written = written or examples()
        self._texts = [text for texts in written.values() for text in texts]
        self._labels = [label for label, texts in written.items() for _ in texts]
        names = list(CATEGORIES)
        numbers = np.array([names.index(label) for label in self._labels])
        self._vectors = encoder.encode(self._texts)
        self._mean = self._vectors.mean(0)
        alike = self._vectors @ self._vectors.T
        np.fill_diagonal(alike, -1)
        self._strange = np.quantile(alike.max(1), _STRANGE)
        self._prior = np.bincount(numbers, minlength=len(names)) / len(numbers)
        self._fit(self._vectors.astype(np.float64) - self._mean, numbers)

    def _fit(self, centred: np.ndarray, numbers: np.ndarray) -> None:
        wanted = np.eye(len(CATEGORIES))[numbers] - self._prior
        values, axes = np.linalg.eigh(centred @ centred.T)
        values = np.maximum(values, 0)
        best = None
        for penalty in _PENALTIES:
            shrink = values / (values + penalty)
            leverage = (axes**2 @ shrink) + 1 / len(numbers)
            residual = wanted - axes @ (shrink[:, None] * (axes.T @ wanted))
            left_out = wanted - residual / (1 - leverage)[:, None]
            for temperature in _TEMPERATURES:
                chances = _softmax(left_out / temperature + np.log(self._prior))
                loss = -np.log(chances[np.arange(len(numbers)), numbers]).mean()
                if best is None or loss < best[0]:
                    best = (loss, penalty, temperature)
        self.loss, penalty, self._temperature = best
        self._weights = centred.T @ (axes @ ((axes.T @ wanted) / (values + penalty)[:, None]))

    def read(self, vector: np.ndarray) -> Reading:
        """The probability of every category for a text of this ``vector`` [D], and the likeliest's nearest example."""
        scores = (vector - self._mean) @ self._weights
        chances = _softmax(scores / self._temperature + np.log(self._prior))
        probabilities = dict(zip(CATEGORIES, chances.tolist(), strict=True))
        likeliest = max(probabilities, key=probabilities.get)
        alike = self._vectors @ vector
        nearest = np.where([label == likeliest for label in self._labels], alike, -np.inf).argmax()
        return Reading(probabilities, self._texts[int(nearest)], bool(alike.max() < self._strange))


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
