"""How often the router is right, on labelled wishes: ``wishes/develop.jsonl`` and ``wishes/held_out.jsonl``.

Rules and examples are tuned on the develop part alone; the held-out part tells what that is worth.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...nodes.algorithms.routing import Decision, TextEncoder, has_word, route
from ..errors import InputError

_FOLDER = Path(__file__).parent / "wishes"
PARTS = ("develop", "held-out", "all")
MEASURES = ("pipeline", "controls", "category", "use_reference", "whole_image", "target", "edits")
#: The most confidence a wish may get that asks for nothing.
NONSENSE = 0.3


@dataclass(frozen=True)
class Wish:
    """A labelled wish. ``category`` is None where there is nothing to do. ``target``: head nouns that are right."""

    prompt: str
    reference: bool
    category: str | None
    pipeline: str
    controls: tuple[str, ...]
    use_reference: bool
    whole_image: bool
    target: tuple[str, ...]
    edits: int
    language: str
    tags: tuple[str, ...]


@dataclass
class Evaluation:
    """Counts over wishes. ``by``: kind of group ("category", "language", "tag") -> group -> measure -> right ones."""

    total: int = 0
    right: Counter = field(default_factory=Counter)
    nonsense: int = 0
    nonsense_right: int = 0
    by: dict[str, dict[str, Counter]] = field(default_factory=dict)
    pipelines: Counter = field(default_factory=Counter)
    categories: Counter = field(default_factory=Counter)
    misses: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def accuracy(self, measure: str) -> float:
        """The share of wishes with an edit in which ``measure`` is right."""
        return self.right[measure] / self.total if self.total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As ``imageine route --evaluate --json`` prints it."""
        groups = {
            kind: {
                name: {measure: round(counts[measure] / counts["total"], 4) for measure in MEASURES}
                | {"wishes": counts["total"]}
                for name, counts in sorted(groups.items())
            }
            for kind, groups in self.by.items()
        }
        return {
            "wishes": self.total + self.nonsense,
            "accuracy": {measure: round(self.accuracy(measure), 4) for measure in MEASURES},
            "nonsense": {"wishes": self.nonsense, "right": self.nonsense_right},
            "microseconds_a_wish": round(self.seconds / max(1, self.total + self.nonsense) * 1e6),
            "by": groups,
            "confusion": {"pipeline": _pairs(self.pipelines), "category": _pairs(self.categories)},
            "misses": self.misses,
        }


def load_wishes(part: str = "develop") -> list[Wish]:
    """The labelled wishes of a part. Raises ``InputError`` ``option_invalid``."""
    if part not in PARTS:
        raise InputError(
            "option_invalid", f"There is no part '{part}' of the wishes.", f"Choose one of {', '.join(PARTS)}."
        )
    names = ("develop", "held_out") if part == "all" else (part.replace("-", "_"),)
    lines = [line for name in names for line in (_FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    return [_wish(json.loads(line)) for line in lines if line.strip()]


def _wish(entry: dict[str, Any]) -> Wish:
    lists = {name: tuple(entry[name]) for name in ("controls", "target", "tags")}
    return Wish(**(entry | lists))


def evaluate(wishes: Iterable[Wish], *, encoder: TextEncoder | None = None) -> Evaluation:
    """Route every wish and compare with its label."""
    result = Evaluation()
    wishes = list(wishes)
    for wish in {wish.language: wish for wish in wishes if wish.category}.values():
        route(wish.prompt, encoder=encoder)  # what is loaded once is not the wishes' time
    for wish in wishes:
        start = time.perf_counter()
        decision = route(wish.prompt, reference=wish.reference, encoder=encoder) if has_word(wish.prompt) else None
        result.seconds += time.perf_counter() - start
        if wish.category is None:
            _count_nonsense(result, wish, decision)
        else:
            _count(result, wish, decision)
    return result


def _count_nonsense(result: Evaluation, wish: Wish, decision: Decision | None) -> None:
    """Nothing to do: an error before anything is decided, or a decision that nobody relies on."""
    result.nonsense += 1
    if decision is None or decision.confidence <= NONSENSE:
        result.nonsense_right += 1
    else:
        result.misses.append({"prompt": wish.prompt[:200], "wrong": ["nonsense"], "got": decision.to_dict()})


def _count(result: Evaluation, wish: Wish, decision: Decision | None) -> None:
    right = _compare(wish, decision) if decision else dict.fromkeys(MEASURES, False)
    counted = [measure for measure in MEASURES if right[measure]]
    result.total += 1
    result.right.update(counted)
    groups = [("category", wish.category), ("language", wish.language), *(("tag", tag) for tag in wish.tags)]
    for kind, name in groups:
        counts = result.by.setdefault(kind, {}).setdefault(name, Counter())
        counts.update(["total", *counted])
    result.pipelines[wish.pipeline, decision.pipeline if decision else "none"] += 1
    result.categories[wish.category, decision.category if decision else "none"] += 1
    if len(counted) < len(MEASURES):
        wanted = {measure: getattr(wish, measure) for measure in MEASURES}
        got = decision.to_dict() if decision else None
        wrong = [measure for measure in MEASURES if measure not in counted]
        result.misses.append({"prompt": wish.prompt[:200], "wrong": wrong, "wanted": wanted, "got": got})


def _compare(wish: Wish, decision: Decision) -> dict[str, bool]:
    return {
        "pipeline": decision.pipeline == wish.pipeline,
        "controls": set(decision.controls) == set(wish.controls),
        "category": decision.category == wish.category,
        "use_reference": decision.use_reference == wish.use_reference,
        "whole_image": decision.whole_image == wish.whole_image,
        "target": names_target(decision.target, wish.target),
        "edits": len(decision.edits) == wish.edits,
    }


def names_target(target: str, accepted: Iterable[str]) -> bool:
    """Whether the head noun of ``target`` is one of ``accepted``, in singular or plural; none accepted: none given."""
    accepted = [_singular_words(phrase) for phrase in accepted]
    words = _singular_words(target)
    if not accepted:
        return not words
    return any(words[-len(phrase) :] == phrase for phrase in accepted if phrase)


def _singular_words(phrase: str) -> list[str]:
    words = phrase.casefold().replace("-", " ").split()
    return [*words[:-1], _singular(words[-1])] if words else []


def _singular(word: str) -> str:
    from ...nodes.algorithms.routing.lexicon import singular

    return singular(word)


def _pairs(counts: Counter) -> list[dict[str, Any]]:
    pairs = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"wanted": wanted, "got": got, "wishes": count} for (wanted, got), count in pairs]
