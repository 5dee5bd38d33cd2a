"""What is learned from the written examples: how much each word and class of words speaks for each category.

``Counts`` are the rows that ``classifier`` puts beside an encoder's. ``word_weights`` is what ``word_model`` reads with
the standard library alone: multinomial logistic regression on those rows (Hastie, Tibshirani, Friedman, The Elements of
Statistical Learning, section 4.4), every category weighing as much as any other, by Nesterov's accelerated gradient
descent. Stored by ``IMAGEINE_UPDATE=1 pytest tests/test_routing_words.py -k stored``, after every change of the
examples.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from .decision import CATEGORIES
from .word_model import SCALE, digest, parts_of

_SEEN = 2  # in how many examples a part must be to count
_SEEN_ALONE = 4  # where no encoder helps: what is rarer does not make it better
_PENALTY = 0.1  # on the squared weights, by cross-validation
_STEPS, _RATE = 60, 16.0


class Counts:
    """Texts as rows of numbers, each of length 1 or 0, for the ``parts`` that two or more of ``texts`` have."""

    def __init__(self, parts: Callable[[str], set[str]], texts: Iterable[str], *, seen: int = _SEEN):
        self._parts = parts
        split = [parts(text) for text in texts]
        counts = Counter(part for found in split for part in found)
        known = sorted(part for part, count in counts.items() if count >= seen)
        self._columns = {part: column for column, part in enumerate(known)}
        self._weights = np.array([np.log(len(split) / counts[part]) for part in known], dtype=np.float32)
        self.rows = self._rows(split)

    def of(self, text: str) -> np.ndarray:
        """The row of one more text: float32 [parts]."""
        return self._rows([self._parts(text)])[0]

    def _rows(self, split: list[set[str]]) -> np.ndarray:
        rows = np.zeros((len(split), len(self._columns)), dtype=np.float32)
        for row, found in zip(rows, split, strict=True):
            columns = [self._columns[part] for part in found if part in self._columns]
            row[columns] = self._weights[columns]
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)

    @property
    def weights(self) -> dict[str, float]:
        """The parts that count, with how much each does before a row is made of length one."""
        return {part: float(self._weights[column]) for part, column in self._columns.items()}


def word_weights(examples: dict[str, list[str]]) -> dict:
    """What ``word_model`` reads, learned from the ``examples`` of every category."""
    texts = [text for found in examples.values() for text in found]
    labels = np.array([list(CATEGORIES).index(label) for label, found in examples.items() for _ in found])
    counts = Counts(parts_of, texts, seen=_SEEN_ALONE)
    weights, bias = _regression(counts.rows, labels)
    parts = {}
    for (part, rarity), row in zip(counts.weights.items(), weights, strict=True):
        parts[part] = [round(rarity * SCALE), *np.rint(rarity * row * SCALE).astype(int).tolist()]
    return {"digest": digest(texts), "bias": np.rint(bias * SCALE).astype(int).tolist(), "parts": parts}


def _regression(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [parts, categories] and bias [categories]."""
    rows = np.hstack([rows, np.ones((len(rows), 1), dtype=np.float32)])
    wanted = np.eye(len(CATEGORIES), dtype=np.float32)[labels]
    balance = (wanted @ (1 / wanted.sum(0)))[:, None] / len(CATEGORIES)
    weights = ahead = np.zeros((rows.shape[1], len(CATEGORIES)), dtype=np.float32)
    for step in range(_STEPS):
        scores = rows @ ahead
        powers = np.exp(scores - scores.max(1, keepdims=True))
        errors = (powers / powers.sum(1, keepdims=True) - wanted) * balance
        slope = rows.T @ errors
        slope[:-1] += _PENALTY / len(rows) * ahead[:-1]
        before, weights = weights, ahead - _RATE * slope
        ahead = weights + step / (step + 3) * (weights - before)
    return weights[:-1], weights[-1]


def store_weights(learned: dict, path: Path) -> None:
    """Write what ``word_weights`` found as JSON, one part a line."""
    parts = ",\n".join(
        f"{json.dumps(part)}:{json.dumps(row)}".replace(", ", ",") for part, row in learned["parts"].items()
    )
    head = json.dumps({name: value for name, value in learned.items() if name != "parts"})
    path.write_text(f'{head[:-1]}, "parts": {{\n{parts}\n}}}}\n', encoding="utf-8")
